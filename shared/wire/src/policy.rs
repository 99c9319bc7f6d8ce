//! The rules of tests and runs on the wire.

use crate::invalid::u16_from;
use crate::verdict::{Closed, closed};
use crate::{Invalid, Why, v1};
use regatta_domain::policy::{Order, Priority, RunPolicy, TestPolicy};
use regatta_domain::{Cause, Micros};

impl TryFrom<v1::TestPolicy> for TestPolicy {
    type Error = Invalid;

    fn try_from(policy: v1::TestPolicy) -> Result<Self, Invalid> {
        if policy.timeout == 0 {
            return Err(Invalid::new("timeout", Why::OutOfRange { found: 0, least: 1, most: u64::MAX }));
        }
        Ok(Self {
            timeout: Micros(policy.timeout),
            grace: Micros(policy.grace),
            slow: Micros(policy.slow),
            retries: u16_from("retries", policy.retries, 0)?,
            budgets: policy.budgets.into_iter().map(budget).collect::<Result<_, _>>()?,
            backoff: Micros(policy.backoff),
            exponential: policy.exponential,
            jitter: policy.jitter,
        })
    }
}

impl From<&TestPolicy> for v1::TestPolicy {
    fn from(policy: &TestPolicy) -> Self {
        Self {
            timeout: policy.timeout.0,
            grace: policy.grace.0,
            slow: policy.slow.0,
            retries: u32::from(policy.retries),
            budgets: policy.budgets.iter().map(of_budget).collect(),
            backoff: policy.backoff.0,
            exponential: policy.exponential,
            jitter: policy.jitter,
        }
    }
}

/// How often a test is run again for one cause.
fn budget(budget: v1::Budget) -> Result<(Cause, u16), Invalid> {
    Ok((Cause::field("budgets.cause", budget.cause)?, u16_from("budgets.retries", budget.retries, 0)?))
}

fn of_budget((cause, retries): (Cause, u16)) -> v1::Budget {
    v1::Budget { cause: v1::Cause::from(cause).into(), retries: retries.into() }
}

impl TryFrom<v1::RunPolicy> for RunPolicy {
    type Error = Invalid;

    fn try_from(policy: v1::RunPolicy) -> Result<Self, Invalid> {
        Ok(Self {
            timeout: policy.timeout.map(Micros),
            max_failures: policy.max_failures,
            max_losses: u16_from("max_losses", policy.max_losses, 0)?,
            max_retries: policy.max_retries,
            flaky_fails: policy.flaky_fails,
            shuffle: policy.shuffle,
            list_only: policy.list_only,
            order: or_default("order", policy.order)?,
            priority: or_default("priority", policy.priority)?,
            target: policy.target.map(Micros),
            speculate: policy.speculate,
            observe: policy.observe,
            statements: policy.statements,
        })
    }
}

/// What is not said is the default.
fn or_default<T: Closed + Default>(field: &str, value: i32) -> Result<T, Invalid> {
    if value == 0 { Ok(T::default()) } else { T::field(field, value) }
}

closed! {
    Order as v1::Order:
    Longest = Longest,
    Risk = Risk,
}

closed! {
    Priority as v1::Priority:
    Soak = Soak,
    Batch = Batch,
    Ci = Ci,
    Interactive = Interactive,
}

impl From<&RunPolicy> for v1::RunPolicy {
    fn from(policy: &RunPolicy) -> Self {
        Self {
            timeout: policy.timeout.map(|timeout| timeout.0),
            max_failures: policy.max_failures,
            max_losses: u32::from(policy.max_losses),
            max_retries: policy.max_retries,
            flaky_fails: policy.flaky_fails,
            shuffle: policy.shuffle,
            list_only: policy.list_only,
            order: v1::Order::from(policy.order).into(),
            priority: v1::Priority::from(policy.priority).into(),
            target: policy.target.map(|target| target.0),
            speculate: policy.speculate,
            observe: policy.observe,
            statements: policy.statements,
        }
    }
}
