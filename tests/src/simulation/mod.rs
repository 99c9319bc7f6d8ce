//! The whole cluster in one thread, on a virtual clock and network: the real core, a model of its driver and of its workers,
//! and clients. A seed decides everything; the same seed is the same story.
//!
//! Faults ([`faults`]) and checkers ([`checkers`]) stand apart: neither knows of the other. What is really there, and how it
//! behaves, is [`truth`].

pub mod checkers;
pub mod coordinator;
pub mod faults;
mod losses;
mod machine;
mod misfortune;
#[cfg(feature = "mutants")]
pub mod mutants;
mod plan;
mod resources;
mod sweep;
pub mod truth;
pub mod words;
pub mod worker;
pub mod world;

pub use sweep::{Failure, Shrunk, Swept, replay, shrink, sweep};

use checkers::{Checked, Checkers};
use coordinator::{Coordinator, Wish};
use faults::{Class, Side, Swarm, pick};
use machine::Machine;
use regatta_core::{Command, Entropy, ReplyTo, SessionId, Setup, Tuning};
use regatta_domain::report::CancelCause;
use regatta_domain::{Micros, Offer, RunId, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use truth::TrueRun;
use words::FromWorker;
use world::{Happening, World};

/// When the clock of a world begins.
const DAWN: Time = Time(1_000_000_000);

/// After so many times that others went first, work that needs resources has them kept.
pub const BYPASSES: u32 = 3;

/// After the last fault, every run has ended by then: the longest plan that is drawn, run by one slot with every retry and
/// every loss, stays far below.
const PATIENCE: Micros = Micros::from_secs(1_800);

/// How a seed turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Story {
    /// Stands for everything that happened.
    pub trace: u64,
    /// How long it took by the clock of its world.
    pub span: Micros,
    /// Commands that the core stepped.
    pub steps: u64,
}

/// A world, and everybody in it.
pub struct Simulation {
    world: World,
    chance: Entropy,
    swarm: Swarm,
    coordinator: Coordinator,
    machines: Vec<Machine>,
    clients: Vec<Client>,
    truth: Vec<TrueRun>,
    checkers: Checkers,
    keeper: resources::Keeper,
    offers: BTreeMap<Arc<str>, Offer>,
    tick_at: Option<Time>,
    /// The life of the coordinator in which commits were begun.
    life: u64,
    /// When the last commit under way becomes durable.
    durable_at: Time,
    calm_at: Time,
    /// Effects do not wait for their commit: a fault in the driver, to show that it is noticed.
    hasty: bool,
    /// Where the story is told, if somebody listens.
    told: Option<Vec<String>>,
}

/// A client, and its run.
struct Client {
    run: RunId,
    answered: bool,
    cancels: bool,
}

/// Runs a seed to its end.
///
/// # Errors
/// What broke, in words.
pub fn run(seed: u64) -> Result<Story, String> {
    Simulation::new(seed).run()
}

