//! The durable state, and [`State::fold`], the only place where it changes.

mod fenced;
mod file;
mod fold;
mod holding;
mod lease;
mod members;
mod observed;
mod queue;
mod run;
mod shift;
mod spent;
mod test;

pub use fenced::{Fenced, Owed};
pub use file::{File, Listed};
pub use holding::{Demand, Holding, ResourceIx};
pub use lease::{Lease, Leases};
pub use members::Members;
pub use observed::Observed;
pub use queue::{Entry, Queue, Rank, Waiting};
pub use run::{Discovery, Group, Phase, Run, Suite};
pub use spent::Spent;
pub use test::{Place, Test};

use crate::event::Event;
use regatta_domain::{RunId, SlotIx, Token, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything the core must not forget. Plain ordered values, so that two of them can be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// The live runs, and those that ended a short while ago.
    pub runs: BTreeMap<RunId, Run>,
    /// The live leases.
    pub leases: Leases,
    /// What leases hold of resources; nothing that is not held is named.
    pub held: BTreeMap<Arc<str>, Holding>,
    /// The leases that each slot holds, in the order in which it works through them.
    pub slots: BTreeMap<(WorkerId, SlotIx), BTreeSet<Token>>,
    /// What leases owed that were taken from their workers.
    pub fenced: Fenced,
    /// The greatest token that was ever granted.
    pub last_token: Token,
}

impl State {
    /// The run, where it is in memory.
    #[must_use]
    pub fn run(&self, run: RunId) -> Option<&Run> {
        self.runs.get(&run)
    }

    /// The leases that a worker holds, in the order in which they were granted.
    #[must_use]
    pub fn leases_of(&self, worker: WorkerId) -> BTreeSet<Token> {
        let slots = self.slots.range((worker, SlotIx(0))..=(worker, SlotIx(u16::MAX)));
        slots.flat_map(|(_, tokens)| tokens.iter().copied()).collect()
    }

    /// Takes a fact in. Total: facts that were recorded once fold again without question.
    ///
    /// # Panics
    /// When an event names a run, file or test that no earlier event brought: the journal is not this state's.
    pub fn fold(&mut self, event: &Event) {
        fold::fold(self, event);
    }
}
