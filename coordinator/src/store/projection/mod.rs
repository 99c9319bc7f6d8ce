//! The projection: what the journal says, in tables that queries read; and two caches that the shell writes into it.
//!
//! One thread writes, by cursor: each transaction brings the tables from one commit of the journal to a later one, and the
//! cursor with them, so that a commit is projected once whatever happens in between. It may be lost and is then a little
//! behind, never wrong. It leaves to the projector what events mean.

mod activity;
mod costs;
mod history;
mod learn;
mod prune;
mod read;
mod recall;
mod row;
mod schema;
#[cfg(test)]
mod tests;
mod write;

pub use costs::Learnt;
pub use history::{FileHistory, Remembered, Scope};
pub use prune::Keep;
pub use read::{Reader, Recalled};
pub use regatta_domain::history::TestHistory;
pub use row::Row;
pub use write::Writer;

use super::Error;
use super::database::Database;
use rusqlite::Connection;
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
    let mut database = Database::open(file, &schema::SCHEMA)?;
    database.run(upgrade)?;
    let written = Shared::new(database);
    let read = match file {
        Some(file) => Shared::new(Database::open_to_read(file)?),
        None => written.clone(),
    };
    Ok((Writer::new(written, keep)?, Reader::new(read)))
}

/// Brings a file of an older version up to this one.
fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        1 => transaction.execute_batch(schema::FROM_1)?,
        2 => transaction.execute_batch(schema::FROM_2).and_then(|()| transaction.execute_batch(schema::FROM_3))?,
        3 => transaction.execute_batch(schema::FROM_3)?,
        _ => {}
    }
    transaction.pragma_update(None, "user_version", schema::SCHEMA.version)?;
    transaction.commit()
}
