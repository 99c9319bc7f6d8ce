//! A coordinator and its workers, as processes on the loopback.

use super::{Client, Said, regatta};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// A coordinator and its workers. All of them die with it.
#[derive(Debug)]
pub struct Cluster {
    data: tempfile::TempDir,
    dir: std::path::PathBuf,
    coordinator: Coordinator,
    /// Where the coordinator listens.
    pub url: String,
    /// The workers that live.
    pub workers: Vec<Child>,
}

impl Cluster {
    /// A coordinator, and workers with so many slots each, in the directory of a project.
    ///
    /// # Panics
    /// When they do not start.
    #[must_use]
    pub fn start(dir: &Path, workers: usize, slots: u16) -> Self {
        let mut cluster = Self::start_with(dir, |data| coordinator(data, "127.0.0.1:0"));
        for _ in 0..workers {
            cluster.add_worker(slots);
        }
        cluster
    }

    /// A coordinator that `command` starts, given its data directory; no workers.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_with(dir: &Path, command: impl FnOnce(&Path) -> Command) -> Self {
        let data = tempfile::tempdir().expect("room for a directory");
        let (coordinator, url) = Coordinator::start(dir, command(data.path()));
        Self { data, dir: dir.to_owned(), coordinator, url, workers: Vec::new() }
    }

    /// Where the coordinator keeps what it must not forget.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Waits until the coordinator has ended by itself: what it said.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn end_of_coordinator(&mut self) -> Said {
        let Coordinator { child, stderr } = &mut self.coordinator;
        let status = child.wait().expect("a child can be waited for");
        let stderr = stderr.take().map(|stderr| stderr.join().expect("reading does not panic"));
        Said { code: status.code().unwrap_or(-1), stdout: self.url.clone(), stderr: stderr.unwrap_or_default() }
    }

    /// Adds a worker.
    ///
    /// # Panics
    /// When it does not start.
    pub fn add_worker(&mut self, slots: u16) {
        let worker = Command::new(regatta())
            .args(["worker", "--on", &self.url, "--slots", &slots.to_string()])
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a worker starts");
        self.workers.push(worker);
    }

    /// Runs the suites of the project on it.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Client {
        Client::start(&self.dir, ["run", "--on", &self.url].iter().chain(args))
    }

    /// `kill -9` of the coordinator.
    pub fn kill_coordinator(&mut self) {
        kill(&mut self.coordinator.child);
    }

    /// Asks the coordinator to end, and waits until it has.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn end_coordinator_in_order(&mut self) -> i32 {
        let child = &mut self.coordinator.child;
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("pids are small"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("the coordinator lives");
        child.wait().expect("a child can be waited for").code().unwrap_or(-1)
    }

    /// `kill -9` of the coordinator, and a new one on the same address and data.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart_coordinator(&mut self) {
        self.kill_coordinator();
        let address = self.url.trim_start_matches("http://").to_owned();
        let (coordinator, url) = Coordinator::start(&self.dir, coordinator(self.data.path(), &address));
        assert_eq!(url, self.url);
        self.coordinator = coordinator;
    }

    /// `kill -9` of a worker.
    pub fn kill_worker(&mut self, at: usize) {
        let mut worker = self.workers.remove(at);
        kill(&mut worker);
    }

    /// Sends a worker a signal.
    ///
    /// # Panics
    /// When it is not there.
    pub fn signal_worker(&self, at: usize, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.workers[at].id()).expect("pids are small"));
        nix::sys::signal::kill(pid, signal).expect("the worker lives");
    }

    /// Asks a worker to leave, and waits until it has.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn drain_worker(&mut self, at: usize) -> i32 {
        let mut worker = self.workers.remove(at);
        let pid = nix::unistd::Pid::from_raw(i32::try_from(worker.id()).expect("pids are small"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("the worker lives");
        worker.wait().expect("a child can be waited for").code().unwrap_or(-1)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            kill(worker);
        }
        kill(&mut self.coordinator.child);
    }
}

/// A coordinator, and what it tells people.
#[derive(Debug)]
struct Coordinator {
    child: Child,
    stderr: Option<JoinHandle<String>>,
}

impl Coordinator {
    /// Starts it, and waits for the line that says where it listens.
    fn start(dir: &Path, mut command: Command) -> (Self, String) {
        let mut child = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a coordinator starts");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _closed = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let mut url = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut url).expect("the coordinator says where it listens");
        assert!(!url.is_empty(), "the coordinator did not come up");
        (Self { child, stderr: Some(stderr) }, url.trim().to_owned())
    }
}

/// The command that serves as a coordinator.
fn coordinator(data: &Path, listen: &str) -> Command {
    let mut command = Command::new(regatta());
    command.args(["coordinator", "--listen", listen, "--data"]).arg(data);
    command
}

/// `kill -9`, and the end of it.
fn kill(child: &mut Child) {
    let _dead_already = child.kill();
    let _reaped_already = child.wait();
}
