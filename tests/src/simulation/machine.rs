//! The machines of a world, on which workers come and go: what their slots do takes time here, and ends as the truth has it.

use super::Simulation;
use super::checkers::Checked;
use super::faults::{Side, pick};
use super::truth::{Behaviour, Listing, TrueFile, TrueSuite, number};
use super::words::{Activity, Done, FromWorker, Out};
use super::worker::Worker;
use super::world::{self, Happening, Life};
use regatta_core::{Entropy, SessionId};
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{Cause, FileIx, Micros, Nuance, Outcome, RunId, SlotIx, SuiteIx, TestIx, Time, WorkerId};
use std::sync::Arc;

/// A machine, and the worker on it.
pub(super) struct Machine {
    worker: Option<Worker>,
    life: Life,
    pub(super) slots: u16,
    pub(super) paused_until: Time,
    /// Which of the things that a slot has done is the present one.
    turns: Vec<u64>,
    lingers: bool,
    /// Another worker comes when this one has left.
    successor_after: Micros,
}

/// How often a worker that has nothing to say gives a sign of life.
const ALIVE: Micros = Micros::from_secs(5);

/// Small news waits this long for company.
const LINGER: Micros = Micros::from_ms(5);
/// How a flaky test may end, drawn anew for each attempt.
const FLAKES: [Outcome; 5] = [Outcome::Passed, Outcome::Failed, Outcome::Passed, Outcome::Failed, Outcome::Skipped];
/// What may be behind a crash, drawn anew for each.
const CRASHES: [Cause; 4] = [Cause::Crash, Cause::Crash, Cause::OutOfMemory, Cause::Infrastructure];

impl Machine {
    pub(super) fn new(chance: &mut Entropy) -> Self {
        let slots = 1 + u16::try_from(chance.below(2)).expect("small");
        Self {
            worker: None,
            life: 0,
            slots,
            paused_until: Time::default(),
            turns: vec![0; usize::from(slots)],
            lingers: false,
            successor_after: Micros::ZERO,
        }
    }

    /// The connection that its worker believes in.
    pub(super) fn session(&self) -> Option<SessionId> {
        self.worker.as_ref().and_then(|worker| worker.session)
    }
}

impl Simulation {
    /// Something happens at a machine; while its worker is stopped, nothing does.
    pub(super) fn machine_happens(&mut self, happening: Happening) -> Checked {
        let (at, life) = match happening {
            Happening::ToWorker(session) | Happening::WorkerNotices(session) => {
                let Some(connection) = self.world.connections.get(&session) else { return Ok(()) };
                (connection.machine, connection.life)
            }
            Happening::Dial(at, life) | Happening::Flush(at, life) | Happening::Alive(at, life) => (at, life),
            Happening::Done(at, life, ..) => (at, life),
            Happening::Arrive(at) => return self.arrive(at),
            _ => unreachable!("{happening:?} does not happen at a machine"),
        };
        let machine = &mut self.machines[at];
        if machine.life != life || machine.worker.is_none() {
            return Ok(());
        }
        if machine.paused_until > self.world.now {
            let until = machine.paused_until;
            self.world.at(until, happening);
            return Ok(());
        }
        let worker = machine.worker.as_mut().expect("there is a worker");
        match happening {
            Happening::ToWorker(session) => {
                let Some(word) = self.world.at_worker(session) else { return Ok(()) };
                let id = worker.id;
                if worker.session != Some(session) {
                    return Ok(());
                }
                self.checkers.heard(id, &word, &self.coordinator.durable)?;
                let shown = self.told.is_some().then(|| format!("  {id} hears {word:?}"));
                let out = worker.heard(word);
                if let Some(shown) = shown {
                    self.tell(|| shown);
                }
                self.carry(at, out)
            }
            Happening::WorkerNotices(session) => {
                self.world.connections.remove(&session);
                if worker.session == Some(session) {
                    worker.hung_up();
                    let wait = Micros::from_ms(50 + self.chance.below(900));
                    self.world.after(wait, Happening::Dial(at, life));
                }
                Ok(())
            }
            Happening::Dial(..) => {
                self.dial(at);
                Ok(())
            }
            Happening::Flush(..) => {
                machine.lingers = false;
                let out = worker.flush();
                self.carry(at, out)
            }
            Happening::Alive(..) => {
                self.world.after(ALIVE, Happening::Alive(at, life));
                if let Some(session) = worker.session {
                    self.send(session, FromWorker::Alive);
                }
                Ok(())
            }
            Happening::Done(_, _, slot, turn) => {
                if machine.turns[slot.at()] == turn {
                    self.done(at, slot)
                } else {
                    Ok(())
                }
            }
            _ => unreachable!("matched above"),
        }
    }

