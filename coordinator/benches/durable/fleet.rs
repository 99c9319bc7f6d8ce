//! The workers: as many sessions as are asked for, each over its own connection, whose tests take no time.
//!
//! They keep the protocol as workers do (they ask ahead, give back what is taken from them, tear down), but for what only
//! real tests have: output, starts, failures.

use super::server::Server;
use super::shape::Shape;
use super::words::{Heard, Report, Test, Words, word};
use prost::bytes::Bytes;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_wire::limits::MESSAGE_BYTES;
use regatta_wire::v1::entry::Entry;
use regatta_wire::v1::from_worker::Message as Says;
use regatta_wire::v1::runs_client::RunsClient;
use regatta_wire::{PROTOCOL, v1};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

/// A worker that has nothing to say says that it is alive.
const ALIVE: Duration = Duration::from_secs(3);

/// Windows of a stream and of a connection, as workers have them: a grant of many names is no round trip.
const WINDOW: u32 = 2 * 1024 * 1024;

/// A worker's messages that wait to be written.
const OUTGOING: usize = 256;

/// Results in a report where nothing is in a hurry.
const PACED: usize = 16;

/// All workers, attached.
pub(crate) struct Fleet {
    shape: Shape,
    runs: RunsClient<Channel>,
    workers: Vec<JoinHandle<Told>>,
    count: Arc<Count>,
    start: Vec<mpsc::Sender<Option<Duration>>>,
}

/// How much was acknowledged, of all workers.
#[derive(Debug, Default)]
struct Count {
    results: AtomicUsize,
    enough: AtomicUsize,
    reached: Notify,
}

/// What was seen of a run.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) results: usize,
    submit: Duration,
    first_grant: Duration,
    span: Duration,
    waits: Vec<Duration>,
}

/// What one worker saw.
#[derive(Debug, Default)]
struct Told {
    results: usize,
    granted: Option<Instant>,
    first: Option<Instant>,
    last: Option<Instant>,
    waits: Vec<Duration>,
}

impl Measured {
    pub(crate) fn rate(&self) -> f64 {
        self.results as f64 / self.span.as_secs_f64()
    }

    pub(crate) fn print(&self, what: &str) {
        let at = |part: usize| {
            self.waits.get(self.waits.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        println!(
            "\n{what}: {:.0} results/s ({} in {:.2} s); report to acknowledgement p50 {:.1} ms, p99 {:.1} ms",
            self.rate(),
            self.results,
            self.span.as_secs_f64(),
            at(50),
            at(99)
        );
        println!(
            "  submitted in {:.2} s, first grant after {:.2} s",
            self.submit.as_secs_f64(),
            self.first_grant.as_secs_f64()
        );
    }
}

impl Fleet {
    pub(crate) async fn attach(shape: &Shape, server: &Server) -> Self {
        let endpoint = Endpoint::from_shared(server.address().to_owned()).expect("an address");
        let endpoint =
            endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW).tcp_nodelay(true);
        let channel = endpoint.connect().await.expect("it listens");
        let runs =
            RunsClient::new(channel).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES);
        let count = Arc::new(Count::default());
        let (mut workers, mut start) = (Vec::new(), Vec::new());
        for number in 0..shape.workers {
            let channel = endpoint.connect().await.expect("it listens");
            let worker = Worker::dial(shape, channel, number, Arc::clone(&count)).await;
            let (go, gone) = mpsc::channel(1);
            start.push(go);
            workers.push(tokio::spawn(worker.serve(gone)));
        }
        Self { shape: shape.clone(), runs, workers, count, start }
    }

    /// A run, to its end, or until such a part of it was acknowledged.
    pub(crate) async fn run(&mut self, round: usize, part: f64) -> Measured {
        self.serve(round, None, part).await
    }

    /// A run at so many results a second.
    pub(crate) async fn paced(&mut self, round: usize, pace: usize) -> Measured {
        let every = Duration::from_secs_f64((PACED * self.shape.workers) as f64 / pace as f64);
        self.serve(round, Some(every), 0.3).await
    }

    /// Waits until the tables tell everything, and gives what they tell of the last run. It is asked over a connection that stands.
    pub(crate) async fn tables(&self) -> v1::RunSummary {
        let listed = self.runs.clone().list(v1::ListRunsRequest { limit: 1 }).await.expect("it is answered");
        listed.into_inner().runs.pop().expect("there was a run")
    }

