//! What goes wrong in a seed: each class of faults is on or off (a swarm), so that rare combinations meet, and some seeds
//! see one class alone.

use regatta_core::Entropy;
use regatta_domain::Micros;

/// The classes of faults, and whether this seed has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swarm {
    /// Connections break, for both sides at different times.
    pub drop: bool,
    /// Connections stall for seconds, and then deliver everything.
    pub stall: bool,
    /// Messages are slow.
    pub slow_network: bool,
    /// Reports are delivered twice, at once or later.
    pub repeat: bool,
    /// Workers die, and others come.
    pub worker_crash: bool,
    /// Workers are stopped and continue later, their tests running on.
    pub worker_pause: bool,
    /// Workers are asked to leave.
    pub drain: bool,
    /// The coordinator dies, before or after a commit.
    pub coordinator_crash: bool,
    /// Commits take long.
    pub slow_commit: bool,
    /// The store is stuck now and then, for longer than leases last.
    pub stuck_store: bool,
    /// Tests fail, crash, hang, flake and skip; with it, limits and retries differ.
    pub bad_tests: bool,
    /// Tests and files take their worker down.
    pub poison: bool,
    /// Files cannot be collected, suites cannot be started.
    pub bad_files: bool,
    /// Files hold other tests than remembered, and other files are there.
    pub changed: bool,
    /// Clients cancel, runs have limits of their own.
    pub cancel: bool,
    /// Clients hand runs in twice.
    pub resubmit: bool,
    /// Tests need seats of resources that are few.
    pub scarce: bool,
    /// Late tests run a second time.
    pub speculate: bool,
    /// Resources are taken back by force, kept for people, found ill, and not brought into order at the first try.
    pub meddle: bool,
}

impl Swarm {
    /// The classes of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut chance = Entropy::from_seed(seed ^ 0x05_1a_7f);
        match seed % 16 {
            // Nothing goes wrong: everything must be exact.
            0 => Self { changed: chance.below(2) == 0, bad_tests: chance.below(2) == 0, ..Self::default() },
            // Only what a restart of the coordinator must survive without running anything twice.
            1 => Self {
                coordinator_crash: true,
                slow_commit: chance.below(2) == 0,
                stuck_store: chance.below(2) == 0,
                bad_tests: chance.below(2) == 0,
                changed: chance.below(2) == 0,
                ..Self::default()
            },
            // The same for connections that break and come back.
            2 => Self { drop: true, repeat: chance.below(2) == 0, bad_tests: chance.below(2) == 0, ..Self::default() },
            _ => {
                let mut on = || chance.below(3) == 0;
                Self {
                    drop: on(),
                    stall: on(),
                    slow_network: on(),
                    repeat: on(),
                    worker_crash: on(),
                    worker_pause: on(),
                    drain: on(),
                    coordinator_crash: on(),
                    slow_commit: on(),
                    stuck_store: on(),
                    bad_tests: on() || on(),
                    poison: on(),
                    bad_files: on(),
                    changed: on() || on(),
                    cancel: on(),
                    resubmit: on(),
                    scarce: on() || on(),
                    speculate: on(),
                    meddle: on(),
                }
            }
        }
    }

    /// Whether what a worker began is never begun again: nothing but the coordinator and connections fails, and those
    /// come back in time.
    #[must_use]
    pub const fn runs_nothing_twice(&self) -> bool {
        let hasty = self.drop && (self.slow_network || self.slow_commit || self.stuck_store || self.coordinator_crash);
        !(hasty
            || self.speculate
            || self.meddle
            || self.stall
            || self.worker_crash
            || self.worker_pause
            || self.drain
            || self.poison
            || self.cancel)
    }

    /// Something that happens to a world, drawn from the classes that are on.
    pub fn draw(&self, chance: &mut Entropy) -> Option<Fault> {
        let mut choices = Vec::new();
        if self.drop {
            let side = [Side::Both, Side::Worker, Side::Coordinator][pick(chance, 3)];
            choices.push(Fault::Drop(side));
        }
        if self.stall {
            choices.push(Fault::Stall(Micros::from_ms(chance.below(12_000))));
        }
        if self.worker_crash {
            choices.push(Fault::CrashWorker(Micros::from_ms(200 + chance.below(4_000))));
        }
        if self.worker_pause {
            choices.push(Fault::PauseWorker(Micros::from_ms(chance.below(30_000))));
        }
        if self.drain {
            choices.push(Fault::Drain(Micros::from_ms(200 + chance.below(4_000))));
        }
        if self.coordinator_crash {
            choices.push(Fault::CrashCoordinator(Micros::from_ms(chance.below(4_000))));
        }
        if self.meddle {
            choices.push(Fault::Meddle);
        }
        (!choices.is_empty()).then(|| choices[pick(chance, choices.len())])
    }
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A connection breaks, and this side notices first.
    Drop(Side),
    /// A connection delivers nothing for this long.
    Stall(Micros),
    /// A worker dies; another comes after this long.
    CrashWorker(Micros),
    /// A worker is stopped for this long.
    PauseWorker(Micros),
    /// A worker is asked to leave; when it has, another comes after this long.
    Drain(Micros),
    /// The coordinator dies, and starts again after this long.
    CrashCoordinator(Micros),
    /// Somebody meddles with what the fleet shares.
    Meddle,
}

/// Who notices that a connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Both at about the same time.
    Both,
    /// The worker at once, the coordinator when the worker dials again (or its silence lasts).
    Worker,
    /// The coordinator at once, the worker seconds later.
    Coordinator,
}

/// An index below `bound`.
pub(super) fn pick(chance: &mut Entropy, bound: usize) -> usize {
    usize::try_from(chance.below(bound as u64)).expect("an index fits")
}
