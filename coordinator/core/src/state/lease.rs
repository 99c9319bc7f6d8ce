//! A lease: a shard in the hands of a slot.

use crate::event::Work;
use regatta_domain::{FileIx, Micros, RunId, SlotIx, TestIx, WorkerId};

/// A shard in the hands of a slot, under a fencing token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// The worker.
    pub worker: WorkerId,
    /// Its slot.
    pub slot: SlotIx,
    /// What was granted.
    pub work: Work,
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
