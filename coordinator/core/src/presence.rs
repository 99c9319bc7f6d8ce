//! What is known only while connections stand: who is attached, who asks for work, what runs right now.
//!
//! Lost at a restart by design: workers attach again and say what they hold. Nothing here decides a verdict.

use crate::command::SessionId;
use regatta_domain::{SlotIx, TestIx, Time, Token, WorkerId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Who is there, and what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Presence {
    /// The attached workers.
    pub workers: BTreeMap<WorkerId, Session>,
    /// The slots that ask for a shard, in the order in which they asked; each at most once.
    pub asks: VecDeque<(WorkerId, SlotIx)>,
    /// What is going on under each live lease.
    pub progress: BTreeMap<Token, Progress>,
}

/// An attached worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Its connection.
    pub id: SessionId,
    /// How many slots it offers.
    pub slots: u16,
    /// What it offers beside them.
    pub labels: Vec<Arc<str>>,
    /// Whether it wants no more shards.
    pub draining: bool,
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
}

impl Presence {
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

    /// The slots of all workers that take shards.
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.workers.values().filter(|session| !session.draining).map(|session| u64::from(session.slots)).sum()
    }

    /// Notes that a slot asks; a second question of the same slot is the same question.
    pub fn ask(&mut self, worker: WorkerId, slot: SlotIx) {
        if !self.asks.contains(&(worker, slot)) {
            self.asks.push_back((worker, slot));
        }
    }

    /// Forgets what a worker asks for.
    pub fn unask(&mut self, worker: WorkerId) {
        self.asks.retain(|&(asking, _)| asking != worker);
    }
}
