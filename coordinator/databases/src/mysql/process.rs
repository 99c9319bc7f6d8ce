//! A running MariaDB of ours: started under the guard, ready when it answers, and gone when we are.
//!
//! It keeps nothing that a crash of the machine should not cost, and writes down every change of a row as such.

use super::Error;
use super::binaries::Programs;
use super::wire::{self, Connection};
use crate::limits;
use crate::server::home::Home;
use crate::server::process::{GUARD, tail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;

/// One running server. Dropped, it ends, and its directory goes.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    /// What the guard reads from; dropping it ends the server.
    input: Option<ChildStdin>,
    ended: watch::Receiver<bool>,
    directory: PathBuf,
    /// The directory of its socket.
    socket: PathBuf,
    port: u16,
    /// Who we are there: the account of this process, as which the install program lets us in.
    account: String,
}

/// The longest path of a directory that still has room for a socket in a socket's address (108 bytes, 104 on macOS).
const SOCKET_PATH: usize = 90;

/// Sessions at once in a server: [`super::LEASES`] with [`limits::CONNECTIONS_PER_LEASE`] each, and ours.
const SESSIONS: u32 = super::LEASES * limits::CONNECTIONS_PER_LEASE + 16;

/// Makes an empty data directory.
pub(super) async fn install(programs: &Programs, data: &Path) -> Result<(), Error> {
    let account = account()?;
    let temporary = data.with_extension("tmp");
    fs::create_dir(&temporary)?;
    let mut command = Command::new(&programs.install);
    command.args([
        "--no-defaults",
        "--auth-root-authentication-method=socket",
        "--skip-test-db",
        "--skip-name-resolve",
    ]);
    command.arg(format!("--auth-root-socket-user={account}"));
    if geteuid().is_root() {
        // It does not run as root unless it is told to. As packages call it: else it gives away a directory of the installation.
        command.arg(format!("--user={account}")).arg("--rpm");
    }
    command.arg(format!("--datadir={}", data.display())).arg(format!("--innodb-log-file-size={LOG}"));
    command.current_dir("/").stdin(Stdio::null()).kill_on_drop(true).env("LC_ALL", "C");
    // A server that starts clears its directory for temporary files, even of those of others.
    command.env("TMPDIR", &temporary);
    let failed = |log: String| Error::Start { directory: data.to_owned(), log };
    let done = tokio::time::timeout(limits::START, command.output()).await;
    let _ = fs::remove_dir_all(temporary);
    let done = done.map_err(|_| failed(format!("{} did not end", programs.install.display())))??;
    if done.status.success() {
        return Ok(());
    }
    let said = [done.stdout, done.stderr].concat();
    Err(failed(format!("{} said:\n{}", programs.install.display(), String::from_utf8_lossy(&said).trim_end())))
}

/// Who we are to the system.
fn account() -> io::Result<String> {
    let user = User::from_uid(geteuid()).map_err(io::Error::from)?;
    user.map(|user| user.name).ok_or_else(|| io::Error::other("the account of this process has no name"))
}

impl Process {
    /// Starts a server on the data in `directory/data`, and waits until it answers.
    pub(super) async fn start(programs: &Programs, home: &Home, directory: &Path) -> Result<Self, Error> {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        let mut tries = 3;
        loop {
            match Self::start_on(programs, home, directory, free_port()?).await {
                // Somebody else took the port between our look and the start.
                Err(Error::Start { log, .. }) if tries > 1 && log.contains("Address already in use") => tries -= 1,
                outcome => return outcome,
            }
        }
    }

