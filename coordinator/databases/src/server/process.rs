//! A running server of ours: started under a guard, ready when it answers, and gone when we are.
//!
//! The guard is a shell process that starts PostgreSQL and reads from a pipe that we hold. When the pipe closes - we ended, or
//! were killed in whatever way - it stops the server at once and removes its directory. Data is worthless then.

use super::Error;
use super::home::Home;
use super::settings::{self, ADMIN, Purpose};
use crate::binaries::Binaries;
use crate::limits;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;

/// One running server.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    /// What the guard reads from; dropping it ends the server.
    input: Option<ChildStdin>,
    ended: watch::Receiver<bool>,
    directory: PathBuf,
    socket: PathBuf,
    port: u16,
}

/// What the guard does, given two directories to remove, the signal that ends the server at once, and its command. It removes
/// only after it was the guard that ended the server: a server that fell by itself leaves its log to us.
pub(crate) const GUARD: &str = r#"home=$1; socket=$2; signal=$3; shift 3
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
echo "$server"
exec >/dev/null
( read -r _ <&3; trap '' TERM; kill "-$signal" "$server"; exit 0 ) &
watcher=$!
wait "$server"; code=$?
kill "$watcher" 2>/dev/null
wait "$watcher" && rm -rf "$home" "$socket"
exit "$code""#;

/// The longest path of a directory that still has room for `.s.PGSQL.65535` in a socket's address (108 bytes, 104 on macOS).
const SOCKET_PATH: usize = 85;

/// Which line of its lock file, after the first, a server writes how it is to: `starting`, `ready`, `stopping`.
const STATUS: usize = 6;

/// After so long we knock though nothing was announced.
const ANNOUNCED: Duration = Duration::from_secs(2);

/// By which our own statements are not recorded. Whoever watches connects without it: a session asks the server for its
/// settings, and would be told these instead.
pub(crate) const UNTRACKED: &str = "-c pg_stat_statements.track=none";

impl Process {
    /// Starts the server whose data is in `directory/data`, and waits until it answers.
    pub(crate) async fn start(
        (binaries, statements): (&Binaries, bool),
        home: &Home,
        directory: PathBuf,
        purpose: Purpose,
    ) -> Result<Self, Error> {
        let mut tries = 3;
        loop {
            match Self::start_on((binaries, statements), home, &directory, purpose, free_port()?).await {
                // Somebody else took the port between our look and the start.
                Err(Error::Start { log, .. }) if tries > 1 && log.contains("could not bind") => tries -= 1,
                outcome => return outcome,
            }
        }
    }

