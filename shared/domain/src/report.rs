//! What verdicts add up to.

use crate::Verdict;
use serde::{Deserialize, Serialize};

/// How many tests of a run have which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counts {
    /// Passed at the first attempt.
    pub passed: u32,
    /// Passed after attempts that did not.
    pub flaky: u32,
    /// Failed.
    pub failed: u32,
    /// Exceeded their limit.
    pub timed_out: u32,
    /// Lost their process, host or worker.
    pub crashed: u32,
    /// Never run to an end.
    pub not_run: u32,
    /// Skipped, expected failures included.
    pub skipped: u32,
}

impl Counts {
    /// Counts one more test.
    pub fn add(&mut self, verdict: Verdict) {
        *self.of(verdict) += 1;
    }

    fn of(&mut self, verdict: Verdict) -> &mut u32 {
        match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Flaky => &mut self.flaky,
            Verdict::Failed => &mut self.failed,
            Verdict::TimedOut => &mut self.timed_out,
            Verdict::Crashed => &mut self.crashed,
            Verdict::NotRun => &mut self.not_run,
            Verdict::Skipped => &mut self.skipped,
        }
    }

    /// How many tests have the verdict.
    #[must_use]
    pub fn get(mut self, verdict: Verdict) -> u32 {
        *self.of(verdict)
    }

    /// With as many more of each verdict as others count.
    #[must_use]
    pub fn plus(mut self, others: Self) -> Self {
        for verdict in Verdict::ALL {
            *self.of(verdict) += others.get(verdict);
        }
        self
    }

    /// All of them.
    #[must_use]
    pub fn total(self) -> u32 {
        Verdict::ALL.into_iter().map(|verdict| self.get(verdict)).sum()
    }

    /// Those that make the run red.
    #[must_use]
    pub fn red(self) -> u32 {
        self.failed + self.timed_out + self.crashed + self.not_run
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Every planned test has exactly one accepted verdict, none of them red, and nothing else went wrong.
    Green,
    /// Something is red.
    Red,
    /// Ended before its time: by a person, a limit, or fail-fast.
    Cancelled,
    /// Nothing was selected.
    Empty,
}

/// Why a run was ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelCause {
    /// A person or a signal asked for it.
    Asked,
    /// As many failures as `--fail-fast` allows.
    FailFast,
    /// The run's own time limit.
    TimeLimit,
    /// The client that owned it went away.
    Abandoned,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_is_counted_in_a_place_of_its_own() {
        let mut counts = Counts::default();
        for (at, verdict) in Verdict::ALL.into_iter().enumerate() {
            for _ in 0..=at {
                counts.add(verdict);
            }
        }
        let seen: Vec<u32> = Verdict::ALL.into_iter().map(|verdict| counts.get(verdict)).collect();
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(counts.total(), 28);
        assert_eq!(counts.red(), 3 + 4 + 5 + 6);
    }
}
