//! What goes wrong in a seed: each class of faults is on or off (a swarm), so that rare combinations meet, and some seeds
//! see one class alone.

use regatta_core::Entropy;
use regatta_domain::Micros;
use std::fmt;

/// A class of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Connections break, for both sides at different times.
    Drop,
    /// Connections stall for seconds, and then deliver everything.
    Stall,
    /// Messages are slow.
    SlowNetwork,
    /// Reports are delivered twice, at once or later.
    Repeat,
    /// Workers die, and others come.
    WorkerCrash,
    /// Workers are stopped and continue later, their tests running on.
    WorkerPause,
    /// Workers are asked to leave.
    Drain,
    /// The coordinator dies, before or after a commit.
    CoordinatorCrash,
    /// Commits take long.
    SlowCommit,
    /// The store is stuck now and then, for longer than leases last.
    StuckStore,
    /// Tests fail, crash, hang, flake and skip; with it, limits and retries differ.
    BadTests,
    /// Tests and files take their worker down.
    Poison,
    /// Files cannot be collected, suites cannot be started.
    BadFiles,
    /// Files hold other tests than remembered, and other files are there.
    Changed,
    /// Clients cancel, runs have limits of their own.
    Cancel,
    /// Clients hand runs in twice.
    Resubmit,
    /// Tests need seats of resources that are few.
    Scarce,
    /// Late tests run a second time.
    Speculate,
    /// Resources are taken back by force, kept for people, found ill, and not brought into order at the first try.
    Meddle,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Drop,
        Self::Stall,
        Self::SlowNetwork,
        Self::Repeat,
        Self::WorkerCrash,
        Self::WorkerPause,
        Self::Drain,
        Self::CoordinatorCrash,
        Self::SlowCommit,
        Self::StuckStore,
        Self::BadTests,
        Self::Poison,
        Self::BadFiles,
        Self::Changed,
        Self::Cancel,
        Self::Resubmit,
        Self::Scarce,
        Self::Speculate,
        Self::Meddle,
    ];

    /// Its name, as it is typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Stall => "stall",
            Self::SlowNetwork => "slow-network",
            Self::Repeat => "repeat",
            Self::WorkerCrash => "worker-crash",
            Self::WorkerPause => "worker-pause",
            Self::Drain => "drain",
            Self::CoordinatorCrash => "coordinator-crash",
            Self::SlowCommit => "slow-commit",
            Self::StuckStore => "stuck-store",
            Self::BadTests => "bad-tests",
            Self::Poison => "poison",
            Self::BadFiles => "bad-files",
            Self::Changed => "changed",
            Self::Cancel => "cancel",
            Self::Resubmit => "resubmit",
            Self::Scarce => "scarce",
            Self::Speculate => "speculate",
            Self::Meddle => "meddle",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The classes of faults that a seed has, and which of them were dropped to see whether it breaks without them.
///
/// What a dropped class would have drawn while the world is made is drawn all the same and thrown away, as are its turns among
/// the faults that befall it: a world without a class has the same runs, tests and machines. What happens in it later may differ,
/// since everybody draws from one chance as things happen.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Swarm {
    drawn: u32,
    dropped: u32,
}

impl fmt::Debug for Swarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&listed(&self.classes()))
    }
}

/// Classes in one line.
#[must_use]
pub fn listed(classes: &[Class]) -> String {
    classes.iter().map(Class::to_string).collect::<Vec<_>>().join(", ")
}

impl FromIterator<(Class, bool)> for Swarm {
    fn from_iter<I: IntoIterator<Item = (Class, bool)>>(classes: I) -> Self {
        let on = classes.into_iter().filter(|&(_, on)| on);
        Self { drawn: on.fold(0, |drawn, (class, _)| drawn | class.bit()), dropped: 0 }
    }
}

