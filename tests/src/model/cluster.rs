//! The tiny cluster: what can happen in it, and what must hold after each of it.

use super::World;
use super::plan::{Plan, submission, test};
use crate::simulation::checkers::recorded;
use crate::simulation::coordinator::{Wish, wish};
use crate::simulation::words::{Activity, Done, FromWorker, Out, ToWorker};
use crate::simulation::worker::Worker;
use regatta_core::state::Phase;
use regatta_core::{Command, Core, Entropy, Event, ReplyTo, SessionId, State, Step, Tuning, invariant};
use regatta_domain::report::RunOutcome;
use regatta_domain::{Micros, Outcome, RunId, SlotIx, TestIx, Time, Token, WorkerId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(super) const RUN: RunId = RunId::from_bits(1);
const SLOT: SlotIx = SlotIx(0);
const DAWN: Time = Time(1_000_000);

/// When nothing else can happen, this much time passes: more than any lease.
const LONG: Micros = Micros::from_secs(20);

/// After so long a time without a word every deadline has passed.
const PATIENCE: u8 = 12;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The connection breaks; with `true`, the coordinator notices at once.
    Drop(usize, bool),
    /// The worker dies, and another comes.
    Crash(usize),
    /// The coordinator hears what a worker has under way twice.
    Repeat(usize),
    /// The coordinator hears what a worker has under way, and dies over it; with `true`, after its commit.
    DieOver(usize, bool),
    /// The coordinator does not hear the worker for so long that it gives it up.
    GiveUp(usize),
}

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A worker dials.
    Dial(usize),
    /// The coordinator hears what a worker has under way. One word at a time would add little: what is heard apart can be
    /// heard before the next word is said.
    Hear(usize),
    /// A worker hears what the coordinator has under way to it.
    Tell(usize),
    /// What a slot does is done.
    Finish(usize),
    /// Time passes.
    Wait,
    /// Something goes wrong.
    Goes(Fault),
}

/// The tiny cluster.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cluster {
    core: Core,
    durable: State,
    now: Time,
    ends: [End; 2],
    faults: u8,
    /// How many tests there are.
    planned: usize,
    /// How often nothing was left to happen but time.
    waits: u8,
    /// What really happened.
    ran: BTreeMap<(Token, TestIx), Outcome>,
    /// What is on record as refused.
    refused: BTreeSet<(Token, TestIx)>,
}

/// A worker, and its connection.
#[derive(Clone, PartialEq, Eq, Hash)]
struct End {
    worker: Worker,
    lives: u8,
    dialled: u64,
    to_coordinator: VecDeque<FromWorker>,
    to_worker: VecDeque<ToWorker>,
}

impl Cluster {
    /// The cluster with its run handed in, and nobody connected.
    #[must_use]
    pub fn new(plan: Plan, faults: u8) -> Self {
        let mut core = Core::new(Tuning { shard_min: Micros::from_secs(10), ..Tuning::LOCAL });
        let submission = Box::new(submission(plan));
        let submit = Command::Submit { submission, reply: ReplyTo(0) };
        let Step { events, .. } = core.step(DAWN, &mut Entropy::from_seed(0), submit);
        let mut durable = State::default();
        events.iter().for_each(|event| durable.fold(event));
        let planned = if plan == Plan::Retry { 1 } else { 2 };
        let ends = [0, 1].map(|at| End::new(at, 1));
        Self {
            core,
            durable,
            now: DAWN,
            ends,
            faults,
            planned,
            waits: 0,
            ran: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (at, end) in self.ends.iter().enumerate() {
            if let Some(session) = end.worker.session {
                faults.extend([Fault::Drop(at, true), Fault::Drop(at, false)]);
                if self.core.presence().is_current(end.worker.id, session) {
                    faults.push(Fault::GiveUp(at));
                }
            }
            if end.lives < 2 {
                faults.push(Fault::Crash(at));
            }
            if !end.to_coordinator.is_empty() {
                faults.extend([Fault::DieOver(at, false), Fault::DieOver(at, true)]);
            }
            if end.to_coordinator.iter().any(|word| matches!(word, FromWorker::Report(..))) {
                faults.push(Fault::Repeat(at));
            }
        }
        faults
    }

    /// With no fault to come an acknowledgement cannot be lost, and changes nothing else: it need not be under way.
    fn acknowledge(&mut self) -> Result<(), String> {
        for at in [0, 1] {
            let words = std::mem::take(&mut self.ends[at].to_worker);
            let (acks, rest) = words.into_iter().partition(|word| matches!(word, ToWorker::Ack(_)));
            self.ends[at].to_worker = rest;
            let acks: VecDeque<ToWorker> = acks;
            acks.into_iter().try_for_each(|ack| self.tell(at, ack))?;
        }
        Ok(())
    }

    fn goes(&mut self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::Drop(at, noticed) => self.lose(at, noticed),
            Fault::Crash(at) => {
                self.lose(at, true)?;
                self.ends[at] = End::new(at, self.ends[at].lives + 1);
                Ok(())
            }
            Fault::Repeat(at) => {
                let words = self.ends[at].to_coordinator.clone();
                self.hear(at, words)
            }
            Fault::DieOver(at, durable) => {
                for word in std::mem::take(&mut self.ends[at].to_coordinator) {
                    if let Some(command) = self.command(at, word) {
                        let Step { events, .. } = self.core.step(self.now, &mut Entropy::from_seed(0), command);
                        if durable {
                            self.record(&events)?;
                        }
                    }
                }
                self.core = Core::resume(self.durable.clone(), self.tuning(), self.now);
                for end in &mut self.ends {
                    end.hang_up();
                }
                Ok(())
            }
            Fault::GiveUp(at) => self.wait(Some(at)),
        }
    }

