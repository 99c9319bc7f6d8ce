//! The projection: what the journal says, in tables that queries read; and two caches that the shell writes into it.
//!
//! One thread writes, by cursor: each transaction brings the tables from one commit of the journal to a later one, and the
//! cursor with them, so that a commit is projected once whatever happens in between. It may be lost and is then a little
//! behind, never wrong. It leaves to the projector what events mean.

mod history;
mod prune;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod write;

pub use history::{FileHistory, TestHistory};
pub use prune::Keep;
pub use read::{Reader, Recalled};
pub use write::{Row, Writer};

use super::Error;
use super::database::Database;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A connection that threads take turns with.
#[derive(Clone)]
struct Shared(Arc<Mutex<Database>>);

impl Shared {
    fn new(database: Database) -> Self {
        Self(Arc::new(Mutex::new(database)))
    }

    fn lock(&self) -> MutexGuard<'_, Database> {
        // SQLite rolls back what a thread that came to grief had begun.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the projection in `file`, and creates it where there is none; without a file, one in memory.
///
/// # Errors
/// When the file cannot be opened, is damaged, or was written by a newer version.
pub fn open(file: Option<&Path>, keep: Keep) -> Result<(Writer, Reader), Error> {
    let written = Shared::new(Database::open(file, &schema::SCHEMA)?);
    let read = match file {
        Some(file) => Shared::new(Database::open_to_read(file)?),
        None => written.clone(),
    };
    Ok((Writer::new(written, keep)?, Reader::new(read)))
}
