//! What PostgreSQL's client says of an error, and of whose making it is.

use std::error::Error as _;
use std::io;
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

/// An error of PostgreSQL in one line: what it says itself hides the server's words behind `db error`.
pub(super) fn told(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => said.message().to_owned(),
        None => error.source().map_or_else(|| error.to_string(), |why| format!("{error}: {why}")),
    }
}

/// Whether it is neither the server's nor that of the way to it.
pub(super) fn is_misunderstanding(error: &Error) -> bool {
    let is_way = |cause: &(dyn std::error::Error + 'static)| cause.is::<io::Error>() || cause.is::<DbError>();
    error.source().is_some_and(|cause| !is_way(cause))
}
