//! The session: one stream to the coordinator, dialled again with backoff when it breaks.
//!
//! Slots work on while the stream is down. A new stream begins with the inventory (the leases that are held, or of which
//! something is unacknowledged) and repeats what was not acknowledged; the coordinator drops what it has already.
//! It leaves all work to the slots, and all decisions to the coordinator.

use crate::desk::Desk;
use crate::slot::FromSlot;
use crate::tenure::Tenure;
use regatta_domain::SlotIx;
use regatta_runtime::backoff::Backoff;
use regatta_runtime::shutdown::{Asked, Urgency};
use regatta_wire::v1::fleet_client::FleetClient;
use regatta_wire::v1::{Alive, FromWorker, ToWorker, from_worker, to_worker};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// How long small news waits for company.
const LINGER: Duration = Duration::from_millis(5);

/// How long opening a stream may take: a half-open connection must not be waited for.
const OPEN: Duration = Duration::from_secs(10);

/// Messages that may wait to be written to the stream.
const OUTGOING: usize = 256;

/// Waits between attempts to connect, with jitter: short, since a coordinator that restarts is back within a second or two, and so is
/// another one that leads instead. An attempt where nobody listens costs next to nothing.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Why a worker stops for good.
#[derive(Debug)]
pub enum Error {
    /// The coordinator will never take it: another protocol, no permission. It is told what to do.
    Refused(tonic::Status),
    /// The coordinator could not be reached even once.
    Unreachable(tonic::Status),
    /// The machine does not give what a worker needs.
    Setup(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "the coordinator refuses this worker: {}", status.message()),
            Self::Unreachable(status) => write!(f, "the coordinator cannot be reached: {}", status.message()),
            Self::Setup(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

/// What is left to do when a stream has ended.
enum Next {
    /// Everything is done.
    Stop,
    /// Dial again.
    Again,
}

/// The session of a worker, over all its streams.
pub(crate) struct Session {
    pub(crate) desk: Desk,
    pub(crate) tenure: Tenure,
    pub(crate) from_slots: mpsc::Receiver<(SlotIx, FromSlot)>,
    pub(crate) client: FleetClient<Channel>,
    pub(crate) shutdown: watch::Receiver<Asked>,
    /// How often a first connection is tried before the worker gives up; `None` for ever.
    pub(crate) patience: Option<u32>,
}

impl Session {
    /// Serves until it is asked to stop and has drained, or is refused.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let seed = self.desk.seed();
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, seed);
        let mut ever = false;
        let mut away = Instant::now();
        loop {
            let ended = self.stream(&mut backoff, &mut ever).await;
            // There was a stream, and it ended just now.
            if backoff.tries() == 0 {
                away = Instant::now();
            }
            match ended {
                Ok(Next::Stop) => {
                    self.desk.end();
                    return Ok(());
                }
                Ok(Next::Again) => tracing::warn!("the coordinator closed the stream; dialling again"),
                Err(status) if is_final(&status) => return Err(Error::Refused(status)),
                Err(status) => {
                    if !ever && self.patience.is_some_and(|most| backoff.tries() >= most) {
                        return Err(Error::Unreachable(status));
                    }
                    tracing::warn!(status = %status.message(), "lost the coordinator; dialling again");
                }
            }
            if !self.wait(backoff.wait(), away).await {
                return Ok(());
            }
        }
    }

