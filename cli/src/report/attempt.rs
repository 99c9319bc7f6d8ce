//! What reports say of the attempts of a test, whatever their format.

use crate::view::{Attempt, Test, View};
use regatta_domain::{FileIx, Outcome, TestIx, Verdict};

/// How many attempts were made, those that were lost with their worker included.
pub(super) fn count(test: &Test) -> u32 {
    u32::try_from(test.attempts.len()).unwrap_or(u32::MAX).saturating_add(test.losses)
}

/// The attempt that decided the verdict; none where no result did.
pub(super) fn deciding(test: &Test, verdict: Verdict) -> Option<&Attempt> {
    let by_loss = |last: &Attempt| verdict == Verdict::Crashed && last.outcome != Outcome::Crashed;
    let not_run = verdict == Verdict::NotRun;
    test.last().filter(|last| !not_run && !by_loss(last))
}

/// Where a worker's slot is told in one word.
pub(super) fn thread(attempt: &Attempt) -> Option<String> {
    attempt.slot.as_ref().map(|(worker, slot)| format!("{worker}/{slot}"))
}

/// The source file of a test, from where the run was started; where that is not a file, nothing.
pub(super) fn source(view: &View, test: TestIx) -> Option<String> {
    source_of_file(view, view.test(test).file)
}

/// The same of a file of the plan.
pub(super) fn source_of_file(view: &View, file: FileIx) -> Option<String> {
    let file = view.files.get(file.at())?;
    let suite = view.suites.get(file.suite.at())?;
    // What cargo builds is called a file here, and is none.
    let is_file = suite.runner != "rust" && !file.path.contains(char::is_whitespace) && file.path.contains(['/', '.']);
    let root = suite.root.trim_start_matches("./").trim_end_matches('/');
    is_file.then(|| match root {
        "" | "." => file.path.to_string(),
        _ => format!("{root}/{}", file.path),
    })
}
