//! What is wrong when a PostgreSQL server refuses: by what an operator can do about it, and by whether waiting may help.

use std::fmt;
use tokio_postgres::error::SqlState;

/// What is wrong with a PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is not there, or the connection broke.
    Unreachable,
    /// It is starting, stopping, or was stopped in the middle.
    NotReady,
    /// The user or the password is wrong, or nobody may connect from here.
    Credentials,
    /// There is no such database.
    NoDatabase,
    /// The user may not do what is needed.
    NoRight,
    /// It takes no more connections.
    NoConnections,
    /// It does not answer in time.
    Silent,
    /// Its disk is full.
    DiskFull,
    /// It takes no writes: a standby, or one that was made so.
    ReadOnly,
    /// Another transaction was in the way; the next try finds out.
    Conflict,
    /// It gave a statement up before it was done.
    GaveUp,
    /// Something else, in its own words.
    Other(String),
}

impl Trouble {
    /// Sorts what PostgreSQL says.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else { return Self::Unreachable };
        match *said.code() {
            SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => Self::NotReady,
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Self::Credentials,
            SqlState::INVALID_CATALOG_NAME => Self::NoDatabase,
            SqlState::INSUFFICIENT_PRIVILEGE => Self::NoRight,
            SqlState::TOO_MANY_CONNECTIONS | SqlState::CONFIGURATION_LIMIT_EXCEEDED => Self::NoConnections,
            SqlState::DISK_FULL => Self::DiskFull,
            SqlState::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly,
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED | SqlState::LOCK_NOT_AVAILABLE => {
                Self::Conflict
            }
            SqlState::QUERY_CANCELED => Self::GaveUp,
            _ => Self::Other(format!("{} ({})", said.message(), said.code().code())),
        }
    }

    /// Whether it may be over after a while, with nobody changing anything here.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable
            | Self::NotReady
            | Self::NoConnections
            | Self::Silent
            | Self::DiskFull
            | Self::ReadOnly
            | Self::Conflict
            | Self::GaveUp => true,
            Self::Credentials | Self::NoDatabase | Self::NoRight | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Trouble {
    /// The end of a sentence that begins with where the server is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "cannot be reached; see that it runs, and that host and port are right",
            Self::NotReady => "is starting or stopping; try again in a while",
            Self::Credentials => "refuses user or password; see the URL, and who may connect from here (pg_hba.conf)",
            Self::NoDatabase => "has no such database; create it (CREATE DATABASE), or name another one",
            Self::NoRight => {
                "does not let this user do what is needed; let it own the database, or a schema `regatta` in it"
            }
            Self::NoConnections => {
                "takes no more connections; a coordinator needs seven: raise max_connections, or free some"
            }
            Self::Silent => "does not answer in time; see that it runs, and is not overloaded",
            Self::DiskFull => "has no room left on its disk; free some, nothing that was acknowledged is lost",
            Self::ReadOnly => "takes no writes: it is a standby, or was made read-only; name the primary",
            Self::Conflict => "was busy with another transaction; try again",
            Self::GaveUp => {
                "gave up a statement that took too long, or that somebody cancelled; see statement_timeout of this user"
            }
            Self::Other(said) => return write!(f, "refuses: {said}"),
        })
    }
}