impl Simulation {
    /// The world of a seed, before anything has happened in it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::without(seed, &[])
    }

    /// The same without some of the faults that the seed has.
    #[must_use]
    pub fn without(seed: u64, dropped: &[Class]) -> Self {
        let swarm = Swarm::of(seed).without(dropped);
        let mut chance = Entropy::from_seed(seed);
        let runs = 1 + u64::from(chance.below(3) == 0);
        let truth: Vec<TrueRun> = (0..runs).map(|number| TrueRun::draw(number, &swarm, &mut chance)).collect();
        let machines = (0..1 + pick(&mut chance, 3)).map(|_| Machine::new(&mut chance)).collect();
        let cancels =
            |chance: &mut Entropy| swarm.draws(Class::Cancel) && chance.below(2) == 0 && swarm.has(Class::Cancel);
        let clients = truth.iter().map(|run| Client { run: run.id, answered: false, cancels: cancels(&mut chance) });
        let clients = clients.collect();
        let tuning = if chance.below(2) == 0 { Tuning::CLUSTER } else { Tuning::LOCAL };
        // Few bypasses are enough here: the runs are small.
        let tuning = Tuning { bypasses: BYPASSES, ..tuning };
        let setup = Setup { resources: resources::offers(), ..Setup::from(tuning) };
        Self {
            world: World::beginning(DAWN),
            coordinator: Coordinator::new(setup, chance.next()),
            checkers: Checkers::new(&swarm),
            keeper: resources::Keeper::default(),
            offers: resources::offers(),
            calm_at: DAWN + Micros::from_ms(2_000 + chance.below(25_000)),
            chance,
            swarm,
            machines,
            clients,
            truth,
            tick_at: None,
            life: 0,
            durable_at: DAWN,
            hasty: false,
            told: None,
        }
    }

    /// Lets the driver perform effects before they are durable.
    #[must_use]
    pub const fn hasty(mut self) -> Self {
        self.hasty = true;
        self
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// What broke, in words.
    pub fn run(mut self) -> Result<Story, String> {
        self.play()
    }

    fn play(&mut self) -> Result<Story, String> {
        for machine in 0..self.machines.len() {
            let wait = Micros::from_ms(self.chance.below(1_000));
            self.world.after(wait, Happening::Arrive(machine));
        }
        for client in 0..self.clients.len() {
            let wait = Micros::from_ms(self.chance.below(2_000));
            let run = self.clients[client].run;
            self.world.after(wait, Happening::Submit(run));
            if self.clients[client].cancels {
                let after = wait + Micros::from_ms(self.chance.below(15_000));
                let kill = self.chance.below(2) == 0;
                self.world.after(after, Happening::Cancel(run, kill));
                self.world.after(after + Micros::from_secs(2), Happening::Cancel(run, true));
            }
        }
        self.world.after(Micros::ZERO, Happening::Fault);
        self.world.at(self.calm_at, Happening::Calm);
        while !self.is_over() {
            let happening = self.world.pass().ok_or("nothing is going to happen any more")?;
            if self.world.now > self.calm_at + PATIENCE {
                return Err(format!("V2: a run has not ended {PATIENCE} after the last fault"));
            }
            self.tell(|| format!("{happening:?}"));
            self.happens(happening)?;
            self.look_at_the_time();
        }
        self.checkers.at_the_end()?;
        let span = self.world.now.since(DAWN);
        Ok(Story { trace: self.world.trace.0, span, steps: self.coordinator.steps })
    }

    fn is_over(&self) -> bool {
        self.clients.iter().all(|client| client.answered && self.checkers.has_ended(client.run))
    }

    fn is_calm(&self) -> bool {
        self.world.now >= self.calm_at
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            told.push(format!("{} {}", self.world.now.since(DAWN), what()));
        }
    }

    fn happens(&mut self, happening: Happening) -> Checked {
        match happening {
            Happening::ToCoordinator(session) => match self.world.at_coordinator(session) {
                Some(word) => {
                    let repeats =
                        self.swarm.has(Class::Repeat) && !self.is_calm() && matches!(word, FromWorker::Report(..));
                    if repeats && self.chance.below(8) == 0 {
                        let later = Micros::from_ms(self.chance.below(3_000) * self.chance.below(2));
                        self.world.repeat(session, word.clone(), later);
                    }
                    self.coordinator_hears(session, word)
                }
                None => Ok(()),
            },
            Happening::Repeated(session) => match self.world.repeated(session) {
                Some(word) => self.coordinator_hears(session, word),
                None => Ok(()),
            },
            Happening::CoordinatorNotices(session) => self.coordinator_notices(session),
            Happening::Restored(thing, errand) => self.restored(thing, errand),
            Happening::Tick => {
                self.tick_at = None;
                if self.coordinator.next_deadline().is_some_and(|at| at <= self.world.now) {
                    self.command(Command::Tick)?;
                }
                Ok(())
            }
            Happening::Commit(life) => {
                if life == self.life && self.coordinator.is_up() {
                    self.commit()?;
                    self.pump()?;
                }
                Ok(())
            }
            Happening::Start => {
                self.tell(|| "the coordinator starts".to_owned());
                self.coordinator.start(self.world.now)?;
                self.checkers.losses.restarted();
                self.keeper_starts()
            }
            Happening::Submit(run) => self.submit(run),
            Happening::Cancel(run, kill) => {
                let reply = ReplyTo(u64::MAX);
                self.command(Command::Cancel { run, cause: CancelCause::Asked, kill, reply })
            }
            Happening::Fault => self.fault(),
            Happening::Calm => self.calm(),
            Happening::ToWorker(_)
            | Happening::WorkerNotices(_)
            | Happening::Dial(..)
            | Happening::Done(..)
            | Happening::Flush(..)
            | Happening::Alive(..)
            | Happening::Arrive(_) => self.machine_happens(happening),
        }
    }

    fn latency(&mut self) -> Micros {
        if self.swarm.has(Class::SlowNetwork) && !self.is_calm() && self.chance.below(8) == 0 {
            Micros::from_ms(self.chance.below(3_000))
        } else {
            Micros(200 + self.chance.below(4_000))
        }
    }

    fn submit(&mut self, run: RunId) -> Checked {
        let client = self.clients.iter().position(|client| client.run == run).expect("a run has a client");
        let again = self.swarm.has(Class::Resubmit) && !self.is_calm() && self.chance.below(3) == 0;
        if self.clients[client].answered && !again {
            return Ok(());
        }
        self.world.after(Micros::from_ms(1_500), Happening::Submit(run));
        let submission = Box::new(self.truth[client].submission.clone());
        self.command(Command::Submit { submission, reply: ReplyTo(client as u64) })
    }

    fn coordinator_hears(&mut self, session: SessionId, word: FromWorker) -> Checked {
        self.tell(|| format!("  coordinator hears {word:?}"));
        let machine = self.world.connections[&session].machine;
        let worker = self.world.connections[&session].worker;
        let slots = self.machines[machine].slots;
        if matches!(word, FromWorker::Report(..) | FromWorker::Alive) {
            self.checkers.losses.heard(worker);
        }
        self.command(match word {
            FromWorker::Hello(holds) => Command::Attach {
                worker,
                session,
                slots,
                labels: Vec::new(),
                capacities: BTreeMap::from([(resources::GPU.into(), 1)]),
                holds,
            },
            FromWorker::Ask(slot) => Command::Ask { worker, session, slot },
            FromWorker::Report(seq, entries) => Command::Report { worker, session, seq, entries: entries.to_vec() },
            FromWorker::Alive => Command::Report { worker, session, seq: 0, entries: Vec::new() },
        })
    }

    fn coordinator_notices(&mut self, session: SessionId) -> Checked {
        let Some(connection) = self.world.connections.get(&session) else { return Ok(()) };
        let worker = connection.worker;
        self.command(Command::Detach { worker, session })
    }

    fn command(&mut self, command: Command) -> Checked {
        self.coordinator.take(command);
        self.pump()
    }

    /// Steps what waits, and commits it: at once where there is nothing to commit or to wait for.
    fn pump(&mut self) -> Checked {
        while self.coordinator.step(self.world.now)? {
            if self.hasty {
                let wishes = self.coordinator.wishes_too_early();
                self.perform(wishes)?;
            }
            if self.coordinator.has_to_wait() {
                let (slow, stuck) = (self.swarm.has(Class::SlowCommit), self.swarm.has(Class::StuckStore));
                let wait = match self.chance.below(if self.is_calm() { 1 } else { 60 }) {
                    1..=10 if slow => self.chance.below(2_500),
                    11 if stuck => self.chance.below(60_000),
                    _ => self.chance.below(4),
                };
                // They become durable in order.
                self.durable_at = self.durable_at.max(self.world.now + Micros::from_ms(wait));
                self.world.at(self.durable_at, Happening::Commit(self.life));
            } else {
                self.commit()?;
            }
        }
        Ok(())
    }

    /// The batch is durable, and its effects are performed; or some of them, and then the coordinator dies.
    fn commit(&mut self) -> Checked {
        let (events, mut wishes) = self.coordinator.committed()?;
        for event in &events {
            self.tell(|| format!("  {event:?}"));
            self.world.trace.note(event);
        }
        self.checkers.committed(&events, &self.truth)?;
        let dies = self.swarm.has(Class::CoordinatorCrash) && !self.is_calm() && self.chance.below(40) == 0;
        if dies {
            wishes.truncate(pick(&mut self.chance, wishes.len() + 1));
        }
        self.perform(wishes)?;
        if dies {
            let wait = Micros::from_ms(self.chance.below(3_000));
            self.crash_coordinator(wait)?;
        }
        Ok(())
    }

    fn perform(&mut self, wishes: Vec<Wish>) -> Checked {
        for wish in wishes {
            match wish {
                Wish::Send(session, word) => {
                    let latency = self.latency();
                    self.tell(|| format!("  coordinator tells {} {word:?}", session.0));
                    self.world.to_worker(session, word, latency);
                }
                Wish::Hangup(session) => {
                    self.tell(|| format!("  coordinator hangs up {}", session.0));
                    self.break_off(session, Side::Coordinator, Micros::from_ms(5));
                }
                Wish::Reset(resource, items, token) => self.reset(&resource, &items, token),
                Wish::Reply(ReplyTo(client), answer) => {
                    if let Some(client) = usize::try_from(client).ok().and_then(|at| self.clients.get_mut(at)) {
                        answer.map_err(|refusal| format!("a run is refused: {refusal:?}"))?;
                        client.answered = true;
                        self.checkers.taken(client.run)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The core is told of the time when its next deadline has come.
    fn look_at_the_time(&mut self) {
        let Some(deadline) = self.coordinator.next_deadline() else { return };
        let deadline = deadline.max(self.world.now);
        if self.tick_at.is_none_or(|at| at > deadline) {
            self.tick_at = Some(deadline);
            self.world.at(deadline, Happening::Tick);
        }
    }

    fn calm(&mut self) -> Checked {
        self.tell(|| "  from now on nothing goes wrong".to_owned());
        self.offers = resources::offers();
        if self.coordinator.is_up() { self.command(Command::Offer { resources: self.offers.clone() }) } else { Ok(()) }
    }
}