impl Swarm {
    /// The classes of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut chance = Entropy::from_seed(seed ^ 0x05_1a_7f);
        let mut half = || chance.below(2) == 0;
        match seed % 16 {
            // Nothing goes wrong: everything must be exact.
            0 => [(Class::Changed, half()), (Class::BadTests, half())].into_iter().collect(),
            // Only what a restart of the coordinator must survive without running anything twice.
            1 => [
                (Class::CoordinatorCrash, true),
                (Class::SlowCommit, half()),
                (Class::StuckStore, half()),
                (Class::BadTests, half()),
                (Class::Changed, half()),
            ]
            .into_iter()
            .collect(),
            // The same for connections that break and come back.
            2 => [(Class::Drop, true), (Class::Repeat, half()), (Class::BadTests, half())].into_iter().collect(),
            _ => {
                let mut on = || chance.below(3) == 0;
                let often = [Class::BadTests, Class::Changed, Class::Scarce];
                Class::ALL.into_iter().map(|class| (class, on() || often.contains(&class) && on())).collect()
            }
        }
    }

    /// The same without some classes.
    #[must_use]
    pub fn without(mut self, classes: &[Class]) -> Self {
        classes.iter().for_each(|class| self.dropped |= class.bit());
        self
    }

    /// Whether faults of a class happen.
    #[must_use]
    pub const fn has(&self, class: Class) -> bool {
        self.drawn & !self.dropped & class.bit() != 0
    }

    /// Whether the seed has that class, dropped or not: then what it decides by chance is drawn.
    #[must_use]
    pub const fn draws(&self, class: Class) -> bool {
        self.drawn & class.bit() != 0
    }

    /// The classes of which faults happen.
    #[must_use]
    pub fn classes(&self) -> Vec<Class> {
        Class::ALL.into_iter().filter(|&class| self.has(class)).collect()
    }

    /// Whether what a worker began is never begun again: nothing but the coordinator and connections fails, and those
    /// come back in time.
    #[must_use]
    pub const fn runs_nothing_twice(&self) -> bool {
        let slow = self.has(Class::SlowNetwork) || self.has(Class::SlowCommit) || self.has(Class::StuckStore);
        let hasty = self.has(Class::Drop) && (slow || self.has(Class::CoordinatorCrash));
        !(hasty
            || self.has(Class::Speculate)
            || self.has(Class::Meddle)
            || self.has(Class::Stall)
            || self.has(Class::WorkerCrash)
            || self.has(Class::WorkerPause)
            || self.has(Class::Drain)
            || self.has(Class::Poison)
            || self.has(Class::Cancel))
    }

    /// Something that happens to a world, drawn from the classes that the seed has: of one that was dropped, too.
    pub fn draw(&self, chance: &mut Entropy) -> Option<Fault> {
        let mut choices = Vec::new();
        if self.draws(Class::Drop) {
            let side = [Side::Both, Side::Worker, Side::Coordinator][pick(chance, 3)];
            choices.push(Fault::Drop(side));
        }
        if self.draws(Class::Stall) {
            choices.push(Fault::Stall(Micros::from_ms(chance.below(12_000))));
        }
        if self.draws(Class::WorkerCrash) {
            choices.push(Fault::CrashWorker(Micros::from_ms(200 + chance.below(4_000))));
        }
        if self.draws(Class::WorkerPause) {
            choices.push(Fault::PauseWorker(Micros::from_ms(chance.below(30_000))));
        }
        if self.draws(Class::Drain) {
            choices.push(Fault::Drain(Micros::from_ms(200 + chance.below(4_000))));
        }
        if self.draws(Class::CoordinatorCrash) {
            choices.push(Fault::CrashCoordinator(Micros::from_ms(chance.below(4_000))));
        }
        if self.draws(Class::Meddle) {
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

impl Fault {
    /// What class it is of.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Drop(_) => Class::Drop,
            Self::Stall(_) => Class::Stall,
            Self::CrashWorker(_) => Class::WorkerCrash,
            Self::PauseWorker(_) => Class::WorkerPause,
            Self::Drain(_) => Class::Drain,
            Self::CrashCoordinator(_) => Class::CoordinatorCrash,
            Self::Meddle => Class::Meddle,
        }
    }
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
