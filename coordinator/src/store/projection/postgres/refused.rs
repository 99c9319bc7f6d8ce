//! Why something was not done on a server, before it is told with the server's name.

use crate::store::Error;
use crate::store::postgres::Server;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Refused {
    /// The server, or the way to it, said why.
    Said(tokio_postgres::Error),
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
