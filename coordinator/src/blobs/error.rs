//! Why a blob is not kept, or not found: by what somebody can do about it.

use regatta_domain::Digest;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a blob is not kept, or not found.
#[derive(Debug)]
pub enum Error {
    /// The file system refuses.
    Io {
        /// What could not be read or written.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is not what was put.
    Damaged {
        /// The blob.
        digest: Digest,
        /// Where it stands.
        place: String,
    },
    /// The store cannot be reached, or does not answer in time. That may pass.
    Away {
        /// The store.
        store: String,
        /// What happened.
        why: String,
    },
    /// The store answers, and refuses. That stays so until somebody does something about it.
    Refused {
        /// The store.
        store: String,
        /// What it said.
        why: String,
        /// What to do.
        help: &'static str,
    },
    /// What is set up for the store makes no sense.
    Unfit {
        /// The store.
        store: String,
        /// What is wrong.
        why: String,
    },
    /// More waits for a store that is away than may wait.
    TooMuchWaits {
        /// The store.
        store: String,
        /// Bytes that wait.
        bytes: u64,
        /// Why they do, as it was last told.
        why: String,
    },
}

impl Error {
    pub(super) fn io(file: &Path, source: io::Error) -> Self {
        Self::Io { file: file.to_owned(), source }
    }

    /// Whether it may pass by itself.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::TooMuchWaits { .. } | Self::Io { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, source } => write!(f, "outputs cannot be kept in {}: {source}", file.display()),
            Self::Damaged { digest, place } => {
                write!(f, "the output {digest} is damaged: {place} does not hold what was written there")
            }
            Self::Away { store, why } => write!(f, "the outputs in {store} cannot be reached: {why}"),
            Self::Refused { store, why, help } => write!(f, "{store} refuses: {why}; {help}"),
            Self::Unfit { store, why } => write!(f, "outputs cannot be kept in {store}: {why}"),
            Self::TooMuchWaits { store, bytes, why } => {
                write!(f, "{} MiB of outputs wait for {store} already, and no more may: {why}", bytes / (1024 * 1024))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Damaged { .. }
            | Self::Away { .. }
            | Self::Refused { .. }
            | Self::Unfit { .. }
            | Self::TooMuchWaits { .. } => None,
        }
    }
}
