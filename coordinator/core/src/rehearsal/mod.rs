//! A rehearsal: the very core, on a virtual clock, with slots that do what real ones do. What `regatta plan` predicts, and
//! what the laboratory in `tests/` measures the scheduler by.
//!
//! It knows the plan (estimates, as the core is told them) and the play (how long things really take) apart: for a
//! prediction they are the same, in the laboratory they are not. It leaves loss, repetition and crashes to the simulation.

mod clock;
mod slot;

use crate::command::{Command, Entry, ReplyTo, SessionId, Setup};
use crate::effect::{Effect, GrantedWork, ToWorker};
use crate::entropy::Entropy;
use crate::event::Event;
use crate::state::Place;
use crate::step::Core;
use clock::Clock;
use regatta_domain::submission::Submission;
use regatta_domain::{Costs, Micros, RunId, SlotIx, SuiteIx, TestIx, Time, Token, WorkerId};
use slot::Slot;
use std::collections::BTreeMap;
use std::sync::Arc;

/// When the clock of a rehearsal begins.
const DAWN: Time = Time(1_000_000_000_000);

/// No rehearsal is longer: what has not run by then never will.
const FOREVER: Micros = Micros::from_secs(365 * 24 * 3_600);

/// A worker that dies is noticed so much later: what a silent session takes.
const DETECTION: Micros = Micros::from_secs(15);

/// A slot of the fleet, each a worker of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its speed, in thousandths of that of the machines that history was measured on.
    pub speed: u32,
    /// When it dies, counted from the start.
    pub dies_at: Option<Micros>,
    /// What it offers.
    pub labels: Vec<Arc<str>>,
}

impl Default for Station {
    fn default() -> Self {
        Self { speed: 1_000, dies_at: None, labels: Vec::new() }
    }
}

/// How long things really take.
pub struct Play<'a> {
    /// Each test, by its place in the submission, on a slot of speed 1.
    pub takes: &'a dyn Fn(TestIx) -> Micros,
    /// What it costs beside the tests, by suite.
    pub costs: &'a dyn Fn(SuiteIx) -> Costs,
    /// A message from a worker to the coordinator, or back.
    pub latency: Micros,
}

/// A test at a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stint {
    /// The run, by its place among the submissions.
    pub run: usize,
    /// The test.
    pub test: TestIx,
    /// The slot.
    pub slot: usize,
    /// When it began, from the start; set-up included.
    pub began: Micros,
    /// When it ended.
    pub ended: Micros,
    /// The shard it belonged to.
    pub token: Token,
}

/// What came of a rehearsal.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// From the start to the end of the last test.
    pub makespan: Micros,
    /// Every execution that came to its end, in the order in which they ended.
    pub stints: Vec<Stint>,
    /// How many shards were leased.
    pub shards: u32,
    /// How often tests were taken back.
    pub steals: u32,
    /// Commands that the core stepped.
    pub steps: u64,
    /// Tests that never ran, because nothing offers what they need.
    pub stranded: u32,
}

/// Rehearses runs on a fleet. The same arguments give the same play.
#[must_use]
pub fn rehearse(submissions: Vec<Submission>, setup: Setup, stations: &[Station], play: &Play<'_>) -> Played {
    Rehearsal::new(submissions, setup, stations, play).run()
}

/// Whoever looks on: is told of every event, with the core as it stands after the step.
pub type Onlooker<'a> = dyn FnMut(Time, &Core, &Event) + 'a;

/// Rehearses runs with an onlooker.
#[must_use]
pub fn rehearse_before(
    submissions: Vec<Submission>,
    setup: Setup,
    stations: &[Station],
    play: &Play<'_>,
    onlooker: &mut Onlooker<'_>,
) -> Played {
    let mut rehearsal = Rehearsal::new(submissions, setup, stations, play);
    rehearsal.onlooker = Some(onlooker);
    rehearsal.run()
}

