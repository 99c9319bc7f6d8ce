//! A shard is cut: about as much work as is right now, longest first, files kept together where that costs nothing.
//!
//! The size follows guided self-scheduling (Polychronopoulos and Kuck 1987) with a divisor: what is left, over the slots,
//! over [`ROUNDS`]. It shrinks as the remaining work does, so that slots end together without knowing the future.

use super::Turn;
use crate::event::Work;
use crate::state::{Entry, Group, Place, Queue, Rank, Run};
use regatta_domain::limits::TESTS_PER_SHARD;
use regatta_domain::{FileIx, GroupIx, Micros, RunId, SuiteIx, TestIx};

/// Rounds of shards that the remaining work is cut into. Measured on real traces with warm runners: 3 gave the best ratio
/// to the lower bound, 1.05 on average.
const ROUNDS: u64 = 3;

/// Of tests without history, a shard takes at most the n-th part of what a slot's share would be: their estimates are
/// guesses, and one bad guess must not hold up the end (measured: ratio 1.53 without, 1.32 with).
const UNKNOWN_ROUNDS: u64 = 8;

impl Turn<'_> {
    /// Cuts the next shard of a run; `None` where nothing waits.
    pub(super) fn cut(&self, run: RunId) -> Option<Work> {
        let run = &self.core.state.runs[&run];
        if let Some(test) = self.due(run) {
            // A retry runs in a shard of its own: whatever it does, it does it alone.
            return Some(Work::Run(run.file(run.test(test).file).suite, vec![test]));
        }
        let suites = (0..run.suites.len()).map(SuiteIx::nth);
        let heads = suites.filter_map(|suite| run.suite(suite).queue.first().map(|(rank, entry)| (rank, suite, entry)));
        let (_, suite, head): (Rank, _, _) = heads.min()?;
        let size = self.size(run);
        Some(match head {
            Entry::Discover(suite) => Work::Discover(suite),
            Entry::File(_) => Work::List(suite, self.files(&run.suite(suite).queue, size)),
            Entry::Group(_) => Work::Run(suite, self.tests(run, suite, size)),
        })
    }

    /// How much work is right for one shard now.
    fn size(&self, run: &Run) -> Size {
        let slots = self.core.presence.slots().max(1);
        let (left, unknown) = run.suites.iter().fold((Micros::ZERO, 0_u64), |(left, unknown), suite| {
            (left + suite.queue.left(), unknown + u64::from(suite.queue.unknown()))
        });
        let tuning = &self.core.tuning;
        Size {
            time: Micros((left / (ROUNDS * slots)).0.max(tuning.shard_min.0).min(tuning.shard_max.0)),
            guesses: (unknown / (UNKNOWN_ROUNDS * slots)).max(1),
        }
    }

    fn files(&self, queue: &Queue, size: Size) -> Vec<FileIx> {
        let files = queue.iter().map_while(|entry| match entry {
            Entry::File(file) => Some(file),
            _ => None,
        });
        files.take(usize::try_from(size.guesses).unwrap_or(usize::MAX)).collect()
    }

    /// Takes groups from the head, each together with others of its file, until the shard is full.
    fn tests(&self, run: &Run, suite: SuiteIx, size: Size) -> Vec<TestIx> {
        let queue = &run.suite(suite).queue;
        let mut filling = Filling { run, size, tests: Vec::new(), time: Micros::ZERO, guesses: 0 };
        let mut taken = std::collections::BTreeSet::new();
        for next in queue.iter() {
            let Entry::Group(next) = next else { break };
            let file = run.group(next).file;
            if !taken.insert(file) {
                continue;
            }
            // A little more than fits, where that ends the file: another slot would have to take it up anew.
            let slack = (size.time / 4).max(self.core.tuning.file_cost);
            let whole = filling.time + queue.estimate(file) <= size.time + slack;
            for group in queue.groups(file) {
                if filling.is_full() && !(whole && filling.has_room()) {
                    break;
                }
                filling.take(group);
            }
            if filling.is_full() {
                break;
            }
        }
        filling.in_order()
    }
}

/// How much a shard may hold.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// By estimate.
    time: Micros,
    /// By count, for what has no history.
    guesses: u64,
}

/// A shard in the making.
struct Filling<'a> {
    run: &'a Run,
    size: Size,
    tests: Vec<TestIx>,
    time: Micros,
    guesses: u64,
}

impl Filling<'_> {
    fn is_full(&self) -> bool {
        self.time >= self.size.time || self.guesses >= self.size.guesses || !self.has_room()
    }

    fn has_room(&self) -> bool {
        self.tests.len() < TESTS_PER_SHARD
    }

    /// Takes what waits of a group: all of it, unless the group alone is far more than a shard should hold, or the shard
    /// has no room for all of it.
    fn take(&mut self, group: GroupIx) {
        let Group { tests, estimate, .. } = self.run.group(group);
        let large = *estimate > self.size.time * 2;
        for &test in tests {
            let found = self.run.test(test);
            if found.place != Place::Waiting {
                continue;
            }
            if !self.has_room() || (large && !self.tests.is_empty() && self.time >= self.size.time) {
                break;
            }
            self.tests.push(test);
            self.time += found.estimate;
            self.guesses += u64::from(!found.source.is_own());
        }
    }

    /// File by file in the order in which they were taken up, and within a file as its framework would run them.
    fn in_order(self) -> Vec<TestIx> {
        let mut tests = self.tests;
        let mut turn = std::collections::BTreeMap::new();
        for &test in &tests {
            let next = turn.len();
            turn.entry(self.run.test(test).file).or_insert(next);
        }
        tests.sort_by_key(|&test| (turn[&self.run.test(test).file], test));
        tests
    }
}
