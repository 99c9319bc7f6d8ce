//! A small server for one test, gone when the test ends, however it ends.

use std::{
    io::Read,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, task::JoinHandle};
use tokio_postgres::{Client, Config, NoTls};

/// How long anything that a test waits for may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts PostgreSQL, and stops it and removes its directory when the pipe to it closes: also when this process is killed.
const GUARD: &str = r#"
    bin="$1"; dir="$2"; shift 2
    "$bin/initdb" -D "$dir/data" -A trust -U admin -N --wal-segsize=1 --locale=C -E UTF8 >"$dir/initdb.log" 2>&1 || exit 1
    "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= "$@" >"$dir/log" 2>&1 </dev/null &
    postgres=$!
    read -r _
    kill -QUIT "$postgres"
    wait "$postgres"
    cd / && rm -rf "$dir"
"#;

/// How every server of these tests is set up, as Regatta sets up its own.
const SETTINGS: [&str; 10] = [
    "fsync=off",
    "synchronous_commit=on",
    "autovacuum=off",
    "wal_level=replica",
    "max_prepared_transactions=10",
    "shared_preload_libraries=pg_stat_statements",
    "pg_stat_statements.track=all",
    "max_wal_senders=2",
    "wal_keep_size=64MB",
    "jit=off",
];

/// A server that is ours alone.
pub(crate) struct Server {
    guard: Child,
    directory: TempDir,
}

/// A session, with the task behind it.
pub(crate) struct Session {
    pub(crate) client: Client,
    task: JoinHandle<()>,
}

impl Session {
    /// Closes it, and waits until we have let go; the server may take a moment longer.
    pub(crate) async fn close(self) {
        drop(self.client);
        self.task.await.expect("a connection ends without panicking");
    }
}

impl Server {
    /// Starts one, with these settings besides [`SETTINGS`].
    pub(crate) async fn start(more: &[&str]) -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let directory = tempfile::Builder::new().prefix("rgw").tempdir_in(place).expect("a directory can be made");
        let mut command = Command::new("sh");
        command.arg("-c").arg(GUARD).arg("guard").arg(binaries()).arg(directory.path());
        for setting in SETTINGS.iter().chain(more) {
            command.arg("-c").arg(setting);
        }
        command.current_dir(directory.path()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((user, group)) = unprivileged() {
            chown(directory.path(), Some(user), Some(group)).expect("a directory can be given away by root");
            command.uid(user).gid(group);
        }
        let guard = command.spawn().expect("there is a shell");
        let mut server = Self { guard, directory };
        server.ready().await;
        server
    }

    async fn ready(&mut self) {
        until("the server starts", async || {
            let ended = self.guard.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "the server does not start:\n{}", self.log());
            self.config("postgres").connect(NoTls).await.is_ok()
        })
        .await;
    }

    fn log(&self) -> String {
        let mut text = String::new();
        for name in ["initdb.log", "log"] {
            if let Ok(mut file) = std::fs::File::open(self.directory.path().join(name)) {
                let _partial = file.read_to_string(&mut text);
            }
        }
        text
    }

    /// Runs a script by psql, as somebody, in a database.
    pub(crate) async fn psql(&self, role: &str, database: &str, script: &str) {
        let mut command = tokio::process::Command::new(binaries().join("psql"));
        command.arg("-h").arg(self.directory.path()).args(["-U", role, "-d", database, "-Xq", "-v", "ON_ERROR_STOP=1"]);
        let mut psql =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true).spawn().expect("psql is there");
        let mut stdin = psql.stdin.take().expect("it is piped");
        stdin.write_all(script.as_bytes()).await.expect("psql reads");
        drop(stdin);
        assert!(psql.wait().await.expect("psql ends").success(), "{script}");
    }

    /// Where files of tests may be put that the server writes.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// How to connect to a database as the one who administers.
    pub(crate) fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.directory.path()).user("admin").dbname(database);
        config
    }

    /// Connects as the one who administers.
    pub(crate) async fn connect(&self, database: &str) -> Session {
        Self::session(&self.config(database)).await
    }

    /// Connects as somebody else.
    pub(crate) async fn connect_as(&self, role: &str, database: &str) -> Session {
        Self::session(self.config(database).user(role)).await
    }

    async fn session(config: &Config) -> Session {
        let (client, connection) = config.connect(NoTls).await.expect("the server accepts connections");
        let task = tokio::spawn(async move {
            let _ended = connection.await;
        });
        Session { client, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _status = self.guard.wait();
    }
}

/// Waits until a condition holds that somebody else brings about.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The oid of a database.
pub(crate) async fn oid(admin: &Client, database: &str) -> u32 {
    admin.query_one("SELECT oid FROM pg_database WHERE datname = $1", &[&database]).await.expect("it is there").get(0)
}

/// Waits until nobody is connected to a database.
pub(crate) async fn left(admin: &Client, database: &str) {
    const CONNECTED: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
    until("sessions leave", async || {
        let row = admin.query_one(CONNECTED, &[&database]).await.expect("the server answers");
        row.get::<_, i64>(0) == 0
    })
    .await;
}

/// PostgreSQL refuses to run as root; somebody else has to own the directory then.
fn unprivileged() -> Option<(u32, u32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let user = ["postgres", "nobody"].into_iter().find_map(|name| nix::unistd::User::from_name(name).ok().flatten());
    user.map(|user| (user.uid.as_raw(), user.gid.as_raw()))
}

/// The newest PostgreSQL that is installed.
fn binaries() -> PathBuf {
    let on_path = Command::new("pg_config").arg("--bindir").output().ok().filter(|output| output.status.success());
    let told = on_path.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|version| version.path().join("bin")).chain(told).collect();
    found.retain(|path| path.join("initdb").is_file() && path.join("postgres").is_file());
    found.sort();
    found
        .pop()
        .expect("these tests need PostgreSQL 15 or later with its contrib: install it, or put pg_config on the PATH")
}
