//! A result is accepted, and what follows from it: a verdict, or a retry. And what follows from a loss.

use super::Turn;
use crate::agenda::Deadline;
use crate::event::{Accepted, Blameless, Event, LeaseEnd, Then};
use crate::ledger::Health;
use crate::mutant::{self, Mutant};
use crate::state::{Place, Run, Test};
use regatta_domain::policy::TestPolicy;
use regatta_domain::report::CancelCause;
use regatta_domain::result::TestResult;
use regatta_domain::{Micros, Outcome, RunId, TestIx, Time, Token, Verdict, WorkerId};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Turn<'_> {
    /// Accepts those of the results that speak for tests under the lease, each test once; the rest are late.
    pub(super) fn finished(&mut self, worker: WorkerId, token: Token, results: Vec<TestResult>) {
        let ended = || self.core.state.runs.keys().next().copied().filter(|_| mutant::is(Mutant::EndedLease));
        let Some(run) = self.run_of(worker, token).or_else(ended) else { return };
        if mutant::is(Mutant::AckUnrecorded) && self.now.0.is_multiple_of(5) {
            return;
        }
        let mut seen = BTreeSet::new();
        let mut retries = 0;
        let mut accepted = Vec::with_capacity(results.len());
        for result in results {
            let plan = &self.core.state.runs[&run];
            let test = result.test;
            let current = plan.tests.get(test.at()).is_some_and(|found| match found.place {
                Place::Leased(holder) => {
                    holder == token || plan.twins.get(&test) == Some(&token) || mutant::is(Mutant::StaleResult)
                }
                Place::Done(_) => mutant::is(Mutant::SecondVerdict),
                Place::Waiting => mutant::is(Mutant::EndedLease),
                Place::Delayed(_) | Place::Gone => false,
            });
            if !current || !seen.insert(test) {
                continue;
            }
            let then = self.after_result(run, token, &result, retries);
            retries += u32::from(!matches!(then, Then::Verdict(_)));
            accepted.push(Accepted { result, then });
        }
        if accepted.is_empty() {
            return;
        }
        let progress = self.progress(token);
        if progress.running.is_some_and(|(test, _)| seen.contains(&test)) {
            progress.running = None;
            self.core.agenda.clear(Deadline::TestOverdue(token));
        }
        for Accepted { result, .. } in &accepted {
            self.stop_other(run, result.test, token);
            let found = self.core.state.runs[&run].test(result.test);
            if found.source.is_own() && matches!(result.outcome, Outcome::Passed | Outcome::Failed) {
                let estimate = found.takes();
                self.core.presence.learn(worker, estimate, result.duration);
            }
        }
        self.record(Event::ResultsAccepted { run, token, results: accepted });
        self.after_verdicts(run);
    }

    /// What must happen when verdicts or retries have come: fail-fast, and the clock of the next retry.
    fn after_verdicts(&mut self, run: RunId) {
        let found = &self.core.state.runs[&run];
        let enough = found.policy.max_failures.is_some_and(|most| found.counts.red() >= most.max(1));
        if enough {
            self.cancel(run, CancelCause::FailFast, false);
        } else {
            self.await_retry(run);
        }
    }

    fn after_result(&mut self, run: RunId, token: Token, result: &TestResult, also: u32) -> Then {
        let plan = &self.core.state.runs[&run];
        let test = plan.test(result.test);
        if let Some(why) = self.blameless(plan, test, token, result).filter(|_| has_retry(plan, test, also)) {
            return Then::Anew(self.now, why);
        }
        let policy = plan.policy_of(result.test);
        let few = test.failures < policy.retries || mutant::is(Mutant::RetriesUnbounded);
        let left = few && has_retry(plan, test, also);
        if result.outcome.may_retry() && left {
            let at = retry_at(self.now, policy, test.failures, self.entropy);
            return Then::Retry(at);
        }
        Then::Verdict(match result.outcome {
            Outcome::Passed if test.failures > 0 && !mutant::is(Mutant::FlakyPasses) => Verdict::Flaky,
            Outcome::Passed => Verdict::Passed,
            // Skipping at the retry does not undo the failure.
            Outcome::Skipped if test.failures > 0 && !mutant::is(Mutant::SkipForgives) => Verdict::Failed,
            Outcome::Skipped => Verdict::Skipped,
            Outcome::Failed => Verdict::Failed,
            Outcome::TimedOut => Verdict::TimedOut,
            Outcome::Crashed => Verdict::Crashed,
            Outcome::Missing if mutant::is(Mutant::MissingPasses) => Verdict::Passed,
            Outcome::Missing => Verdict::NotRun,
        })
    }

    /// Why an attempt that did not pass is not the test's fault, if that is so.
    fn blameless(&self, plan: &Run, test: &Test, token: Token, result: &TestResult) -> Option<Blameless> {
        if !result.outcome.may_retry() {
            return None;
        }
        let promoted = result.observation.as_ref().and_then(|seen| seen.promotes()).filter(|&level| level > test.level);
        if let Some(level) = promoted {
            return Some(Blameless::Promoted(level));
        }
        let lease = self.core.state.leases.get(&token)?;
        let lost = result.observation.as_ref().is_some_and(|seen| seen.lost);
        let unwell = lost
            || lease.holds.iter().any(|held| {
                let of = |item: Option<&Arc<str>>| self.core.ledger.health(&held.resource, item) == Health::Ill;
                of(None) || held.items.iter().any(|item| of(Some(item)))
            });
        (unwell && test.losses < plan.policy.max_losses).then_some(Blameless::Unwell)
    }

    /// Ends a lease. What was unfinished waits again at no cost, but for the test that was running when the worker was
    /// lost: it is charged, so that a test which takes its worker down cannot do so for ever.
    pub(super) fn end_lease(&mut self, token: Token, cause: LeaseEnd) {
        let progress = self.core.presence.progress.remove(&token).unwrap_or_default();
        let Some(lease) = self.core.state.leases.get(&token) else { return };
        let run = lease.run;
        let plan = &self.core.state.runs[&run];
        let blamed = match cause {
            LeaseEnd::WorkerLost | LeaseEnd::Overdue => progress
                .running
                .map(|(test, _)| test)
                .filter(|&test| plan.test(test).place == Place::Leased(token))
                .map(|test| (test, after_loss(plan, test, cause, self.now))),
            LeaseEnd::Unreceived if mutant::is(Mutant::BlamesUnreceived) => {
                let next = lease.tests.iter().find(|&&test| plan.test(test).place == Place::Leased(token));
                next.map(|&test| (test, after_loss(plan, test, cause, self.now)))
            }
            LeaseEnd::Released | LeaseEnd::Unreceived | LeaseEnd::Revoked | LeaseEnd::Unwitnessed => None,
        };
        let file = plan.at(lease, token);
        self.stop_twins(token);
        self.core.agenda.clear(Deadline::TestOverdue(token));
        self.record(Event::LeaseEnded { at: self.now, run, token, cause, blamed });
        self.give_up_hopeless(run, file);
        self.after_verdicts(run);
    }
}

