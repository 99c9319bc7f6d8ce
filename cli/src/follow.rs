//! Following a run to its end: its events in order, over as many streams as it takes; outputs fetched where people will
//! want to read them; signals passed on.

use crate::audience::Audience;
use crate::view::{News, Outputs, View};
use regatta_domain::result::OutputRef;
use regatta_domain::{Digest, RunId, TestIx};
use regatta_runtime::backoff::Backoff;
use regatta_runtime::shutdown::{Asked, Urgency};
use regatta_wire::v1::runs_client::RunsClient;
use regatta_wire::v1::{self, CancelCause};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, interval, sleep};
use tonic::Streaming;
use tonic::transport::Channel;

/// How long a coordinator that answered before may stay away.
const PATIENCE: Duration = Duration::from_secs(120);

/// Outputs that are fetched at once.
const FETCHES: usize = 8;

/// How often a screen is drawn anew.
const FRAME: Duration = Duration::from_millis(100);

/// Why a run cannot be followed any more.
#[derive(Debug)]
pub(crate) enum Error {
    /// The coordinator stayed away.
    Lost(tonic::Status),
    /// The coordinator does not know the run, or refuses.
    Refused(tonic::Status),
    /// The coordinator speaks another language.
    Nonsense(regatta_wire::Invalid),
    /// A signal cannot be listened for.
    Signal(std::io::Error),
}

/// A run that was followed to its end.
#[derive(Debug)]
pub(crate) struct Followed {
    /// What it came to.
    pub(crate) view: View,
    /// Captured outputs of attempts that did not pass, as far as they were fetched.
    pub(crate) outputs: Outputs,
}

/// Follows `run` until it ends. With `shutdown`, a first signal cancels it gently, and a second one hard.
///
/// # Errors
/// When the run cannot be followed any more.
pub(crate) async fn follow(
    client: RunsClient<Channel>,
    run: RunId,
    shutdown: Option<watch::Receiver<Asked>>,
    audience: &mut Audience,
) -> Result<Followed, Error> {
    let (fetched, arriving) = mpsc::channel(FETCHES);
    let follower = Follower {
        client,
        view: View { seats: audience.seats(), ..View::new(run) },
        outputs: Outputs::default(),
        wanted: VecDeque::new(),
        seen: BTreeSet::new(),
        fetching: 0,
        fetched,
        arriving,
        foreseen: None,
        frames: interval(FRAME),
        curious: signal(SignalKind::user_defined1()).map_err(Error::Signal)?,
        shutdown,
        asked: Urgency::None,
    };
    follower.run(audience).await
}

/// An output that was fetched (or could not be), and the test that it is to be shown with at once.
type Arrived = (Option<TestIx>, Digest, Option<Vec<u8>>);

struct Follower {
    client: RunsClient<Channel>,
    view: View,
    outputs: Outputs,
    wanted: VecDeque<(Option<TestIx>, OutputRef)>,
    seen: BTreeSet<Digest>,
    fetching: usize,
    fetched: mpsc::Sender<Arrived>,
    arriving: mpsc::Receiver<Arrived>,
    /// What is possible for a run that aims at a time, once somebody has worked that out.
    foreseen: Option<JoinHandle<String>>,
    frames: Interval,
    curious: Signal,
    shutdown: Option<watch::Receiver<Asked>>,
    asked: Urgency,
}

