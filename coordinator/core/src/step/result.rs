//! A result is accepted, and what follows from it: a verdict, or a retry. And what follows from a loss.

use super::Turn;
use crate::agenda::Deadline;
use crate::entropy::Entropy;
use crate::event::{Accepted, Blamed, Blameless, Event, LeaseEnd, Then};
use crate::mutant::{self, Mutant};
use crate::state::{Place, Run, Test};
use regatta_domain::policy::TestPolicy;
use regatta_domain::report::CancelCause;
use regatta_domain::result::TestResult;
use regatta_domain::{Cause, Level, Micros, Outcome, RunId, TestIx, Time, Token, Verdict, WorkerId};
use std::collections::BTreeSet;

/// How long a machine that could not run a test is given to come to itself; doubled each time.
const SETTLES: Micros = Micros::from_secs(1);

impl Turn<'_> {
    /// Accepts those of the results that speak for tests under the lease, each test once; the rest are late (see `refuse`).
    pub(super) fn finished(&mut self, worker: WorkerId, token: Token, results: Vec<TestResult>) {
        let ended = || self.core.state.runs.keys().next().copied().filter(|_| mutant::is(Mutant::EndedLease));
        let Some(run) = self.run_of(worker, token).or_else(ended) else { return self.refuse(worker, token, &results) };
        if mutant::is(Mutant::AckUnrecorded) && self.now.0.is_multiple_of(5) {
            return;
        }
        let mut seen = BTreeSet::new();
        let mut retries = 0;
        let mut accepted = Vec::with_capacity(results.len());
        for mut result in results {
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
            let then = self.after_result(run, token, &mut result, retries);
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

    /// What follows from a result, `also` being the retries that were promised in this very step. Settles why it did not pass:
    /// what the coordinator knows of the resources counts before what the worker saw.
    fn after_result(&mut self, run: RunId, token: Token, result: &mut TestResult, also: u32) -> Then {
        let plan = &self.core.state.runs[&run];
        let (ix, test) = (result.test, plan.test(result.test));
        result.cause = cause(result);
        if result.outcome.may_retry() && has_retry(plan, test, also) {
            if let Some(level) = promoted(test, result) {
                return Then::Anew(self.now, Blameless::Promoted(level));
            }
            if self.is_unwell(token, result) && has_left(plan, ix, Cause::Resource) {
                result.cause = Some(Cause::Resource);
                return Then::Anew(self.now, Blameless::Unwell);
            }
            match result.cause {
                Some(Cause::Infrastructure) if has_left(plan, ix, Cause::Infrastructure) => {
                    let times = plan.spent(ix, Cause::Infrastructure);
                    return Then::Anew(settled_at(self.now, times, self.entropy), Blameless::Infrastructure);
                }
                Some(cause) if cause != Cause::Infrastructure && has_left(plan, ix, cause) => {
                    return Then::Retry(retry_at(self.now, plan.policy_of(ix), test.failures, self.entropy));
                }
                _ => {}
            }
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

    /// Whether something that the attempt held was not well.
    fn is_unwell(&self, token: Token, result: &TestResult) -> bool {
        result.cause == Some(Cause::Resource)
            || result.observation.as_ref().is_some_and(|seen| seen.lost)
            || self.core.state.leases.get(&token).is_some_and(|lease| self.core.ledger.holds_ill(&lease.holds))
    }

    /// Ends a lease. What was unfinished waits again at no cost, but for the test that was running: its attempt is over, and
    /// counted for its cause, so that a test which takes its worker down cannot do so for ever.
    pub(super) fn end_lease(&mut self, token: Token, end: LeaseEnd) {
        let progress = self.core.presence.progress.remove(&token).unwrap_or_default();
        let Some(lease) = self.core.state.leases.get(&token) else { return };
        let (run, worker) = (lease.run, lease.worker);
        let plan = &self.core.state.runs[&run];
        let running = progress.running.filter(|&(test, _)| plan.test(test).place == Place::Leased(token));
        let next = || lease.tests.iter().copied().find(|&test| plan.test(test).place == Place::Leased(token));
        let leaves = self.core.presence.leaving.contains(&worker);
        let over = plan.is_over(lease.work.suite());
        let drained = if mutant::is(Mutant::DrainedCharged) { Cause::WorkerLost } else { Cause::Drained };
        let (cause, running) = match end {
            // It had said that it leaves, and was ended before it was ready to.
            LeaseEnd::WorkerLost if leaves && !over => (drained, running),
            LeaseEnd::WorkerLost => (Cause::WorkerLost, running),
            LeaseEnd::Overdue => (Cause::Timeout, running),
            LeaseEnd::Revoked => (Cause::Resource, running),
            LeaseEnd::Unreceived if mutant::is(Mutant::BlamesUnreceived) => {
                (Cause::WorkerLost, next().map(|test| (test, self.now)))
            }
            LeaseEnd::Released | LeaseEnd::Unreceived if leaves => (drained, running),
            LeaseEnd::Released => (Cause::Infrastructure, running.filter(|_| !progress.stopped)),
            LeaseEnd::Unreceived | LeaseEnd::Unwitnessed => (Cause::WorkerLost, None),
        };
        let blamed = running.and_then(|(test, since)| {
            let then = after_end(plan, test, cause, self.now, self.entropy)?;
            Some(Blamed { test, cause, ran: self.now.since(since), then })
        });
        let file = plan.at(lease, token);
        self.stop_twins(token);
        self.core.agenda.clear(Deadline::TestOverdue(token));
        self.record(Event::LeaseEnded { at: self.now, run, token, cause: end, blamed });
        self.give_up_hopeless(run, file);
        self.after_verdicts(run);
    }
}

/// Why a result is none that passes: as its worker tells it, where it can know that.
fn cause(result: &TestResult) -> Option<Cause> {
    let shown = result.outcome.cause(result.nuance)?;
    Some(result.cause.filter(|cause| cause.is_seen_by_workers()).unwrap_or(shown))
}

/// The level that the test needs, where its database refused it that.
fn promoted(test: &Test, result: &TestResult) -> Option<Level> {
    result.observation.as_ref().and_then(|seen| seen.promotes()).filter(|&level| level > test.level)
}

/// What follows for a test whose attempt ended with its lease. After a retry it is leased alone, as every retry is. `None`
/// where it waits again as if it had not begun.
fn after_end(run: &Run, test: TestIx, cause: Cause, now: Time, entropy: &mut Entropy) -> Option<Then> {
    let charged = matches!(cause, Cause::WorkerLost | Cause::Timeout);
    if run.cancelled.is_some() {
        return charged.then_some(Then::Verdict(Verdict::NotRun));
    }
    let left = has_left(run, test, cause);
    let again = left && (cause == Cause::Drained || has_retry(run, run.test(test), 0));
    match cause {
        _ if !charged && run.is_over(run.file(run.test(test).file).suite) => None,
        Cause::Drained if again => Some(Then::Anew(now, Blameless::Drained)),
        Cause::Infrastructure if again => {
            let at = settled_at(now, run.spent(test, cause), entropy);
            Some(Then::Anew(at, Blameless::Infrastructure))
        }
        // Who takes a resource back by force may do so as often as he likes.
        Cause::Resource => again.then_some(Then::Anew(now, Blameless::Unwell)),
        _ if again => Some(Then::Retry(now)),
        Cause::Timeout => Some(Then::Verdict(Verdict::TimedOut)),
        _ => Some(Then::Verdict(Verdict::Crashed)),
    }
}

/// Whether the test may be run again for this cause, by its own budget for it.
fn has_left(run: &Run, test: TestIx, cause: Cause) -> bool {
    let unbounded = match cause {
        Cause::WorkerLost => mutant::is(Mutant::LossesUnbounded),
        Cause::OutOfMemory => mutant::is(Mutant::OutOfMemoryUnbounded),
        Cause::Test | Cause::Timeout | Cause::Crash | Cause::SetUp => mutant::is(Mutant::RetriesUnbounded),
        _ => false,
    };
    let of_another = mutant::is(Mutant::BudgetOfAnother) && cause == Cause::Timeout;
    let counted = if of_another { Cause::Test } else { cause };
    unbounded || run.spent(test, counted) < run.budget(test, cause)
}

/// Whether the run has a retry left for the test, `also` being those that were promised in this very step.
fn has_retry(run: &Run, test: &Test, also: u32) -> bool {
    run.cancelled.is_none()
        && !run.is_over(run.file(test.file).suite)
        && (run.retries.saturating_add(also) < run.policy.max_retries || mutant::is(Mutant::RunCapIgnored))
}

/// When the retry after `failures` earlier ones may begin: the policy's back-off, doubled each time where it is
/// exponential (at most 2^10 times), less up to half of it where it jitters.
fn retry_at(now: Time, policy: &TestPolicy, failures: u16, entropy: &mut Entropy) -> Time {
    let times = if policy.exponential { 1_u64 << failures.min(10) } else { 1 };
    let wait = policy.backoff * times;
    let off = if policy.jitter { entropy.below(wait.0 / 2 + 1) } else { 0 };
    now + Micros(wait.0 - off)
}

/// When a machine may have come to itself that could not run a test, for the `times`-th time after the first.
fn settled_at(now: Time, times: u16, entropy: &mut Entropy) -> Time {
    let wait = SETTLES * (1_u64 << times.min(6));
    now + Micros(wait.0 - entropy.below(wait.0 / 2 + 1))
}
