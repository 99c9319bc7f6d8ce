//! What the coordinator itself costs: `cargo bench -p regatta-coordinator`.
//!
//! A worker that takes no time runs 10,000 tests in 100 files, first of files that nobody knows, then of files that are
//! remembered with their history, over a connection within the process and a store on disk.

use hyper_util::rt::TokioIo;
use regatta_coordinator::{Config, Coordinator};
use regatta_wire::v1::entry::Entry;
use regatta_wire::v1::fleet_client::FleetClient;
use regatta_wire::v1::from_worker::Message as Says;
use regatta_wire::v1::runs_client::RunsClient;
use regatta_wire::v1::to_worker::Message as Hears;
use regatta_wire::{PROTOCOL, v1};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

const FILES: usize = 100;
const TESTS_PER_FILE: usize = 100;
const ENTRIES: usize = 512;

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().expect("a directory for the store");
    let mut rows = Vec::new();
    for (number, what) in ["cold", "warm", "warm again"].into_iter().enumerate() {
        rows.push((what, run(directory.path(), number).await));
    }
    println!(
        "{:<12}{:>10}{:>10}{:>14}{:>10}{:>12}{:>10}",
        "run", "start", "submit", "first grant", "total", "results/s", "stop"
    );
    for (what, times) in rows {
        let Times { start, submit, first_grant, total, stop } = times;
        let rate = (FILES * TESTS_PER_FILE) as f64 / (total - submit).as_secs_f64();
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let [start, submit, first_grant, total, stop] = [start, submit, first_grant, total, stop].map(ms);
        println!("{what:<12}{start:>10}{submit:>10}{first_grant:>14}{total:>10}{rate:>12.0}{stop:>10}");
    }
}

struct Times {
    start: Duration,
    submit: Duration,
    first_grant: Duration,
    total: Duration,
    stop: Duration,
}

async fn run(directory: &std::path::Path, number: usize) -> Times {
    let began = Instant::now();
    let coordinator = Coordinator::start(Config::local(directory.to_owned())).await.expect("it starts");
    let start = began.elapsed();
    let mut runs = RunsClient::new(channel(&coordinator).await);
    let mut worker = Worker::attach(&coordinator).await;

    let id = format!("01890000-0000-7000-8000-{number:012}");
    let request = request(&id);
    let began = Instant::now();
    runs.submit(request).await.expect("it is taken");
    let submit = began.elapsed();
    let first_grant = worker.serve(&id).await - began;
    let watching = v1::WatchRequest { run: id, after: 0 };
    let mut events = runs.watch(watching).await.expect("it is known").into_inner();
    while events.message().await.expect("it goes on").is_some() {}
    let total = began.elapsed();
    drop((runs, worker, events));
    let began = Instant::now();
    coordinator.shutdown().await.expect("it stops");
    Times { start, submit, first_grant, total, stop: began.elapsed() }
}

