//! A coordinator and its workers, as processes on the loopback.

use super::{Client, regatta};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A coordinator and its workers. All of them die with it.
#[derive(Debug)]
pub struct Cluster {
    data: tempfile::TempDir,
    dir: std::path::PathBuf,
    coordinator: Child,
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
        let data = tempfile::tempdir().expect("room for a directory");
        let (coordinator, url) = coordinator(dir, data.path(), "127.0.0.1:0");
        let mut cluster = Self { data, dir: dir.to_owned(), coordinator, url, workers: Vec::new() };
        for _ in 0..workers {
            cluster.add_worker(slots);
        }
        cluster
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

    /// `kill -9` of the coordinator, and a new one on the same address and data.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart_coordinator(&mut self) {
        kill(&mut self.coordinator);
        let address = self.url.trim_start_matches("http://").to_owned();
        let (coordinator, url) = coordinator(&self.dir, self.data.path(), &address);
        assert_eq!(url, self.url);
        self.coordinator = coordinator;
    }

    /// `kill -9` of a worker.
    pub fn kill_worker(&mut self, at: usize) {
        let mut worker = self.workers.remove(at);
        kill(&mut worker);
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
        kill(&mut self.coordinator);
    }
}

/// Starts a coordinator, and waits for the line that says where it listens.
fn coordinator(dir: &Path, data: &Path, listen: &str) -> (Child, String) {
    let mut child = Command::new(regatta())
        .args(["coordinator", "--listen", listen, "--data"])
        .arg(data)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a coordinator starts");
    let mut url = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut url).expect("the coordinator says where it listens");
    assert!(!url.is_empty(), "the coordinator did not come up");
    (child, url.trim().to_owned())
}

/// `kill -9`, and the end of it.
fn kill(child: &mut Child) {
    let _dead_already = child.kill();
    let _reaped_already = child.wait();
}
