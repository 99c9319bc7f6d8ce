//! The rules of a run as the core knows them.

use super::profile::Flaky;
use super::resolve::{Resolved, Rule};
use super::rules::Backoff;
use super::value::Shuffle;
use regatta_domain::Level;
use regatta_domain::filter::Subject;
use regatta_domain::policy::{RunPolicy, TestPolicy};

/// How one test is treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Treatment<'a> {
    /// Its limits and retries.
    pub(crate) policy: TestPolicy,
    /// Higher starts earlier.
    pub(crate) priority: i8,
    /// The group whose limit it shares.
    pub(crate) group: Option<&'a str>,
    /// The database dependency that was declared for it.
    pub(crate) level: Option<Level>,
}

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
        }
    }

    /// The rules of a test that no override is for.
    pub(crate) fn test_policy(&self) -> TestPolicy {
        TestPolicy {
            timeout: self.kill_after.value,
            grace: self.grace.value,
            slow: self.slow.value,
            retries: self.retries.value,
            backoff: self.delay.value,
            exponential: self.backoff.value == Backoff::Exponential,
            jitter: self.jitter.value,
        }
    }

    /// How a test is treated: for each key, the first rule that is for the test and says it counts.
    pub(crate) fn treatment(&self, subject: &Subject<'_>) -> Treatment<'_> {
        let base = self.test_policy();
        let rules: Vec<&Rule> = self.rules.iter().filter(|rule| rule.filter.matches(subject)).collect();
        Treatment {
            policy: TestPolicy {
                timeout: first(&rules, |rule| rule.kill_after).unwrap_or(base.timeout),
                grace: first(&rules, |rule| rule.grace).unwrap_or(base.grace),
                slow: first(&rules, |rule| rule.slow).unwrap_or(base.slow),
                retries: first(&rules, |rule| rule.retries).unwrap_or(base.retries),
                backoff: first(&rules, |rule| rule.delay).unwrap_or(base.backoff),
                exponential: first(&rules, |rule| rule.backoff)
                    .map_or(base.exponential, |backoff| backoff == Backoff::Exponential),
                jitter: first(&rules, |rule| rule.jitter).unwrap_or(base.jitter),
            },
            priority: first(&rules, |rule| rule.priority).unwrap_or(0),
            group: rules.iter().find_map(|rule| rule.group.as_deref()),
            level: first(&rules, |rule| rule.level),
        }
    }
}

fn first<T>(rules: &[&Rule], key: impl Fn(&Rule) -> Option<T>) -> Option<T> {
    rules.iter().find_map(|rule| key(rule))
}