    fn arrive(&mut self, at: world::Machine) -> Checked {
        let machine = &mut self.machines[at];
        machine.life += 1;
        let id = WorkerId::from_bits((at as u128 + 1) * 1_000 + u128::from(machine.life));
        machine.worker = Some(Worker::new(id, machine.slots));
        machine.paused_until = Time::default();
        machine.lingers = false;
        let life = machine.life;
        self.world.after(ALIVE, Happening::Alive(at, life));
        self.dial(at);
        Ok(())
    }

    fn dial(&mut self, at: world::Machine) {
        let life = self.machines[at].life;
        if !self.coordinator.is_up() {
            let wait = Micros::from_ms(100 + self.chance.below(1_000));
            return self.world.after(wait, Happening::Dial(at, life));
        }
        let worker = self.machines[at].worker.as_mut().expect("a worker dials");
        let session = self.world.connect(at, life, worker.id);
        let hello = worker.dial(session);
        self.send(session, hello);
    }

    fn send(&mut self, session: SessionId, word: FromWorker) {
        let latency = self.latency();
        self.world.to_coordinator(session, word, latency);
    }

    /// Does what a worker wants.
    fn carry(&mut self, at: world::Machine, out: Vec<Out>) -> Checked {
        let life = self.machines[at].life;
        for out in out {
            match out {
                Out::Say(word) => {
                    let worker = self.machines[at].worker.as_ref().expect("a worker speaks");
                    self.checkers.said(worker.id, &word);
                    if let Some(session) = worker.session {
                        self.send(session, word);
                    }
                }
                Out::Linger => {
                    if !std::mem::replace(&mut self.machines[at].lingers, true) {
                        self.world.after(LINGER, Happening::Flush(at, life));
                    }
                }
                Out::Halt(slot) => self.machines[at].turns[slot.at()] += 1,
                Out::Begin(slot, run, suite, token, activity) => {
                    self.machines[at].turns[slot.at()] += 1;
                    if let Activity::Test(granted) = &activity {
                        let id = self.machines[at].worker.as_ref().expect("a worker begins").id;
                        self.tell(|| format!("  {id} begins {} under {token}", granted.test));
                        self.checkers.began(id, token, granted.test)?;
                    }
                    if let Some(takes) = self.takes(run, suite, &activity) {
                        let turn = self.machines[at].turns[slot.at()];
                        self.world.after(takes, Happening::Done(at, life, slot, turn));
                    }
                }
            }
        }
        if self.machines[at].worker.as_ref().is_some_and(Worker::is_done) {
            self.kill(at, self.machines[at].successor_after);
        }
        Ok(())
    }

    /// What is really behind a file of a run.
    fn true_file(&self, run: RunId, suite: SuiteIx, file: FileIx) -> Option<&TrueFile> {
        let (_, path) = self.checkers.plan(run)?.files.get(file.at())?;
        self.truth.iter().find(|truth| truth.id == run)?.file(suite.at(), path)
    }

    fn true_suite(&self, run: RunId, suite: SuiteIx) -> &TrueSuite {
        let truth = self.truth.iter().find(|truth| truth.id == run).expect("a run is there");
        &truth.suites[suite.at()]
    }

    /// How long something takes; `None` where it never ends by itself.
    fn takes(&mut self, run: RunId, suite: SuiteIx, activity: &Activity) -> Option<Micros> {
        Some(match activity {
            Activity::WarmUp => Micros::from_ms(self.chance.below(4) * self.chance.below(150)),
            Activity::Discover => Micros::from_ms(20 + self.chance.below(400)),
            Activity::Open(..) => Micros::from_ms(1 + self.chance.below(100)),
            Activity::Test(granted) => {
                let (behaviour, takes) = self.behaviour(run, suite, granted.test)?;
                match behaviour {
                    Behaviour::HangsHard => return None,
                    Behaviour::Hangs => {
                        let plan = self.checkers.plan(run)?;
                        plan.policies[plan.test(granted.test).ok()?.policy].timeout
                            + Micros::from_ms(self.chance.below(900))
                    }
                    _ => takes,
                }
            }
        })
    }

    /// How a test behaves; one that is not there takes no time, and is missed.
    fn behaviour(&self, run: RunId, suite: SuiteIx, test: TestIx) -> Option<(Behaviour, Micros)> {
        let planned = self.checkers.plan(run)?.test(test).ok()?;
        let file = self.true_file(run, suite, FileIx::nth(planned.file));
        let found = file.and_then(|file| file.tests.get(number(&planned.name)?));
        Some(found.map_or((Behaviour::Skips, Micros::ZERO), |test| (test.behaviour, test.takes)))
    }

