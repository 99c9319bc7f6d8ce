//! What is known only while connections stand: who is attached, who asks for work, what runs right now, how fast each is.
//!
//! Lost at a restart by design: workers attach again and say what they hold. Nothing here decides a verdict.

mod asks;
mod bypassed;
mod speed;

pub use asks::{Asks, Standing};
pub use bypassed::Bypassed;
pub use speed::Speed;

use crate::command::SessionId;
use regatta_domain::{FileIx, Micros, NeedsIx, RunId, SlotIx, SuiteIx, TestIx, Time, Token, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who is there, and what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Presence {
    /// The attached workers.
    workers: BTreeMap<WorkerId, Session>,
    /// The slots that ask for a shard, in the order in which they asked; each at most once.
    pub asks: Asks,
    /// What is going on under each live lease.
    pub progress: BTreeMap<Token, Progress>,
    /// What each slot was granted last, and may have at hand.
    pub warm: BTreeMap<(WorkerId, SlotIx), Warm>,
    /// How often work that needs resources was next and had to let others go first.
    pub bypassed: Bypassed,
    /// Since when what waits could not be run as the fleet stands.
    pub hopeless: BTreeMap<(RunId, SuiteIx, NeedsIx), Time>,
    /// The newest lease that was granted before the coordinator started.
    pub inherited: Token,
    /// The workers that have told what they are at, since the coordinator started or they came.
    pub told: BTreeSet<WorkerId>,
    /// The workers that said that they are leaving, over whichever connection: what they break off is nobody's failure.
    pub leaving: BTreeSet<WorkerId>,
    /// How fast workers are; kept for those that are away, too.
    speeds: BTreeMap<WorkerId, Speed>,
    /// The sets of labels that workers carry.
    classes: Vec<Class>,
    /// All slots that take shards.
    slots: usize,
}

/// Workers that carry the same labels, and have the same of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    /// The labels, in order.
    pub labels: Vec<Arc<str>>,
    /// What each of them has of its own to divide among its shards, by name.
    pub owns: BTreeMap<Arc<str>, u32>,
    /// Their slots that take shards, each by its speed in thousandths.
    pub capacity: u64,
}

/// An attached worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Its connection.
    pub id: SessionId,
    /// How many slots it offers.
    pub slots: u16,
    /// The set of its labels, among [`Presence::classes`].
    pub class: u16,
    /// Whether it wants no more shards.
    pub draining: bool,
}

/// What a slot has at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Warm {
    /// The run.
    pub run: RunId,
    /// The suite.
    pub suite: SuiteIx,
    /// The file that it comes to last.
    pub file: Option<FileIx>,
    /// What it holds for it, or held.
    pub needs: NeedsIx,
}

/// What is going on under a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Progress {
    /// The test that runs, and since when.
    pub running: Option<(TestIx, Time)>,
    /// The tests that the worker was asked to give back, until it answers.
    pub stealing: Vec<TestIx>,
    /// It was asked in vain: everything of this lease has begun.
    pub barren: bool,
    /// So many of what it has not begun are left to it when all of it is asked back: it has begun more than it could say.
    pub left: usize,
    /// It was asked for all of it in vain, and is not asked again before.
    pub again: Time,
    /// The worker was told to break it off, because another lease brought what it was granted for.
    pub stopped: bool,
}

impl Presence {
    /// Nobody is there yet; the leases up to this one were granted before.
    #[must_use]
    pub fn after(inherited: Token) -> Self {
        Self { inherited, ..Self::default() }
    }

    /// The attached workers.
    #[must_use]
    pub const fn workers(&self) -> &BTreeMap<WorkerId, Session> {
        &self.workers
    }

    /// The sets of labels that workers carry.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// A worker has connected. Gives back the connection that it had before.
    pub fn open(
        &mut self,
        worker: WorkerId,
        id: SessionId,
        slots: u16,
        (labels, owns): (Vec<Arc<str>>, BTreeMap<Arc<str>, u32>),
    ) -> Option<SessionId> {
        let before = self.close(worker);
        let known = self.classes.iter().position(|class| class.labels == labels && class.owns == owns);
        let class = known.unwrap_or_else(|| {
            self.classes.push(Class { labels, owns, capacity: 0 });
            self.classes.len() - 1
        });
        let class = u16::try_from(class).unwrap_or(u16::MAX);
        self.workers.insert(worker, Session { id, slots, class, draining: false });
        self.weigh(worker, true);
        before.map(|session| session.id)
    }

