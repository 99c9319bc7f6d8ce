//! What reports say of the attempts of a test, whatever their format.

use crate::view::{Attempt, Test};
use regatta_domain::Verdict;

/// How many attempts were made, those that were lost with their worker included.
pub(super) fn count(test: &Test) -> u32 {
    u32::try_from(test.attempts.len())
        .unwrap_or(u32::MAX)
        .saturating_add(u32::try_from(test.lost.len()).unwrap_or(u32::MAX))
}

/// The attempt that decided the verdict; none where no result did.
pub(super) fn deciding(test: &Test, verdict: Verdict) -> Option<&Attempt> {
    let not_run = verdict == Verdict::NotRun;
    test.last().filter(|_| !not_run && test.decided_by_loss().is_none())
}

/// Where a worker's slot is told in one word.
pub(super) fn thread(attempt: &Attempt) -> Option<String> {
    attempt.slot.as_ref().map(|(worker, slot)| format!("{worker}/{slot}"))
}
