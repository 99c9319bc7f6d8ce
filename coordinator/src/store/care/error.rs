//! Why a store cannot be cared for.

use crate::{blobs, store};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a store cannot be cared for.
#[derive(Debug)]
pub enum Error {
    /// The store refuses.
    Store(store::Error),
    /// The place of its outputs refuses.
    Blobs(blobs::Error),
    /// There is no store.
    NoStore(PathBuf),
    /// Something is there already, and nothing is overwritten.
    NotEmpty(PathBuf),
    /// There is no backup, or not all of it.
    NoBackup {
        /// Where.
        directory: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A file of a backup is not the one that was written.
    Altered {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Runs were live when the version changed that commits are written in.
    OtherFormat {
        /// The file.
        file: PathBuf,
        /// The first commit that is written otherwise.
        commit: u64,
        /// Its format.
        format: u8,
        /// The one that is known here.
        known: u8,
    },
    /// The journal was trimmed again and again while it was to be copied.
    Restless(PathBuf),
    /// That is not done for PostgreSQL: it has tools of its own.
    Postgres,
    /// The file system refuses.
    Io {
        /// What could not be read or written.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn io(file: &Path, source: io::Error) -> Self {
        Self::Io { file: file.to_owned(), source }
    }

    /// Whether it is a mistake in what was asked.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::NoStore(_) | Self::NotEmpty(_) | Self::NoBackup { .. } | Self::Postgres)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Blobs(error) => error.fmt(f),
            Self::NoStore(directory) => write!(
                f,
                "there is no store in {}: it has no journal.db; name the directory that the coordinator was given (--data)",
                directory.display()
            ),
            Self::NotEmpty(directory) => write!(
                f,
                "{} is not empty, and nothing is overwritten; name a directory that is not there yet",
                directory.display()
            ),
            Self::NoBackup { directory, why } => {
                write!(f, "there is no whole backup in {}: {why}", directory.display())
            }
            Self::Altered { file, why } => {
                write!(f, "{} is not the file that was backed up: {why}; take another backup", file.display())
            }
            Self::OtherFormat { file, commit, format, known } => write!(
                f,
                "commit {commit} in {} is written in format {format}, and this Regatta knows {known}; let the Regatta that \
                 wrote it finish its runs, or cancel them there, and try again",
                file.display()
            ),
            Self::Restless(directory) => write!(
                f,
                "the journal in {} is trimmed faster than it can be looked at; try again",
                directory.display()
            ),
            Self::Postgres => f.write_str(
                "that is for data directories; what is in PostgreSQL is checked, backed up and restored with its own tools \
                 (pg_amcheck, pg_dump, pg_restore), and migrated by the coordinator that starts on it",
            ),
            Self::Io { file, .. } => write!(f, "{} cannot be read or written", file.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Blobs(error) => error.source(),
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<blobs::Error> for Error {
    fn from(error: blobs::Error) -> Self {
        Self::Blobs(error)
    }
}