    /// How much a worker has of its own of something, held or not.
    #[must_use]
    pub fn own(&self, worker: WorkerId, name: &str) -> u32 {
        let session = self.workers.get(&worker);
        session.and_then(|session| self.classes[usize::from(session.class)].owns.get(name)).copied().unwrap_or_default()
    }

    /// The most that any attached worker that carries these labels has of its own of something.
    #[must_use]
    pub fn most_owned(&self, requires: &[Arc<str>], name: &str) -> u32 {
        let able = self.classes.iter().filter(|class| class.capacity > 0 && class.carries(requires));
        able.filter_map(|class| class.owns.get(name)).copied().max().unwrap_or_default()
    }

    /// A worker is not there any more.
    pub fn close(&mut self, worker: WorkerId) -> Option<Session> {
        self.weigh(worker, false);
        self.asks.forget(worker);
        self.workers.remove(&worker)
    }

    /// A worker is not expected back.
    pub fn forget(&mut self, worker: WorkerId) {
        self.close(worker);
        self.speeds.remove(&worker);
        self.told.remove(&worker);
        let slots = self.warm.range((worker, SlotIx(0))..=(worker, SlotIx(u16::MAX)));
        let slots: Vec<_> = slots.map(|(&slot, _)| slot).collect();
        for slot in slots {
            self.warm.remove(&slot);
        }
    }

    /// Whether it is known what goes on under a lease of that worker: of one that an earlier life of the coordinator
    /// granted it is not, until the worker has told.
    #[must_use]
    pub fn witnesses(&self, worker: WorkerId, token: Token) -> bool {
        token > self.inherited || self.told.contains(&worker)
    }

    /// A worker wants no more shards.
    pub fn drain(&mut self, worker: WorkerId) {
        self.weigh(worker, false);
        self.asks.forget(worker);
        self.leaving.insert(worker);
        if let Some(session) = self.workers.get_mut(&worker) {
            session.draining = true;
        }
    }

    /// Learns how long something took that was estimated.
    pub fn learn(&mut self, worker: WorkerId, estimate: Micros, duration: Micros) {
        self.weigh(worker, false);
        self.speeds.entry(worker).or_default().learn(estimate, duration);
        self.weigh(worker, true);
    }

    /// How fast a worker is, in thousandths of what estimates are made of.
    #[must_use]
    pub fn speed(&self, worker: WorkerId) -> u64 {
        self.speeds.get(&worker).map_or(1_000, |speed| speed.thousandths())
    }

    fn weigh(&mut self, worker: WorkerId, adds: bool) {
        let Some(session) = self.workers.get(&worker).filter(|session| !session.draining) else { return };
        let weight = u64::from(session.slots) * self.speed(worker);
        let slots = usize::from(session.slots);
        self.slots = if adds { self.slots + slots } else { self.slots.saturating_sub(slots) };
        let capacity = &mut self.classes[usize::from(session.class)].capacity;
        *capacity = if adds { *capacity + weight } else { capacity.saturating_sub(weight) };
    }

    /// All slots that take shards and carry these labels, each by its speed in thousandths.
    #[must_use]
    pub fn capacity(&self, requires: &[Arc<str>]) -> u64 {
        self.classes.iter().filter(|class| class.carries(requires)).map(|class| class.capacity).sum()
    }

    /// All slots that take shards.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// The connection of a worker, where it stands.
    #[must_use]
    pub fn session(&self, worker: WorkerId) -> Option<SessionId> {
        self.workers.get(&worker).map(|session| session.id)
    }

    /// Whether this is the connection of the worker that counts.
    #[must_use]
    pub fn is_current(&self, worker: WorkerId, session: SessionId) -> bool {
        self.session(worker) == Some(session)
    }

    /// Whether a worker carries these labels.
    #[must_use]
    pub fn carries(&self, worker: WorkerId, requires: &[Arc<str>]) -> bool {
        requires.is_empty()
            || self
                .workers
                .get(&worker)
                .is_some_and(|session| self.classes[usize::from(session.class)].carries(requires))
    }
}

impl Class {
    /// Whether it carries all of these.
    #[must_use]
    pub fn carries(&self, requires: &[Arc<str>]) -> bool {
        requires.iter().all(|label| self.labels.contains(label))
    }
}
