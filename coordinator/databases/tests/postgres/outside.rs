//! A server that is not ours: what the engine finds when it is given a URL.

use crate::world::directory;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use regatta_databases::binaries::Binaries;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A server with its own life. Gone when dropped.
pub(crate) struct Outside {
    binaries: Binaries,
    directory: TempDir,
    port: u16,
    child: Option<Child>,
    settings: Vec<String>,
}

impl Outside {
    /// Makes and starts one, with `settings` besides.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let directory = directory();
        if let Some(user) = user() {
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid)).unwrap();
        }
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut outside = Self { binaries: Binaries::find(None).unwrap(), directory, port, child: None, settings };
        let made = outside
            .command("initdb")
            .args(["-U", "admin", "-A", "trust", "-N", "--no-instructions", "-D"])
            .arg(outside.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        outside.run().await;
        outside
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://admin@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Starts it again.
    pub(crate) async fn run(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-k"]).arg(self.directory.path());
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_prepared_transactions=10"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        self.child = Some(command.spawn().unwrap());
        let url = self.url();
        crate::world::until("the outside server is up", async || crate::world::connect(&url).await.is_ok()).await;
    }

    /// Ends it as a power cut would end a process.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Its backends notice; shared memory is taken over by the next start.
        let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGQUIT);
        let _ = child.wait();
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(user) = user() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        if program == "initdb" {
            command.stderr(Stdio::piped());
        }
        command
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.kill();
    }
}

fn user() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).unwrap())
}
