//! What a filter is asked about.

use crate::{Level, Micros, RunnerKind, Verdict};
use std::sync::Arc;

/// A test as a filter sees it: borrowed, so that asking about a million of them copies nothing.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The name of its suite.
    pub suite: &'a str,
    /// The runner of its suite.
    pub runner: RunnerKind,
    /// See [`crate::listing::ListedFile::path`].
    pub file: &'a str,
    /// See [`crate::listing::ListedTest::name`].
    pub name: &'a str,
    /// See [`crate::listing::test_id`].
    pub id: &'a str,
    /// Markers and tags: `name`, or `name=value`.
    pub tags: &'a [Arc<str>],
    /// The key of its group, where it has one.
    pub group: Option<&'a str>,
    /// Its database dependency.
    pub level: Level,
    /// Its last verdict, where it has run before.
    pub last: Option<Verdict>,
    /// How long it takes, where that is known.
    pub mean: Option<Micros>,
    /// History knows nothing of it.
    pub is_new: bool,
    /// Its file differs from the revision that changes are counted from.
    pub changed: bool,
}
