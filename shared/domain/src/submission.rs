//! What a client hands in, enriched by the coordinator with what it remembers, before the core takes it.

use crate::plan::PlannedSuite;
use crate::policy::{RunPolicy, TestPolicy};
use crate::report::Counts;
use crate::{Costs, Estimate, FileKey, Level, Micros, Needs, NeedsIx, PolicyIx, RunId, TestKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A run as it is handed to the core.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Submission {
    /// Chosen by the client: handing the same run in twice is handing it in once.
    pub run: RunId,
    /// The namespace of history.
    pub project: Arc<str>,
    /// The run that it goes on with, where it does.
    pub resumes: Option<Resumed>,
    /// The rules of the run.
    pub policy: RunPolicy,
    /// The rules tests point at.
    pub policies: Vec<TestPolicy>,
    /// What tests may need; see [`NeedsIx`].
    pub needs: Vec<Needs>,
    /// What is to be run.
    pub suites: Vec<SuiteDraft>,
}

/// The run that another one goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resumed {
    /// Which.
    pub run: RunId,
    /// The verdicts that stand: its own, and those of the runs that it went on with itself.
    pub stand: Counts,
    /// What went wrong in them beside tests, and cannot be made good by running tests.
    pub errors: u32,
}

/// A suite of a submission.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SuiteDraft {
    /// The suite.
    pub suite: PlannedSuite,
    /// What it costs a slot beside its tests, as measured so far.
    pub costs: Costs,
    /// Whether a worker has to find its files first (or again).
    pub discover: bool,
    /// The files that are known already.
    pub files: Vec<FileDraft>,
}

/// A file of a submission, or one that discovery found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileDraft {
    /// See [`crate::listing::ListedFile::path`].
    pub path: Arc<str>,
    /// See [`crate::listing::ListedFile::key`].
    pub key: FileKey,
    /// See [`crate::listing::ListedFile::locator`].
    pub locator: Arc<str>,
    /// How long it may take while its tests are not known.
    pub estimate: Micros,
    /// Its tests as they are remembered; `None` where a worker has to list it first.
    pub tests: Option<Vec<TestDraft>>,
    /// The digest of the whole remembered listing (what was not selected included), by which a worker notices that the
    /// file holds other tests by now; 0 where there is none.
    pub digest: u64,
}

/// A test that is about to join a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TestDraft {
    /// See [`crate::listing::ListedTest::name`].
    pub name: Arc<str>,
    /// See [`crate::listing::ListedTest::line`].
    pub line: u32,
    /// What its history hangs on.
    pub key: TestKey,
    /// See [`crate::listing::ListedTest::group`].
    pub group: Option<Arc<str>>,
    /// How long it may take.
    pub estimate: Estimate,
    /// How likely it is not to pass, in thousandths: it failed lately, its file changed, it is new.
    pub risk: u16,
    /// What it needs beside a slot.
    pub needs: NeedsIx,
    /// The rules it runs under.
    pub policy: PolicyIx,
    /// Its database dependency.
    pub level: Level,
    /// It is left out by its framework, and counted as skipped without running.
    pub ignored: bool,
}