/// What happens next in a rehearsal.
enum Happening {
    /// Words reach the coordinator.
    Hear(Command),
    /// Words reach a slot.
    Tell(usize, ToWorker),
    /// The slot may have something to do: its test has ended, or its work runs low.
    Look(usize),
    /// A slot dies.
    Die(usize),
    /// The core has a deadline.
    Tick,
}

struct Rehearsal<'a> {
    core: Core,
    entropy: Entropy,
    clock: Clock<Happening>,
    slots: Vec<Slot>,
    runs: Vec<RunId>,
    play: &'a Play<'a>,
    out: Played,
    tick_at: Option<Time>,
    live: usize,
    onlooker: Option<&'a mut Onlooker<'a>>,
}

impl<'a> Rehearsal<'a> {
    fn new(submissions: Vec<Submission>, mut setup: Setup, stations: &[Station], play: &'a Play<'a>) -> Self {
        // Nobody here is silent by chance: signs of life would only take time.
        setup.tuning.lease = FOREVER;
        setup.tuning.reconnect = Micros::ZERO;
        setup.tuning.overdue = setup.tuning.lease;
        setup.tuning.keep = setup.tuning.lease;
        // Nobody comes later, either: what cannot run is stranded.
        setup.tuning.patience = FOREVER;
        let mut clock = Clock::new(DAWN);
        let runs: Vec<RunId> = submissions.iter().map(|submission| submission.run).collect();
        for submission in submissions {
            let submit = Command::Submit { submission: Box::new(submission), reply: ReplyTo(0) };
            clock.at(DAWN, Happening::Hear(submit));
        }
        let mut slots = Vec::with_capacity(stations.len());
        for (at, station) in stations.iter().enumerate() {
            let slot = Slot::new(at, station.speed);
            let labels = station.labels.clone();
            let (worker, session) = (slot.worker(), slot.session());
            clock.at(
                DAWN,
                Happening::Hear(Command::Attach {
                    worker,
                    session,
                    slots: 1,
                    labels,
                    capacities: BTreeMap::new(),
                    holds: Vec::new(),
                }),
            );
            if let Some(after) = station.dies_at {
                clock.at(DAWN + after, Happening::Die(at));
            }
            slots.push(slot);
        }
        // All have attached before the first asks: a fleet that is there, not one that arrives.
        for slot in &slots {
            clock.at(DAWN, Happening::Hear(slot.asks()));
        }
        let live = runs.len();
        Self {
            core: Core::new(setup),
            entropy: Entropy::from_seed(1),
            clock,
            slots,
            runs,
            play,
            out: Played::default(),
            tick_at: None,
            live,
            onlooker: None,
        }
    }

    fn run(mut self) -> Played {
        while self.live > 0 {
            let Some(happening) = self.clock.pass().filter(|_| self.clock.now() < DAWN + FOREVER) else { break };
            match happening {
                Happening::Hear(command) => self.step(command),
                Happening::Tell(slot, message) => self.tell(slot, message),
                Happening::Look(slot) => self.look(slot),
                Happening::Die(slot) => self.die(slot),
                Happening::Tick => {
                    self.tick_at = None;
                    self.step(Command::Tick);
                }
            }
        }
        let last = self.out.stints.iter().map(|stint| stint.ended).max();
        self.out.makespan = last.unwrap_or_default();
        let waiting = |run: &RunId| {
            let tests = self.core.state().run(*run).map_or(&[][..], |run| &run.tests);
            tests.iter().filter(|test| test.place == Place::Waiting).count()
        };
        self.out.stranded = u32::try_from(self.runs.iter().map(waiting).sum::<usize>()).unwrap_or(u32::MAX);
        self.out
    }

