//! A client under test: `regatta run --format ndjson`, its events read as they come.

use super::regatta;
use serde_json::Value;
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
        let mut child = command
            .env_remove("REGATTA_PROFILE")
            .env("NO_COLOR", "1")
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
}