    async fn start_on(
        (binaries, statements): (&Binaries, bool),
        home: &Home,
        directory: &Path,
        purpose: Purpose,
        port: u16,
    ) -> Result<Self, Error> {
        let (data, version) = (directory.join("data"), (binaries.major, statements));
        let socket = if directory.as_os_str().len() <= SOCKET_PATH {
            directory.to_owned()
        } else {
            let name = home.path().file_name().unwrap_or_default().to_string_lossy().replace("regatta-pg-", "rgs-");
            let short = std::env::temp_dir().join(format!("{name}-{port}"));
            fs::create_dir(&short)?;
            home.account().own(&short)?;
            short
        };
        fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        write(&data.join("postgresql.conf"), &settings::configuration(purpose, &socket, port, version), home)?;
        write(&data.join("pg_hba.conf"), &settings::access(), home)?;
        let log = OpenOptions::new().create(true).append(true).open(directory.join("log"))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GUARD, "guard"]).arg(directory).arg(&socket).arg("QUIT");
        command.arg(binaries.program("postgres")).arg("-D").arg(&data);
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).process_group(0);
        // What is set for psql and libpq in our environment is not meant for the server.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
        home.account().apply(&mut command);
        let mut guard = command.spawn()?;
        let input = guard.stdin.take();
        let mut said = String::new();
        if let Some(output) = guard.stdout.take() {
            BufReader::new(output).read_line(&mut said).await?;
        }
        let pid: i32 = said.trim().parse().map_err(|_| Error::Start {
            directory: directory.to_owned(),
            log: format!("the guard said {said:?} instead of a process id"),
        })?;
        let (told, ended) = watch::channel(false);
        tokio::spawn(async move {
            let _ = guard.wait().await;
            let _ = told.send(true);
        });
        let process = Self { pid: Pid::from_raw(pid), input, ended, directory: directory.to_owned(), socket, port };
        process.ready().await?;
        Ok(process)
    }

    /// Connects once the server has announced that it is ready, which is looked for in a tight poll: `pg_ctl` looks every 100 ms,
    /// and the server is there after 20. Whoever connects before costs it a process that says no.
    async fn ready(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let config = self.admin();
        loop {
            let is_time = begun.elapsed() > ANNOUNCED || self.has_announced();
            let outcome = if is_time { Some(config.connect(tokio_postgres::NoTls).await) } else { None };
            if let Some(Ok((client, connection))) = outcome {
                drop(client);
                tokio::spawn(connection);
                return Ok(());
            }
            if *self.ended.borrow() || begun.elapsed() >= limits::START {
                return Err(Error::Start { directory: self.directory.clone(), log: self.log() });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Whether the server says in its lock file that it is ready, as it does since PostgreSQL 10.
    fn has_announced(&self) -> bool {
        let said = fs::read_to_string(self.directory.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = said.lines();
        // An image has none of it: it is removed when a server stops.
        lines.next() == Some(&*self.pid.to_string()) && lines.nth(STATUS).is_some_and(|status| status.trim() == "ready")
    }

    /// How we connect, as superuser to the database `postgres`.
    pub(crate) fn admin(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket).port(self.port).user(ADMIN).dbname("postgres");
        config.application_name("regatta").connect_timeout(limits::CONNECT);
        // Every statement of ours names a database or role that is never named again: kept, they would crowd out those of
        // tests, and make each look at those take ten times as long.
        config.options(UNTRACKED);
        config
    }

    /// Where it listens on loopback, for tests.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server itself.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// The directory with its `data` and its `log`.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Becomes true when the server has ended, for whatever reason.
    pub(crate) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.clone()
    }

    /// The end of what it logged.
    pub(crate) fn log(&self) -> String {
        tail(&self.directory.join("log"), 4 << 10)
    }

    /// Ends it cleanly, so that its data can be copied. Bounded: what does not end in [`limits::START`] is killed, and that is told.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        let clean = self.end(Signal::SIGINT, limits::START).await;
        self.input = None;
        if clean { Ok(()) } else { Err(Error::Stop { directory: self.directory.clone(), log: self.log() }) }
    }

    /// Ends it at once and removes all that it had.
    pub(crate) async fn destroy(mut self) {
        self.end(Signal::SIGQUIT, limits::CONNECT).await;
        self.input = None;
        let (directory, socket) = (self.directory.clone(), self.socket.clone());
        let _ = tokio::task::spawn_blocking(move || {
            let _ = fs::remove_dir_all(&directory);
            if socket != directory {
                let _ = fs::remove_dir_all(&socket);
            }
        })
        .await;
    }

    /// Sends `signal` and waits for the end; kills after `patience`. Says whether the signal was enough.
    async fn end(&mut self, signal: Signal, patience: Duration) -> bool {
        if *self.ended.borrow() {
            return signal == Signal::SIGQUIT;
        }
        let _ = kill(self.pid, signal);
        let gone = tokio::time::timeout(patience, self.ended.wait_for(|ended| *ended)).await.is_ok();
        if !gone {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = tokio::time::timeout(limits::CONNECT, self.ended.wait_for(|ended| *ended)).await;
        }
        gone
    }
}

fn write(path: &Path, text: &str, home: &Home) -> io::Result<()> {
    // Not in place: in a copy that shares blocks with its image, or in an image itself, the old text must stay as it is.
    let _ = fs::remove_file(path);
    fs::write(path, text)?;
    home.account().own(path)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The last `bytes` of a file, as text.
pub(crate) fn tail(path: &Path, bytes: u64) -> String {
    let mut text = Vec::new();
    let read = fs::File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        file.read_to_end(&mut text)
    });
    read.map_or_else(
        |error| format!("its log cannot be read: {error}"),
        |_| String::from_utf8_lossy(&text).into_owned(),
    )
}
