//! A coordinator under test, and the other ends of its connections.

use crate::store::papers::Papers;
use crate::store::projection;
use crate::{Config, Coordinator, Error, Keep, Opened, Tuning, WhenHeld, blobs::Blobs};
use hyper_util::rt::TokioIo;
use regatta_wire::limits::MESSAGE_BYTES;
use regatta_wire::v1::fleet_client::FleetClient;
use regatta_wire::v1::from_worker::Message as Says;
use regatta_wire::v1::run_event::Event;
use regatta_wire::v1::runs_client::RunsClient;
use regatta_wire::v1::to_worker::Message as Hears;
use regatta_wire::{PROTOCOL, v1};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

pub(super) const RUN: &str = "01890000-0000-7000-8000-000000000001";
pub(super) const WORKER: &str = "01890000-0000-7000-8000-0000000000aa";

/// No condition of these tests takes longer, on any machine that is not broken.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn config(data: Option<&Path>) -> Config {
    Config {
        data: data.map(Path::to_owned),
        blobs: None,
        setup: Tuning::LOCAL.into(),
        keep: Keep::LOCAL,
        when_held: WhenHeld::Refuse,
        abandon: false,
    }
}

pub(super) async fn start(data: Option<&Path>) -> Coordinator {
    Coordinator::start(config(data)).await.unwrap()
}

/// A coordinator with a journal of one's own.
pub(super) async fn start_with(journal: Box<dyn crate::store::Journal>) -> Result<Coordinator, Error> {
    start_as(crate::Standing::alone(), journal).await
}

/// The same, that stands among others as it is told.
pub(super) async fn start_as(
    standing: watch::Receiver<crate::Standing>,
    journal: Box<dyn crate::store::Journal>,
) -> Result<Coordinator, Error> {
    let (writer, projection) = projection::open(None, Keep::LOCAL).unwrap();
    let (blobs, papers) = (Blobs::in_memory(), Papers::Nowhere);
    let opened = Opened { lock: None, journal, writer, projection, blobs, papers, standing, shared: None };
    Coordinator::with(opened, &config(None)).await
}

/// A connection to the coordinator.
pub(super) async fn channel(coordinator: &Coordinator) -> Channel {
    let dialled = Mutex::new(Some(coordinator.dial()));
    let connector = tower::service_fn(move |_| {
        let dialled = dialled.lock().unwrap().take().map(TokioIo::new);
        async move { dialled.ok_or_else(|| std::io::Error::other("dialled once")) }
    });
    Endpoint::from_static("http://within").connect_with_connector(connector).await.unwrap()
}

pub(super) async fn client(coordinator: &Coordinator) -> RunsClient<Channel> {
    RunsClient::new(channel(coordinator).await).max_decoding_message_size(MESSAGE_BYTES)
}

pub(super) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// A request for one suite of some files, which a worker has to list unless they are remembered.
pub(super) fn request(run: &str, paths: &[&str]) -> v1::SubmitRequest {
    let file = |path: &&str| v1::File { path: (*path).to_owned(), key: key(path), locator: String::new() };
    v1::SubmitRequest {
        run: run.to_owned(),
        project: "shop".to_owned(),
        policy: Some((&regatta_domain::policy::RunPolicy::default()).into()),
        test_policy: Some((&regatta_domain::policy::TestPolicy::default()).into()),
        suites: vec![v1::SuiteRequest {
            suite: Some(v1::Suite { name: "api".to_owned(), runner: "pytest".to_owned(), ..Default::default() }),
            tree_key: "tree".to_owned(),
            discover: false,
            files: paths.iter().map(file).collect(),
            changed: Vec::new(),
        }],
        ..Default::default()
    }
}

pub(super) fn key(path: &str) -> String {
    blake3::hash(path.as_bytes()).to_hex()[..32].to_owned()
}

