//! The driver of the simulation, with the real core: a batch of commands, one commit, then the effects. Some commits may be under
//! way at once; they become durable in order. A crash loses what was not committed, and every effect that was not performed.
//!
//! After each command the invariants are checked, and after each commit what a replay of the journal would give.

use super::words::{FileWork, Shard, ToWorker};
use regatta_core::{
    Command, Core, Effect, Entropy, Event, GrantedTest, GrantedWork, Refusal, ReplyTo, SessionId, Setup, State, Step,
    ToWorker as Message, invariant,
};
use regatta_domain::{Micros, RunId, Time, Token};
use std::collections::VecDeque;
use std::sync::Arc;

/// Batches that may wait to become durable, before nothing more is stepped.
const IN_LINE: usize = 3;

/// A driver that could step nothing for so long was held up.
const HELD_UP: Micros = Micros::from_secs(2);

/// One in so many commits is followed by a snapshot.
const SNAPSHOT: u64 = 8;

/// A coordinator: what of it survives, and what does not.
pub struct Coordinator {
    core: Option<Core>,
    inbox: VecDeque<Command>,
    /// The batches that are not durable yet.
    line: VecDeque<Batch>,
    /// Since when it can step nothing.
    full_since: Option<Time>,
    chance: Entropy,
    setup: Setup,
    /// What a replay of the journal gives.
    pub durable: State,
    snapshot: Vec<u8>,
    /// What the journal has beyond the snapshot.
    rest: Vec<Event>,
    /// When snapshots are taken: a chance of its own, so that nothing else depends on it.
    luck: Entropy,
    /// Commands stepped.
    pub steps: u64,
}

/// What came of the commands that were stepped together.
struct Batch {
    events: Vec<Event>,
    wishes: Vec<Wish>,
}

/// What is to be done once a batch is durable.
pub enum Wish {
    /// Tell a worker.
    Send(SessionId, ToWorker),
    /// Cut a connection.
    Hangup(SessionId),
    /// Bring items of a resource (or the resource itself) back into order.
    Reset(Arc<str>, Vec<Arc<str>>, Token),
    /// Answer a client.
    Reply(ReplyTo, Result<(), Refusal>),
}

impl Coordinator {
    /// A coordinator with an empty journal.
    #[must_use]
    pub fn new(setup: Setup, seed: u64) -> Self {
        let chance = Entropy::from_seed(seed);
        let core = Some(Core::new(setup.clone()));
        let (inbox, line) = (VecDeque::new(), VecDeque::new());
        let (durable, rest, luck) = (State::default(), Vec::new(), Entropy::from_seed(!seed));
        let snapshot = written(&durable);
        Self { core, inbox, line, full_since: None, chance, setup, durable, snapshot, rest, luck, steps: 0 }
    }

