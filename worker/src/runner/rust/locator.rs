//! Where the tests of a listed file are: the form that travels as [`ListedFile::locator`].
//!
//! [`ListedFile::locator`]: regatta_domain::listing::ListedFile::locator

use regatta_domain::FileKey;
use regatta_domain::result::{RunError, RunErrorKind};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Where the tests of a file are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Locator {
    /// In a test binary.
    Binary(Binary),
    /// In the documentation of a package.
    Doc {
        /// The package.
        package: String,
    },
}

/// A test binary, and what cargo would set for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Binary {
    pub(super) executable: PathBuf,
    pub(super) cwd: PathBuf,
    pub(super) env: Vec<(String, String)>,
    /// What the executable looked like when its content was hashed into the key.
    pub(super) stamp: Stamp,
}

/// What tells cheaply that a file may have changed: its size, and when it was written, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Stamp {
    size: u64,
    written_ns: i64,
}

impl Stamp {
    /// The stamp of the file at `path`.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let written_ns = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Ok(Self { size: metadata.len(), written_ns })
    }
}

impl Locator {
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, RunError> {
        serde_json::from_str(text).map_err(|error| RunError {
            kind: RunErrorKind::Infrastructure,
            place: path.into(),
            message: format!("what was remembered of this binary cannot be read: {error}").into(),
        })
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a locator is plain data")
    }
}

/// Content hashes kept in memory: a long-lived worker sees the same binaries run after run. Ten thousand of them take
/// about two megabytes.
const REMEMBERED: usize = 10_000;

static HASHES: LazyLock<Mutex<HashMap<(PathBuf, Stamp), blake3::Hash>>> = LazyLock::new(Mutex::default);

/// The hash of a file's content, and its stamp.
pub(super) fn hash(path: &Path) -> io::Result<(blake3::Hash, Stamp)> {
    let stamp = Stamp::of(path)?;
    let key = (path.to_owned(), stamp);
    if let Some(hash) = HASHES.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok((*hash, stamp));
    }
    let hash = blake3::Hasher::new().update_reader(File::open(path)?)?.finalize();
    let mut hashes = HASHES.lock().unwrap_or_else(PoisonError::into_inner);
    if hashes.len() >= REMEMBERED {
        hashes.clear();
    }
    hashes.insert(key, hash);
    Ok((hash, stamp))
}

/// The key of a file with these contents, listed under these settings.
pub(super) fn key(kind: &str, settings: &str, contents: impl IntoIterator<Item = blake3::Hash>) -> FileKey {
    let mut hasher = blake3::Hasher::new();
    for part in [kind, settings] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    for content in contents {
        hasher.update(content.as_bytes());
    }
    FileKey(hasher.finalize().as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
}
