//! A client under test: `regatta run --format ndjson`, its events read as they come.

use super::regatta;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running client.
#[derive(Debug)]
pub struct Client {
    child: Child,
    events: BufReader<ChildStdout>,
    stderr: std::thread::JoinHandle<String>,
    seen: Vec<Value>,
}

/// A client that ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; 128 + the signal where one ended it.
    pub code: i32,
    /// All of its events.
    pub events: Vec<Value>,
    /// What it told people.
    pub stderr: String,
}

impl Client {
    /// Starts `regatta` with `args` and the event stream on stdout.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(dir: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut command = Command::new(regatta());
        command.args(args).args(["--format", "ndjson"]).current_dir(dir);
        Self::spawn(command)
    }

    /// Starts a prepared command whose stdout carries the events.
    ///
    /// # Panics
    /// When it does not start.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = alone(&mut command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("regatta starts");
        let events = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _closed = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { child, events, stderr, seen: Vec::new() }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads on until `count` events of this kind have come, in all.
    ///
    /// # Panics
    /// When the stream ends before.
    pub fn wait_for(&mut self, kind: &str, count: usize) {
        while self.seen.iter().filter(|event| event["event"] == kind).count() < count {
            assert!(self.read(), "the stream ended before {count} × {kind}: {:?}", self.seen.last());
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("pids are small"));
        kill(pid, signal).expect("the client lives");
    }

    /// The ids of the tests that have a verdict so far.
    #[must_use]
    pub fn finished(&self) -> Vec<String> {
        let finished = self.seen.iter().filter(|event| event["event"] == "test_finished");
        finished.filter_map(|event| event["id"].as_str().map(ToOwned::to_owned)).collect()
    }

    /// Reads to the end.
    ///
    /// # Panics
    /// When the client cannot be waited for.
    #[must_use]
    pub fn end(mut self) -> Ended {
        use std::os::unix::process::ExitStatusExt as _;
        while self.read() {}
        let status = self.child.wait().expect("a child can be waited for");
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let stderr = self.stderr.join().expect("reading does not panic");
        Ended { code, events: self.seen, stderr }
    }

    fn read(&mut self) -> bool {
        let mut line = String::new();
        match self.events.read_line(&mut line) {
            Ok(0) | Err(_) => false,
            Ok(_) => {
                let event = serde_json::from_str(&line);
                self.seen.push(event.unwrap_or_else(|error| panic!("not an event: {line:?}: {error}")));
                true
            }
        }
    }
}

impl Ended {
    /// The last event, which sums the run up.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn summary(&self) -> &Value {
        let last = self.events.iter().rfind(|event| event["event"] == "run_finished");
        last.unwrap_or_else(|| panic!("the run did not finish (exit {}): {}", self.code, self.stderr))
    }

    /// One of its counts.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.summary()["counts"][what].as_u64().unwrap_or(0)
    }

    /// The events of a kind.
    pub fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event["event"] == kind)
    }

    /// The verdict of each test, by id.
    ///
    /// # Panics
    /// When a test has two.
    #[must_use]
    pub fn verdicts(&self) -> BTreeMap<&str, &str> {
        let mut verdicts = BTreeMap::new();
        for event in self.all("test_finished") {
            let id = event["id"].as_str().expect("a test has an id");
            let before = verdicts.insert(id, event["verdict"].as_str().expect("a verdict is a word"));
            assert!(before.is_none(), "{id} has two verdicts: {}", self.stderr);
        }
        verdicts
    }

    /// The verdict of a test, and why it did not pass.
    ///
    /// # Panics
    /// When it has no verdict.
    #[must_use]
    pub fn verdict(&self, id: &str) -> (&str, &str) {
        let event = self.all("test_finished").find(|event| event["id"] == id);
        let event = event.unwrap_or_else(|| panic!("{id} has no verdict (exit {}): {}", self.code, self.stderr));
        (event["verdict"].as_str().unwrap_or_default(), event["reason"].as_str().unwrap_or_default())
    }
}

/// What a command said that is not a run: all of it, once it has ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; 128 + the signal where one ended it.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// What it told people.
    pub stderr: String,
}

impl Said {
    /// Runs `regatta` with `args`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn by(dir: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut command = Command::new(regatta());
        command.args(args).current_dir(dir);
        Self::by_command(command)
    }

    /// Runs a prepared command.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn by_command(mut command: Command) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let output = alone(&mut command).stdin(Stdio::null()).output().expect("regatta starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// What surrounds a test run has no say in the run under test.
fn alone(command: &mut Command) -> &mut Command {
    const BEGINNINGS: [&str; 3] = ["REGATTA", "CARGO_TARGET", "GITHUB"];
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))) {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1")
}