    /// Waits before the next try, while the slots work on. `false` when the worker is to leave.
    async fn wait(&mut self, wait: Duration, away: Instant) -> bool {
        let until = Instant::now() + wait;
        let mut seal_at = None;
        loop {
            if self.may_leave(away) {
                return false;
            }
            seal_at = seal_at.or_else(|| self.desk.has_fresh().then(|| Instant::now() + LINGER));
            tokio::select! {
                () = sleep_until(until) => return true,
                () = sleep_until(seal_at.unwrap_or(until)), if seal_at.is_some() => {
                    self.desk.seal();
                    seal_at = None;
                }
                Some((slot, told)) = self.from_slots.recv(), if !self.desk.is_full() => self.desk.told(slot, told),
                changed = self.shutdown.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                }
            }
        }
    }

    /// Does something while the slots work on, and what they say is put where it survives.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            let fresh = self.desk.has_fresh();
            tokio::select! {
                done = &mut work => return done,
                Some((slot, told)) = self.from_slots.recv(), if !self.desk.is_full() => self.desk.told(slot, told),
                () = sleep(LINGER), if fresh => self.desk.seal(),
            }
        }
    }

    /// Whether a worker that was asked to leave does, without a coordinator since then. It may be gone for good, and what a worker
    /// holds is worth nothing once its leases have run out: it runs again elsewhere.
    fn may_leave(&mut self, away: Instant) -> bool {
        let urgency = self.shutdown.borrow().urgency;
        self.desk.drain(urgency);
        match urgency {
            Urgency::None => false,
            Urgency::Gentle => self.desk.is_idle() || away.elapsed() >= self.desk.lease(),
            Urgency::Hard => true,
        }
    }

    /// One stream, from hello to its end.
    async fn stream(&mut self, backoff: &mut Backoff, ever: &mut bool) -> Result<Next, tonic::Status> {
        let (out, outgoing) = mpsc::channel::<FromWorker>(OUTGOING);
        let hello = from_worker::Message::Hello(self.desk.hello());
        let sent = Instant::now();
        out.try_send(message(hello)).expect("the stream is new and empty");
        let mut client = self.client.clone();
        // The answer to the hello is what makes a session; headers alone may come from anything in between.
        let opening = async {
            let mut incoming = client.session(ReceiverStream::new(outgoing)).await?.into_inner();
            let first = incoming.message().await?;
            Ok::<_, tonic::Status>((incoming, first))
        };
        let opened = self.meanwhile(timeout(OPEN, opening)).await;
        let (mut incoming, first) =
            opened.map_err(|_| tonic::Status::deadline_exceeded("no answer to the hello in 10 s"))??;
        let Some(first) = first else { return Ok(Next::Again) };
        let answers = matches!(&first.message, Some(to_worker::Message::Attached(attached)) if attached.answers);
        self.desk.heard(first);
        self.tenure.attached(sent, self.desk.lease(), answers);
        backoff.reset();
        *ever = true;
        let mut waiting = self.desk.again();
        let mut flush_at: Option<Instant> = None;
        let mut alive_at = Instant::now() + self.desk.alive_every();
        if self.shutdown.borrow().urgency != Urgency::None {
            self.desk.drain(self.shutdown.borrow().urgency);
        }
        loop {
            if self.desk.wants_flush() || flush_at.is_some_and(|at| at <= Instant::now()) {
                waiting.extend(self.desk.flush());
                flush_at = None;
            }
            if self.desk.is_done() && waiting.is_empty() {
                return Ok(Next::Stop);
            }
            if self.desk.has_fresh() && flush_at.is_none() {
                flush_at = Some(Instant::now() + LINGER);
            }
            let forsaken_at = self.tenure.forsaken_at();
            tokio::select! {
                permit = out.reserve(), if !waiting.is_empty() => {
                    let Ok(permit) = permit else { return Ok(Next::Again) };
                    if let Some(next) = waiting.pop_front() {
                        permit.send(message(next));
                    }
                }
                received = incoming.message() => match received? {
                    Some(ToWorker { message: None }) => {}
                    Some(ToWorker { message: Some(to_worker::Message::Heard(heard)) }) => self.tenure.heard(heard.seq),
                    Some(received) => self.desk.heard(received),
                    None => return Ok(Next::Again),
                },
                Some((slot, told)) = self.from_slots.recv(), if !self.desk.is_full() => self.desk.told(slot, told),
                () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => {
                    waiting.extend(self.desk.flush());
                    flush_at = None;
                }
                () = sleep_until(alive_at) => {
                    let now = Instant::now();
                    // Ahead of what waits: it says how the worker is, not what it did.
                    waiting.push_front(from_worker::Message::Alive(Alive { seq: self.tenure.send(now) }));
                    alive_at = now + self.desk.alive_every();
                }
                // A coordinator that answers nothing for so long has been cut off, or leads no more.
                () = sleep_until(forsaken_at.unwrap_or_else(Instant::now)), if forsaken_at.is_some() => {
                    return Err(tonic::Status::deadline_exceeded("no sign of life was answered for most of a lease"));
                }
                changed = self.shutdown.changed(), if !self.desk.is_stopping_hard() => {
                    let urgency = if changed.is_err() { Urgency::Hard } else { self.shutdown.borrow().urgency };
                    self.desk.drain(urgency);
                }
            }
        }
    }
}

const fn message(message: from_worker::Message) -> FromWorker {
    FromWorker { message: Some(message) }
}

/// Whether trying again would get the same answer.
fn is_final(status: &tonic::Status) -> bool {
    use tonic::Code;
    matches!(
        status.code(),
        Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::Unimplemented
    )
}