fn request(run: &str) -> v1::SubmitRequest {
    let key = |at: usize| format!("{at:032x}");
    let file = |at| v1::File { path: format!("tests/test_{at:03}.py"), key: key(at + 1), locator: String::new() };
    let suite = v1::Suite { name: "api".to_owned(), runner: "pytest".to_owned(), ..Default::default() };
    v1::SubmitRequest {
        run: run.to_owned(),
        project: "bench".to_owned(),
        policy: Some((&regatta_domain::policy::RunPolicy::default()).into()),
        test_policy: Some((&regatta_domain::policy::TestPolicy::default()).into()),
        suites: vec![v1::SuiteRequest {
            suite: Some(suite),
            files: (0..FILES).map(file).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn channel(coordinator: &Coordinator) -> Channel {
    let dialled = Mutex::new(Some(coordinator.dial()));
    let connector = tower::service_fn(move |_| {
        let dialled = dialled.lock().expect("nobody panics with it").take().map(TokioIo::new);
        async move { dialled.ok_or_else(|| std::io::Error::other("dialled once")) }
    });
    Endpoint::from_static("http://within").connect_with_connector(connector).await.expect("it is served")
}

/// A worker of two slots whose tests take no time.
struct Worker {
    says: mpsc::Sender<v1::FromWorker>,
    hears: tonic::Streaming<v1::ToWorker>,
    seq: u64,
}

impl Worker {
    async fn attach(coordinator: &Coordinator) -> Self {
        let (says, said) = mpsc::channel(256);
        let hello = v1::Hello {
            worker: "01890000-0000-7000-8000-0000000000aa".to_owned(),
            protocol: PROTOCOL,
            slots: 2,
            ..Default::default()
        };
        says.send(v1::FromWorker { message: Some(Says::Hello(hello)) }).await.expect("there is room");
        let mut client = FleetClient::new(channel(coordinator).await);
        let hears = client.session(ReceiverStream::new(said)).await.expect("it is taken").into_inner();
        Self { says, hears, seq: 0 }
    }

    async fn say(&self, message: Says) {
        self.says.send(v1::FromWorker { message: Some(message) }).await.expect("the stream stands");
    }

    async fn report(&mut self, entries: Vec<Entry>) {
        let mut entries = entries.into_iter().map(|entry| v1::Entry { entry: Some(entry) }).peekable();
        while entries.peek().is_some() {
            self.seq += 1;
            let entries = entries.by_ref().take(ENTRIES).collect();
            self.say(Says::Report(v1::Report { seq: self.seq, entries })).await;
        }
    }

    /// Serves until the run is torn down. Gives when the first grant came.
    async fn serve(&mut self, run: &str) -> Instant {
        let mut first = None;
        for slot in [0, 1, 0, 1] {
            self.say(Says::Ask(v1::Ask { slot })).await;
        }
        let mut slots = std::collections::HashMap::new();
        let mut listing = std::collections::HashMap::new();
        loop {
            let word = self.hears.message().await.expect("the stream stands").expect("the stream goes on");
            match word.message.expect("a word says something") {
                Hears::Grant(grant) => {
                    first.get_or_insert_with(Instant::now);
                    slots.insert(grant.token, grant.slot);
                    let (token, list) = (grant.token, grant.files.iter().filter(|file| file.list));
                    let listed: Vec<Entry> = list.map(|file| listed(token, file.file)).collect();
                    if listed.is_empty() {
                        let tests = grant.files.iter().flat_map(|file| &file.tests);
                        let entries = tests.map(|test| finished(token, test.test)).collect();
                        self.finish(token, entries, &mut slots).await;
                    } else {
                        listing.insert(token, listed.len());
                        self.report(listed).await;
                    }
                }
                Hears::Numbered(numbered) => {
                    let token = numbered.token;
                    let entries: Vec<Entry> = numbered.tests.iter().map(|test| finished(token, test.test)).collect();
                    let left = listing.get_mut(&token).expect("it was listed");
                    *left -= 1;
                    if *left == 0 {
                        self.finish(token, entries, &mut slots).await;
                    } else {
                        self.report(entries).await;
                    }
                }
                Hears::Steal(steal) => {
                    let nothing = v1::GaveBack { token: steal.token, tests: Vec::new() };
                    self.report(vec![Entry::GaveBack(nothing)]).await;
                }
                Hears::Close(_) => {
                    let closed = v1::Closed { run: run.to_owned(), errors: Vec::new() };
                    self.report(vec![Entry::Closed(closed)]).await;
                    return first.expect("a run is granted before it is closed");
                }
                _ => {}
            }
        }
    }

    async fn finish(&mut self, token: u64, mut entries: Vec<Entry>, slots: &mut std::collections::HashMap<u64, u32>) {
        entries.push(Entry::Released(v1::Released { token }));
        self.report(entries).await;
        let slot = slots.remove(&token).expect("it was granted");
        self.say(Says::Ask(v1::Ask { slot })).await;
    }
}

fn listed(token: u64, file: u32) -> Entry {
    let test = |at| v1::ListedTest { name: format!("test_{at}"), line: at, ..Default::default() };
    let tests = (1..).map(test).take(TESTS_PER_FILE).collect();
    Entry::Listed(v1::Listed { token, file, tests })
}

fn finished(token: u64, test: u32) -> Entry {
    let result = v1::TestResult {
        test,
        attempt: 1,
        outcome: v1::Outcome::Passed.into(),
        started: 1_700_000_000_000_000,
        duration: 1_000,
        ..Default::default()
    };
    Entry::Finished(v1::Finished { token, result: Some(result) })
}
