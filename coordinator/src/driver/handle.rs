//! How the driver is reached.

use super::Look;
use super::pulse::Pulse;
use super::sessions::Sessions;
use crate::error::in_one_line;
use crate::outage::Outage;
use regatta_core::{Command, Core, Entry, Health, Refusal, SessionId};
use regatta_domain::report::CancelCause;
use regatta_domain::submission::Submission;
use regatta_domain::{Offer, RunId, SlotIx, Token, WorkerId};
use regatta_wire::{Failure, v1};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tonic::Status;

/// What the driver is asked.
pub(crate) enum Request {
    Submit {
        submission: Box<Submission>,
        /// What the client said, word for word.
        request: Vec<u8>,
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
    Cancel {
        run: RunId,
        cause: CancelCause,
        kill: bool,
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
    Revoke {
        resource: Arc<str>,
        item: Option<Arc<str>>,
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
    Attach(Newcomer),
    Detach {
        worker: WorkerId,
        session: SessionId,
        /// What the worker is told, where it is the coordinator that ends it.
        why: Option<Failure>,
    },
    Command(Command),
    Look(Look),
    Stop(oneshot::Sender<()>),
}

/// A worker that connects.
pub(crate) struct Newcomer {
    pub(crate) worker: WorkerId,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) slots: u16,
    pub(crate) labels: Vec<Arc<str>>,
    pub(crate) capacities: BTreeMap<Arc<str>, u32>,
    pub(crate) holds: Vec<Token>,
    /// Where it is told things.
    pub(crate) outgoing: mpsc::Sender<Result<v1::ToWorker, Status>>,
    /// Dropped when the session is closed: whoever listens to the worker may stop.
    pub(crate) alive: oneshot::Sender<()>,
    /// Who waits for the number of its session.
    pub(crate) numbered: oneshot::Sender<SessionId>,
}

/// The driver has stopped: the process stops, or something ended it before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// What ended it, if something did.
    pub why: Option<String>,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Some(why) => write!(f, "the coordinator has stopped: {why}"),
            None => f.write_str("the coordinator is stopping"),
        }
    }
}

impl std::error::Error for Gone {}

impl From<Gone> for Failure {
    fn from(gone: Gone) -> Self {
        Self::Unavailable(gone.to_string())
    }
}

impl From<Gone> for Status {
    fn from(gone: Gone) -> Self {
        Failure::from(gone).into()
    }
}

/// How the driver is reached. Clones reach the same one.
#[derive(Clone)]
pub struct DriverHandle {
    to: mpsc::Sender<Request>,
    committed: watch::Receiver<u64>,
    outage: Outage,
    pulse: Pulse,
}

/// A handle that does not keep the driver going: it is for those who work for the driver, and end with it.
#[derive(Clone)]
pub(crate) struct WeakDriver {
    to: mpsc::WeakSender<Request>,
    committed: watch::Receiver<u64>,
    outage: Outage,
    pulse: Pulse,
}

impl WeakDriver {
    /// The driver, while anybody else can reach it.
    pub(crate) fn upgrade(&self) -> Option<DriverHandle> {
        let to = self.to.upgrade()?;
        let Self { committed, outage, pulse, .. } = self.clone();
        Some(DriverHandle { to, committed, outage, pulse })
    }
}

impl DriverHandle {
    /// The same, without keeping the driver going.
    pub(crate) fn downgrade(&self) -> WeakDriver {
        let Self { to, committed, outage, pulse } = self.clone();
        WeakDriver { to: to.downgrade(), committed, outage, pulse }
    }

    pub(super) const fn new(
        to: mpsc::Sender<Request>,
        committed: watch::Receiver<u64>,
        outage: Outage,
        pulse: Pulse,
    ) -> Self {
        Self { to, committed, outage, pulse }
    }

    /// Hands in a run; `request` is what the client said. Answered once it is durable.
    ///
    /// # Errors
    /// When the driver has stopped.
    pub async fn submit(&self, submission: Box<Submission>, request: Vec<u8>) -> Result<Result<(), Refusal>, Gone> {
        self.ask(|answer| Request::Submit { submission, request, answer }).await
    }

