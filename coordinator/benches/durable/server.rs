//! The coordinator, in a process of its own, and what the system tells of that process.

use super::shape::Shape;
use regatta_coordinator::{Config, Coordinator};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Ticks of the processor clock in a second, as Linux counts them for users.
const TICKS: f64 = 100.0;

/// The coordinator of such a process: serves until its input ends.
pub(crate) fn serve(data: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = Coordinator::listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let coordinator = Coordinator::start(Config::cluster(data.to_owned())).await.expect("it starts");
        println!("http://{address}");
        let parent = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        tokio::select! {
            served = coordinator.serve(listener) => served.expect("it serves"),
            _gone = parent => {}
        }
        coordinator.shutdown().await.expect("it stops");
    });
}

/// A coordinator that runs. Killed with the handle.
pub(crate) struct Server {
    child: Child,
    address: String,
    /// From the start of the process until it led.
    pub(crate) took: Duration,
    _out: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) async fn start(shape: &Shape, data: &Path) -> Self {
        let mut command = match &shape.binary {
            Some(binary) => {
                let mut command = Command::new(binary);
                command.args(["coordinator", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(&shape.flags);
                command
            }
            None => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.arg("--serve").arg(data);
                command
            }
        };
        let began = Instant::now();
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output is piped"));
        let said = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            out.read_line(&mut line).map(|_| (line, out))
        });
        let (line, out) = said.await.expect("nothing panics").expect("its output can be read");
        assert!(line.starts_with("http://"), "the coordinator says where it is, and not {line:?}");
        let address = line.trim().to_owned();
        // One whose store is shared stands by first.
        let addresses = address.parse().expect("it is one");
        while regatta_runtime::dial::leader(&addresses).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { child, address, took: began.elapsed(), _out: out }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// As the system's own `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was started here");
    }

    /// The most memory it ever had.
    pub(crate) fn peak_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak: u64 = peak.and_then(|peak| peak.trim().split(' ').next()?.parse().ok()).expect("Linux tells");
        peak / 1024
    }

    /// What it has used of the processors so far.
    pub(crate) fn usage(&self) -> Usage {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let mut usage = Usage::default();
        for task in tasks.filter_map(Result::ok) {
            // A thread may end meanwhile.
            let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
            let (name, seconds) = parsed(&stat);
            *usage.0.entry(name).or_default() += seconds;
        }
        usage
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, or been killed.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// Seconds of processors, by the names of threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage(BTreeMap<String, f64>);

impl Usage {
    pub(crate) fn since(&self, before: &Self) -> Self {
        let more = |(name, seconds): (&String, &f64)| {
            (name.clone(), seconds - before.0.get(name).copied().unwrap_or_default())
        };
        Self(self.0.iter().map(more).collect())
    }

    pub(crate) fn per(&self, results: usize) -> String {
        let all: f64 = self.0.values().sum();
        let each = |seconds: f64| seconds * 1e6 / results as f64;
        let mut parts: Vec<_> =
            self.0.iter().map(|(name, &seconds)| (name, each(seconds))).filter(|part| part.1 > 0.05).collect();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1));
        let parts: Vec<String> = parts.iter().map(|(name, micros)| format!("{name} {micros:.2}")).collect();
        format!("{:.2} ({})", each(all), parts.join(", "))
    }
}

/// What this process, the workers, has used of the processors.
pub(crate) fn own_seconds() -> f64 {
    std::fs::read_to_string("/proc/self/stat").map(|stat| parsed(&stat).1).expect("Linux tells")
}

/// The name and the seconds of a process or thread.
fn parsed(stat: &str) -> (String, f64) {
    let (head, rest) = stat.rsplit_once(") ").expect("the name is in brackets");
    let name = head.split_once('(').map_or(head, |(_, name)| name);
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).expect("Linux tells");
    (name.to_owned(), (ticks(11) + ticks(12)) / TICKS)
}

/// How many commits its journal has had.
pub(crate) fn commits(data: &Path) -> usize {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let Ok(journal) = rusqlite::Connection::open_with_flags(data.join("journal.db"), flags) else { return 0 };
    journal.busy_timeout(Duration::from_secs(5)).expect("a time is a time");
    let last = "SELECT max(coalesce((SELECT max(seq) FROM commits), 0), (SELECT seq FROM base))";
    journal.query_row(last, [], |row| row.get(0)).map(|last: i64| usize::try_from(last).unwrap_or(0)).unwrap_or(0)
}