/// Everything that happens in a run, until it ended.
pub(super) async fn watch(client: &mut RunsClient<Channel>, run: &str, after: u64) -> Vec<v1::RunEvent> {
    let watching = v1::WatchRequest { run: run.to_owned(), after };
    let mut stream = client.watch(watching).await.unwrap().into_inner();
    let mut events = Vec::new();
    while let Some(event) = patiently("the next event", stream.message()).await.unwrap() {
        events.push(event);
    }
    events
}

/// The record of a run, without what is fleeting.
pub(super) fn record(events: Vec<v1::RunEvent>) -> Vec<v1::RunEvent> {
    events.into_iter().filter(|event| event.seq > 0).collect()
}

/// The verdicts that the results in `events` brought, by test.
pub(super) fn verdicts(events: &[v1::RunEvent]) -> Vec<(u32, v1::Verdict)> {
    let mut verdicts = Vec::new();
    for event in events {
        match event.event.as_ref().unwrap() {
            Event::ResultsAccepted(accepted) => verdicts.extend(
                accepted.results.iter().map(|accepted| (accepted.result.as_ref().unwrap().test, accepted.verdict())),
            ),
            Event::VerdictsGiven(given) => verdicts.extend(given.tests.iter().map(|test| (*test, given.verdict()))),
            _ => {}
        }
    }
    verdicts
}

/// A worker, made by hand: it says and hears one message at a time.
pub(super) struct Worker {
    says: mpsc::Sender<v1::FromWorker>,
    hears: Streaming<v1::ToWorker>,
    seq: u64,
}

impl Worker {
    pub(super) async fn attach(coordinator: &Coordinator, holds: Vec<u64>) -> Self {
        let mut worker = Self::dial(coordinator, PROTOCOL, holds).await.unwrap();
        let Hears::Attached(attached) = worker.hear().await else { panic!("the session stands first") };
        assert_eq!(attached.lease_ms, 15_000);
        worker
    }

    pub(super) async fn dial(coordinator: &Coordinator, protocol: u32, holds: Vec<u64>) -> Result<Self, Status> {
        let (says, said) = mpsc::channel(64);
        let hello = v1::Hello {
            labels: Vec::new(),
            capacities: Vec::new(),
            worker: WORKER.to_owned(),
            name: "w1".to_owned(),
            version: "0.0.1".to_owned(),
            protocol,
            slots: 1,
            holds,
        };
        says.send(v1::FromWorker { message: Some(Says::Hello(hello)) }).await.unwrap();
        let mut client = FleetClient::new(channel(coordinator).await);
        let hears = patiently("the session", client.session(ReceiverStream::new(said))).await?.into_inner();
        Ok(Self { says, hears, seq: 0 })
    }

    /// Says something; whether anybody still listens is told by what is heard.
    pub(super) async fn say(&self, message: Says) {
        let _gone = self.says.send(v1::FromWorker { message: Some(message) }).await;
    }

    pub(super) async fn hear(&mut self) -> Hears {
        let heard = patiently("a word", self.hears.message()).await.unwrap().expect("the stream goes on");
        heard.message.unwrap()
    }

