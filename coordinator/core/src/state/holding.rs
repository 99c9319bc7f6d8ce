//! What leases hold of what the fleet shares, and what of it waits in a run.

use regatta_domain::{Held, Micros, Need, NeedsIx, SuiteIx, Token, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What leases hold of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holding {
    /// How many seats (or items) together.
    pub seats: u32,
    /// Which items, and under which lease.
    pub items: BTreeMap<Arc<str>, Token>,
    /// How many on each worker: of what workers offer of themselves.
    pub on: BTreeMap<WorkerId, u32>,
    /// The leases.
    pub tokens: BTreeSet<Token>,
}

impl Holding {
    /// A lease took some.
    pub(super) fn take(&mut self, held: &Held, token: Token, worker: WorkerId) {
        self.seats += held.seats;
        *self.on.entry(worker).or_default() += held.seats;
        self.tokens.insert(token);
        self.items.extend(held.items.iter().map(|item| (Arc::clone(item), token)));
    }

    /// A lease that took some has ended.
    pub(super) fn free(&mut self, held: &Held, token: Token, worker: WorkerId) {
        self.seats = self.seats.saturating_sub(held.seats);
        self.tokens.remove(&token);
        self.items.retain(|_, holder| *holder != token);
        if let Some(on) = self.on.get_mut(&worker) {
            *on = on.saturating_sub(held.seats);
            if *on == 0 {
                self.on.remove(&worker);
            }
        }
    }
}

/// A resource among those that a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceIx(u16);

impl ResourceIx {
    /// The `at`-th of a run.
    ///
    /// # Panics
    /// When a run needs more resources than it may.
    #[must_use]
    pub fn nth(at: usize) -> Self {
        Self(u16::try_from(at).expect("needs are bounded per submission"))
    }

    /// Its place in the run's table.
    #[must_use]
    pub const fn at(self) -> usize {
        self.0 as usize
    }
}

/// What waits in a run for one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Demand {
    /// The queues of all that needs it.
    pub queues: BTreeSet<(SuiteIx, NeedsIx)>,
    /// How long what waits may hold seats of it, in microseconds times seats.
    seats: u64,
    /// How long what waits may hold all of it.
    whole: Micros,
}

impl Demand {
    /// How long the resource will be busy with what waits, if it has so many seats and is never idle.
    #[must_use]
    pub fn busy(&self, total: u32) -> Micros {
        Micros(self.seats / u64::from(total.max(1))) + self.whole
    }

    pub(super) fn add(&mut self, need: &Need, time: Micros) {
        match need.seats {
            Need::ALL => self.whole += time,
            seats => self.seats = self.seats.saturating_add(time.0.saturating_mul(seats.into())),
        }
    }

    pub(super) fn take(&mut self, need: &Need, time: Micros) {
        match need.seats {
            Need::ALL => self.whole = self.whole.saturating_sub(time),
            seats => self.seats = self.seats.saturating_sub(time.0.saturating_mul(seats.into())),
        }
    }
}
