//! A PostgreSQL server as somebody else manages it: its role makes databases and roles, and is no superuser; there is no log to
//! read, and statements are not counted.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to start.
const LIMIT: Duration = Duration::from_secs(30);

/// Ended when it is dropped.
pub(crate) struct Managed {
    directory: TempDir,
    programs: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Managed {
    pub(crate) fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("rg-managed").tempdir().expect("a directory");
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("setup/postgres");
        let said = Command::new(setup).output().expect("the script starts");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let programs = PathBuf::from(String::from_utf8_lossy(&said.stdout).trim());
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        if let Some((uid, gid)) = account() {
            std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid)).expect("root may");
        }
        let mut server = Self { directory, programs, port, process: None };
        let data = server.directory.path().join("data");
        let made = server.command("initdb").args(["--no-sync", "-A", "trust", "-U", "admin", "-D"]).arg(&data).output();
        let made = made.expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), rules).expect("it may be written");
        let mut postgres = server.command("postgres");
        postgres.arg("-D").arg(&data).arg("-k").arg(server.directory.path()).args(["-c", "fsync=off", "-p"]);
        postgres.arg(port.to_string()).args(["-c", "listen_addresses=127.0.0.1"]);
        let process = postgres.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        server.process = Some(process.expect("the server starts"));
        let began = Instant::now();
        let role = "CREATE ROLE manager LOGIN CREATEDB CREATEROLE PASSWORD 'secret'";
        while !server.runs(role) {
            assert!(began.elapsed() < LIMIT, "the server did not start");
            std::thread::yield_now();
        }
        server
    }

    /// Its address, for a resource.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://manager:secret@127.0.0.1:{}/postgres", self.port)
    }

    fn runs(&self, sql: &str) -> bool {
        let mut psql = self.command("psql");
        psql.args(["-Xq", "-U", "admin", "-d", "postgres", "-p", &self.port.to_string(), "-c", sql, "-h"]);
        psql.arg(self.directory.path()).output().expect("psql starts").status.success()
    }

    fn command(&self, program: &str) -> Command {
        // The client may be elsewhere than the server's programs.
        let path = Some(self.programs.join(program)).filter(|path| path.exists());
        let mut command = Command::new(path.unwrap_or_else(|| program.into()));
        command.stdin(Stdio::null()).current_dir("/");
        if let Some((uid, gid)) = account() {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(process.id()).expect("a pid"));
        let _gone_already = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT);
        let _reaped = process.wait();
    }
}

/// As whom it runs where we are root, which it refuses to be.
fn account() -> Option<(u32, u32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let user = ["postgres", "nobody"].iter().find_map(|name| nix::unistd::User::from_name(name).ok().flatten());
    let user = user.expect("a user to run the server as");
    Some((user.uid.as_raw(), user.gid.as_raw()))
}
