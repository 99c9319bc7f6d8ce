//! A PostgreSQL server that is thrown away, with roles that it lets in by each of the ways it knows.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the server may take to start.
const LIMIT: Duration = Duration::from_secs(30);

/// Who is let in, and how. The password of all but the administrator is `secret`; each has a database of its name.
pub(crate) const ROLES: [(&str, &str); 3] = [("scrammer", "scram-sha-256"), ("hasher", "md5"), ("plain", "password")];

/// Ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    directory: TempDir,
    programs: PathBuf,
    pub(crate) port: u16,
    process: Option<Child>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("rg-lazy").tempdir().expect("a directory");
        let programs = programs();
        // Nobody else takes it meanwhile: ports are given out in turn.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let mut server = Self { directory, programs, port, process: None };
        if nix::unistd::geteuid().is_root() {
            let (uid, gid) = account();
            std::os::unix::fs::chown(server.directory.path(), Some(uid), Some(gid)).expect("root may");
        }
        let data = server.data();
        let made = server.command("initdb").args(["--no-sync", "-A", "trust", "-U", "admin", "-D"]).arg(&data).output();
        let made = made.expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.begin();
        for (role, method) in ROLES {
            let encryption = if method == "md5" { "md5" } else { "scram-sha-256" };
            server.sql(&format!(
                "SET password_encryption = '{encryption}'; CREATE ROLE {role} LOGIN CREATEROLE CREATEDB PASSWORD 'secret'"
            ));
            server.sql(&format!("CREATE DATABASE {role} OWNER {role}"));
        }
        let lines: String = ROLES.iter().map(|(role, way)| format!("host all {role} 127.0.0.1/32 {way}\n")).collect();
        let rest = "host all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), format!("local all all trust\n{lines}{rest}")).expect("it may be written");
        server.sql("SELECT pg_reload_conf()");
        // A reload is noticed by the next connection at the latest, once the postmaster was told.
        server.until("the reload", || server.sql("SELECT count(*) FROM pg_hba_file_rules") == "5");
        server
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts it (again).
    pub(crate) fn begin(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.directory.path()).args(["-c", "fsync=off"]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60"]);
        command.arg("-p").arg(self.port.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().expect("the server starts"));
        self.until("the server", || self.try_sql("SELECT 1").status.success());
    }

    /// Ends it, and every session with it.
    pub(crate) fn end(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(process.id()).expect("a pid"));
        let _gone_already = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT);
        let _reaped = process.wait();
    }

    /// What the administrator is told.
    pub(crate) fn sql(&self, text: &str) -> String {
        let said = self.try_sql(text);
        assert!(said.status.success(), "{text}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).trim_end().to_owned()
    }

    fn try_sql(&self, text: &str) -> Output {
        let port = self.port.to_string();
        let mut command = self.command("psql");
        command.args(["-X", "-A", "-t", "-q", "-U", "admin", "-d", "postgres", "-p", &port, "-c", text, "-h"]);
        command.arg(self.directory.path()).output().expect("psql starts")
    }

    fn command(&self, program: &str) -> Command {
        // The client may be elsewhere than the server's programs.
        let path = Some(self.programs.join(program)).filter(|path| path.exists());
        let mut command = Command::new(path.unwrap_or_else(|| program.into()));
        command.stdin(Stdio::null()).current_dir("/");
        if nix::unistd::geteuid().is_root() {
            let (uid, gid) = account();
            command.uid(uid).gid(gid);
        }
        command
    }

    /// The address of a role's database.
    pub(crate) fn url(&self, role: &str) -> String {
        format!("postgresql://{role}:secret@127.0.0.1:{}/{role}?sslmode=disable", self.port)
    }

    #[track_caller]
    fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is() {
            assert!(began.elapsed() < LIMIT, "{what} did not come");
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where the server's programs are.
pub(crate) fn programs() -> PathBuf {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/setup/postgres");
    let said = Command::new(setup).output().expect("the script starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    PathBuf::from(String::from_utf8_lossy(&said.stdout).trim())
}

/// As whom it runs where we are root, which it refuses to be.
fn account() -> (u32, u32) {
    let user = ["postgres", "nobody"].iter().find_map(|name| nix::unistd::User::from_name(name).ok().flatten());
    let user = user.expect("a user to run the server as");
    (user.uid.as_raw(), user.gid.as_raw())
}
