//! A coordinator whose part the test plays, word by word, and a real worker that dials it.

use regatta_domain::policy::TestPolicy;
use regatta_domain::{RunId, WorkerId};
use regatta_runtime::shutdown::Asked;
use regatta_wire::v1::fleet_server::{Fleet, FleetServer};
use regatta_wire::v1::from_worker::Message as Said;
use regatta_wire::v1::to_worker::Message as Told;
use regatta_wire::{PROTOCOL, v1};
use regatta_worker::{Config, Error, SpoolPlace};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// No condition of these tests takes longer, on any machine that is not broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// The coordinator.
pub(crate) struct Coordinator {
    url: String,
    streams: mpsc::Receiver<Stream>,
    serving: JoinHandle<()>,
}

/// One stream of a worker.
pub(crate) struct Stream {
    says: Streaming<v1::FromWorker>,
    hears: mpsc::Sender<Result<v1::ToWorker, Status>>,
    /// Whether signs of life are answered.
    #[allow(dead_code, reason = "only some tests leave them unanswered")]
    pub(crate) answers: bool,
}

struct Service(mpsc::Sender<Stream>);

#[tonic::async_trait]
impl Fleet for Service {
    type SessionStream = ReceiverStream<Result<v1::ToWorker, Status>>;

    async fn session(
        &self,
        asked: Request<Streaming<v1::FromWorker>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (hears, words) = mpsc::channel(256);
        let stream = Stream { says: asked.into_inner(), hears, answers: true };
        self.0.send(stream).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(words)))
    }

    async fn workers(&self, _: Request<v1::WorkersRequest>) -> Result<Response<v1::WorkersResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback has room");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (to, streams) = mpsc::channel(4);
        let server = tonic::transport::Server::builder().add_service(FleetServer::new(Service(to)));
        let serving = server.serve_with_incoming(TcpListenerStream::new(listener));
        let serving = tokio::spawn(async move { serving.await.expect("it serves") });
        Self { url, streams, serving }
    }

    /// The next stream, its hello, and the answer to it.
    pub(crate) async fn attach(&mut self, lease: Duration) -> (Stream, v1::Hello) {
        let mut stream = patiently("a stream", self.streams.recv()).await.expect("the service lives");
        let Said::Hello(hello) = stream.hear().await else { panic!("a hello comes first") };
        assert_eq!(hello.protocol, PROTOCOL);
        let lease_ms = u64::try_from(lease.as_millis()).expect("small");
        stream.tell(Told::Attached(v1::Attached { lease_ms, answers: true })).await;
        (stream, hello)
    }

    /// A worker that dials it.
    pub(crate) fn worker(&self, config: Config) -> Worker {
        let channel = regatta_runtime::dial::channel(self.url.parse().expect("it is an address"));
        let (asks, asked) = watch::channel(Asked::default());
        Worker { serving: tokio::spawn(regatta_worker::serve(config, channel, asked)), _asks: asks }
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Stream {
    pub(crate) async fn tell(&self, message: Told) {
        self.hears.send(Ok(v1::ToWorker { message: Some(message) })).await.expect("the worker listens");
    }

    /// The next word that is no sign of life; those are answered, where they are to be.
    pub(crate) async fn hear(&mut self) -> Said {
        loop {
            match self.heard().await.expect("the stream goes on") {
                Said::Alive(v1::Alive { seq }) if self.answers => self.tell(Told::Heard(v1::Heard { seq })).await,
                Said::Alive(_) => {}
                other => return other,
            }
        }
    }

    /// The next word; `None` at the end of the stream.
    pub(crate) async fn heard(&mut self) -> Option<Said> {
        let message = patiently("a word", self.says.message()).await.ok().flatten();
        message.and_then(|message| message.message)
    }

    /// The entries of the next report, acknowledged where that is wanted.
    pub(crate) async fn report(&mut self, acknowledge: bool) -> Vec<v1::entry::Entry> {
        // Signs of life come in all the while, and are no report.
        patiently("a report", async {
            loop {
                if let Said::Report(report) = self.hear().await {
                    if acknowledge {
                        self.tell(Told::Ack(v1::Ack { seq: report.seq })).await;
                    }
                    return report.entries.into_iter().filter_map(|entry| entry.entry).collect();
                }
            }
        })
        .await
    }
}

/// A worker in this process.
pub(crate) struct Worker {
    serving: JoinHandle<Result<(), Error>>,
    _asks: watch::Sender<Asked>,
}

impl Worker {
    /// Ends it as a kill would, as far as that goes within a process.
    pub(crate) async fn kill(self) {
        self.serving.abort();
        let _aborted = self.serving.await;
    }
}

pub(crate) fn config(slots: u16) -> Config {
    Config {
        worker: WorkerId::from_bits(7),
        name: "w".to_owned(),
        slots,
        labels: Vec::new(),
        capacities: BTreeMap::new(),
        exe: PathBuf::from(env!("CARGO_BIN_EXE_regatta-spawner")),
        patience: None,
        spool: SpoolPlace::None,
        spool_bytes: 1 << 30,
    }
}

pub(crate) const RUN: RunId = RunId::from_bits(1);

/// A run of one suite of commands in `root`, whose tests are the names that `sh` runs as scripts.
pub(crate) fn brief(root: &Path, settings: &str) -> Told {
    let suite = v1::Suite {
        name: "s".to_owned(),
        runner: "exec".to_owned(),
        root: root.to_str().expect("text").to_owned(),
        settings: settings.to_owned(),
        ..v1::Suite::default()
    };
    let policies = vec![v1::TestPolicy::from(&TestPolicy::default())];
    Told::Brief(v1::Brief { run: RUN.to_string(), suites: vec![suite], policies, seed: 1 })
}

/// A shard of one test, which holds this.
pub(crate) fn grant(token: u64, slot: u32, (test, name): (u32, &str), holds: &[&str]) -> Told {
    let test = v1::GrantedTest { test, attempt: 1, name: name.to_owned(), estimate: 1_000_000, policy: 0, level: 0 };
    let file = v1::GrantedFile { path: name.to_owned(), tests: vec![test], ..v1::GrantedFile::default() };
    let held = |resource: &&str| v1::Held { resource: (*resource).to_owned(), seats: 1, items: Vec::new() };
    let holds = holds.iter().map(held).collect();
    Told::Grant(v1::Grant { run: RUN.to_string(), token, slot, files: vec![file], holds, ..v1::Grant::default() })
}

pub(crate) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} did not come"))
}