    async fn serve(&mut self, round: usize, every: Option<Duration>, part: f64) -> Measured {
        self.count.enough.store((self.shape.tests as f64 * part) as usize, Relaxed);
        let request = request(&self.shape, round);
        let began = Instant::now();
        self.runs.submit(request).await.expect("it is taken");
        let submit = began.elapsed();
        for go in self.start.drain(..) {
            go.send(every).await.expect("the worker is there");
        }
        let mut told: Vec<Told> = Vec::new();
        let count = Arc::clone(&self.count);
        for worker in &mut self.workers {
            tokio::select! {
                one = worker => told.push(one.expect("a worker that does not panic")),
                () = count.reached.notified(), if part < 1.0 => break,
            }
        }
        if part < 1.0 {
            // The rest is of no interest; what the coordinator says now is that it is gone.
            return Measured::so_far(count.results.load(Relaxed), began, submit);
        }
        let results = told.iter().map(|told| told.results).sum();
        let mut waits: Vec<Duration> = told.iter().flat_map(|told| told.waits.iter().copied()).collect();
        waits.sort_unstable();
        let earliest = |at: fn(&Told) -> Option<Instant>| told.iter().filter_map(at).min().expect("somebody worked");
        let first_grant = earliest(|told| told.granted) - began;
        let last = told.iter().filter_map(|told| told.last).max().expect("somebody worked");
        Measured { results, submit, first_grant, span: last - earliest(|told| told.first), waits }
    }
}

impl Measured {
    fn so_far(results: usize, began: Instant, submit: Duration) -> Self {
        Self { results, submit, first_grant: submit, span: began.elapsed().saturating_sub(submit), waits: Vec::new() }
    }
}

/// One worker.
struct Worker {
    says: mpsc::Sender<Bytes>,
    hears: Streaming<Heard>,
    shape: Shape,
    count: Arc<Count>,
    seq: u64,
    /// Reports under way: number, results, when.
    under_way: VecDeque<(u64, usize, Instant)>,
    leases: BTreeMap<u64, Lease>,
    /// What goes into the next report before anything else.
    first: Vec<Entry>,
    /// Files to list: lease and number.
    to_list: VecDeque<(u64, u32)>,
    closing: bool,
    /// The clock of its tests.
    clock: u64,
    told: Told,
}

/// A lease, as far as it was not reported.
#[derive(Debug, Default)]
struct Lease {
    slot: u32,
    tests: VecDeque<Test>,
    /// Files whose tests are still to be numbered.
    listing: usize,
    asked: bool,
}

