//! A suite as a run holds it.

use crate::RunnerKind;
use crate::database::PlannedDatabase;
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
    /// Labels that a worker must carry to run it.
    pub requires: Vec<Arc<str>>,
    /// Variables added to the environment of its tests.
    pub env: Vec<(Arc<str>, Arc<str>)>,
    /// The databases that its tests use, each as far as its level says.
    pub databases: Vec<PlannedDatabase>,
}
