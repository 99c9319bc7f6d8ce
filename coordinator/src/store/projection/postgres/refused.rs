//! Why something was not done on a server, before it is told with the server's name.

use crate::store::Error;
use crate::store::postgres::{Server, Trouble};
use deadpool_postgres::PoolError;
use std::io;
use tokio_postgres::error::{DbError, SqlState};

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Refused {
    /// The server, or the way to it, said why.
    Said(tokio_postgres::Error),
    /// It did not answer in time, or our pool had no connection free.
    Silent,
    /// A newer leader writes.
    Deposed,
    /// What is there is not what is needed, for this reason.
    Unfit(String),
    /// It was told already.
    Told(Box<Error>),
}

impl Refused {
    /// Tells it of this server, to the leader of this epoch.
    pub(super) fn of(self, server: &Server, epoch: u64) -> Error {
        let name = || server.to_string().into();
        match self {
            Self::Said(error) => server.sorted(error),
            Self::Silent => Error::Silent { server: name() },
            Self::Deposed => Error::Deposed { server: name(), epoch },
            Self::Unfit(why) => Error::Unfit { server: name(), why },
            Self::Told(error) => *error,
        }
    }
}

impl From<tokio_postgres::Error> for Refused {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Said(error)
    }
}

impl From<PoolError> for Refused {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Said(error),
            PoolError::Timeout(_)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => Self::Silent,
        }
    }
}

/// Whether trying again may help.
pub(super) fn may_pass(error: &Error) -> bool {
    match error {
        // Neither the server nor the way to it: what it said is not what was asked for, or we have no password to tell.
        Error::Server { source, .. } if is_misunderstanding(source) => false,
        Error::Server { trouble, source, .. } => {
            trouble.may_pass() || source.code().is_some_and(|code| PASSING.contains(code))
        }
        Error::Silent { .. } => true,
        _ => false,
    }
}

/// What passes by itself, though the server refused for what it could tell: it gave us up, was told to, or is short of memory.
const PASSING: [SqlState; 3] =
    [SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT, SqlState::QUERY_CANCELED, SqlState::OUT_OF_MEMORY];

fn is_misunderstanding(error: &tokio_postgres::Error) -> bool {
    let is_way = |cause: &(dyn std::error::Error + 'static)| cause.is::<io::Error>() || cause.is::<DbError>();
    std::error::Error::source(error).is_some_and(|cause| !is_way(cause))
}

/// Whether another connection may do better: this one leads to a server that is gone, or has become a standby.
pub(super) const fn spoils_connection(error: &Error) -> bool {
    matches!(
        error,
        Error::Server { trouble: Trouble::Unreachable | Trouble::NotReady | Trouble::ReadOnly, .. }
            | Error::Silent { .. }
    )
}
