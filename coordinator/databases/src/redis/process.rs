//! A running Redis of ours: started under the guard, ready when it answers, and gone when we are.

use super::Error;
use super::admin::Admin;
use super::binaries::Program;
use super::resp::Address;
use crate::limits;
use crate::server::home::Home;
use crate::server::process::{GUARD, tail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
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
    port: u16,
}

/// The longest path that fits into a socket's address (108 bytes, 104 on macOS).
const SOCKET_PATH: usize = 100;

/// What a server loads when it starts, and writes when it is told to.
pub(super) const DUMP: &str = "dump.rdb";

impl Process {
    /// Starts a server that holds what is in `image`, and waits until it answers. `password` is for tests, `secret` for us.
    pub(super) async fn start(
        program: &Program,
        home: &Home,
        image: Option<&Path>,
        (password, secret): (&str, &str),
    ) -> Result<(Self, Admin), Error> {
        let mut tries = 3;
        loop {
            let directory = home.directory('s')?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
            if let Some(image) = image {
                link(image, &directory.join(DUMP))?;
            }
            match Self::start_on(program, &directory, free_port()?, (password, secret)).await {
                Ok(started) => return Ok(started),
                Err(error) => {
                    let _ = fs::remove_dir_all(&directory);
                    // Somebody else took the port between our look and the start.
                    let taken = matches!(&error, Error::Start { log, .. } if log.contains("Address already in use"));
                    if !taken || tries == 1 {
                        return Err(error);
                    }
                    tries -= 1;
                }
            }
        }
    }

    async fn start_on(
        program: &Program,
        directory: &Path,
        port: u16,
        (password, secret): (&str, &str),
    ) -> Result<(Self, Admin), Error> {
        let socket = Some(directory.join("socket")).filter(|path| path.as_os_str().len() <= SOCKET_PATH);
        let (file, log) = (directory.join("redis.conf"), directory.join("log"));
        let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        written.write_all(configuration(directory, &log, (port, socket.as_deref()), (password, secret)).as_bytes())?;
        drop(written);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GUARD, "guard"]).arg(directory).arg(directory).arg("KILL");
        command.arg(&program.path).arg(&file);
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
        let process = Self { pid: Pid::from_raw(pid), input, ended, directory: directory.to_owned(), port };
        let address = socket.map_or(Address::Port(port), Address::Socket);
        let admin = process.ready(&address, secret).await?;
        Ok((process, admin))
    }

    /// Connects in a tight poll, until it has loaded what it holds.
    async fn ready(&self, address: &Address, secret: &str) -> Result<Admin, Error> {
        let until = Instant::now() + limits::START;
        loop {
            let said = match Admin::open(address.clone(), secret.to_owned()).await {
                Ok(mut admin) => match admin.call(&["PING"]).await {
                    Ok(_) => return Ok(admin),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if self.has_ended() || Instant::now() >= until {
                let log = format!("{}\n{said}", tail(&self.directory.join("log"), 4 << 10).trim_end());
                return Err(Error::Start { directory: self.directory.clone(), log });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Where it listens on loopback.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server itself.
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// The directory with its dump and its log.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether it has ended, for whatever reason.
    pub(super) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Ends it at once and removes all that it had.
    pub(super) async fn destroy(mut self) {
        if !self.has_ended() {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = tokio::time::timeout(limits::CONNECT, self.ended.wait_for(|ended| *ended)).await;
        }
        self.input = None;
        let directory = self.directory.clone();
        let _ = tokio::task::spawn_blocking(move || fs::remove_dir_all(directory)).await;
    }
}

/// The text of `redis.conf`: nothing is written to disk, and everything that tests may want to do to a server of their own they
/// may, but load code into it.
fn configuration(
    directory: &Path,
    log: &Path,
    (port, socket): (u16, Option<&Path>),
    (password, secret): (&str, &str),
) -> String {
    let quoted = |path: &Path| path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!(
        "bind 127.0.0.1\nport {port}\ndir \"{}\"\nlogfile \"{}\"\ndbfilename {DUMP}\n",
        quoted(directory),
        quoted(log)
    );
    if let Some(socket) = socket {
        text.push_str(&format!("unixsocket \"{}\"\nunixsocketperm 600\n", quoted(socket)));
    }
    // A title would hide the file on the command line, by which what is left over after a crash is known.
    text.push_str("save \"\"\nappendonly no\ndaemonize no\nset-proc-title no\nalways-show-logo no\n");
    text.push_str("enable-debug-command local\nacllog-max-len 1024\nmaxmemory 0\n");
    text.push_str(&format!("requirepass {password}\nuser {} on >{secret} ~* &* +@all\n", super::ADMIN));
    text
}

/// A second name for the file, where the system gives one: servers read it, and write beside it.
fn link(image: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(image, to).or_else(|_| fs::copy(image, to).map(drop))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
