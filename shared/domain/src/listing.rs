//! What a runner says is there: the files of a suite, and the tests of a file.

use crate::{FileKey, Level};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A file that holds tests, as discovery reports it. "File" is whatever a runner lists as one: a Python module, a
/// compiled test binary, the doc tests of a package.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ListedFile {
    /// How people know it, and the first part of its tests' ids: a path below the suite's root, or a binary's id.
    pub path: Arc<str>,
    /// Its content address. A listing is remembered under it.
    pub key: FileKey,
    /// What the runner needs to find it again (the executable of a test binary); empty where `path` says it all.
    pub locator: Arc<str>,
}

/// A test, as its runner lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ListedTest {
    /// Its name within the file; the id is the file's path, `::`, and this. Empty where the file is the test.
    pub name: Arc<str>,
    /// Where it stands in the file, from 1; 0 where the runner does not know.
    pub line: u32,
    /// The tests of a file that share this key share a fixture and form one group; without a key a test stands alone.
    pub group: Option<Arc<str>>,
    /// Markers and tags, as filters see them.
    pub tags: Vec<Arc<str>>,
    /// The database dependency that its markers declare.
    pub level: Level,
    /// The framework would leave it out unless asked (Rust's `#[ignore]`); it is reported as skipped without running.
    pub ignored: bool,
}

/// The id of the test called `name` in the file at `path`.
#[must_use]
pub fn test_id(path: &str, name: &str) -> String {
    if name.is_empty() { path.to_owned() } else { format!("{path}::{name}") }
}
