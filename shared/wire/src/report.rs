//! What verdicts add up to, on the wire.

use crate::Invalid;
use crate::ids::run_id;
use crate::v1;
use regatta_domain::report::Counts;
use regatta_domain::submission::Resumed;

impl From<&v1::Resumed> for Counts {
    fn from(resumed: &v1::Resumed) -> Self {
        Self {
            passed: resumed.passed,
            flaky: resumed.flaky,
            failed: resumed.failed,
            timed_out: resumed.timed_out,
            crashed: resumed.crashed,
            not_run: resumed.not_run,
            skipped: resumed.skipped,
        }
    }
}

impl From<Resumed> for v1::Resumed {
    fn from(Resumed { run, stand, errors }: Resumed) -> Self {
        let Counts { passed, flaky, failed, timed_out, crashed, not_run, skipped } = stand;
        Self { run: run.to_string(), passed, flaky, failed, timed_out, crashed, not_run, skipped, errors }
    }
}

impl TryFrom<v1::Resumed> for Resumed {
    type Error = Invalid;

    fn try_from(resumed: v1::Resumed) -> Result<Self, Invalid> {
        Ok(Self { run: run_id("run", &resumed.run)?, stand: (&resumed).into(), errors: resumed.errors })
    }
}

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