    /// Ends a run before its time.
    ///
    /// # Errors
    /// When the driver has stopped.
    pub async fn cancel(&self, run: RunId, cause: CancelCause, kill: bool) -> Result<Result<(), Refusal>, Gone> {
        self.ask(|answer| Request::Cancel { run, cause, kill, answer }).await
    }

    /// These are the resources of the fleet from now on.
    pub(crate) async fn offer(&self, resources: BTreeMap<Arc<str>, Offer>) -> Result<(), Gone> {
        self.command(Command::Offer { resources }).await
    }

    /// A resource, or an item of it, was found to be so by somebody who knew of leases on it up to `after`.
    pub(crate) async fn examined(
        &self,
        resource: Arc<str>,
        item: Option<Arc<str>>,
        health: Health,
        after: Token,
    ) -> Result<(), Gone> {
        self.command(Command::Examined { resource, item, health, after }).await
    }

    /// Ends the leases that hold a resource, or an item of it. Answered once that is durable.
    pub(crate) async fn revoke(&self, resource: Arc<str>, item: Option<Arc<str>>) -> Result<Result<(), Refusal>, Gone> {
        self.ask(|answer| Request::Revoke { resource, item, answer }).await
    }

    /// The last commit that was made.
    #[must_use]
    pub fn committed(&self) -> u64 {
        *self.committed.borrow()
    }

    /// A worker connects. The number of its session comes before anything that is told over it.
    pub(crate) async fn attach(
        &self,
        newcomer: impl FnOnce(oneshot::Sender<SessionId>) -> Newcomer,
    ) -> Result<SessionId, Gone> {
        self.ask(|numbered| Request::Attach(newcomer(numbered))).await
    }

    /// A worker's connection broke, or is ended because of what it said.
    pub(crate) async fn detach(&self, worker: WorkerId, session: SessionId, why: Option<Failure>) -> Result<(), Gone> {
        self.send(Request::Detach { worker, session, why }).await
    }

    /// Something that the core is to know, and that nobody waits for.
    pub(crate) async fn command(&self, command: Command) -> Result<(), Gone> {
        self.send(Request::Command(command)).await
    }

    /// A slot has room.
    pub(crate) async fn ask_for_work(&self, worker: WorkerId, session: SessionId, slot: SlotIx) -> Result<(), Gone> {
        self.send(Request::Command(Command::Ask { worker, session, slot })).await
    }

    /// A worker tells what happened; with 0 and nothing, that it is alive.
    pub(crate) async fn report(
        &self,
        worker: WorkerId,
        session: SessionId,
        seq: u64,
        entries: Vec<Entry>,
    ) -> Result<(), Gone> {
        self.send(Request::Command(Command::Report { worker, session, seq, entries })).await
    }

    /// Answers a worker's sign of life by `answer`, without waiting for the driver: if the session counts, its worker keeps its leases
    /// for a whole lease from now on.
    pub(crate) fn vouch(&self, session: SessionId, answer: impl FnOnce()) {
        self.pulse.answer(session, answer);
    }

    /// Looks at the core between two turns, so that everything seen is durable.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Core, &Sessions) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let looking = |seen: oneshot::Sender<T>| -> Look {
            Box::new(move |core, sessions| {
                // Whoever asked may have gone away.
                let _gone = seen.send(look(core, sessions));
            })
        };
        self.ask(|seen| Request::Look(looking(seen))).await
    }

    /// Stops the driver once everything before is durable, and waits until it has.
    pub(crate) async fn stop(&self) {
        // A driver that has stopped already needs no telling.
        let _stopped = self.ask(Request::Stop).await;
    }

    /// How many requests wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.to.max_capacity() - self.to.capacity()
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        self.send(request(answer)).await?;
        answered.await.map_err(|_| self.gone())
    }

    async fn send(&self, request: Request) -> Result<(), Gone> {
        self.to.send(request).await.map_err(|_| self.gone())
    }

    /// Whether it takes nothing any more: what was live a moment ago is not followed here.
    pub(crate) fn has_stopped(&self) -> bool {
        self.to.is_closed()
    }

    /// Why it is gone, once it is.
    pub(crate) fn gone(&self) -> Gone {
        Gone { why: self.outage.get().map(|error| in_one_line(&error)) }
    }
}
