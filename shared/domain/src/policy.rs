//! The rules a test runs under: limits and retries.

use crate::{Micros, Verdict};
use serde::{Deserialize, Serialize};

/// The rules of one test. Runs hold few distinct ones; tests point at them by [`crate::PolicyIx`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TestPolicy {
    /// A test that runs longer than this is stopped.
    pub timeout: Micros,
    /// Between SIGTERM and SIGKILL.
    pub grace: Micros,
    /// A test that runs longer than this is shown as slow.
    pub slow: Micros,
    /// How many more attempts a test gets that failed, timed out or crashed its own process.
    pub retries: u16,
    /// Before the first retry.
    pub backoff: Micros,
    /// Whether the wait doubles with each retry, instead of staying as it is.
    pub exponential: bool,
    /// Whether up to half of the wait is taken off at random, so that retries do not come in step.
    pub jitter: bool,
}

impl Default for TestPolicy {
    fn default() -> Self {
        Self {
            timeout: Micros::from_secs(300),
            grace: Micros::from_secs(10),
            slow: Micros::from_secs(30),
            retries: 0,
            backoff: Micros::ZERO,
            exponential: false,
            jitter: false,
        }
    }
}

/// The rules of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunPolicy {
    /// The whole run is cancelled after this; `None` for never.
    pub timeout: Option<Micros>,
    /// The run is cancelled once this many tests did not pass; `None` for never.
    pub max_failures: Option<u32>,
    /// How often a test may lose its worker before it is called crashed (losses that it did not cause included).
    pub max_losses: u16,
    /// How many retries all tests of the run share, failed and uncompleted together.
    pub max_retries: u32,
    /// What a flaky test does to the colour of the run.
    pub flaky_fails: bool,
    /// Hands groups out in a random order drawn from this seed, instead of longest first.
    pub shuffle: Option<u64>,
    /// What goes first; a seed has precedence.
    pub order: Order,
    /// How the run stands against others.
    pub priority: Priority,
    /// When it should have ended, counted from its submission: what the fleet is asked to grow for.
    pub target: Option<Micros>,
    /// A test that takes far longer than estimated may run a second time elsewhere, when slots are idle; the first verdict
    /// counts. Only tests of level `none` or `read` that need nothing.
    pub speculate: bool,
    /// Every test of a suite with databases has a server of its own, alone, and is watched there: whatever it does is seen, and
    /// nothing that was declared or learned counts.
    pub observe: bool,
    /// What each test asks of its databases is measured, statement by statement.
    pub statements: bool,
    /// Finds and lists, and runs nothing: every test that joins the plan is skipped at once, and nothing is remembered of
    /// the run but the listings.
    pub list_only: bool,
}

impl Default for RunPolicy {
    fn default() -> Self {
        Self {
            timeout: None,
            max_failures: None,
            max_losses: 3,
            max_retries: 10_000,
            flaky_fails: false,
            shuffle: None,
            order: Order::default(),
            priority: Priority::default(),
            target: None,
            speculate: false,
            observe: false,
            statements: false,
            list_only: false,
        }
    }
}

/// What goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// What takes longest: the fleet finishes together.
    #[default]
    Longest,
    /// What is likely to fail, as far as that does not delay the end: see `docs/scheduling.md` for the bound.
    Risk,
}

/// How a run stands against others: each class has four times the share of the one below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// It fills what is left.
    Soak,
    /// Nobody waits for it.
    Batch,
    /// A merge waits for it.
    #[default]
    Ci,
    /// A person waits for it.
    Interactive,
}

impl Order {
    /// Every order.
    pub const ALL: [Self; 2] = [Self::Longest, Self::Risk];

    /// Its name on the command line and in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Longest => "longest",
            Self::Risk => "risk",
        }
    }
}

impl Priority {
    /// Every class, from the lowest to the highest.
    pub const ALL: [Self; 4] = [Self::Soak, Self::Batch, Self::Ci, Self::Interactive];

    /// Its name on the command line and in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Soak => "soak",
            Self::Batch => "batch",
            Self::Ci => "ci",
            Self::Interactive => "interactive",
        }
    }

    /// Its share against that of the lowest class.
    #[must_use]
    pub const fn weight(self) -> u64 {
        match self {
            Self::Soak => 1,
            Self::Batch => 4,
            Self::Ci => 16,
            Self::Interactive => 64,
        }
    }
}

impl RunPolicy {
    /// Whether a test with this verdict leaves the run green.
    #[must_use]
    pub fn tolerates(&self, verdict: Verdict) -> bool {
        verdict.is_ok() && !(self.flaky_fails && verdict == Verdict::Flaky)
    }
}
