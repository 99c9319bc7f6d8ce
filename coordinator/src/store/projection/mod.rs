//! The projection: what the journal says, in tables that queries read; and two caches that the shell writes into it.
//!
//! One thread writes, by cursor: each transaction brings the tables from one commit of the journal to a later one, and the
//! cursor with them, so that a commit is projected once whatever happens in between. It may be lost and is then a little
//! behind, never wrong. It leaves to the projector what events mean.
//!
//! [`Writer`] and [`Reader`] are faces over the kinds of stores, which only find and keep rows; what rows mean is said once,
//! beside them. One suite of tests holds every kind to the same promises.

mod activity;
mod cache;
mod costs;
mod history;
mod keep;
mod learn;
mod postgres;
mod read;
mod row;
mod sqlite;
#[cfg(test)]
mod tests;
mod write;

pub use costs::Learnt;
pub use history::{FileHistory, Remembered, Scope};
pub use keep::Keep;
pub use postgres::Patience;
pub use read::{Reader, Recalled, Verdicts};
pub use regatta_domain::history::TestHistory;
pub use row::Row;
pub use write::Writer;
// For those who care for a file that nobody works on.
pub(super) use sqlite::VERSION;

use super::Error;
use super::postgres::Server;
use std::path::Path;
use tokio::runtime::Handle;

/// Opens the projection in `file`, and creates it where there is none; without a file, one in memory.
///
/// # Errors
/// When the file cannot be opened, is damaged, or was written by a newer version.
pub fn open(file: Option<&Path>, keep: Keep) -> Result<(Writer, Reader), Error> {
    let (sink, source) = sqlite::open(file, keep)?;
    Ok((Writer::new(sink), Reader::new(source)))
}

/// Opens the projection in the database of a PostgreSQL server, creates it where there is none, and takes it over for the leader
/// of `epoch`: from then on every write of a leader before it is refused with [`Error::Deposed`]. Only whoever leads opens it.
///
/// The work is done by tasks of the runtime of `handle`, which must have a thread beside the one that waits. A server that is
/// gone is waited for with `patience`.
///
/// # Errors
/// When the server does not answer in time or does not let us in, there is no such database or it is not in UTF-8, the tables
/// were made by a newer version, or a newer leader has opened them.
pub fn open_postgres(
    (server, epoch): (&Server, u64),
    keep: Keep,
    patience: Patience,
    handle: Handle,
) -> Result<(Writer, Reader), Error> {
    let (sink, source) = postgres::open((server, epoch), keep, patience, handle)?;
    Ok((Writer::new(sink), Reader::new(source)))
}
