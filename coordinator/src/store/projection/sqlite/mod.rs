//! The projection as an SQLite file: one connection that writes, and one that reads, which threads take turns with.

mod history;
mod prune;
mod read;
mod recall;
mod schema;
mod write;

use super::Keep;
use crate::store::Error;
use crate::store::database::Database;
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
pub(super) fn open(file: Option<&Path>, keep: Keep) -> Result<(write::Tables, read::Tables), Error> {
    let mut database = Database::open(file, &schema::SCHEMA)?;
    database.run(upgrade)?;
    let written = Shared::new(database);
    let read = match file {
        Some(file) => Shared::new(Database::open_to_read(file)?),
        None => written.clone(),
    };
    Ok((write::Tables::new(written, keep)?, read::Tables::new(read)))
}

/// The version of the file.
pub(in crate::store) const VERSION: i64 = schema::SCHEMA.version;

/// Brings a file of an older version up to this one.
fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let steps: &[&str] = match found {
        // The tables that version 2 brought are made as they are now.
        1 => &[schema::FROM_1, schema::FROM_4],
        2 => &[schema::FROM_2, schema::FROM_3, schema::FROM_4],
        3 => &[schema::FROM_3, schema::FROM_4],
        4 => &[schema::FROM_4],
        _ => &[],
    };
    steps.iter().try_for_each(|step| transaction.execute_batch(step))?;
    transaction.pragma_update(None, "user_version", schema::SCHEMA.version)?;
    transaction.commit()
}
