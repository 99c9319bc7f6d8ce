//! A queue of batches of whole files, longest first by history: like the queue mode of Knapsack Pro, which is asked for the
//! next batch whenever a node has done one. How it sizes batches is not published. Here a batch has files until it reaches
//! a part of what is left for each slot, so a long file is a batch of its own.
//!
//! It knows nothing of resources: a test that finds its own taken waits in its slot. What a lost node had taken is run by
//! that node when it is started again, and by nobody else.

use super::files::files;
use super::floor::{Lost, Policy, Start};
use super::{Case, expected};
use std::collections::VecDeque;

/// A batch is to be this part of what is left for each slot: several batches for each, and smaller ones to the end.
const PART: f64 = 0.25;

pub(super) struct Knapsack {
    /// What each file is expected to take, longest first.
    files: VecDeque<(f64, Vec<usize>)>,
    left: f64,
    slots: usize,
    held: Vec<VecDeque<usize>>,
}

impl Knapsack {
    pub(super) fn new(case: &Case) -> Self {
        let expected = expected(case);
        let take = |file: &Vec<usize>| file.iter().map(|test| expected[*test]).sum::<f64>();
        let mut files: Vec<_> = files(case).into_iter().map(|file| (take(&file), file)).collect();
        files.sort_by(|a, b| b.0.total_cmp(&a.0));
        let left = files.iter().map(|file| file.0).sum();
        let slots = case.slots.len();
        Self { files: files.into(), left, slots, held: vec![VecDeque::new(); slots] }
    }

    #[expect(clippy::cast_precision_loss, reason = "a few slots")]
    fn batch(&mut self) -> VecDeque<usize> {
        let enough = PART * self.left / self.slots as f64;
        let (mut batch, mut load) = (VecDeque::new(), 0.0);
        while let Some((seconds, file)) = self.files.pop_front() {
            load += seconds;
            batch.extend(file);
            if load + self.files.front().map_or(f64::INFINITY, |next| next.0) > enough {
                break;
            }
        }
        self.left -= load;
        batch
    }
}

impl Policy for Knapsack {
    fn next(&mut self, slot: usize, _free: &[u32]) -> Option<Start> {
        let fresh = self.held[slot].is_empty();
        if fresh {
            self.held[slot] = self.batch();
        }
        let test = self.held[slot].pop_front()?;
        Some(Start { test, fresh, seated: false })
    }

    fn lost(&mut self, slot: usize, running: Option<usize>) -> Lost {
        running.into_iter().for_each(|test| self.held[slot].push_front(test));
        Lost::Restarted
    }
}
