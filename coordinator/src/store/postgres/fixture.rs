//! A PostgreSQL server for tests: real, on a unix socket in a directory of its own, and gone with the test's process, in whatever
//! way that ends.

use super::Server;
use nix::unistd::{User, geteuid};
use regatta_databases::binaries::Binaries;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keeps a server, does what it is told by the line, and ends everything when nobody is there to tell it.
const KEEPER: &str = r#"bin=$1 dir=$2
run() { "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c max_connections=200 >>"$dir/log" 2>&1 & pid=$!; }
"$bin/initdb" -D "$dir/data" -A trust -U regatta -N --locale=C -E UTF8 >"$dir/log" 2>&1 || exit 1
run
echo ready
while read -r word; do
    case $word in
        kill) kill -KILL $pid; wait $pid ;;
        stop) kill -INT $pid; wait $pid ;;
        # What was killed leaves children behind for a moment, and while they are there no other one starts.
        freeze) kill -STOP $pid $(cat /proc/$pid/task/*/children) ;;
        thaw) kill -CONT $pid $(cat /proc/$pid/task/*/children) ;;
        start) run; sleep 0.2; until kill -0 $pid; do wait $pid; run; sleep 0.2; done ;;
    esac 2>>"$dir/log"
    echo done
done
kill -CONT $pid $(cat /proc/$pid/task/*/children)
kill -QUIT $pid
wait $pid
rm -rf "$dir"
"#;

/// No server takes longer to start, on any machine that is not broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server.
pub(crate) struct TestServer {
    directory: String,
    databases: AtomicU32,
    keeper: Mutex<Keeper>,
}

struct Keeper {
    _child: Child,
    say: ChildStdin,
    hear: Lines<BufReader<ChildStdout>>,
}

/// The server that tests share which do it no harm.
pub(crate) static SHARED: LazyLock<TestServer> = LazyLock::new(TestServer::start);

impl TestServer {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let programs = Binaries::find(None).unwrap();
        let directory = tempfile::tempdir().unwrap().keep();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&programs.directory).arg(&directory).current_dir("/");
        // It refuses to run as root.
        if geteuid().is_root() {
            let user = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).unwrap()).unwrap();
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            std::os::unix::fs::chown(&directory, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        // An interrupt from the terminal is for the tests; the keeper must outlive them.
        let command = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let (say, hear) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut hear = BufReader::new(hear).lines();
        assert_eq!(hear.next().unwrap().unwrap(), "ready");
        let keeper = Mutex::new(Keeper { _child: child, say, hear });
        let directory = directory.to_str().unwrap().to_owned();
        Self { directory, databases: AtomicU32::new(0), keeper }
    }

    /// Tells its keeper: `kill`, `stop`, `start`; `freeze`, so that it stands still with all of its connections, and `thaw`.
    pub(crate) fn tell(&self, word: &str) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(keeper.say, "{word}").unwrap();
        assert_eq!(keeper.hear.next().unwrap().unwrap(), "done");
    }

    /// How it is reached, whatever database is meant.
    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@{}/{database}", self.directory.replace('/', "%2F"))
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        Path::new(&self.directory).join(".s.PGSQL.5432")
    }

    /// A database of one's own.
    pub(crate) async fn database(&self) -> Server {
        let name = format!("farm_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let admin = Server::parse(&self.url("regatta", "postgres")).unwrap();
        let began = Instant::now();
        let client = loop {
            match admin.connect().await {
                Ok(client) => break client,
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        Server::parse(&self.url("regatta", &name)).unwrap()
    }
}
