//! pytest-xdist's `--dist worksteal`: everything is dealt out evenly and in order; whenever a worker has fewer than two tests
//! left, half of what the fullest worker has is taken back and dealt out to those that have too little.
//!
//! Resources and lost workers as with [`load`](super::load).

use super::Case;
use super::floor::{Lost, Policy, Start};
use std::collections::VecDeque;

/// A worker with fewer tests than this, with the one that it runs, is idle or about to be. One with no more is not stolen
/// from.
const LEAST: usize = 2;

pub(super) struct Worksteal {
    rest: VecDeque<usize>,
    /// What each worker has; the first may be running.
    held: Vec<VecDeque<usize>>,
    fresh: Vec<bool>,
}

impl Worksteal {
    pub(super) fn new(case: &Case) -> Self {
        let slots = case.slots.len();
        let rest = (0..case.tests.len()).collect();
        let mut steal = Self { rest, held: vec![VecDeque::new(); slots], fresh: vec![true; slots] };
        steal.check();
        steal
    }

    /// Deals out the rest, and steals as long as somebody has too little and somebody else enough.
    fn check(&mut self) {
        loop {
            self.deal();
            if self.idle().is_empty() {
                return;
            }
            let Some(fullest) = (0..self.held.len()).rev().max_by_key(|slot| self.held[*slot].len()) else { return };
            let most = self.held[fullest].len();
            let stolen = (most / 2).min(most.saturating_sub(LEAST));
            if stolen == 0 {
                return;
            }
            let stolen = self.held[fullest].split_off(most - stolen);
            self.rest.extend(stolen);
        }
    }

    fn idle(&self) -> Vec<usize> {
        (0..self.held.len()).filter(|slot| self.held[*slot].len() < LEAST).collect()
    }

    fn deal(&mut self) {
        let idle = self.idle();
        for (at, slot) in idle.iter().enumerate() {
            let count = self.rest.len() / (idle.len() - at);
            self.held[*slot].extend(self.rest.drain(..count));
        }
    }
}

impl Policy for Worksteal {
    fn next(&mut self, slot: usize, _free: &[u32]) -> Option<Start> {
        let test = *self.held[slot].front()?;
        Some(Start { test, fresh: std::mem::take(&mut self.fresh[slot]), seated: false })
    }

    fn done(&mut self, slot: usize, _test: usize, _seconds: f64) {
        self.held[slot].pop_front();
        self.check();
    }

    fn lost(&mut self, slot: usize, _running: Option<usize>) -> Lost {
        let held = std::mem::take(&mut self.held[slot]);
        self.rest.extend(held);
        self.check();
        Lost::Restarted
    }
}
