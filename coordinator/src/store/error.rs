//! Why a store refuses, by what an operator can do about it.

use super::postgres::{Absence, Trouble};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a store refuses.
#[derive(Debug)]
pub enum Error {
    /// A newer version of Regatta wrote the file.
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The disk is full, or a quota or file size limit is reached.
    Full {
        /// The file that could not grow.
        file: PathBuf,
        /// What the system said.
        source: Option<rusqlite::Error>,
    },
    /// What is in the file is not what was written.
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another coordinator works in the directory.
    Held {
        /// The directory.
        directory: PathBuf,
        /// Its process id, where it said so.
        pid: Option<u32>,
    },
    /// The file system refuses.
    Io {
        /// What could not be read or written.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is to name a PostgreSQL database does not.
    Url {
        /// What is wrong with it.
        why: String,
    },
    /// A PostgreSQL server refuses, or is not there.
    Server {
        /// Where it is, without what is secret.
        server: Arc<str>,
        /// What is wrong, as far as that can be told apart.
        trouble: Trouble,
        /// What it said.
        source: tokio_postgres::Error,
    },
    /// A newer version of Regatta made the tables.
    NewerTables {
        /// Where.
        server: Arc<str>,
        /// Which tables.
        kind: &'static str,
        /// Their version.
        found: usize,
        /// The newest version this program knows.
        known: usize,
    },
    /// A PostgreSQL server does not answer in time, or has no connection free for us.
    Silent {
        /// Where it is, without what is secret.
        server: Arc<str>,
    },
    /// A PostgreSQL server is known to be away, so nobody asked it.
    Away {
        /// Where it is, without what is secret.
        server: Arc<str>,
        /// Since when, and why.
        absence: Absence,
    },
    /// A PostgreSQL database, or what is in it, cannot be worked with.
    Unfit {
        /// Where.
        server: Arc<str>,
        /// Why, and what to do.
        why: String,
    },
    /// Another coordinator leads: what this one writes does not count any more.
    Deposed {
        /// The store that they share.
        server: Arc<str>,
        /// When this one began to lead.
        epoch: u64,
    },
    /// SQLite refuses for another reason.
    Database {
        /// The file.
        file: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl Error {
    /// Sorts what SQLite says of `file`.
    pub(super) fn sorted(file: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase, SystemIoFailure};
        let file = file.to_owned();
        match error.sqlite_error_code() {
            Some(DiskFull) => Self::Full { file, source: Some(error) },
            // A limit on the size of files, and a quota, arrive as plain failures to write.
            Some(SystemIoFailure) if is_write(&error) => Self::Full { file, source: Some(error) },
            Some(DatabaseCorrupt | NotADatabase) => Self::Corrupt { file, why: error.to_string() },
            _ => Self::Database { file, source: error },
        }
    }

    /// Whether it may be over after a while, with nobody changing anything here: a server that restarts.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Server { trouble, .. } => trouble.may_pass(),
            Self::Silent { .. } | Self::Away { .. } => true,
            _ => false,
        }
    }

    pub(super) fn io(file: &Path, source: std::io::Error) -> Self {
        let full = [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded];
        if full.contains(&source.kind()) {
            return Self::Full { file: file.to_owned(), source: None };
        }
        Self::Io { file: file.to_owned(), source }
    }
}

fn is_write(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_FSYNC, SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};
    let writes = [SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_SHMSIZE];
    error.sqlite_error().is_some_and(|error| writes.contains(&error.extended_code))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { file, found, known } => write!(
                f,
                "{} was written by a newer Regatta (its version is {found}, this one knows up to {known}); \
                 use that Regatta, or another data directory",
                file.display()
            ),
            Self::Full { file, .. } => write!(
                f,
                "the disk is full, or a limit is reached, or it fails: {} cannot be written; free some space, or see that the \
                 disk is well and takes writes, and start again; nothing that was acknowledged is lost",
                file.display()
            ),
            Self::Corrupt { file, why } => write!(
                f,
                "{} is damaged: {why}; restore it from a backup, or move it away to start afresh",
                file.display()
            ),
            Self::Held { directory, pid: Some(pid) } => write!(
                f,
                "process {pid} is a coordinator that works in {}; stop it, or use another data directory",
                directory.display()
            ),
            Self::Held { directory, pid: None } => write!(
                f,
                "another coordinator works in {}; stop it, or use another data directory",
                directory.display()
            ),
            Self::Url { why } => {
                write!(f, "this names no PostgreSQL database: {why}; write postgres://user:password@host:port/database")
            }
            Self::Server { server, trouble, .. } => write!(f, "{server} {trouble}"),
            Self::NewerTables { server, kind, found, known } => write!(
                f,
                "the {kind} in {server} was made by a newer Regatta (its version is {found}, this one knows up to {known}); \
                 use that Regatta, or another database"
            ),
            Self::Silent { server } => write!(
                f,
                "{server} does not answer in time; see that it runs, and is not overloaded; nothing that was acknowledged \
                 is lost"
            ),
            Self::Away { server, absence: Absence { since, again, trouble } } => {
                let seconds = since.as_secs();
                write!(f, "{server} has been away for {seconds} s, and is ")?;
                match again {
                    Some(again) => write!(f, "tried again in {:.1} s", again.as_secs_f64())?,
                    None => f.write_str("being tried again")?,
                }
                f.write_str("; what runs goes on once it is back, and nothing that was acknowledged is lost. ")?;
                write!(f, "It {trouble}")
            }
            Self::Unfit { server, why } => write!(f, "{server} cannot be used as a store: {why}"),
            Self::Deposed { server, epoch } => write!(
                f,
                "another coordinator leads in {server} since this one's epoch {epoch}; it goes on, and nothing is lost"
            ),
            Self::Io { file, .. } => write!(f, "{} cannot be read or written", file.display()),
            Self::Database { file, source } if source.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) => {
                let file = file.display();
                write!(
                    f,
                    "{file} cannot be opened; see that it may be read and written, and that files may be open (ulimit -n)"
                )
            }
            Self::Database { file, .. } => write!(f, "{} cannot be used as a database", file.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Database { source, .. } | Self::Full { source: Some(source), .. } => Some(source),
            Self::Server { source, .. } => Some(source),
            Self::Newer { .. }
            | Self::Full { .. }
            | Self::Corrupt { .. }
            | Self::Held { .. }
            | Self::Url { .. }
            | Self::NewerTables { .. }
            | Self::Silent { .. }
            | Self::Away { .. }
            | Self::Unfit { .. }
            | Self::Deposed { .. } => None,
        }
    }
}