impl Follower {
    async fn run(mut self, audience: &mut Audience) -> Result<Followed, Error> {
        let seed = self.view.run.0.as_u64_pair().1;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), seed);
        let mut lost_at: Option<Instant> = None;
        loop {
            let request = v1::WatchRequest { run: self.view.run.to_string(), after: self.view.seq };
            let ended = match self.client.watch(request).await {
                Ok(events) => {
                    if lost_at.take().is_some() {
                        audience.say("the coordinator is back");
                    }
                    backoff.reset();
                    self.stream(events.into_inner(), audience).await?
                }
                Err(status) => Some(status),
            };
            let Some(status) = ended else { break };
            if is_final(&status) {
                return Err(Error::Refused(status));
            }
            if lost_at.is_none() {
                audience.say(&format!("lost the coordinator ({}); trying again", status.message()));
            }
            let since = *lost_at.get_or_insert_with(Instant::now);
            if since.elapsed() > PATIENCE || self.asked == Urgency::Hard {
                return Err(Error::Lost(status));
            }
            tokio::select! {
                () = sleep(backoff.wait()) => {}
                asked = heard(&mut self.shutdown) => self.ask(asked, audience).await,
            }
        }
        for output in self.view.outputs_of_failures() {
            if self.seen.insert(output.digest) {
                self.wanted.push_back((None, output));
            }
        }
        self.fetch();
        while self.fetching > 0 {
            let Some(arrived) = self.arriving.recv().await else { break };
            self.arrived(arrived, audience);
            self.fetch();
        }
        Ok(Followed { view: self.view, outputs: self.outputs })
    }

    /// Reads one stream: `None` when the run ended, or why the stream did.
    async fn stream(
        &mut self,
        mut events: Streaming<v1::RunEvent>,
        audience: &mut Audience,
    ) -> Result<Option<tonic::Status>, Error> {
        loop {
            self.fetch();
            tokio::select! {
                event = events.message() => match event {
                    Ok(Some(event)) => {
                        let last = event.is_last();
                        self.take(event, audience)?;
                        if last {
                            return Ok(None);
                        }
                    }
                    Ok(None) if self.view.outcome.is_some() => return Ok(None),
                    Ok(None) => return Ok(Some(tonic::Status::unavailable("it closed the stream"))),
                    Err(status) => return Ok(Some(status)),
                },
                Some(arrived) = self.arriving.recv() => self.arrived(arrived, audience),
                line = known(&mut self.foreseen) => audience.say(&line),
                _ = self.frames.tick() => audience.tick(&self.view),
                Some(()) = self.curious.recv() => audience.running(&self.view),
                asked = heard(&mut self.shutdown) => self.ask(asked, audience).await,
            }
        }
    }

    fn take(&mut self, event: v1::RunEvent, audience: &mut Audience) -> Result<(), Error> {
        let begun = self.view.begun;
        let news = self.view.apply(event).map_err(Error::Nonsense)?;
        if !begun && self.view.begun {
            self.foreseen = audience.foresee(&self.view).map(tokio::task::spawn_blocking);
        }
        for item in &news {
            if let News::Verdict(test, _) = item
                && let Some(output) = audience.wants(&self.view, *test)
                && self.seen.insert(output.digest)
            {
                self.wanted.push_back((Some(*test), output));
            }
        }
        audience.news(&self.view, &news);
        Ok(())
    }

    /// Fetches what is wanted, a few at once.
    fn fetch(&mut self) {
        while self.fetching < FETCHES {
            let Some((test, output)) = self.wanted.pop_front() else { return };
            self.fetching += 1;
            let (mut client, fetched) = (self.client.clone(), self.fetched.clone());
            tokio::spawn(async move {
                let bytes = output_of(&mut client, output.digest).await;
                let bytes = bytes.inspect_err(|status| tracing::warn!(%status, "an output could not be fetched")).ok();
                let _gone = fetched.send((test, output.digest, bytes)).await;
            });
        }
    }

    fn arrived(&mut self, (test, digest, bytes): Arrived, audience: &mut Audience) {
        self.fetching -= 1;
        if let Some(test) = test {
            audience.output(&self.view, test, bytes.as_deref());
        }
        if let Some(bytes) = bytes {
            self.outputs.insert(digest, bytes);
        }
    }

    async fn ask(&mut self, asked: Urgency, audience: &mut Audience) {
        if asked <= self.asked {
            return;
        }
        self.asked = asked;
        let kill = asked == Urgency::Hard;
        audience.say(if kill {
            "stopping what runs"
        } else {
            "starting nothing more; running tests may end (once more to stop them, too)"
        });
        let request = v1::CancelRequest { run: self.view.run.to_string(), kill, cause: CancelCause::Asked.into() };
        if let Err(status) = self.client.cancel(request).await {
            audience.say(&format!("the run could not be cancelled: {}", status.message()));
        }
    }
}

/// The output at an address.
///
/// # Errors
/// When the coordinator has it no more, or does not answer.
pub(crate) async fn output_of(client: &mut RunsClient<Channel>, digest: Digest) -> Result<Vec<u8>, tonic::Status> {
    let request = v1::OutputRequest { digest: digest.to_string() };
    let mut chunks = client.output(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        bytes.extend_from_slice(&chunk.data);
    }
    Ok(bytes)
}

/// Waits for what is worked out, once; for ever where nothing is.
async fn known(foreseen: &mut Option<JoinHandle<String>>) -> String {
    if let Some(task) = foreseen {
        let line = task.await;
        *foreseen = None;
        if let Ok(line) = line {
            return line;
        }
    }
    std::future::pending().await
}

/// Waits for the next signal; for ever where none can come.
async fn heard(shutdown: &mut Option<watch::Receiver<Asked>>) -> Urgency {
    match shutdown {
        Some(asked) => match asked.changed().await {
            Ok(()) => asked.borrow().urgency,
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

fn is_final(status: &tonic::Status) -> bool {
    use tonic::Code;
    matches!(
        status.code(),
        Code::NotFound
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unimplemented
            | Code::DataLoss
    )
}
