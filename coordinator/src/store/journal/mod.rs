//! The journal: what the driver appends, and what a coordinator comes back from.

mod encode;
mod memory;
mod sqlite;

#[cfg(test)]
pub(crate) mod contract;

pub use memory::MemoryJournal;
pub use sqlite::SqliteJournal;

use super::Error;
use regatta_core::Event;
use regatta_domain::{RunId, Time, Token};
use std::sync::Arc;

/// What is appended at once.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// When.
    pub at: Time,
    /// The events, in order.
    pub events: &'a [Event],
    /// What clients handed in for the runs that begin here, word for word: a coordinator that comes back plans by it.
    pub requests: &'a [(RunId, Vec<u8>)],
}

/// A batch, as it is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its number: one more than that of the batch before.
    pub seq: u64,
    /// When it was appended.
    pub at: Time,
    /// Its events.
    pub events: Arc<[Event]>,
}

/// Where a journal begins that has been trimmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// The last commit that was dropped; 0 for none.
    pub seq: u64,
    /// No lease before it had a greater token: tokens go on from here even when nothing else is left.
    pub token: Token,
}

/// What the driver appends.
///
/// The promise, which every store keeps and one contract suite checks:
/// - When `append` returns, the whole batch is durable: it outlives the process, the system and the power.
/// - When it fails, nothing of the batch is there, now or after a restart, and nothing before it is lost. After a failure
///   the journal is not appended to again: whoever appends stops, and comes back by replay.
/// - Commits are numbered from 1 without gaps, and read in that order, with the bytes that were written or not at all.
/// - `trim` drops commits from the beginning, and is remembered together with its base.
pub trait Journal: Send {
    /// Makes a batch durable, and numbers it.
    ///
    /// # Errors
    /// When the store refuses; nothing of the batch is there then.
    fn append(&mut self, batch: Batch<'_>) -> Result<u64, Error>;

    /// Where it begins.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn base(&mut self) -> Result<Base, Error>;

    /// Drops the commits up to and including `base.seq`, and the requests that came with them.
    ///
    /// # Errors
    /// When the store refuses; nothing was dropped then.
    fn trim(&mut self, base: Base) -> Result<(), Error>;

    /// Another view of the same journal, for another thread.
    ///
    /// # Errors
    /// When the store cannot be opened.
    fn reader(&self) -> Result<Box<dyn Reader>, Error>;
}

/// A view of a journal.
pub trait Reader: Send {
    /// The commits after `after`, in order, at most `most` of them; none when there are no more.
    ///
    /// # Errors
    /// When the store cannot be read, or what is read is not what was written.
    fn read(&mut self, after: u64, most: usize) -> Result<Vec<Commit>, Error>;

    /// What a client handed in for a run.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn request(&mut self, run: RunId) -> Result<Option<Vec<u8>>, Error>;
}
