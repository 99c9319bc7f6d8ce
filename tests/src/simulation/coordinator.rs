//! The driver of the simulation, with the real core: a batch of commands, one commit, then the effects. A crash loses what
//! was not committed, and every effect that was not performed.
//!
//! After each command the invariants are checked, and after each commit what a replay of the journal would give.

use super::words::{FileWork, Shard, ToWorker};
use regatta_core::{
    Command, Core, Effect, Entropy, Event, GrantedTest, GrantedWork, Refusal, ReplyTo, SessionId, Setup, State, Step,
    ToWorker as Message, invariant,
};
use regatta_domain::{RunId, Time, Token};
use std::collections::VecDeque;
use std::sync::Arc;

/// A coordinator: what of it survives, and what does not.
pub struct Coordinator {
    core: Option<Core>,
    inbox: VecDeque<Command>,
    batch: Option<Step>,
    chance: Entropy,
    setup: Setup,
    /// What a replay of the journal gives.
    pub durable: State,
    /// Commands stepped.
    pub steps: u64,
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
        Self { core, inbox: VecDeque::new(), batch: None, chance, setup, durable: State::default(), steps: 0 }
    }

    /// Whether it runs.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.core.is_some()
    }

    /// When it wants to be told of the time; while it commits, it does not look.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.core.as_ref().filter(|_| self.batch.is_none()).and_then(Core::next_deadline)
    }

    /// Takes a command in, to be stepped when the batch before it is durable.
    pub fn take(&mut self, command: Command) {
        if self.is_up() {
            self.inbox.push_back(command);
        }
    }

    /// Steps everything that waits, if nothing is being committed. `true` where a batch is to be committed now.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn step(&mut self, now: Time) -> Result<bool, String> {
        let Some(core) = self.core.as_mut().filter(|_| self.batch.is_none() && !self.inbox.is_empty()) else {
            return Ok(false);
        };
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
        self.batch = Some(batch);
        Ok(true)
    }

    /// Whether the batch that waits has anything to commit.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| !batch.events.is_empty())
    }

    /// The batch is durable.
    ///
    /// # Errors
    /// When a replay would give another state than the step did.
    pub fn committed(&mut self) -> Result<(Vec<Event>, Vec<Wish>), String> {
        let Some(Step { events, effects }) = self.batch.take() else { return Ok((Vec::new(), Vec::new())) };
        events.iter().for_each(|event| self.durable.fold(event));
        let core = self.core.as_ref().expect("a coordinator that is down commits nothing");
        if !events.is_empty() && core.state() != &self.durable {
            return Err("replay differs from the step".to_owned());
        }
        let wishes = effects.into_iter().map(|effect| wish(core.state(), effect)).collect();
        Ok((events, wishes))
    }

    /// What the batch that waits wishes, before it is durable: for the mutant that does not wait.
    #[must_use]
    pub fn wishes_too_early(&mut self) -> Vec<Wish> {
        let core = self.core.as_ref().expect("it runs");
        let effects = self.batch.as_mut().map(|batch| std::mem::take(&mut batch.effects)).unwrap_or_default();
        effects.into_iter().map(|effect| wish(core.state(), effect)).collect()
    }

    /// It is killed. Where a commit was under way it may have become durable, without anybody being told.
    pub fn crash(&mut self, durable: bool) -> Vec<Event> {
        self.core = None;
        self.inbox.clear();
        let events = self.batch.take().filter(|_| durable).map(|batch| batch.events).unwrap_or_default();
        events.iter().for_each(|event| self.durable.fold(event));
        events
    }

    /// It starts again, by replay.
    pub fn start(&mut self, now: Time) {
        self.core = Some(Core::resume(self.durable.clone(), self.setup.clone(), now));
    }
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