impl Worker {
    async fn dial(shape: &Shape, channel: Channel, number: usize, count: Arc<Count>) -> Self {
        let (says, said) = mpsc::channel(OUTGOING);
        let hello = v1::Hello {
            worker: format!("01890000-0000-7000-8000-{:012x}", 0xaa00 + number),
            name: format!("w{number}"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            slots: shape.slots,
            ..Default::default()
        };
        says.send(word(Says::Hello(hello))).await.expect("there is room");
        let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        grpc.ready().await.expect("the connection stands");
        let path = PathAndQuery::from_static("/regatta.v1.Fleet/Session");
        let session = grpc.streaming(Request::new(ReceiverStream::new(said)), path, Words).await;
        let mut hears: Streaming<Heard> = session.expect("it is taken").into_inner();
        let first = hears.message().await.expect("the stream stands").expect("the stream goes on");
        assert!(first.attached.is_some(), "the session stands first: {first:?}");
        Self {
            says,
            hears,
            shape: shape.clone(),
            count,
            seq: 0,
            under_way: VecDeque::new(),
            leases: BTreeMap::new(),
            first: Vec::new(),
            to_list: VecDeque::new(),
            closing: false,
            clock: 1_700_000_000_000_000,
            told: Told::default(),
        }
    }

    /// Serves one run: until it is torn down, or the coordinator is gone.
    async fn serve(mut self, mut start: mpsc::Receiver<Option<Duration>>) -> Told {
        let Some(every) = start.recv().await else { return self.told };
        for slot in 0..self.shape.slots {
            self.say(word(Says::Ask(v1::Ask { slot }))).await;
        }
        let mut alive = tokio::time::interval(ALIVE);
        let mut pace = tokio::time::interval(every.unwrap_or(ALIVE));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = self.hears.message() => match heard {
                    Ok(Some(heard)) => self.hear(heard),
                    Ok(None) => return self.gone("it hung up"),
                    Err(status) => return self.gone(status.message()),
                },
                _ = alive.tick() => self.say(word(Says::Alive(v1::Alive::default()))).await,
                _ = pace.tick(), if every.is_some() => self.report(PACED).await,
            }
            while every.is_none() && self.under_way.len() < self.shape.window && self.has_news() {
                self.report(self.shape.entries).await;
            }
            if every.is_some() && self.closing {
                self.report(PACED).await;
            }
            if self.closing && self.first.is_empty() && self.under_way.is_empty() {
                return self.told;
            }
        }
    }

    /// What was seen until the coordinator was gone.
    fn gone(self, why: &str) -> Told {
        let left: usize = self.under_way.iter().map(|(_, results, _)| results).sum();
        if self.shape.kill.is_some() {
            return self.told;
        }
        eprintln!("a worker lost its coordinator, which had not acknowledged {left} results: {why}");
        self.told
    }

    async fn say(&self, word: Bytes) {
        // A coordinator that is gone is noticed by its silence.
        let _gone = self.says.send(word).await;
    }

    fn hear(&mut self, heard: Heard) {
        if let Some(ack) = heard.ack {
            let now = Instant::now();
            while self.under_way.front().is_some_and(|(seq, ..)| *seq <= ack.seq) {
                if let Some((_, results, sent)) = self.under_way.pop_front().filter(|(_, results, _)| *results > 0) {
                    self.told.waits.push(now - sent);
                    self.told.last = Some(now);
                    self.told.results += results;
                    let all = self.count.results.fetch_add(results, Relaxed) + results;
                    if all >= self.count.enough.load(Relaxed) {
                        self.count.reached.notify_one();
                    }
                }
            }
        }
        if let Some(grant) = heard.grant {
            self.told.granted.get_or_insert_with(Instant::now);
            let lease = self.leases.entry(grant.token).or_default();
            lease.slot = grant.slot;
            for file in grant.files {
                if file.list {
                    lease.listing += 1;
                    self.to_list.push_back((grant.token, file.file));
                }
                lease.tests.extend(file.tests);
            }
        }
        if let Some(numbered) = heard.numbered
            && let Some(lease) = self.leases.get_mut(&numbered.token)
        {
            lease.listing -= 1;
            lease.tests.extend(numbered.tests);
        }
        if let Some(steal) = heard.steal {
            let tests =
                self.leases.get_mut(&steal.token).map(|lease| lease.give_back(&steal.tests)).unwrap_or_default();
            self.first.push(Entry::GaveBack(v1::GaveBack { token: steal.token, tests }));
        }
        if let Some(close) = heard.close {
            self.first.push(Entry::Closed(v1::Closed { run: close.run, errors: Vec::new() }));
            // Whoever attaches is reminded of the run before, for what it may have kept warm.
            self.closing = self.told.granted.is_some();
        }
    }

    fn has_news(&self) -> bool {
        let ready = |lease: &Lease| !lease.tests.is_empty() || lease.listing == 0;
        !self.first.is_empty() || !self.to_list.is_empty() || self.leases.values().any(ready)
    }

    /// Reports so many results, as far as there are so many.
    async fn report(&mut self, most: usize) {
        let mut report = Report::default();
        let mut asks = Vec::new();
        self.first.drain(..).for_each(|entry| report.entry(entry));
        if let Some((token, file)) = self.to_list.pop_front() {
            // Files are numbered as they were handed in.
            let test =
                |at| v1::ListedTest { name: format!("test_something_or_other_{at}"), line: at, ..Default::default() };
            let tests = (1..).map(test).take(self.shape.of_file(file as usize)).collect();
            report.entry(Entry::Listed(v1::Listed { token, file, tests }));
        }
        let ahead = self.shape.entries * self.shape.window;
        for (&token, lease) in &mut self.leases {
            while report.results < most
                && let Some(test) = lease.tests.pop_front()
            {
                // Some milliseconds, always the same of a test.
                let duration = 300 + u64::from(test.test).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 3_000;
                self.clock += duration + 20;
                report.finished(token, test, self.clock - duration, duration);
            }
            if !lease.asked && lease.listing == 0 && lease.tests.len() <= ahead {
                lease.asked = true;
                asks.push(lease.slot);
            }
            if report.results >= most {
                break;
            }
        }
        let done: Vec<u64> = self.leases.iter().filter(|(_, lease)| lease.is_done()).map(|(&token, _)| token).collect();
        for token in done {
            self.leases.remove(&token);
            report.entry(Entry::Released(v1::Released { token }));
        }
        if report.len() > 0 {
            self.seq += 1;
            let now = Instant::now();
            if report.results > 0 {
                self.told.first.get_or_insert(now);
            }
            self.under_way.push_back((self.seq, report.results, now));
            self.say(report.said(self.seq)).await;
        }
        for slot in asks {
            self.say(word(Says::Ask(v1::Ask { slot }))).await;
        }
    }
}

impl Lease {
    fn is_done(&self) -> bool {
        self.listing == 0 && self.tests.is_empty()
    }

    /// Takes out what has not been reported.
    fn give_back(&mut self, tests: &[u32]) -> Vec<u32> {
        let asked: std::collections::BTreeSet<u32> = tests.iter().copied().collect();
        let (back, kept) = self.tests.drain(..).partition(|test| asked.contains(&test.test));
        self.tests = kept;
        let back: VecDeque<Test> = back;
        back.iter().map(|test| test.test).collect()
    }
}

fn request(shape: &Shape, round: usize) -> v1::SubmitRequest {
    let file = |at| v1::File {
        path: format!("tests/p{}/test_{at}.py", at / 100),
        key: format!("{:032x}", at + 1),
        ..Default::default()
    };
    let suite = v1::Suite { name: "api".to_owned(), runner: "pytest".to_owned(), ..Default::default() };
    v1::SubmitRequest {
        run: format!("01890000-0000-7000-8000-{round:012}"),
        project: "bench".to_owned(),
        policy: Some((&RunPolicy::default()).into()),
        test_policy: Some((&TestPolicy::default()).into()),
        suites: vec![v1::SuiteRequest {
            suite: Some(suite),
            files: (0..shape.files()).map(file).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}