    /// How the stream ends. No grant comes before that.
    pub(super) async fn end(&mut self) -> Option<Status> {
        loop {
            match patiently("the end", self.hears.message()).await {
                Ok(Some(word)) => assert!(!matches!(word.message, Some(Hears::Grant(_))), "{word:?}"),
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    }

    pub(super) async fn ask(&self) {
        self.say(Says::Ask(v1::Ask { slot: 0 })).await;
    }

    /// Asks, and waits for a grant; what comes before it is passed over.
    pub(super) async fn granted(&mut self) -> v1::Grant {
        self.ask().await;
        loop {
            if let Hears::Grant(grant) = self.hear().await {
                return grant;
            }
        }
    }

    pub(super) async fn report_unheard(&mut self, entries: Vec<v1::entry::Entry>) -> u64 {
        self.seq += 1;
        let entries = entries.into_iter().map(|entry| v1::Entry { entry: Some(entry) }).collect();
        self.say(Says::Report(v1::Report { seq: self.seq, entries })).await;
        self.seq
    }

    /// Reports, and waits for the acknowledgement; gives what came before it.
    pub(super) async fn report(&mut self, entries: Vec<v1::entry::Entry>) -> Vec<Hears> {
        let seq = self.report_unheard(entries).await;
        let mut heard = Vec::new();
        loop {
            match self.hear().await {
                Hears::Ack(ack) if ack.seq == seq => return heard,
                other => heard.push(other),
            }
        }
    }

    /// Lists a file under a grant, and gives the tests it is to run.
    pub(super) async fn list(&mut self, token: u64, file: u32, names: &[&str]) -> Vec<v1::GrantedTest> {
        let test = |name: &&str| v1::ListedTest { name: (*name).to_owned(), ..Default::default() };
        let listed = v1::Listed { token, file, tests: names.iter().map(test).collect() };
        let heard = self.report(vec![v1::entry::Entry::Listed(listed)]).await;
        let numbered = heard.into_iter().find_map(|heard| match heard {
            Hears::Numbered(numbered) => Some(numbered),
            _ => None,
        });
        numbered.expect("a listing is answered").tests
    }

    /// Goes on until the run is to be torn down, and has done so.
    pub(super) async fn close(&mut self, run: &str) {
        loop {
            if let Hears::Close(close) = self.hear().await {
                assert_eq!(close.run, run);
                let closed = v1::Closed { run: run.to_owned(), errors: Vec::new() };
                self.report(vec![v1::entry::Entry::Closed(closed)]).await;
                return;
            }
        }
    }
}

pub(super) fn finished(token: u64, test: u32, outcome: v1::Outcome) -> v1::entry::Entry {
    let result = v1::TestResult {
        test,
        attempt: 1,
        outcome: outcome.into(),
        started: 1_700_000_000_000_000,
        duration: 5_000,
        reason: (outcome == v1::Outcome::Failed).then(|| "assert 1 == 2".to_owned()),
        ..Default::default()
    };
    v1::entry::Entry::Finished(v1::Finished { token, result: Some(result) })
}

pub(super) const fn released(token: u64) -> v1::entry::Entry {
    v1::entry::Entry::Released(v1::Released { token })
}

/// A whole run of two tests in one file, the second of which fails.
pub(super) async fn whole_run(coordinator: &Coordinator, run: &str) -> Vec<v1::RunEvent> {
    whole_run_of(coordinator, request(run, &["a.py"])).await
}

/// The same, as it was asked for.
pub(super) async fn whole_run_of(coordinator: &Coordinator, asked: v1::SubmitRequest) -> Vec<v1::RunEvent> {
    let mut client = client(coordinator).await;
    let run = &asked.run.clone();
    client.submit(asked).await.unwrap();
    let mut worker = Worker::attach(coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    let tests = match grant.files[0].list {
        true => worker.list(grant.token, grant.files[0].file, &["test_a", "test_b"]).await,
        false => grant.files[0].tests.clone(),
    };
    let output = v1::OutputPart { token: grant.token, test: tests[1].test, attempt: 1, data: b"Traceback".to_vec() };
    worker.say(Says::Output(output)).await;
    let entries = vec![
        finished(grant.token, tests[0].test, v1::Outcome::Passed),
        finished(grant.token, tests[1].test, v1::Outcome::Failed),
        released(grant.token),
    ];
    worker.report_unheard(entries).await;
    worker.close(run).await;
    record(watch(&mut client, run, 0).await)
}

/// Ends a coordinator as a kill would, as far as that goes within a process: nobody is told, nothing is tidied up.
pub(super) async fn kill(coordinator: Coordinator) {
    let Coordinator { parts, servers, driver, lock: _lock, .. } = coordinator;
    servers.kill();
    drop(parts);
    let driver = driver.into_inner().unwrap().unwrap();
    patiently("the end of the driver", driver.ended()).await.unwrap();
}
