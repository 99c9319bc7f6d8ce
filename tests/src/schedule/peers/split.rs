//! A split that is made before anything runs: each slot has its own list, and nobody else runs it.
//!
//! Such tools do not know of each other's jobs. A test that finds its resource taken waits in its slot. A slot that dies is
//! started again when that is noticed, as CI would do, and goes on with its list at the test that it was at (real ones begin
//! the list again).

use super::Case;
use super::floor::{self, Lost, Policy, Start};
use std::collections::VecDeque;

/// How long the case takes when split so, in seconds. `lists` has the tests of each slot.
pub(super) fn makespan(case: &Case, lists: &[Vec<usize>]) -> f64 {
    assert_eq!(lists.len(), case.slots.len(), "each slot has a list");
    let lists = lists.iter().map(|list| list.iter().copied().collect()).collect();
    floor::run(case, &mut Split { lists, fresh: vec![true; case.slots.len()] })
}

struct Split {
    lists: Vec<VecDeque<usize>>,
    fresh: Vec<bool>,
}

impl Policy for Split {
    fn next(&mut self, slot: usize, _free: &[u32]) -> Option<Start> {
        let test = self.lists[slot].pop_front()?;
        let fresh = std::mem::take(&mut self.fresh[slot]);
        Some(Start { test, fresh, seated: false })
    }

    fn lost(&mut self, slot: usize, running: Option<usize>) -> Lost {
        running.into_iter().for_each(|test| self.lists[slot].push_front(test));
        Lost::Restarted
    }
}
