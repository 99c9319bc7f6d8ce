//! How often work that needs resources was next, and had to let others go first: nobody starves.

use regatta_domain::{NeedsIx, RunId, SuiteIx};
use std::collections::{BTreeMap, BTreeSet};

/// Work that waits and needs the same: of a run, of a suite.
pub(super) type Kind = (RunId, SuiteIx, NeedsIx);

/// How often each kind of work was passed over since its last turn, and which of them too often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bypassed {
    times: BTreeMap<Kind, u32>,
    starved: BTreeSet<Kind>,
}

impl Bypassed {
    /// Others went first, once more: too often from `most` on.
    pub fn pass(&mut self, kind: Kind, most: u32) {
        let times = self.times.entry(kind).or_default();
        *times = times.saturating_add(1);
        if *times >= most {
            self.starved.insert(kind);
        }
    }

    /// It has had its turn.
    pub fn serve(&mut self, kind: &Kind) {
        self.times.remove(kind);
        self.starved.remove(kind);
    }

    /// Nothing of the run waits any more.
    pub fn forget(&mut self, run: RunId) {
        self.times.retain(|&(of, ..), _| of != run);
        self.starved.retain(|&(of, ..)| of != run);
    }

    /// Whether others went first too often.
    #[must_use]
    pub fn is_starved(&self, kind: &Kind) -> bool {
        self.starved.contains(kind)
    }

    /// What others went before too often, in order.
    pub fn starved(&self) -> impl Iterator<Item = Kind> + '_ {
        self.starved.iter().copied()
    }

    /// How often others went first.
    #[must_use]
    pub fn times(&self, kind: &Kind) -> u32 {
        self.times.get(kind).copied().unwrap_or_default()
    }
}
