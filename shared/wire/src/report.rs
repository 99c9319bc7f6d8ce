//! What verdicts add up to, on the wire.

use crate::v1;
use regatta_domain::report::Counts;

impl From<&v1::RunSummary> for Counts {
    fn from(summary: &v1::RunSummary) -> Self {
        Self {
            passed: summary.passed,
            flaky: summary.flaky,
            failed: summary.failed,
            timed_out: summary.timed_out,
            crashed: summary.crashed,
            not_run: summary.not_run,
            skipped: summary.skipped,
        }
    }
}

impl v1::RunSummary {
    /// The summary with these counts.
    #[must_use]
    pub fn with_counts(self, counts: Counts) -> Self {
        Self {
            passed: counts.passed,
            flaky: counts.flaky,
            failed: counts.failed,
            timed_out: counts.timed_out,
            crashed: counts.crashed,
            not_run: counts.not_run,
            skipped: counts.skipped,
            ..self
        }
    }
}
