//! The rules a test runs under: limits and retries.

use crate::{Cause, Micros, Verdict};
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
    /// How many more attempts a test gets for each cause that lies in itself, where [`Self::budgets`] says nothing else.
    pub retries: u16,
    /// The causes that have a budget of their own.
    pub budgets: Budgets,
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
            budgets: Budgets::default(),
            backoff: Micros::ZERO,
            exponential: false,
            jitter: false,
        }
    }
}

impl TestPolicy {
    /// How many more attempts the test gets for this cause. Each cause is counted by itself, and none borrows from another.
    #[must_use]
    pub fn budget(&self, cause: Cause, run: &RunPolicy) -> u16 {
        self.budgets.get(cause).unwrap_or(match cause {
            Cause::Test | Cause::Timeout | Cause::Crash | Cause::SetUp => self.retries,
            Cause::OutOfMemory => Budgets::OUT_OF_MEMORY,
            Cause::WorkerLost | Cause::Resource => run.max_losses,
            Cause::Drained => Budgets::DRAINED,
            Cause::Infrastructure => Budgets::INFRASTRUCTURE,
            Cause::Cancelled => 0,
        })
    }
}

/// How often a test is run again for each cause, as far as somebody said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Budgets([Option<u16>; Cause::COUNT]);

impl Budgets {
    /// A test that is alone on its slot may find the memory that it did not find beside others: once.
    pub const OUT_OF_MEMORY: u16 = 1;
    /// To leave is a worker's good right; only a test that takes longer than workers ever live meets this bound.
    pub const DRAINED: u16 = 100;
    /// With a wait before each, the machine has some seconds to come to itself, or another one takes it.
    pub const INFRASTRUCTURE: u16 = 3;

    /// What was said of this cause.
    #[must_use]
    pub const fn get(&self, cause: Cause) -> Option<u16> {
        self.0[cause.at()]
    }

    /// Says how often a test is run again for this cause.
    pub const fn set(&mut self, cause: Cause, retries: Option<u16>) {
        self.0[cause.at()] = retries;
    }

    /// The same, with this said of a cause.
    #[must_use]
    pub const fn with(mut self, cause: Cause, retries: u16) -> Self {
        self.set(cause, Some(retries));
        self
    }

    /// The causes of which something was said.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u16)> + '_ {
        Cause::ALL.into_iter().filter_map(|cause| Some((cause, self.get(cause)?)))
    }
}

impl FromIterator<(Cause, u16)> for Budgets {
    fn from_iter<I: IntoIterator<Item = (Cause, u16)>>(said: I) -> Self {
        said.into_iter().fold(Self::default(), |budgets, (cause, retries)| budgets.with(cause, retries))
    }
}

/// The rules of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunPolicy {
    /// The whole run is cancelled after this; `None` for never.
    pub timeout: Option<Micros>,
    /// The run is cancelled once this many tests did not pass; `None` for never.
    pub max_failures: Option<u32>,
    /// How often a test may lose its worker before it is called crashed (losses that it did not cause included), and how
    /// often a resource that it holds may be unwell, where its own rules say nothing else.
    pub max_losses: u16,
    /// How many retries all tests of the run share, for whatever cause; but for those whose worker was asked to leave.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_cause_counts_for_it_alone() {
        let run = RunPolicy { max_losses: 5, ..RunPolicy::default() };
        let budgets = Budgets::default().with(Cause::Timeout, 1).with(Cause::Drained, 0);
        let policy = TestPolicy { retries: 2, budgets, ..TestPolicy::default() };
        let all = Cause::ALL.map(|cause| policy.budget(cause, &run));
        assert_eq!(all, [2, 1, 2, 1, 5, 0, 5, 2, 3, 0]);
        assert_eq!(budgets.iter().collect::<Vec<_>>(), [(Cause::Timeout, 1), (Cause::Drained, 0)]);
    }
}
