//! The journal: what the driver appends, and what a coordinator comes back from.

mod encode;
mod memory;
mod postgres;
mod sqlite;

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
mod machine;

pub use memory::MemoryJournal;
pub use postgres::PostgresJournal;
pub use sqlite::SqliteJournal;
// For those who care for a journal that nobody works on.
pub(super) use encode::{FORMAT, decode, sum};
pub(super) use sqlite::{Rows, VERSION};

use super::Error;
use super::snapshot::Snapshots;
use regatta_core::Event;
use regatta_domain::{RunId, Time, Token};
use std::sync::Arc;
use tokio::sync::watch;

/// Bytes of commits that are read at once, the last one's beyond them not counted: some ten thousand results. A commit may hold
/// anything between one result and a million tests, so that their number bounds nothing.
pub(crate) const READ_BYTES: usize = 1024 * 1024;

/// What is appended at once.
#[derive(Clone, Debug)]
pub struct Batch {
    /// When.
    pub at: Time,
    /// The events, in order.
    pub events: Arc<[Event]>,
    /// What clients handed in for the runs that begin here, word for word: a coordinator that comes back plans by it.
    pub requests: Vec<(RunId, Vec<u8>)>,
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

/// How far a journal is durable.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// The last commit that is.
    pub seq: u64,
    /// Why no later one will be: the store refuses.
    pub refused: Option<Arc<Error>>,
}

/// What the driver appends.
///
/// The promise, which every store keeps and one contract suite checks:
/// - Batches become durable in the order in which they were appended, and each as a whole: once [`Durable::seq`] says so, it
///   outlives the process, the system and the power.
/// - When the store refuses one, nothing of it is there, now or after a restart, nor of any after it, and nothing before it is
///   lost. From then on nothing is appended any more: whoever appends stops, and comes back by replay. Where the store did not
///   answer, or went away for good, nobody can say what became of the last ones: they are there up to one of them, or not at all,
///   and whoever opens the journal next finds out.
/// - Commits are numbered from 1 without gaps, and read in that order, with the bytes that were written or not at all.
/// - `trim` drops commits from the beginning, and is remembered together with its base.
///
/// Nothing here waits for a disk but [`Journal::settle`]: a store does its work beside whoever appends.
pub trait Journal: Send {
    /// Takes a batch into line behind all that were appended before, and numbers it.
    fn append(&mut self, batch: Batch) -> u64;

    /// How far it is durable: changes with every commit that is, and once more when the store refuses.
    fn durable(&self) -> watch::Receiver<Durable>;

    /// Where it begins.
    fn base(&self) -> Base;

    /// Drops the commits up to and including `base.seq`, all of which are durable, and the requests that came with them but for
    /// those of runs that still `live`; behind all that stands in line.
    fn trim(&mut self, base: Base, live: Vec<RunId>);

    /// Waits until everything that stood in line is done.
    ///
    /// # Errors
    /// When the store has refused.
    fn settle(&mut self) -> Result<(), Arc<Error>>;

    /// Another view of the same journal, for another thread.
    ///
    /// # Errors
    /// When the store cannot be opened.
    fn reader(&self) -> Result<Box<dyn Reader>, Error>;

    /// Where snapshots are kept beside it; `None` where there are none, and all that live runs did is read from the journal.
    fn snapshots(&self) -> Option<Box<dyn Snapshots>> {
        None
    }
}

/// A view of a journal.
pub trait Reader: Send {
    /// The commits after `after`, in order, at most `most` of them, and from a disk no more than reach [`READ_BYTES`]; none when
    /// there are no more.
    ///
    /// # Errors
    /// When the store cannot be read, or what is read is not what was written: a commit that is damaged, or missing among others.
    fn read(&mut self, after: u64, most: usize) -> Result<Vec<Commit>, Error>;

    /// What a client handed in for a run.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn request(&mut self, run: RunId) -> Result<Option<Vec<u8>>, Error>;
}

/// Whether commits follow one another from `after` or the base on: one that is missing in the middle is damage like any other.
fn follow_one_another(after: u64, base: u64, found: impl Iterator<Item = u64>) -> Result<(), String> {
    let hole = (after.max(base) + 1..).zip(found).find(|(expected, seq)| expected != seq);
    hole.map_or(Ok(()), |(expected, seq)| Err(format!("commit {expected} is missing, and commit {seq} is there")))
}
