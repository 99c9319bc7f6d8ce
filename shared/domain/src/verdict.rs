//! The one accepted outcome of a planned test.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The one accepted outcome of a planned test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Passed at the first attempt.
    Passed,
    /// Passed, after attempts that did not.
    Flaky,
    /// Decided, or was told, not to run (an expected failure included).
    Skipped,
    /// Failed, and no retry is left.
    Failed,
    /// Exceeded its limit, and no retry is left.
    TimedOut,
    /// Its process, host or worker ended under it, and no retry is left.
    Crashed,
    /// Planned and never run to an end: red, always.
    NotRun,
}

impl Verdict {
    /// Every verdict, in the order in which they are counted to people.
    pub const ALL: [Self; 7] =
        [Self::Passed, Self::Flaky, Self::Failed, Self::TimedOut, Self::Crashed, Self::NotRun, Self::Skipped];

    /// Whether a run in which every verdict is like this one is green.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Passed | Self::Flaky | Self::Skipped)
    }

    /// The words of the glossary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Flaky => "flaky",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Crashed => "crashed",
            Self::NotRun => "not run",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
