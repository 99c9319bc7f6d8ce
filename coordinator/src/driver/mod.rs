//! The driver: the one thread that owns the core.
//!
//! It drains what is waiting, steps each, appends the events of all in one commit, performs the effects, and sleeps until
//! the next deadline. If the store refuses, it stops, and the coordinator comes back by replay: nothing is said or done
//! ahead of disk.

mod grant;
mod handle;
mod line;
mod sessions;
mod start;
#[cfg(test)]
mod tests;

pub use handle::{DriverHandle, Gone};
pub(crate) use handle::{Newcomer, Request, WeakDriver};
pub(crate) use sessions::{Session, Sessions};
pub(crate) use start::{NotStarted, Started, start};

use crate::outage::Outage;
use crate::projector::{Desk, News};
use crate::resources::Custody;
use crate::store::{Base, Batch, Commit, Error, Journal};
use regatta_core::{Command, Core, Effect, Entropy, Entry, Event, Refusal, ReplyTo, SessionId};
use regatta_domain::{RunId, TestIx, Time, Token};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait for the driver; beyond that whoever asks waits.
const WAITING: usize = 1_024;

/// Requests that share a commit. At some microseconds each, a commit is never held up for more than a few milliseconds.
const BATCH: usize = 256;

/// Commits that are worth a trim while runs are live.
const TRIMMED: u64 = 64;

/// A look at the core, taken on its thread.
pub(crate) type Look = Box<dyn FnOnce(&Core, &Sessions) + Send>;

/// The driver: the core, and what its wishes are performed with.
struct Driver {
    core: Core,
    entropy: Entropy,
    now: Time,
    journal: Box<dyn Journal>,
    sessions: Sessions,
    replies: BTreeMap<ReplyTo, oneshot::Sender<Result<(), Refusal>>>,
    next_reply: u64,
    /// What follows from a failed wish: taken before anything that waits.
    next: VecDeque<Command>,
    /// The commit with which each run in memory began.
    beginnings: BTreeMap<RunId, u64>,
    /// What the journal was last trimmed to.
    base: Base,
    committed: watch::Sender<u64>,
    projector: Desk,
    projecting: Option<JoinHandle<()>>,
    outage: Outage,
    custody: Custody,
}

/// What gathers over a batch of requests.
#[derive(Default)]
struct Turn {
    events: Vec<Event>,
    effects: Vec<Effect>,
    requests: Vec<(RunId, Vec<u8>)>,
    looks: Vec<Look>,
    stop: Vec<oneshot::Sender<()>>,
}

