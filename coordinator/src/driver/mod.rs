//! The driver: the one thread that owns the core.
//!
//! It drains what is waiting, steps each, appends the events of all in one commit, and sleeps until the next deadline. While
//! that commit becomes durable it goes on with what came meanwhile; what follows from a commit is done in order once it is.
//! If the store refuses, it stops, and the coordinator comes back by replay: nothing is said or done ahead of disk.

mod grant;
mod handle;
mod line;
mod pulse;
mod sessions;
mod start;
#[cfg(test)]
mod tests;
mod told;

pub use handle::{DriverHandle, Gone};
pub(crate) use handle::{Newcomer, Request, WeakDriver};
pub(crate) use sessions::{Session, Sessions};
pub(crate) use start::{NotStarted, Started, start};

use crate::error::Error;
use crate::outage::Outage;
use crate::projector::{Desk, News};
use crate::resources::Custody;
use crate::store::{Base, Batch, Commit, Durable, Journal};
use regatta_core::{Command, Core, Effect, Entropy, Event, Refusal, ReplyTo, SessionId};
use regatta_domain::{RunId, Time, Token, WorkerId};
use regatta_runtime::clock::Steady;
use regatta_runtime::threads::Thread;
use regatta_wire::v1::to_worker::Message;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait for the driver; beyond that whoever asks waits.
const WAITING: usize = 1_024;

/// Requests that share a commit. At some microseconds each, a commit is never held up for more than a few milliseconds.
const BATCH: usize = 256;

/// Turns whose effects may wait for the disk, before the driver waits as well: one that is being made durable, one that gathers
/// behind it, and some for a disk that is slow for a moment. What is in them is as good as never heard until then.
const IN_LINE: usize = 8;

/// The driver comes round this often at least.
const ROUND: Duration = Duration::from_secs(1);

/// A driver that did not come round for so long was held up, by its disk or with its process: those who were to be heard meanwhile
/// could not be.
const HELD_UP: Duration = Duration::from_secs(2);

/// Commits that are worth a trim while runs are live.
const TRIMMED: u64 = 64;

/// A look at the core, taken on its thread.
pub(crate) type Look = Box<dyn FnOnce(&Core, &Sessions) + Send>;

/// The driver: the core, and what its wishes are performed with.
struct Driver {
    core: Core,
    entropy: Entropy,
    clock: Steady,
    /// When it last took in what had come.
    round: Time,
    journal: Box<dyn Journal>,
    sessions: Sessions,
    replies: BTreeMap<ReplyTo, oneshot::Sender<Result<(), Refusal>>>,
    next_reply: u64,
    /// What follows from turns that are not durable yet, in their order.
    in_line: VecDeque<Consequences>,
    /// The last commit that was appended.
    last: u64,
    durable: watch::Receiver<Durable>,
    /// Those who want to see what is durable, and wait for the line to end.
    looks: Vec<Look>,
    stop: Vec<oneshot::Sender<()>>,
    /// What follows from a failed wish: taken before anything that waits.
    next: VecDeque<Command>,
    /// The commit with which each run in memory began.
    beginnings: BTreeMap<RunId, u64>,
    /// What the journal was last trimmed to.
    base: Base,
    committed: watch::Sender<u64>,
    projector: Desk,
    projecting: Option<Thread>,
    outage: Outage,
    custody: Custody,
}

/// What gathers over a batch of requests.
#[derive(Default)]
struct Turn {
    events: Vec<Event>,
    effects: Vec<Effect>,
    requests: Vec<(RunId, Vec<u8>)>,
}

/// What follows from a turn, once everything up to a commit is durable.
struct Consequences {
    /// That commit: its own, or, where it brought no event, the last before it, on which what it says may rest.
    after: u64,
    /// What is to be told of its own, if it has one.
    commit: Option<Commit>,
    wishes: Vec<Wish>,
}

/// An effect, as it was meant when it was decided: by the time it is performed, the core may be further.
enum Wish {
    Send(WorkerId, SessionId, Vec<Message>),
    Hangup(SessionId),
    Reset(Arc<str>, Vec<Arc<str>>, Token),
    Reply(ReplyTo, Result<(), Refusal>),
}

