//! Why a coordinator does not start, or stops.

use crate::blobs;
use crate::driver::NotStarted;
use crate::resources::Broken;
use crate::store;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a coordinator does not start, or stops.
#[derive(Clone, Debug)]
pub enum Error {
    /// The store refuses.
    Store(Arc<store::Error>),
    /// What was declared over the service cannot be read.
    Declared(Arc<Broken>),
    /// The hook that makes the items of a pool failed.
    Unprepared {
        /// The pool.
        resource: String,
        /// What it said.
        reason: String,
    },
    /// Outputs cannot be kept.
    Blobs(Arc<blobs::Error>),
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Connections cannot be served.
    Serve(Arc<tonic::transport::Error>),
    /// The system gives no thread.
    Thread(Arc<io::Error>),
    /// A thread without which nothing goes on has failed.
    Failed {
        /// Its name.
        thread: &'static str,
    },
}

impl Error {
    /// Whether it stopped because another one leads, which is no failure of its own.
    #[must_use]
    pub fn is_deposed(&self) -> bool {
        matches!(self, Self::Store(error) if matches!(**error, store::Error::Deposed { .. }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Declared(error) => error.fmt(f),
            Self::Unprepared { resource, reason } => write!(
                f,
                "the pool `{resource}` has no items of its own, and the hook that is to make them failed: {reason}"
            ),
            Self::Blobs(error) => error.fmt(f),
            Self::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "address {address} is in use by another process; stop it, or listen on another address (--listen)"
            ),
            Self::Listen { address, source } if source.kind() == io::ErrorKind::PermissionDenied => write!(
                f,
                "address {address} may not be listened on; choose a port above 1023 (--listen), or give the permission"
            ),
            Self::Listen { address, .. } => write!(f, "address {address} cannot be listened on"),
            Self::Serve(_) => f.write_str("connections cannot be served"),
            Self::Thread(_) => f.write_str("the system gives the coordinator no thread"),
            Self::Failed { thread } => write!(
                f,
                "the coordinator's {thread} failed, which is a mistake in Regatta: please report what was logged before; \
                 start it again, nothing that was acknowledged is lost"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // It speaks in the store's words already.
            Self::Store(error) => error.source(),
            // As do blobs.
            Self::Blobs(error) => error.source(),
            Self::Listen { source, .. } | Self::Thread(source) => Some(&**source),
            Self::Serve(source) => Some(&**source),
            // So does the catalogue.
            Self::Declared(error) => error.source(),
            Self::Unprepared { .. } | Self::Failed { .. } => None,
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<Arc<store::Error>> for Error {
    fn from(error: Arc<store::Error>) -> Self {
        Self::Store(error)
    }
}

impl From<blobs::Error> for Error {
    fn from(error: blobs::Error) -> Self {
        Self::Blobs(Arc::new(error))
    }
}

impl From<NotStarted> for Error {
    fn from(error: NotStarted) -> Self {
        match error {
            NotStarted::Store(error) => error.into(),
            NotStarted::Thread(error) => Self::Thread(Arc::new(error)),
        }
    }
}

/// An error and its causes in one line, for where there is only one.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