impl Driver {
    /// Drives until it is asked to stop, or the store refuses.
    async fn drive(&mut self, waiting: &mut mpsc::Receiver<Request>) -> Result<Vec<oneshot::Sender<()>>, Error> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let mut turn = Turn::default();
            if self.next.is_empty() {
                let due = self.core.next_deadline().map(|at| Duration::from(at.since(self.clock())));
                tokio::select! {
                    biased;
                    _ = self.outage.wait() => return Ok(Vec::new()),
                    taken = waiting.recv_many(&mut batch, BATCH) => if taken == 0 { return Ok(Vec::new()) },
                    () = sleep(due) => {}
                }
            }
            let now = self.clock();
            while let Some(command) = self.next.pop_front() {
                self.step(now, command, &mut turn);
            }
            if self.core.next_deadline().is_some_and(|at| at <= now) {
                self.step(now, Command::Tick, &mut turn);
            }
            for request in batch.drain(..) {
                self.take(now, request, &mut turn);
            }
            self.commit(now, &turn)?;
            turn.effects.drain(..).for_each(|effect| self.perform(effect));
            turn.looks.drain(..).for_each(|look| look(&self.core, &self.sessions));
            self.trim()?;
            if !turn.stop.is_empty() {
                return Ok(turn.stop);
            }
        }
    }

    /// The moment, as the system tells it; but never before one that was told already.
    fn clock(&mut self) -> Time {
        self.now = self.now.max(Time(regatta_runtime::clock::now_us()));
        self.now
    }

    fn take(&mut self, now: Time, request: Request, turn: &mut Turn) {
        let command = match request {
            Request::Submit { submission, request, answer } => {
                turn.requests.push((submission.run, request));
                Command::Submit { submission, reply: self.await_reply(answer) }
            }
            Request::Cancel { run, cause, kill, answer } => {
                Command::Cancel { run, cause, kill, reply: self.await_reply(answer) }
            }
            Request::Revoke { resource, item, answer } => {
                Command::Revoke { resource, item, reply: self.await_reply(answer) }
            }
            Request::Attach(newcomer) => {
                let (worker, slots) = (newcomer.worker, newcomer.slots);
                let (labels, holds) = (newcomer.labels.clone(), newcomer.holds.clone());
                let capacities = newcomer.capacities.clone();
                let session = self.sessions.open(now, newcomer);
                Command::Attach { worker, session, slots, labels, capacities, holds }
            }
            Request::Detach { worker, session, why } => {
                self.sessions.close(session, why);
                Command::Detach { worker, session }
            }
            Request::Command(command) => command,
            Request::Look(look) => return turn.looks.push(look),
            Request::Stop(done) => return turn.stop.push(done),
        };
        self.step(now, command, turn);
    }

    fn step(&mut self, now: Time, command: Command, turn: &mut Turn) {
        self.tell_started(now, &command);
        let step = self.core.step(now, &mut self.entropy, command);
        turn.events.extend(step.events);
        turn.effects.extend(step.effects);
    }

    fn await_reply(&mut self, answer: oneshot::Sender<Result<(), Refusal>>) -> ReplyTo {
        self.next_reply += 1;
        let reply = ReplyTo(self.next_reply);
        self.replies.insert(reply, answer);
        reply
    }

    /// Makes the events of a turn durable, and tells the projector.
    fn commit(&mut self, at: Time, turn: &Turn) -> Result<(), Error> {
        if turn.events.is_empty() {
            return Ok(());
        }
        // A repeated submission brings no event; what was kept of the first one stands.
        let begins = |run: RunId| {
            turn.events.iter().any(|event| matches!(event, Event::RunSubmitted { .. }) && event.run() == run)
        };
        let requests: Vec<_> = turn.requests.iter().filter(|(run, _)| begins(*run)).cloned().collect();
        let events: Arc<[Event]> = turn.events.as_slice().into();
        let seq = self.journal.append(Batch { at, events: &events, requests: &requests })?;
        for event in events.iter() {
            self.custody.note(event, self.core.state());
            tracing::debug!(seq, run = %event.run(), "{}", line::Line(event));
            match event {
                Event::RunSubmitted { .. } => drop(self.beginnings.insert(event.run(), seq)),
                Event::RunForgotten { run } => drop(self.beginnings.remove(run)),
                _ => {}
            }
        }
        // First the number, then the news: news that finds no room is found by its number.
        self.committed.send_replace(seq);
        self.projector.tell(News::Commit(Commit { seq, at, events }));
        Ok(())
    }

    /// Performs a wish. One that cannot be performed is as good as lost, which the core expects of any.
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send { worker, session, message } => {
                if !self.sessions.send(&self.core, session, message) {
                    self.next.push_back(Command::Detach { worker, session });
                }
            }
            Effect::Hangup { session, .. } => {
                let why = "this connection does not count any more; dial again".to_owned();
                self.sessions.close(session, Some(regatta_wire::Failure::Unavailable(why)));
            }
            Effect::Reset { resource, items, token } => self.custody.reset(resource, items, token),
            Effect::Reply { reply, answer } => {
                if let Some(waiting) = self.replies.remove(&reply) {
                    // Whoever asked may have gone away.
                    let _gone = waiting.send(answer);
                }
            }
        }
    }

    /// Tells whoever watches what begins; before anything that follows from the same words, so that a test is never told
    /// to begin after its end.
    fn tell_started(&self, at: Time, command: &Command) {
        let Command::Report { worker, entries, .. } = command else { return };
        let started = |entry: &Entry| match entry {
            Entry::Started { token, test } => Some((*token, *test)),
            _ => None,
        };
        let mut by_lease: BTreeMap<Token, Vec<TestIx>> = BTreeMap::new();
        for (token, test) in entries.iter().filter_map(started) {
            by_lease.entry(token).or_default().push(test);
        }
        for (token, tests) in by_lease {
            if let Some(lease) = self.core.state().leases.get(&token).filter(|lease| lease.worker == *worker) {
                self.projector.tell(News::Started { run: lease.run, at, worker: *worker, slot: lease.slot, tests });
            }
        }
    }

    /// Drops the commits that no run in memory needs any more, once the projection has passed them.
    fn trim(&mut self) -> Result<(), Error> {
        let written = self.projector.progress().written;
        let needed = self.beginnings.values().min().map_or(written, |first| first - 1);
        let seq = needed.min(written);
        // A live run holds little back; a journal of nothing but ended runs is emptied at once.
        let enough = self.beginnings.is_empty() || seq - self.base.seq.min(seq) >= TRIMMED;
        if seq > self.base.seq && enough { self.trim_to(seq) } else { Ok(()) }
    }

    fn trim_to(&mut self, seq: u64) -> Result<(), Error> {
        self.base = Base { seq, token: self.core.state().last_token };
        self.journal.trim(self.base)
    }

    /// The orderly end: the projection catches up, and a journal of nothing but ended runs is not read again.
    fn finish(&mut self) -> Result<(), Error> {
        if let Some(projecting) = self.projecting.take() {
            // A projector that came to grief has said so.
            let _said = projecting.join();
        }
        let written = self.projector.progress().written;
        let is_over = self.core.state().runs.values().all(regatta_core::Run::has_ended) && self.outage.get().is_none();
        if is_over && written == *self.committed.borrow() && written > self.base.seq {
            self.trim_to(written)?;
        }
        Ok(())
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The number of a session: the driver numbers them, so that no two ever share one.
const fn session(number: u64) -> SessionId {
    SessionId(number)
}
