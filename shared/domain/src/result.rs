//! What a worker reports of an attempt.

use crate::database::Observation;
use crate::{Cause, Digest, Exit, Micros, Nuance, Outcome, TestIx, Time};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a worker reports of one attempt of a test.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TestResult {
    /// The test.
    pub test: TestIx,
    /// Which attempt this was, from 1. A result for any but the current attempt is late, and dropped.
    pub attempt: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// What the framework tells beyond that.
    pub nuance: Nuance,
    /// Why it did not pass; `None` where nothing was wrong.
    pub cause: Option<Cause>,
    /// How its process ended, where it had one of its own that did.
    pub exit: Option<Exit>,
    /// When it began, by the worker's clock.
    pub started: Time,
    /// How long it took, set-up and function teardown included.
    pub duration: Micros,
    /// One line that says why it did not pass; at most [`crate::limits::REASON_BYTES`].
    pub reason: Option<Arc<str>>,
    /// Where its output lies.
    pub output: Option<OutputRef>,
    /// What it did with its databases, where it had any.
    pub observation: Option<Arc<Observation>>,
}

/// Where the captured output of an attempt lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OutputRef {
    /// The blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u32,
}

/// Something that went wrong beside any one test, and makes the run red.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunError {
    /// What kind of thing.
    pub kind: RunErrorKind,
    /// Where: a file, a binary, a suite.
    pub place: Arc<str>,
    /// What was wrong and what to do; at most [`crate::limits::ERROR_BYTES`].
    pub message: Arc<str>,
}

/// What went wrong beside a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunErrorKind {
    /// A file could not be collected (import error, syntax error, duplicate ids).
    Collection,
    /// The suite could not be built.
    Build,
    /// The runner could not be started, is too old, or is misconfigured. Terminal for its suite.
    Runner,
    /// A fixture that outlives a test failed in its teardown.
    Teardown,
    /// Regatta's own machinery failed: no worker, a lost lease, a limit.
    Infrastructure,
}
