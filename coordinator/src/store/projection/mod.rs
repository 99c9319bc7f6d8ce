//! The projection: what the journal says, in tables that queries read; and two caches that the shell writes into it.
//!
//! One thread writes, by cursor: each transaction brings the tables from one commit of the journal to a later one, and the
//! cursor with them, so that a commit is projected once whatever happens in between. It may be lost and is then a little
//! behind, never wrong. It leaves to the projector what events mean.
//!
//! [`Writer`] and [`Reader`] are faces over the kinds of stores, which only find and keep rows; what rows mean is said once,
//! beside them.

mod activity;
mod cache;
mod costs;
mod history;
mod keep;
mod learn;
mod read;
mod row;
mod sqlite;
#[cfg(test)]
mod tests;
mod write;

pub use costs::Learnt;
pub use history::{FileHistory, Remembered, Scope};
pub use keep::Keep;
pub use read::{Reader, Recalled};
pub use regatta_domain::history::TestHistory;
pub use row::Row;
pub use write::Writer;

use super::Error;
use std::path::Path;

/// Opens the projection in `file`, and creates it where there is none; without a file, one in memory.
///
/// # Errors
/// When the file cannot be opened, is damaged, or was written by a newer version.
pub fn open(file: Option<&Path>, keep: Keep) -> Result<(Writer, Reader), Error> {
    let (sink, source) = sqlite::open(file, keep)?;
    Ok((Writer::new(sink), Reader::new(source)))
}