    const fn tuning(&self) -> Tuning {
        Tuning { shard_min: Micros::from_secs(10), ..Tuning::LOCAL }
    }

    /// A connection breaks.
    fn lose(&mut self, at: usize, noticed: bool) -> Result<(), String> {
        let end = &mut self.ends[at];
        let session = end.worker.session;
        end.hang_up();
        match session.filter(|_| noticed) {
            Some(session) => self.step(Command::Detach { worker: self.ends[at].worker.id, session }),
            None => Ok(()),
        }
    }

    /// Time passes; all that are connected are heard of, but for `silent`.
    fn wait(&mut self, silent: Option<usize>) -> Result<(), String> {
        self.now = self.now + LONG;
        for at in [0, 1] {
            let worker = self.ends[at].worker.id;
            if let Some(session) = self.ends[at].worker.session.filter(|_| silent != Some(at)) {
                self.step(Command::Report { worker, session, seq: 0, entries: Vec::new() })?;
            }
        }
        self.step(Command::Tick)
    }

    fn hear(&mut self, at: usize, words: VecDeque<FromWorker>) -> Result<(), String> {
        words.into_iter().try_for_each(|word| match self.command(at, word) {
            Some(command) => self.step(command),
            None => Ok(()),
        })
    }

    fn tell(&mut self, at: usize, word: ToWorker) -> Result<(), String> {
        let worker = &mut self.ends[at].worker;
        if let ToWorker::Ack(seq) = word {
            worker.reported(seq).iter().try_for_each(|entry| recorded(entry, worker.id, &self.durable))?;
        }
        let out = worker.heard(word);
        self.carry(at, out);
        Ok(())
    }

    fn command(&self, at: usize, word: FromWorker) -> Option<Command> {
        let worker = self.ends[at].worker.id;
        let session = self.ends[at].worker.session?;
        Some(match word {
            FromWorker::Hello(holds) => {
                Command::Attach { worker, session, slots: 1, labels: Vec::new(), capacities: BTreeMap::new(), holds }
            }
            FromWorker::Ask(slot) => Command::Ask { worker, session, slot },
            FromWorker::Report(seq, entries) => Command::Report { worker, session, seq, entries: entries.to_vec() },
            FromWorker::Alive => Command::Report { worker, session, seq: 0, entries: Vec::new() },
        })
    }

    /// The core takes a command; what it records is durable, and what it wishes is done.
    fn step(&mut self, command: Command) -> Result<(), String> {
        let Step { events, effects } = self.core.step(self.now, &mut Entropy::from_seed(0), command);
        self.record(&events)?;
        if self.core.state() != &self.durable {
            return Err("replay differs from the step".to_owned());
        }
        for effect in effects {
            match wish(self.core.state(), effect) {
                Wish::Send(session, word) => {
                    let end = self.ends.iter_mut().find(|end| end.worker.session == Some(session));
                    if let Some(end) = end {
                        end.to_worker.push_back(word);
                    }
                }
                Wish::Reset(..) => unreachable!("nothing of the tiny cluster has hooks"),
                Wish::Hangup(session) => {
                    if let Some(end) = self.ends.iter_mut().find(|end| end.worker.session == Some(session)) {
                        end.hang_up();
                    }
                }
                Wish::Reply(..) => {}
            }
        }
        if self.faults == 0 { self.acknowledge() } else { Ok(()) }
    }

    fn record(&mut self, events: &[Event]) -> Result<(), String> {
        for event in events {
            if let Event::ResultsAccepted { token, results, .. } = event {
                for accepted in results {
                    let result = &accepted.result;
                    if self.ran.get(&(*token, result.test)) != Some(&result.outcome)
                        || self.refused.contains(&(*token, result.test))
                    {
                        return Err(format!(
                            "{result:?} is accepted under {token}, and never happened so, or was refused"
                        ));
                    }
                }
            }
            if let Event::ResultsRefused { token, results, .. } = event {
                for refused in results {
                    if self.ran.get(&(*token, refused.test)) != Some(&refused.outcome)
                        || !self.refused.insert((*token, refused.test))
                    {
                        return Err(format!(
                            "{refused:?} is refused under {token}, and never happened so, or was before"
                        ));
                    }
                }
            }
            self.durable.fold(event);
        }
        invariant::check(&self.durable)
    }

