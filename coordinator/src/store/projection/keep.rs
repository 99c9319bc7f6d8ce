//! How much is kept, so that no table grows for ever. Dropping the rest is left to the kinds of stores.

use regatta_domain::{Micros, Time};

/// How much is kept of runs that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// So many runs.
    pub runs: u32,
    /// As long as they have not more tests than this together. At about 500 bytes a test, a million is half a gigabyte.
    pub tests: u64,
    /// As long as they were handed in no longer ago than this; for ever where it is left out.
    pub age: Option<Micros>,
    /// So many rows of history, at about 150 bytes each.
    pub history: u64,
}

/// A run that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    /// Its number in the store.
    pub(super) id: i64,
    /// How many tests it has.
    pub(super) tests: u64,
    /// When it was handed in.
    pub(super) submitted: Time,
}

/// Nothing is dropped until a bound is passed by a tenth, so that it is not done at the end of every run.
const SLACK: u64 = 10;

/// Listings that are remembered: at about 5 KB each, 250 MB.
const LISTINGS: u64 = 50_000;

/// Lists of files that are remembered of one suite: as many branches as people go back and forth between.
pub(super) const FILE_LISTS_PER_SUITE: u32 = 20;

/// A test that was not seen on so many days on which something ran is gone, or will be new again.
const DAYS: u64 = 90;

/// Rows of history that are dropped at once: some tenths of a second. What is left is dropped after the next run.
pub(super) const BATCH: u64 = 50_000;

impl Keep {
    /// On somebody's own machine.
    pub const LOCAL: Self = Self { runs: 100, tests: 500_000, age: None, history: 2_000_000 };

    /// On a server.
    pub const CLUSTER: Self = Self { runs: 1_000, tests: 10_000_000, age: None, history: 2_000_000 };

    /// Whether so many runs that ended, with so many tests together, are to be fewer, or the oldest of them is too old.
    pub(super) fn is_passed(self, runs: u64, tests: u64, oldest: Option<Time>, now: Time) -> bool {
        let most = u64::from(self.runs);
        let slack = |age: Micros| Micros(age.0 + age.0 / SLACK);
        let old = self.age.zip(oldest).is_some_and(|(age, oldest)| now.since(oldest) > slack(age));
        old || runs > most + most / SLACK || tests > self.tests + self.tests / SLACK
    }

    /// Which of the runs that ended are beyond the bounds: those after so many, after so many tests, and the old ones, but
    /// never the newest. They are told newest first.
    pub(super) fn beyond(self, runs: impl IntoIterator<Item = Ended>, now: Time) -> Vec<i64> {
        let (mut rank, mut all) = (0_u32, 0_u64);
        let mut beyond = Vec::new();
        for run in runs {
            rank = rank.saturating_add(1);
            all = all.saturating_add(run.tests);
            let old = self.age.is_some_and(|age| now.since(run.submitted) > age);
            if rank > 1 && (old || rank > self.runs || all > self.tests) {
                beyond.push(run.id);
            }
        }
        beyond
    }

    /// How many rows of history to drop, the oldest first: those that were not seen for long, and those beyond the bound.
    /// `days` tells on which day how many rows were seen last, the first day first.
    pub(super) fn obsolete(self, days: &[(u64, u64)], today: u64) -> u64 {
        let all: u64 = days.iter().map(|(_, rows)| rows).sum();
        let old: u64 = days.iter().take_while(|(day, _)| day + DAYS < today).map(|(_, rows)| rows).sum();
        old.max(all.saturating_sub(self.history))
    }
}

/// How many of so many listings to drop, the oldest first.
pub(super) const fn listings_beyond(listings: u64) -> u64 {
    if listings > LISTINGS + LISTINGS / SLACK { listings - LISTINGS } else { 0 }
}