    fn step(&mut self, command: Command) {
        let now = self.clock.now();
        let step = self.core.step(now, &mut self.entropy, command);
        self.out.steps += 1;
        for event in &step.events {
            if let Some(onlooker) = &mut self.onlooker {
                onlooker(now, &self.core, event);
            }
            match event {
                Event::ShardLeased { .. } => self.out.shards += 1,
                Event::TestsGivenBack { .. } => self.out.steals += 1,
                Event::RunEnded { .. } => self.live -= 1,
                _ => {}
            }
        }
        for effect in step.effects {
            if let Effect::Send { worker, message, .. } = effect {
                let slot = Slot::of(worker);
                self.clock.at(now + self.play.latency, Happening::Tell(slot, message));
            }
        }
        if let Some(next) = self.core.next_deadline()
            && self.tick_at.is_none_or(|at| next < at)
        {
            self.tick_at = Some(next);
            self.clock.at(next.max(now), Happening::Tick);
        }
    }

    fn tell(&mut self, at: usize, message: ToWorker) {
        let now = self.clock.now();
        let slot = &mut self.slots[at];
        if slot.is_dead() {
            return;
        }
        match message {
            ToWorker::Grant(grant) => {
                if let GrantedWork::Run(tests) = grant.work {
                    let run = &self.core.state().runs[&grant.run];
                    let mut work = Vec::with_capacity(tests.len());
                    for granted in tests {
                        let found = run.test(granted.test);
                        let group = run.group(found.group);
                        work.push(slot::Work {
                            test: granted.test,
                            attempt: granted.attempt,
                            estimate: found.takes(),
                            file: found.file,
                            group: group.shared.then_some(found.group),
                        });
                    }
                    slot.grant(grant.run, grant.token, grant.suite, work);
                }
            }
            ToWorker::Steal { token, tests } => {
                let entries = slot.give_back(token, &tests);
                self.say(at, entries);
            }
            ToWorker::Stop { token, .. } => {
                let entries = slot.stop(token, now);
                self.say(at, entries);
            }
            ToWorker::Close { run } => self.say(at, vec![Entry::Closed { run, errors: Vec::new() }]),
            ToWorker::Attached | ToWorker::Numbered { .. } | ToWorker::Ack { .. } => {}
        }
        self.look(at);
    }

    /// Moves a slot on as far as it goes now, and looks again when it can go on.
    fn look(&mut self, at: usize) {
        let now = self.clock.now();
        let slot = &mut self.slots[at];
        if slot.is_dead() {
            return;
        }
        let mut entries = Vec::new();
        let moved = slot.move_on(now, self.play, &mut entries);
        if let Some(done) = moved.done {
            let run = self.runs.iter().position(|&run| run == done.run).unwrap_or_default();
            self.out.stints.push(Stint {
                run,
                test: done.test,
                slot: at,
                began: done.began.since(DAWN),
                ended: done.ended.since(DAWN),
                token: done.token,
            });
        }
        if let Some(next) = moved.next {
            self.clock.at(next, Happening::Look(at));
        }
        let asks = moved.asks.then(|| self.slots[at].asks());
        self.say(at, entries);
        if let Some(ask) = asks {
            self.clock.at(now + self.play.latency, Happening::Hear(ask));
        }
    }

    fn say(&mut self, at: usize, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let slot = &self.slots[at];
        let report = Command::Report { worker: slot.worker(), session: slot.session(), seq: 0, entries };
        self.clock.at(self.clock.now() + self.play.latency, Happening::Hear(report));
    }

    fn die(&mut self, at: usize) {
        self.slots[at].die();
        let (worker, session) = (self.slots[at].worker(), self.slots[at].session());
        self.clock.at(self.clock.now() + DETECTION, Happening::Hear(Command::Detach { worker, session }));
    }
}

/// The identity of a slot as a worker.
const fn worker(at: usize) -> WorkerId {
    WorkerId::from_bits(at as u128 + 1)
}

/// Its one connection.
const fn session(at: usize) -> SessionId {
    SessionId(at as u64 + 1)
}

/// Its one slot.
const SLOT: SlotIx = SlotIx(0);
