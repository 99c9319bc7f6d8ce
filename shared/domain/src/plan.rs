//! The tests of a run, with what is known of each.

use crate::{FileIx, FileKey, GroupIx, Level, Micros, PolicyIx, RunnerKind, SuiteIx, TestKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A suite as a run holds it: everything a worker needs to run its tests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlannedSuite {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Which adapter runs it.
    pub runner: RunnerKind,
    /// The directory it runs in.
    pub root: Arc<str>,
    /// The runner's own settings, as JSON: opaque to everything but the runner.
    pub settings: Arc<str>,
    /// Variables added to the environment of its tests.
    pub env: Vec<(Arc<str>, Arc<str>)>,
}

/// A file of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlannedFile {
    /// The suite it belongs to.
    pub suite: SuiteIx,
    /// See [`crate::listing::ListedFile::path`].
    pub path: Arc<str>,
    /// See [`crate::listing::ListedFile::key`].
    pub key: FileKey,
    /// See [`crate::listing::ListedFile::locator`].
    pub locator: Arc<str>,
    /// How long listing it and running what it holds may take, while its tests are not known.
    pub estimate: Micros,
}

/// A test of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlannedTest {
    /// The file it stands in.
    pub file: FileIx,
    /// The group it belongs to.
    pub group: GroupIx,
    /// See [`crate::listing::ListedTest::name`].
    pub name: Arc<str>,
    /// What its history hangs on.
    pub key: TestKey,
    /// How long it may take.
    pub estimate: Micros,
    /// The rules it runs under.
    pub policy: PolicyIx,
    /// Its database dependency.
    pub level: Level,
}
