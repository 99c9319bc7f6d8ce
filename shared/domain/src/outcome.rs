//! How one attempt of a test ended.

use crate::Cause;
use serde::{Deserialize, Serialize};

/// How one attempt ended, as the worker saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran, and nothing was wrong.
    Passed,
    /// It ran, and something was wrong.
    Failed,
    /// It decided, or was told, not to run.
    Skipped,
    /// It exceeded its own limit and was stopped.
    TimedOut,
    /// Its process ended under it: a signal, an exit, a host that went away.
    Crashed,
    /// The worker was asked for it and could not find it. Never a pass.
    Missing,
}

impl Outcome {
    /// Whether a run with this outcome may still be green.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Passed | Self::Skipped)
    }

    /// Whether running the test once more may be worth it. A test that is not there does not appear by asking again.
    #[must_use]
    pub const fn may_retry(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Crashed)
    }

    /// What is behind it, as far as it says itself; nothing where nothing was wrong. A test that is not there is its own
    /// cause: whoever changed its file took it away.
    #[must_use]
    pub const fn cause(self, nuance: Nuance) -> Option<Cause> {
        match (self, nuance) {
            (Self::Passed | Self::Skipped, _) => None,
            (Self::Failed, Nuance::SetupError) => Some(Cause::SetUp),
            (Self::Failed | Self::Missing, _) => Some(Cause::Test),
            (Self::TimedOut, _) => Some(Cause::Timeout),
            (Self::Crashed, _) => Some(Cause::Crash),
        }
    }
}

/// What a framework tells beyond the outcome; kept so that counts equal the framework's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nuance {
    /// Nothing special.
    #[default]
    Plain,
    /// Failed as it was expected to (`xfail`); its outcome is `Skipped`.
    ExpectedFailure,
    /// Passed although a failure was expected (`xpass`); its outcome is `Passed`, or `Failed` where that is strict.
    UnexpectedPass,
    /// What failed was the set-up, not the test.
    SetupError,
    /// The test passed, its teardown failed.
    TeardownError,
}