impl Driver {
    /// Drives until it is asked to stop, or the store refuses.
    async fn drive(&mut self, waiting: &mut mpsc::Receiver<Request>) -> Result<Vec<oneshot::Sender<()>>, Error> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let has_room = self.projector.has_room();
            let may_step = self.in_line.len() < IN_LINE && self.looks.is_empty() && self.stop.is_empty() && has_room;
            let due = self.core.next_deadline().map_or(ROUND, |at| Duration::from(at.since(self.now())).min(ROUND));
            if self.next.is_empty() || !may_step {
                tokio::select! {
                    biased;
                    _ = self.outage.wait() => return Ok(Vec::new()),
                    changed = self.durable.changed() => changed.map_err(|_| Error::Failed { thread: "journal" })?,
                    taken = waiting.recv_many(&mut batch, BATCH), if may_step => {
                        if taken == 0 { return Ok(Vec::new()) }
                    }
                    () = tokio::time::sleep(due), if may_step => {}
                    advanced = self.projector.advanced(), if !has_room => {
                        if !advanced { return Ok(Vec::new()) }
                    }
                }
            }
            self.follow_up()?;
            if may_step {
                self.turn(&mut batch);
                self.follow_up()?;
            }
            if self.in_line.is_empty() {
                let looks = std::mem::take(&mut self.looks);
                looks.into_iter().for_each(|look| look(&self.core, &self.sessions));
                if !self.stop.is_empty() {
                    return Ok(std::mem::take(&mut self.stop));
                }
            }
            self.trim();
        }
    }

    /// Steps whatever is to be stepped, and appends what came of it.
    fn turn(&mut self, batch: &mut Vec<Request>) {
        let mut turn = Turn::default();
        let now = self.now();
        let away = Duration::from(now.since(self.round));
        self.round = now;
        if away > HELD_UP {
            tracing::warn!(?away, "the coordinator was held up; workers get time to be heard again");
            self.step(now, Command::HeldUp, &mut turn);
        }
        while let Some(command) = self.next.pop_front() {
            self.step(now, command, &mut turn);
        }
        if self.core.next_deadline().is_some_and(|at| at <= now) {
            self.tick(now, &mut turn);
        }
        for request in batch.drain(..) {
            self.take(now, request, &mut turn);
        }
        self.append(now, turn);
    }

    /// Tells the core that a deadline may have passed. Whoever was answered ahead of the driver is heard before that, and nobody is
    /// answered after it who was given up.
    fn tick(&mut self, now: Time, turn: &mut Turn) {
        let pulse = self.sessions.pulse.clone();
        let mut look = pulse.look();
        for session in look.answered() {
            let Some(worker) = self.sessions.worker(session) else { continue };
            let alive = Command::Report { worker, session, seq: 0, entries: Vec::new() };
            self.step(now, alive, turn);
        }
        self.step(now, Command::Tick, turn);
        let presence = self.core.presence();
        look.keep(|session| self.sessions.worker(session).is_some_and(|of| presence.is_current(of, session)));
    }

    fn now(&mut self) -> Time {
        Time(self.clock.now_us())
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
            Request::Look(look) => return self.looks.push(look),
            Request::Stop(done) => return self.stop.push(done),
        };
        self.step(now, command, turn);
    }

    fn step(&mut self, now: Time, command: Command, turn: &mut Turn) {
        self.tell_started(now, &command);
        let examined = self.examined(&command);
        let step = self.core.step(now, &mut self.entropy, command);
        step.events.iter().for_each(told::tell_late);
        self.tell_health(now, examined);
        turn.events.extend(step.events);
        turn.effects.extend(step.effects);
    }

    fn await_reply(&mut self, answer: oneshot::Sender<Result<(), Refusal>>) -> ReplyTo {
        self.next_reply += 1;
        let reply = ReplyTo(self.next_reply);
        self.replies.insert(reply, answer);
        reply
    }

    /// Hands the events of a turn to the journal, and puts what follows from it in line.
    fn append(&mut self, at: Time, turn: Turn) {
        let Turn { events, effects, mut requests } = turn;
        let mut commit = None;
        if !events.is_empty() {
            // A repeated submission brings no event; what was kept of the first one stands.
            let begins = |run: RunId| {
                events.iter().any(|event| matches!(event, Event::RunSubmitted { .. }) && event.run() == run)
            };
            requests.retain(|(run, _)| begins(*run));
            let events: Arc<[Event]> = events.into();
            let seq = self.journal.append(Batch { at, events: events.clone(), requests });
            self.last = seq;
            for event in events.iter() {
                match event {
                    Event::RunSubmitted { .. } => drop(self.beginnings.insert(event.run(), seq)),
                    Event::RunForgotten { run } => drop(self.beginnings.remove(run)),
                    _ => {}
                }
            }
            commit = Some(Commit { seq, at, events });
        }
        let wishes: Vec<Wish> = effects.into_iter().map(|effect| self.wish(effect)).collect();
        if commit.is_some() || !wishes.is_empty() {
            self.in_line.push_back(Consequences { after: self.last, commit, wishes });
        }
    }

    /// Does what follows from the turns that are durable by now.
    fn follow_up(&mut self) -> Result<(), Error> {
        let Durable { seq, refused } = self.durable.borrow_and_update().clone();
        while self.in_line.front().is_some_and(|next| next.after <= seq) {
            let Some(Consequences { commit, wishes, .. }) = self.in_line.pop_front() else { break };
            if let Some(commit) = commit {
                self.tell(commit);
            }
            wishes.into_iter().for_each(|wish| self.perform(wish));
        }
        refused.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Tells whoever has to know of a commit.
    fn tell(&mut self, commit: Commit) {
        for event in commit.events.iter() {
            self.custody.note(event, self.core.state());
            tracing::debug!(seq = commit.seq, run = %event.run(), "{}", line::Line(event));
        }
        // First the number, then the news: news that finds no room is found by its number.
        self.committed.send_replace(commit.seq);
        self.projector.tell(News::Commit(commit));
    }

    fn wish(&mut self, effect: Effect) -> Wish {
        match effect {
            Effect::Send { worker, session, message } => {
                Wish::Send(worker, session, self.sessions.words(&self.core, session, message))
            }
            Effect::Hangup { session, .. } => Wish::Hangup(session),
            Effect::Reset { resource, items, token } => Wish::Reset(resource, items, token),
            Effect::Reply { reply, answer } => Wish::Reply(reply, answer),
        }
    }

    /// Performs a wish. One that cannot be performed is as good as lost, which the core expects of any.
    fn perform(&mut self, wish: Wish) {
        match wish {
            Wish::Send(worker, session, words) => {
                if !self.sessions.send(session, words) {
                    self.next.push_back(Command::Detach { worker, session });
                }
            }
            Wish::Hangup(session) => {
                let why = "this connection does not count any more; dial again".to_owned();
                self.sessions.close(session, Some(regatta_wire::Failure::Unavailable(why)));
            }
            Wish::Reset(resource, items, token) => self.custody.reset(resource, items, token),
            Wish::Reply(reply, answer) => {
                if let Some(waiting) = self.replies.remove(&reply) {
                    // Whoever asked may have gone away.
                    let _gone = waiting.send(answer);
                }
            }
        }
    }

    /// Drops the commits that no run in memory needs any more, once the projection has passed them.
    fn trim(&mut self) {
        let written = self.projector.progress().written;
        let needed = self.beginnings.values().min().map_or(written, |first| first - 1);
        let seq = needed.min(written);
        // A live run holds little back; a journal of nothing but ended runs is emptied at once.
        let enough = self.beginnings.is_empty() || seq - self.base.seq.min(seq) >= TRIMMED;
        if seq > self.base.seq && enough {
            self.trim_to(seq);
        }
    }

    fn trim_to(&mut self, seq: u64) {
        self.base = Base { seq, token: self.core.state().last_token };
        self.journal.trim(self.base, self.beginnings.keys().copied().collect());
    }

    /// The orderly end: the projection catches up, and a journal of nothing but ended runs is not read again.
    async fn finish(&mut self) -> Result<(), Error> {
        if let Some(projecting) = self.projecting.take() {
            // A projector that came to grief has said so.
            let _said = projecting.ended().await;
        }
        let written = self.projector.progress().written;
        let is_over = self.core.state().runs.values().all(regatta_core::Run::has_ended) && self.outage.get().is_none();
        if is_over && written == *self.committed.borrow() && written > self.base.seq {
            self.trim_to(written);
        }
        Ok(self.journal.settle()?)
    }
}

/// The number of a session: the driver numbers them, so that no two ever share one.
const fn session(number: u64) -> SessionId {
    SessionId(number)
}