    /// Whether it runs.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.core.is_some()
    }

    /// When it wants to be told of the time; while its line is full, it does not look.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.core.as_ref().filter(|_| self.line.len() < IN_LINE).and_then(Core::next_deadline)
    }

    /// Takes a command in, to be stepped when there is room in the line.
    pub fn take(&mut self, command: Command) {
        if self.is_up() {
            self.inbox.push_back(command);
        }
    }

    /// Steps everything that waits, if there is room in the line. `true` where there is a new batch at its end.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn step(&mut self, now: Time) -> Result<bool, String> {
        let Some(core) = &mut self.core else { return Ok(false) };
        if self.line.len() >= IN_LINE {
            self.full_since.get_or_insert(now);
            return Ok(false);
        }
        if self.inbox.is_empty() {
            return Ok(false);
        }
        // As the driver does: the time first, and before that what it means that nobody could be heard.
        if core.next_deadline().is_some_and(|at| at <= now) {
            self.inbox.push_front(Command::Tick);
        }
        if self.full_since.take().is_some_and(|since| now.since(since) > HELD_UP) {
            self.inbox.push_front(Command::HeldUp);
        }
        let mut batch = Step::default();
        for command in self.inbox.drain(..) {
            let step = core.step(now, &mut self.chance, command);
            if !step.events.is_empty() {
                invariant::check(core.state())?;
            }
            batch.events.extend(step.events);
            batch.effects.extend(step.effects);
            self.steps += 1;
        }
        let Step { events, effects } = batch;
        let wishes = effects.into_iter().map(|effect| wish(core.state(), effect)).collect();
        self.line.push_back(Batch { events, wishes });
        Ok(true)
    }

    /// Whether what is last in line has to wait: it has something to commit, or rests on what is not durable yet.
    #[must_use]
    pub fn has_to_wait(&self) -> bool {
        self.line.len() > 1 || self.line.front().is_some_and(|batch| !batch.events.is_empty())
    }

    /// The first batch in line is durable.
    ///
    /// # Errors
    /// When a replay would give another state than the step did.
    pub fn committed(&mut self) -> Result<(Vec<Event>, Vec<Wish>), String> {
        let Some(Batch { events, wishes }) = self.line.pop_front() else { return Ok((Vec::new(), Vec::new())) };
        self.keep(&events);
        let core = self.core.as_ref().expect("a coordinator that is down commits nothing");
        if !events.is_empty() && self.line.is_empty() && core.state() != &self.durable {
            return Err("replay differs from the step".to_owned());
        }
        Ok((events, wishes))
    }

    /// What the batch that is last in line wishes, before it is durable: for the mutant that does not wait.
    #[must_use]
    pub fn wishes_too_early(&mut self) -> Vec<Wish> {
        self.line.back_mut().map(|batch| std::mem::take(&mut batch.wishes)).unwrap_or_default()
    }

    /// It is killed. Of the commits that were under way, so many as `durable` says may have become so, without anybody being told.
    pub fn crash(&mut self, durable: usize) -> Vec<Event> {
        self.core = None;
        self.inbox.clear();
        self.full_since = None;
        let kept = self.line.drain(..).take(durable);
        let events: Vec<Event> = kept.flat_map(|batch| batch.events).collect();
        self.keep(&events);
        events
    }

    /// These events are in the journal, and now and then in a snapshot.
    fn keep(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.durable.fold(event));
        self.rest.extend_from_slice(events);
        if self.luck.below(SNAPSHOT) == 0 {
            self.rest.clear();
            self.snapshot = written(&self.durable);
        }
    }

    /// How many commits are under way.
    #[must_use]
    pub fn in_line(&self) -> usize {
        self.line.len()
    }

    /// It starts again: from the snapshot, by replay of the rest.
    ///
    /// # Errors
    /// When that is another state than a replay of everything gives.
    pub fn start(&mut self, now: Time) -> Result<(), String> {
        let read = postcard::from_bytes(&self.snapshot);
        let mut state: State = read.map_err(|error| format!("a snapshot cannot be read: {error}"))?;
        self.rest.iter().for_each(|event| state.fold(event));
        if state != self.durable {
            return Err("a snapshot and the rest give another state than everything".to_owned());
        }
        self.core = Some(Core::resume(state, self.setup.clone(), now));
        Ok(())
    }
}

/// A snapshot.
fn written(state: &State) -> Vec<u8> {
    postcard::to_stdvec(state).expect("a state is plain values, and a vector takes any length")
}

/// What the shell makes of an effect: the names that the core left out are added.
pub(crate) fn wish(state: &State, effect: Effect) -> Wish {
    match effect {
        Effect::Reply { reply, answer } => Wish::Reply(reply, answer),
        Effect::Hangup { session, .. } => Wish::Hangup(session),
        Effect::Reset { resource, items, token } => Wish::Reset(resource, items, token),
        Effect::Send { session, message, .. } => Wish::Send(
            session,
            match message {
                Message::Attached => ToWorker::Attached,
                Message::Numbered { token, file, tests } => ToWorker::Numbered(token, file, tests),
                Message::Steal { token, tests } => ToWorker::Steal(token, tests),
                Message::Stop { token, kill } => ToWorker::Stop(token, kill),
                Message::Close { run } => ToWorker::Close(run),
                Message::Ack { seq } => ToWorker::Ack(seq),
                Message::Grant(grant) => {
                    let discover = grant.work == GrantedWork::Discover;
                    let files = files(state, grant.run, grant.work);
                    let shard = Shard { run: grant.run, suite: grant.suite, token: grant.token, discover, files };
                    ToWorker::Grant(grant.slot, shard)
                }
            },
        ),
    }
}

fn files(state: &State, run: RunId, work: GrantedWork) -> VecDeque<FileWork> {
    let run = &state.runs[&run];
    match work {
        GrantedWork::Discover => VecDeque::new(),
        GrantedWork::List(files) => {
            files.into_iter().map(|file| FileWork { file, remembered: 0, tests: None }).collect()
        }
        GrantedWork::Run(tests) => {
            let mut files: VecDeque<FileWork> = VecDeque::new();
            for granted in tests {
                let GrantedTest { test, .. } = granted;
                let file = run.test(test).file;
                let at = files.iter().position(|known| known.file == file).unwrap_or_else(|| {
                    let remembered = run.file(file).remembered();
                    files.push_back(FileWork { file, remembered, tests: Some(VecDeque::new()) });
                    files.len() - 1
                });
                files[at].tests.as_mut().expect("a file of a grant has tests").push_back(granted);
            }
            files
        }
    }
}