    fn outcome(&mut self, run: RunId, suite: SuiteIx, test: TestIx) -> Option<Outcome> {
        let planned = self.checkers.plan(run)?.test(test).ok()?;
        let file = self.true_file(run, suite, FileIx::nth(planned.file));
        let Some(found) = file.and_then(|file| file.tests.get(number(&planned.name)?)) else {
            return Some(Outcome::Missing);
        };
        Some(match found.behaviour {
            Behaviour::Passes => Outcome::Passed,
            Behaviour::Fails => Outcome::Failed,
            Behaviour::Skips => Outcome::Skipped,
            Behaviour::Crashes => Outcome::Crashed,
            Behaviour::Hangs => Outcome::TimedOut,
            Behaviour::Flakes => FLAKES[pick(&mut self.chance, FLAKES.len())],
            Behaviour::HangsHard | Behaviour::Poison => return None,
        })
    }

    /// What a slot did is done, in the way that the truth has it.
    fn done(&mut self, at: world::Machine, slot: SlotIx) -> Checked {
        let worker = self.machines[at].worker.as_ref().expect("a worker is at work");
        let Some((run, suite, token, activity)) = worker.activity(slot) else { return Ok(()) };
        if !self.coordinator.durable.runs.contains_key(&run) {
            return Ok(());
        }
        let done = match activity {
            Activity::WarmUp if self.true_suite(run, suite).broken => {
                Done::Broken(error(RunErrorKind::Runner, "suite"))
            }
            Activity::WarmUp => Done::Warm,
            Activity::Discover => {
                let files = &self.true_suite(run, suite).files;
                Done::Discovered(files.iter().map(|file| file.draft(false)).collect())
            }
            Activity::Open(file, remembered) => {
                let shaken = self.chance.below(2) == 0;
                match self.true_file(run, suite, file) {
                    None => Done::Listed(Vec::new()),
                    Some(file) => match file.listing {
                        Listing::Broken => Done::Broken(error(RunErrorKind::Collection, &file.path)),
                        Listing::Shaky if shaken => Done::Broken(error(RunErrorKind::Collection, &file.path)),
                        Listing::Poison => return self.poisoned(at),
                        _ if remembered == file.digest => Done::AsRemembered,
                        _ => Done::Listed(file.drafts()),
                    },
                }
            }
            Activity::Test(granted) => {
                let Some(outcome) = self.outcome(run, suite, granted.test) else { return self.poisoned(at) };
                let cause = (outcome == Outcome::Crashed).then(|| CRASHES[pick(&mut self.chance, CRASHES.len())]);
                let cause = cause.or_else(|| outcome.cause(Nuance::Plain));
                self.checkers.ended(token, granted.test, outcome, cause);
                Done::Ran(outcome, cause)
            }
        };
        let out = self.machines[at].worker.as_mut().expect("a worker is at work").done(slot, done);
        self.carry(at, out)
    }

    fn poisoned(&mut self, at: world::Machine) -> Checked {
        self.tell(|| format!("  machine {at} does not survive it"));
        let wait = Micros::from_ms(200 + self.chance.below(2_000));
        self.kill(at, wait);
        Ok(())
    }

    /// The worker of a machine is gone; another comes after a while.
    pub(super) fn kill(&mut self, at: world::Machine, wait: Micros) {
        let Some(worker) = self.machines[at].worker.take() else { return };
        if let Some(session) = worker.session {
            let side = [Side::Both, Side::Worker][pick(&mut self.chance, 2)];
            self.break_off(session, side, Micros::ZERO);
        }
        self.world.after(wait, Happening::Arrive(at));
    }

    /// A worker is asked to leave, and not always given the time.
    pub(super) fn drain(&mut self, at: world::Machine, wait: Micros) -> Checked {
        let hard = self.chance.below(3) == 0;
        self.machines[at].successor_after = wait;
        let is_stopped = self.machines[at].paused_until > self.world.now;
        match self.machines[at].worker.as_mut().filter(|_| !is_stopped) {
            Some(worker) => {
                let out = worker.drain(hard);
                self.carry(at, out)
            }
            None => Ok(()),
        }
    }
}

fn error(kind: RunErrorKind, place: &str) -> RunError {
    RunError { kind, place: place.into(), message: Arc::from("it is broken") }
}
