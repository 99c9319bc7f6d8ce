//! pytest-xdist's `--dist load`: a first chunk for each worker, then a worker that runs low is filled up with a part of what is
//! left. What a worker was sent stays with it. Each worker is one process, however warm the runner.
//!
//! xdist knows nothing of resources: a test that finds its own taken waits in its worker. A lost worker's tests go back to the
//! rest (also the one that it was at, which xdist would call failed), and it is replaced.

use super::Case;
use super::floor::{Lost, Policy, Start};
use std::collections::VecDeque;

/// A worker always has a next test, and so at least two.
const LEAST: usize = 2;

/// A worker whose tests take this many seconds is not sent more while it has enough to go on.
const LONG: f64 = 0.1;

pub(super) struct Load {
    rest: VecDeque<usize>,
    /// What each worker was sent and has not done; the first may be running.
    sent: Vec<VecDeque<usize>>,
    fresh: Vec<bool>,
}

impl Load {
    pub(super) fn new(case: &Case) -> Self {
        let (tests, slots) = (case.tests.len(), case.slots.len());
        let mut load =
            Self { rest: (0..tests).collect(), sent: vec![VecDeque::new(); slots], fresh: vec![true; slots] };
        if tests < LEAST * slots {
            for at in 0..tests {
                load.send(at % slots, 1);
            }
        } else {
            let chunk = (tests / slots / 4).max(LEAST);
            (0..slots).for_each(|slot| load.send(slot, chunk));
        }
        load
    }

    fn send(&mut self, slot: usize, count: usize) {
        let count = count.min(self.rest.len());
        self.sent[slot].extend(self.rest.drain(..count));
    }

    fn check(&mut self, slot: usize, seconds: f64) {
        let held = self.sent[slot].len();
        let share = self.rest.len() / self.sent.len();
        let (low, high) = ((share / 4).max(LEAST), (share / 2).max(LEAST));
        if held < low && !(seconds >= LONG && held >= LEAST) {
            self.send(slot, high - held);
        }
    }
}

impl Policy for Load {
    fn next(&mut self, slot: usize, _free: &[u32]) -> Option<Start> {
        // Where another worker was lost, one that was done may be needed again.
        if self.sent[slot].is_empty() {
            self.check(slot, 0.0);
        }
        let test = *self.sent[slot].front()?;
        Some(Start { test, fresh: std::mem::take(&mut self.fresh[slot]), seated: false })
    }

    fn done(&mut self, slot: usize, _test: usize, seconds: f64) {
        self.sent[slot].pop_front();
        self.check(slot, seconds);
    }

    fn lost(&mut self, slot: usize, _running: Option<usize>) -> Lost {
        let held = std::mem::take(&mut self.sent[slot]);
        self.rest.extend(held);
        Lost::Restarted
    }
}
