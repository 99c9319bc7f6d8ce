//! A lease: a shard in the hands of a slot.

use crate::event::Work;
use regatta_domain::{FileIx, Held, Micros, NeedsIx, RunId, SlotIx, TestIx, Token, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

/// A shard in the hands of a slot, under a fencing token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// The worker.
    pub worker: WorkerId,
    /// Its slot.
    pub slot: SlotIx,
    /// What was granted.
    pub work: Work,
    /// What its tests need beside the slot.
    pub needs: NeedsIx,
    /// What it holds of that, until it ends.
    pub holds: Vec<Held>,
    /// The tests under it, in order, those that are finished included. Listing a file adds to them.
    pub tests: Vec<TestIx>,
    /// The files that are still being listed under it.
    pub files: Vec<FileIx>,
    /// Whether it still has to find the files of its suite.
    pub discovering: bool,
    /// Whether anything came of it: a result, a listing, an error.
    pub fruitful: bool,
    /// How many of its tests are unfinished.
    pub open: u32,
    /// How long its unfinished tests may take.
    pub left: Micros,
}

/// The live leases, and which of them has the most left to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leases {
    of: BTreeMap<Token, Lease>,
    by_left: BTreeSet<(Micros, Token)>,
}

impl Deref for Leases {
    type Target = BTreeMap<Token, Lease>;

    fn deref(&self) -> &Self::Target {
        &self.of
    }
}

impl Leases {
    /// The leases by how long their unfinished tests may take, the longest first.
    pub fn longest(&self) -> impl Iterator<Item = (Token, &Lease)> {
        self.by_left.iter().rev().map(|&(_, token)| (token, &self.of[&token]))
    }

    pub(super) fn insert(&mut self, token: Token, lease: Lease) {
        self.by_left.insert((lease.left, token));
        self.of.insert(token, lease);
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Lease> {
        let lease = self.of.remove(&token)?;
        self.by_left.remove(&(lease.left, token));
        Some(lease)
    }

    /// The lease, to change anything but what is left of it.
    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Lease> {
        self.of.get_mut(&token)
    }

    /// Sets how much is left of a lease.
    pub(super) fn count(&mut self, token: Token, open: u32, left: Micros) {
        let lease = self.of.get_mut(&token).expect("tests are leased under live leases");
        self.by_left.remove(&(lease.left, token));
        (lease.open, lease.left) = (open, left);
        self.by_left.insert((left, token));
    }
}
