//! A shard in the making.

use super::size::Size;
use crate::mutant::{self, Mutant};
use crate::state::{Group, Place, Queue, Run};
use regatta_domain::limits::TESTS_PER_SHARD;
use regatta_domain::{Costs, FileIx, GroupIx, Micros, TestIx};
use std::collections::{BTreeMap, BTreeSet};

/// A group is split only where it takes so many times what it costs to set it up: the second slot pays that again.
const WORTH_SPLITTING: u64 = 4;

/// A shard in the making.
pub(super) struct Filling<'a> {
    run: &'a Run,
    size: Size,
    costs: Costs,
    tests: Vec<TestIx>,
    files: BTreeSet<FileIx>,
    time: Micros,
    guesses: u64,
}

impl<'a> Filling<'a> {
    pub(super) const fn new(run: &'a Run, size: Size, costs: Costs) -> Self {
        Self { run, size, costs, tests: Vec::new(), files: BTreeSet::new(), time: Micros::ZERO, guesses: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.time >= self.size.time || self.guesses >= self.size.guesses || !self.has_room()
    }

    fn has_room(&self) -> bool {
        self.tests.len() < TESTS_PER_SHARD
    }

    /// Takes what waits of a file, once: all of it where that is little more than fits, since another slot would have to
    /// take the file up anew; else as much as fits.
    pub(super) fn take_file(&mut self, queue: &Queue, file: FileIx) {
        if !self.files.insert(file) {
            return;
        }
        let slack = (self.size.time / 4).max(self.costs.file + self.costs.group);
        let whole = self.time + queue.estimate(file) <= self.size.time + slack;
        for group in queue.groups(file) {
            if self.is_full() && !(whole && self.has_room()) {
                break;
            }
            self.take(group);
        }
    }

    /// Takes what waits of a group: all of it, unless the group alone is far more than a shard should hold (and than it
    /// costs another slot to set it up again), or the shard has no room for all of it.
    pub(super) fn take(&mut self, group: GroupIx) {
        let Group { tests, estimate, shared, .. } = self.run.group(group);
        let again = if *shared { self.costs.file + self.costs.group } else { Micros::ZERO };
        let large = *estimate > self.size.time * 2 && *estimate > again * WORTH_SPLITTING;
        let large = large || (mutant::is(Mutant::GroupsTorn) && *shared);
        for test in tests.iter() {
            let found = self.run.test(test);
            if found.place != Place::Waiting {
                continue;
            }
            let torn = mutant::is(Mutant::GroupsTorn) && !self.tests.is_empty();
            if !self.has_room() || (large && !self.tests.is_empty() && (torn || self.time >= self.size.time)) {
                break;
            }
            self.tests.push(test);
            self.time += found.takes();
            self.guesses += u64::from(!found.source.is_own());
        }
    }

    /// In the order in which they were taken: what may take longest first.
    pub(super) fn in_turn(self) -> Vec<TestIx> {
        self.tests
    }

    /// File by file in the order in which they were taken up, and within a file as its framework would run them.
    pub(super) fn by_file(self) -> Vec<TestIx> {
        let mut tests = self.tests;
        let mut turn = BTreeMap::new();
        for &test in &tests {
            let next = turn.len();
            turn.entry(self.run.test(test).file).or_insert(next);
        }
        tests.sort_by_key(|&test| (turn[&self.run.test(test).file], test));
        tests
    }
}
