//! pytest-xdist's `--dist loadfile`: files are kept whole and handed out in order of how many tests they have, most first. A
//! worker has one at the start and is given the next when two of its tests are left.
//!
//! Resources and lost workers as with [`load`](super::load); what is left of a lost worker's files stays together.

use super::Case;
use super::files::files;
use super::floor::{Lost, Policy, Start};
use std::collections::VecDeque;

/// A worker that has no more tests than this is given another file.
const LOW: usize = 2;

pub(super) struct Loadfile {
    rest: VecDeque<Vec<usize>>,
    held: Vec<VecDeque<usize>>,
    fresh: Vec<bool>,
}

impl Loadfile {
    pub(super) fn new(case: &Case) -> Self {
        let mut files = files(case);
        files.sort_by_key(|file| std::cmp::Reverse(file.len()));
        let slots = case.slots.len();
        let mut load = Self { rest: files.into(), held: vec![VecDeque::new(); slots], fresh: vec![true; slots] };
        (0..slots).for_each(|slot| load.give(slot));
        (0..slots).for_each(|slot| load.check(slot));
        load
    }

    fn give(&mut self, slot: usize) {
        self.held[slot].extend(self.rest.pop_front().into_iter().flatten());
    }

    fn check(&mut self, slot: usize) {
        if self.held[slot].len() <= LOW {
            self.give(slot);
        }
    }
}

impl Policy for Loadfile {
    fn next(&mut self, slot: usize, _free: &[u32]) -> Option<Start> {
        // Where another worker was lost, one that was done may be needed again.
        if self.held[slot].is_empty() {
            self.give(slot);
        }
        let test = *self.held[slot].front()?;
        Some(Start { test, fresh: std::mem::take(&mut self.fresh[slot]), seated: false })
    }

    fn done(&mut self, slot: usize, _test: usize, _seconds: f64) {
        self.held[slot].pop_front();
        self.check(slot);
    }

    fn lost(&mut self, slot: usize, _running: Option<usize>) -> Lost {
        let held: Vec<usize> = std::mem::take(&mut self.held[slot]).into();
        if !held.is_empty() {
            self.rest.push_front(held);
        }
        Lost::Restarted
    }
}