    async fn start_on(programs: &Programs, home: &Home, directory: &Path, port: u16) -> Result<Self, Error> {
        let socket = if directory.as_os_str().len() <= SOCKET_PATH {
            directory.to_owned()
        } else {
            let name = home.path().file_name().unwrap_or_default().to_string_lossy().replace("regatta-mysql-", "rgm-");
            let short = std::env::temp_dir().join(format!("{name}-{port}"));
            fs::create_dir(&short)?;
            fs::set_permissions(&short, fs::Permissions::from_mode(0o700))?;
            short
        };
        // Of its own: a server that starts clears it, even of the files of others.
        let _ = fs::create_dir(directory.join("tmp"));
        let (account, file) = (account()?, directory.join(FILE));
        let _ = fs::remove_file(&file);
        let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        written.write_all(configuration(directory, &socket, port).as_bytes())?;
        drop(written);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GUARD, "guard"]).arg(directory).arg(&socket).arg("KILL");
        command.arg(&programs.server).arg(format!("--defaults-file={}", file.display()));
        if geteuid().is_root() {
            // It does not run as root unless it is told to.
            command.arg(format!("--user={account}"));
        }
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
        let mut guard = command.spawn()?;
        let input = guard.stdin.take();
        let mut said = String::new();
        if let Some(output) = guard.stdout.take() {
            BufReader::new(output).read_line(&mut said).await?;
        }
        let failed = |log: String| Error::Start { directory: directory.to_owned(), log };
        let pid =
            said.trim().parse().map_err(|_| failed(format!("the guard said {said:?} instead of a process id")))?;
        let (told, ended) = watch::channel(false);
        tokio::spawn(async move {
            let _ = guard.wait().await;
            let _ = told.send(true);
        });
        let (pid, directory) = (Pid::from_raw(pid), directory.to_owned());
        let process = Self { pid, input, ended, directory, socket, port, account };
        process.ready().await?;
        Ok(process)
    }

    /// Connects in a tight poll.
    async fn ready(&self) -> Result<(), Error> {
        let until = Instant::now() + limits::START;
        loop {
            let Err(said) = self.connect().await else { return Ok(()) };
            if self.has_ended() || Instant::now() >= until {
                let log = format!("{}\n{said}", tail(&self.directory.join(ERRORS), 4 << 10).trim_end());
                return Err(Error::Start { directory: self.directory.clone(), log });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A connection of ours. What is done over it is not written to the server's log of changes.
    pub(super) async fn connect(&self) -> Result<Connection, wire::Error> {
        let mut connection = Connection::open(&self.socket.join(SOCKET), &self.account).await?;
        connection.run(SESSION).await?;
        Ok(connection)
    }

    /// Where it listens on loopback.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server itself.
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// The directory with its data and its log.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether it has ended, for whatever reason.
    pub(super) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Ends it cleanly, so that its data can be copied. Bounded: what does not end in [`limits::START`] is killed, and that is told.
    pub(super) async fn stop(mut self) -> Result<(), Error> {
        let clean = self.end(Signal::SIGTERM, limits::START).await;
        self.input = None;
        let log = || tail(&self.directory.join(ERRORS), 4 << 10);
        if clean { Ok(()) } else { Err(Error::Stop { directory: self.directory.clone(), log: log() }) }
    }

    /// Ends it at once and removes all that it had.
    pub(super) async fn destroy(mut self) {
        self.kill().await;
        self.input = None;
    }

    /// Ends it at once; what it had goes, too.
    pub(super) async fn kill(&self) {
        if !self.has_ended() {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = tokio::time::timeout(limits::CONNECT, self.ended.clone().wait_for(|ended| *ended)).await;
        }
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
        if self.has_ended() {
            return false;
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

/// The file with the settings: on the command line of each server, by which what is left over after a crash is known.
const FILE: &str = "my.cnf";

const SOCKET: &str = "socket";

/// What the server has to say; it would give another ending to a name that has none.
const ERRORS: &str = "log.err";

/// Bytes of the log for recovery: as few as there may be without making large loads wait. It is copied with each private server.
const LOG: u32 = 16 << 20;

/// The mode of our sessions: a zero in a numbered column is a zero.
pub(super) const MODE: &str = "NO_AUTO_VALUE_ON_ZERO";

/// How every session of ours begins: what we do is not a test's; what we copy is as it was, in whatever order; nobody waits for
/// a lock longer than somebody waits for us.
const SESSION: &str = "SET SESSION sql_log_bin=0, foreign_key_checks=0, unique_checks=0, \
    sql_mode='NO_AUTO_VALUE_ON_ZERO', tx_isolation='READ-COMMITTED', lock_wait_timeout=10, innodb_lock_wait_timeout=10, \
    wait_timeout=31536000";

/// The text of `my.cnf`. Nothing is synchronized, what tests commit is logged row by row with its text, and what each user does
/// is counted.
fn configuration(directory: &Path, socket: &Path, port: u16) -> String {
    let (directory, socket) = (directory.display(), socket.display());
    format!(
        "[mysqld]\ndatadir={directory}/data\nsocket={socket}/{SOCKET}\npid-file={directory}/data/pid\ntmpdir={directory}/tmp\n\
         log-error={directory}/{ERRORS}\nbind-address=127.0.0.1\nport={port}\nskip-name-resolve\nskip-symbolic-links\n\
         character-set-server=utf8mb4\ncollation-server=utf8mb4_general_ci\nmax_connections={SESSIONS}\n\
         max_connect_errors=4294967295\nmax_allowed_packet=64M\nperformance_schema=OFF\nuserstat=1\n\
         innodb_flush_log_at_trx_commit=0\ninnodb_flush_method=nosync\ninnodb_doublewrite=0\n\
         innodb_buffer_pool_size=32M\ninnodb_log_file_size={LOG}\ninnodb_buffer_pool_dump_at_shutdown=OFF\n\
         innodb_buffer_pool_load_at_startup=OFF\ninnodb_stats_auto_recalc=OFF\n\
         log-bin={BINLOG}\nserver-id=1\nbinlog_format=ROW\nbinlog_annotate_row_events=ON\nsync_binlog=0\n\
         max_binlog_size=16M\nlog_bin_trust_function_creators=ON\n"
    )
}

/// What the files of the log of changes begin with.
pub(super) const BINLOG: &str = "binlog";

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