    /// What a slot does is done: the first attempt of the first test fails, everything else goes well.
    fn finish(&mut self, at: usize) -> Result<(), String> {
        let (_, _, token, activity) = self.ends[at].worker.activity(SLOT).expect("something is done");
        let done = match activity {
            Activity::WarmUp => Done::Warm,
            Activity::Discover => Done::Discovered(Vec::new()),
            Activity::Open(_, 0) => Done::Listed(vec![test("listed")]),
            Activity::Open(..) => Done::AsRemembered,
            Activity::Test(granted) => {
                let name = self.durable.runs.get(&RUN).map(|run| run.test(granted.test).name.clone());
                let fails = granted.attempt == 1 && name.as_deref() == Some("fails at first");
                let outcome = if fails { Outcome::Failed } else { Outcome::Passed };
                if self.ran.insert((token, granted.test), outcome).is_some() {
                    return Err(format!("{} runs twice under {token}", granted.test));
                }
                Done::Ran(outcome, None)
            }
        };
        let out = self.ends[at].worker.done(SLOT, done);
        self.carry(at, out);
        Ok(())
    }

    /// Does what a worker wants. News does not linger.
    fn carry(&mut self, at: usize, out: Vec<Out>) {
        let end = &mut self.ends[at];
        let mut words: Vec<Out> = out;
        words.extend(end.worker.flush());
        if end.worker.session.is_some() {
            end.to_coordinator.extend(words.into_iter().filter_map(|out| match out {
                Out::Say(word) => Some(word),
                _ => None,
            }));
        }
    }
}

impl World for Cluster {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        if self.has_ended() {
            return Vec::new();
        }
        // Time passes only when nothing else can, faults apart.
        let mut actions = Vec::new();
        for (at, end) in self.ends.iter().enumerate() {
            // The workers are alike: let it be the first that dials first.
            if end.worker.session.is_none() && (at == 0 || self.ends[0].dialled > 0 || self.ends[0].lives > 1) {
                actions.push(Action::Dial(at));
            }
            if !end.to_coordinator.is_empty() {
                actions.push(Action::Hear(at));
            }
            if !end.to_worker.is_empty() {
                actions.push(Action::Tell(at));
            }
            if end.worker.activity(SLOT).is_some() {
                actions.push(Action::Finish(at));
            }
        }
        if actions.is_empty() {
            actions.push(Action::Wait);
        }
        if self.faults > 0 {
            actions.extend(self.faults().into_iter().map(Action::Goes));
        }
        actions
    }

    fn take(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Dial(at) => {
                let end = &mut self.ends[at];
                end.dialled += 1;
                let hello = end.worker.dial(SessionId(end.worker.id.0.as_u128() as u64 * 100 + end.dialled));
                end.to_coordinator.push_back(hello);
                Ok(())
            }
            Action::Hear(at) => {
                let words = std::mem::take(&mut self.ends[at].to_coordinator);
                self.hear(at, words)
            }
            Action::Tell(at) => {
                let words = std::mem::take(&mut self.ends[at].to_worker);
                words.into_iter().try_for_each(|word| self.tell(at, word))
            }
            Action::Finish(at) => self.finish(at),
            Action::Wait => {
                self.waits += 1;
                if self.waits > PATIENCE {
                    return Err("nothing happens, however long one waits".to_owned());
                }
                self.wait(None)
            }
            Action::Goes(fault) => {
                self.faults -= 1;
                self.goes(fault)?;
                if self.faults == 0 { self.acknowledge() } else { Ok(()) }
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.durable.runs.get(&RUN).is_none_or(|run| matches!(run.phase, Phase::Ended(_)))
    }

    fn at_the_end(&self) -> Result<(), String> {
        let run = self.durable.runs.get(&RUN).ok_or("the run was forgotten before its end")?;
        if run.phase != Phase::Ended(RunOutcome::Green) {
            return Err(format!("the run ends as {:?}", run.phase));
        }
        let unproven = (0..self.planned)
            .map(TestIx::nth)
            .find(|ix| !self.ran.iter().any(|(&(_, test), &outcome)| test == *ix && outcome == Outcome::Passed));
        if let Some(ix) = unproven {
            return Err(format!("the run is green, and test {ix} never passed"));
        }
        let fine = (run.counts.passed + run.counts.flaky) as usize;
        let planned = run.counts.total() as usize;
        if fine == self.planned && planned == self.planned {
            Ok(())
        } else {
            Err(format!("the run is green with {:?}, and {} tests were planned", run.counts, self.planned))
        }
    }
}

impl End {
    fn new(at: usize, lives: u8) -> Self {
        let id = WorkerId::from_bits(at as u128 * 10 + u128::from(lives));
        let (to_coordinator, to_worker) = (VecDeque::new(), VecDeque::new());
        Self { worker: Worker::new(id, 1), lives, dialled: 0, to_coordinator, to_worker }
    }

    fn hang_up(&mut self) {
        self.worker.hung_up();
        self.to_coordinator.clear();
        self.to_worker.clear();
    }
}
