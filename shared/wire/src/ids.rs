//! Ids and digests as text.

use crate::{Invalid, Why};
use regatta_domain::{Digest, FileKey, RunId, TestKey, WorkerId};

macro_rules! parsed {
    ($(#[$doc:meta])* $name:ident -> $id:ident, $why:expr) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// When `text` is not one; `field` is named in the error.
        pub fn $name(field: &str, text: &str) -> Result<$id, Invalid> {
            let parsed: Option<$id> = parse($id::parse(text));
            parsed.ok_or_else(|| {
                let why: fn(&str) -> Why = $why;
                Invalid::new(field, if text.is_empty() { Why::Missing } else { why(text) })
            })
        }
    };
}

fn parse<T>(parsed: impl Into<Parsed<T>>) -> Option<T> {
    parsed.into().0
}

/// Ids say why they do not parse, digests do not; the wire needs neither.
struct Parsed<T>(Option<T>);

impl<T, E> From<Result<T, E>> for Parsed<T> {
    fn from(result: Result<T, E>) -> Self {
        Self(result.ok())
    }
}

impl<T> From<Option<T>> for Parsed<T> {
    fn from(option: Option<T>) -> Self {
        Self(option)
    }
}

/// What was given, short enough to be shown.
fn shown(text: &str) -> Why {
    Why::NotAnId(text.chars().take(64).collect())
}

parsed! {
    /// The id of a run.
    run_id -> RunId, shown
}
parsed! {
    /// The id of a worker.
    worker_id -> WorkerId, shown
}
parsed! {
    /// The content address of a file.
    file_key -> FileKey, |_| Why::NotADigest(32)
}
parsed! {
    /// The key of a test.
    test_key -> TestKey, |_| Why::NotADigest(32)
}
parsed! {
    /// The address of a blob.
    digest -> Digest, |_| Why::NotADigest(64)
}
