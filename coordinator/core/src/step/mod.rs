//! The step: a moment, chance and a command go in; events and effects come out. One file a kind of command.

mod cut;
mod deadline;
mod end;
mod grant;
mod listing;
mod refuse;
mod report;
mod resources;
mod result;
mod session;
mod speculate;
mod steal;
mod submit;

use crate::Refusal;
use crate::agenda::{Agenda, Deadline};
use crate::command::{Command, ReplyTo, SessionId, Setup};
use crate::effect::{Effect, ToWorker};
use crate::entropy::Entropy;
use crate::event::Event;
use crate::ledger::Ledger;
use crate::mutant::{self, Mutant};
use crate::presence::{Presence, Standing};
use crate::state::{Phase, Run, State};
use regatta_domain::limits::LEASES_PER_SLOT;
use regatta_domain::{Micros, RunId, Time, WorkerId};
use std::collections::BTreeSet;

/// The state machine: durable state, volatile presence, and the deadlines that follow from both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    state: State,
    presence: Presence,
    agenda: Agenda,
    ledger: Ledger,
    setup: Setup,
}

/// What comes of a command: facts to be made durable, and wishes to be performed after that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Step {
    /// The facts, already folded into the core's own state.
    pub events: Vec<Event>,
    /// The wishes, in order.
    pub effects: Vec<Effect>,
}

impl Core {
    /// A core that knows of nothing.
    #[must_use]
    pub fn new(setup: impl Into<Setup>) -> Self {
        Self::resume(State::default(), setup, Time::default())
    }

    /// A core that goes on from a replayed state. Every worker that holds something of a live run, or keeps something warm
    /// for it, has one lease time of grace in which it may come back.
    #[must_use]
    pub fn resume(state: State, setup: impl Into<Setup>, now: Time) -> Self {
        let setup = setup.into();
        let tuning = setup.tuning;
        let mut agenda = Agenda::default();
        let grace = if mutant::is(Mutant::NoGrace) { Micros::ZERO } else { tuning.lease };
        for lease in state.leases.values() {
            agenda.set(Deadline::WorkerSilent(lease.worker), now + grace);
        }
        for run in state.runs.values() {
            let expected = match &run.phase {
                Phase::Running => &run.served,
                Phase::Closing(waiting) => waiting,
                Phase::Ended(_) => &BTreeSet::new(),
            };
            for &worker in expected {
                agenda.set(Deadline::WorkerSilent(worker), now + grace);
            }
            match run.phase {
                Phase::Running => {
                    if let Some(limit) = run.policy.timeout {
                        agenda.set(Deadline::RunLimit(run.id), run.submitted + limit);
                    }
                    if let Some(&(at, _)) = run.delayed.first() {
                        agenda.set(Deadline::RetryDue(run.id), at);
                    }
                }
                Phase::Closing(_) => agenda.set(Deadline::CloseOverdue(run.id), now + tuning.close),
                Phase::Ended(_) => agenda.set(Deadline::Forget(run.id), now + tuning.keep),
            }
        }
        let mut ledger = Ledger::default();
        ledger.offer(&setup.resources, &state, now);
        for run in state.runs.values().filter(|run| run.phase == Phase::Running) {
            ledger.enter(run);
            agenda.set(Deadline::Patience(run.id), now + tuning.patience);
        }
        ledger.count(&state, now);
        let presence = Presence::after(state.last_token);
        let mut core = Self { state, presence, agenda, ledger, setup };
        core.await_unkept(now);
        core
    }

    /// Takes a command.
    pub fn step(&mut self, now: Time, entropy: &mut Entropy, command: Command) -> Step {
        let mut turn = Turn { core: self, now, entropy, out: Step::default() };
        turn.take(command);
        turn.settle();
        turn.out
    }

    /// The durable state.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Who is there.
    #[must_use]
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }

    /// What is free of the fleet's resources.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What it was told once.
    #[must_use]
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// When the next [`Command::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.agenda.next()
    }
}

/// One step in the making.
struct Turn<'a> {
    core: &'a mut Core,
    now: Time,
    entropy: &'a mut Entropy,
    out: Step,
}

impl Turn<'_> {
    fn take(&mut self, command: Command) {
        match command {
            Command::Submit { submission, reply } => self.submit(submission, reply),
            Command::Cancel { run, cause, kill, reply } => {
                let known = self.run(run).is_some();
                self.cancel(run, cause, kill);
                self.reply(reply, if known { Ok(()) } else { Err(Refusal::UnknownRun) });
            }
            Command::Attach { worker, session, slots, labels, capacities, holds } => {
                self.attach(worker, session, (slots, labels, capacities), &holds);
            }
            Command::Detach { worker, session } => self.detach(worker, session),
            Command::Ask { worker, session, slot } => self.ask(worker, session, slot),
            Command::Report { worker, session, seq, entries } => self.report(worker, session, seq, entries),
            Command::Offer { resources } => self.offer(resources),
            Command::Examined { resource, item, health, after } => self.examined(&resource, item, health, after),
            Command::Revoke { resource, item, reply } => self.revoke(&resource, item.as_ref(), reply),
            Command::HeldUp => self.held_up(),
            Command::Tick => self.tick(),
        }
    }

    /// What follows from the new state, whatever brought it about: runs move on, slots that ask are served.
    fn settle(&mut self) {
        self.end_runs();
        self.serve();
        self.steal();
        self.speculate();
    }

    /// Records a fact: folds it at once, so that what follows in this step sees it.
    fn record(&mut self, event: Event) {
        let lease = match &event {
            Event::ShardLeased { worker, slot, holds, .. } => Some((*worker, *slot, holds.clone())),
            Event::LeaseEnded { token, .. } => {
                let lease = self.core.state.leases.get(token);
                lease.map(|lease| (lease.worker, lease.slot, lease.holds.clone()))
            }
            _ => None,
        };
        self.core.state.fold(&event);
        if let Some((worker, slot, holds)) = lease {
            let standing = Standing::holding(self.held(worker, slot), LEASES_PER_SLOT);
            self.core.presence.asks.stand(worker, slot, standing);
            if let Event::LeaseEnded { token, .. } = event {
                self.reset(&holds, token);
            }
            self.core.ledger.recount(holds.iter().map(|held| &held.resource), &self.core.state, self.now);
        }
        self.out.events.push(event);
    }

    fn send(&mut self, worker: WorkerId, message: ToWorker) {
        if let Some(session) = self.core.presence.session(worker) {
            self.out.effects.push(Effect::Send { worker, session, message });
        }
    }

    fn hang_up(&mut self, worker: WorkerId, session: SessionId) {
        self.out.effects.push(Effect::Hangup { worker, session });
    }

    fn reply(&mut self, reply: ReplyTo, answer: Result<(), Refusal>) {
        self.out.effects.push(Effect::Reply { reply, answer });
    }

    fn run(&self, run: RunId) -> Option<&Run> {
        self.core.state.runs.get(&run)
    }
}
