//! A queue of single tests in random order, without history: Shopify's ci-queue, whose workers pop one test after another. Each
//! pop is a batch.
//!
//! It does not know of resources either. Here it is given more than it has: it passes over tests whose resource is taken, and
//! takes the seat with the test. What a lost worker was at goes back to the queue.

use super::super::chance::Chance;
use super::Case;
use super::floor::{Lost, Policy, Start};
use std::collections::VecDeque;

pub(super) struct Pull {
    /// The tests of each resource, and last those that need none; each with its place in the random order.
    queues: Vec<VecDeque<(usize, usize)>>,
    home: Vec<usize>,
}

impl Pull {
    pub(super) fn new(case: &Case, seed: u64) -> Self {
        Self::in_order(case, &Chance::of(seed, "pull").order(case.tests.len()))
    }

    pub(super) fn in_order(case: &Case, order: &[usize]) -> Self {
        let free = case.capacity.len();
        let home: Vec<usize> = case.tests.iter().map(|test| test.needs.map_or(free, usize::from)).collect();
        let mut queues = vec![VecDeque::new(); free + 1];
        for (place, test) in order.iter().enumerate() {
            queues[home[*test]].push_back((place, *test));
        }
        Self { queues, home }
    }
}

impl Policy for Pull {
    fn next(&mut self, _slot: usize, free: &[u32]) -> Option<Start> {
        let may = |queue: usize| free.get(queue).is_none_or(|seats| *seats > 0);
        let heads = self.queues.iter().enumerate().filter(|(queue, _)| may(*queue));
        let (_, queue) = heads.filter_map(|(queue, tests)| Some((tests.front()?.0, queue))).min()?;
        let (_, test) = self.queues[queue].pop_front()?;
        Some(Start { test, fresh: true, seated: true })
    }

    fn lost(&mut self, _slot: usize, running: Option<usize>) -> Lost {
        running.into_iter().for_each(|test| self.queues[self.home[test]].push_front((0, test)));
        Lost::Gone
    }
}
