//! The rules of a run as the core knows them.

use super::profile::Flaky;
use super::resolve::Resolved;
use super::rules::Backoff;
use super::value::Shuffle;
use regatta_domain::Cause;
use regatta_domain::policy::{RunPolicy, TestPolicy};

impl Resolved {
    /// The rules of the run. `seed` is for an order that was asked to be random without a seed of its own.
    pub(crate) fn run_policy(&self, seed: u64) -> RunPolicy {
        RunPolicy {
            timeout: self.run_timeout.value,
            max_failures: self.fail_fast.value.0,
            max_losses: self.uncompleted_retries.value,
            max_retries: self.retry_cap.value,
            flaky_fails: self.flaky.value == Flaky::Fail,
            shuffle: match self.shuffle.value {
                Shuffle::Off => None,
                Shuffle::Drawn => Some(seed),
                Shuffle::Seed(seed) => Some(seed),
            },
            order: self.order.value,
            priority: self.priority.value,
            target: self.target.value,
            speculate: self.speculate.value,
            statements: self.statements.value,
            ..RunPolicy::default()
        }
    }

    /// The rules of a test that no override selects. Overrides travel with the run, and are asked where tests are known.
    pub(crate) fn test_policy(&self) -> TestPolicy {
        TestPolicy {
            timeout: self.kill_after.value,
            grace: self.grace.value,
            slow: self.slow.value,
            retries: self.retries.value,
            budgets: Cause::ALL
                .into_iter()
                .filter_map(|cause| Some((cause, self.budgets[cause.at()].value?)))
                .collect(),
            backoff: self.delay.value,
            exponential: self.backoff.value == Backoff::Exponential,
            jitter: self.jitter.value,
        }
    }
}
