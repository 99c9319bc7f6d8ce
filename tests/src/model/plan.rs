//! What the tiny cluster is to run.

use super::cluster::RUN;
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{Costs, Estimate, FileKey, Level, Micros, NeedsIx, PolicyIx, RunnerKind, TestKey};

/// What is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// A file that is remembered, whose test fails at its first attempt, and a file that is to be listed.
    RetryAndListing,
    /// One test that fails at its first attempt.
    Retry,
    /// One file of two tests in one shard, the second of which may be taken over.
    Steal,
}

pub(super) fn submission(plan: Plan) -> Submission {
    let file = |path: &str, tests: Option<Vec<TestDraft>>| FileDraft {
        path: path.into(),
        key: FileKey::default(),
        locator: "".into(),
        estimate: Micros::from_secs(1),
        digest: u64::from(tests.is_some()),
        tests,
    };
    let files = match plan {
        Plan::RetryAndListing => vec![file("a", Some(vec![test("fails at first")])), file("b", None)],
        Plan::Retry => vec![file("a", Some(vec![test("fails at first")]))],
        Plan::Steal => vec![file("a", Some(vec![test("one"), test("two")]))],
    };
    let suite = PlannedSuite {
        name: "suite".into(),
        runner: RunnerKind::Exec,
        root: ".".into(),
        settings: "{}".into(),
        requires: Vec::new(),
        env: Vec::new(),
        databases: Vec::new(),
    };
    Submission {
        resumes: None,
        run: RUN,
        project: "project".into(),
        policy: RunPolicy::default(),
        policies: vec![TestPolicy { retries: 1, ..TestPolicy::default() }],
        needs: Vec::new(),
        suites: vec![SuiteDraft { suite, costs: Costs::default(), discover: false, files }],
    }
}

pub(super) fn test(name: &str) -> TestDraft {
    TestDraft {
        name: name.into(),
        key: TestKey::default(),
        group: None,
        estimate: Estimate::own(Micros::from_secs(1)),
        risk: 0,
        needs: NeedsIx(0),
        policy: PolicyIx(0),
        level: Level::None,
        line: 7,
        ignored: false,
    }
}
