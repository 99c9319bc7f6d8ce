//! How much is kept, so that no table grows for ever. Dropping the rest is left to the kinds of stores.

/// How much is kept of runs that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// So many runs.
    pub runs: u32,
    /// As long as they have not more tests than this together. At about 500 bytes a test, a million is half a gigabyte.
    pub tests: u64,
    /// So many rows of history, at about 150 bytes each.
    pub history: u64,
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
    pub const LOCAL: Self = Self { runs: 100, tests: 500_000, history: 2_000_000 };

    /// On a server.
    pub const CLUSTER: Self = Self { runs: 1_000, tests: 10_000_000, history: 2_000_000 };

    /// Whether so many runs that ended, with so many tests together, are to be fewer.
    pub(super) const fn is_passed(self, runs: u64, tests: u64) -> bool {
        let most = self.runs as u64;
        runs > most + most / SLACK || tests > self.tests + self.tests / SLACK
    }

    /// Which of the runs that ended are beyond the bounds: those after so many, and after so many tests, but never the
    /// newest. They are told newest first, by their numbers, each with how many tests it has.
    pub(super) fn beyond(self, runs: impl IntoIterator<Item = (i64, u64)>) -> Vec<i64> {
        let (mut age, mut all) = (0_u32, 0_u64);
        let mut beyond = Vec::new();
        for (run, tests) in runs {
            age = age.saturating_add(1);
            all = all.saturating_add(tests);
            if age > 1 && (age > self.runs || all > self.tests) {
                beyond.push(run);
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