/// What follows for a test whose worker was lost under it. After a retry it is leased alone, as every retry is.
fn after_loss(run: &Run, test: TestIx, cause: LeaseEnd, now: Time) -> Then {
    let found = run.test(test);
    if run.cancelled.is_some() {
        return Then::Verdict(Verdict::NotRun);
    }
    let few = found.losses < run.policy.max_losses || mutant::is(Mutant::LossesUnbounded);
    if few && has_retry(run, found, 0) {
        return Then::Retry(now);
    }
    Then::Verdict(if cause == LeaseEnd::Overdue { Verdict::TimedOut } else { Verdict::Crashed })
}

/// Whether the run has a retry left for the test, `also` being those that were promised in this very step.
fn has_retry(run: &Run, test: &Test, also: u32) -> bool {
    run.cancelled.is_none()
        && !run.is_over(run.file(test.file).suite)
        && (run.retries.saturating_add(also) < run.policy.max_retries || mutant::is(Mutant::RunCapIgnored))
}

/// When the retry after `failures` earlier ones may begin: the policy's back-off, doubled each time where it is
/// exponential (at most 2^10 times), less up to half of it where it jitters.
fn retry_at(now: Time, policy: &TestPolicy, failures: u16, entropy: &mut crate::Entropy) -> Time {
    let times = if policy.exponential { 1_u64 << failures.min(10) } else { 1 };
    let wait = policy.backoff * times;
    let off = if policy.jitter { entropy.below(wait.0 / 2 + 1) } else { 0 };
    now + Micros(wait.0 - off)
}
