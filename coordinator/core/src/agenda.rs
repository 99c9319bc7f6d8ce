//! Every deadline of the core, in one table, each named after what happens when it passes.

use regatta_domain::{RunId, Time, Token, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

/// What happens when a deadline passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deadline {
    /// The worker has been silent for too long and loses its leases.
    WorkerSilent(WorkerId),
    /// The running test of the lease should have been stopped by its worker, and the lease is lost.
    TestOverdue(Token),
    /// The run has reached its own time limit and is cancelled.
    RunLimit(RunId),
    /// A retry of the run may be leased.
    RetryDue(RunId),
    /// Workers that have not torn the run down are not waited for any longer.
    CloseOverdue(RunId),
    /// The ended run leaves memory.
    Forget(RunId),
    /// Something is not kept from everybody any more.
    Unkept,
    /// The run looks whether what waits can ever run.
    Patience(RunId),
    /// Idle slots look again for work to take from busy ones.
    Rebalance,
}

/// The deadlines that stand. Each stands at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Agenda {
    order: BTreeSet<(Time, Deadline)>,
    times: BTreeMap<Deadline, Time>,
}

impl Agenda {
    /// Sets a deadline, or moves it.
    pub fn set(&mut self, deadline: Deadline, at: Time) {
        if let Some(before) = self.times.insert(deadline, at) {
            self.order.remove(&(before, deadline));
        }
        self.order.insert((at, deadline));
    }

    /// Sets a deadline, unless it passes sooner already.
    pub fn hasten(&mut self, deadline: Deadline, at: Time) {
        let sooner = self.times.get(&deadline).copied().filter(|&before| before < at);
        self.set(deadline, sooner.unwrap_or(at));
    }

    /// Moves the deadlines that are `meant` to `at`, unless they pass later already.
    pub fn postpone(&mut self, meant: impl Fn(Deadline) -> bool, at: Time) {
        let early = self.order.iter().take_while(|(before, _)| *before < at);
        let meant: Vec<Deadline> = early.map(|(_, deadline)| *deadline).filter(|deadline| meant(*deadline)).collect();
        meant.into_iter().for_each(|deadline| self.set(deadline, at));
    }

    /// Takes a deadline away.
    pub fn clear(&mut self, deadline: Deadline) {
        if let Some(before) = self.times.remove(&deadline) {
            self.order.remove(&(before, deadline));
        }
    }

    /// Whether the deadline stands.
    #[must_use]
    pub fn has(&self, deadline: Deadline) -> bool {
        self.times.contains_key(&deadline)
    }

    /// When the next one passes.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.order.first().map(|&(at, _)| at)
    }

    /// Takes out one that has passed by `now`.
    pub fn passed(&mut self, now: Time) -> Option<Deadline> {
        let &(at, deadline) = self.order.first()?;
        if at > now {
            return None;
        }
        self.clear(deadline);
        Some(deadline)
    }
}
