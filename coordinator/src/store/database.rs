//! Opening an SQLite file as this house keeps them: WAL, a version in the header, nothing done to a file that a newer
//! version wrote.

use super::Error;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a connection waits for another one of this process: checkpoints are the longest that it meets.
const BUSY: Duration = Duration::from_secs(10);

/// After a checkpoint, the write-ahead log is cut down to this.
const WAL_BYTES: i64 = 16 * 1024 * 1024;

/// What a file should look like.
pub(super) struct Schema {
    /// The newest version, and how to create it in an empty file.
    pub(super) version: i64,
    pub(super) create: &'static str,
}

/// An open file, and its name for messages.
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) file: PathBuf,
}

impl Database {
    /// Opens the file for writing, creating it where there is none; without one, a store in memory.
    pub(super) fn open(file: Option<&Path>, schema: &Schema) -> Result<Self, Error> {
        let name = file.unwrap_or_else(|| Path::new(":memory:")).to_owned();
        let opened = match file {
            Some(file) => Connection::open(file),
            None => Connection::open_in_memory(),
        };
        let connection = opened.map_err(|error| Error::sorted(&name, error))?;
        let mut database = Self { connection, file: name };
        database.prepare(schema)?;
        Ok(database)
    }

    /// Opens a file that stands, for reading.
    pub(super) fn open_to_read(file: &Path) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sorted = |error| Error::sorted(file, error);
        let connection = Connection::open_with_flags(file, flags).map_err(sorted)?;
        connection.busy_timeout(BUSY).map_err(sorted)?;
        Ok(Self { connection, file: file.to_owned() })
    }

    fn prepare(&mut self, schema: &Schema) -> Result<(), Error> {
        let found: i64 = self.run(|connection| {
            connection.busy_timeout(BUSY)?;
            connection.pragma_query_value(None, "user_version", |row| row.get(0))
        })?;
        if found > schema.version {
            return Err(Error::Newer { file: self.file.clone(), found, known: schema.version });
        }
        self.run(|connection| {
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
            // A commit outlives a power loss. Tables, too: what is in them is dropped from the journal, and cannot be made again.
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES, |_| Ok(()))?;
            connection.set_prepared_statement_cache_capacity(64);
            if found == 0 {
                let transaction = connection.transaction()?;
                transaction.execute_batch(schema.create)?;
                transaction.pragma_update(None, "user_version", schema.version)?;
                transaction.commit()?;
            }
            Ok(())
        })
    }

    /// Does something with the connection; what goes wrong is sorted.
    pub(super) fn run<T>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        work(&mut self.connection).map_err(|error| Error::sorted(&self.file, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_outlives_a_power_loss() {
        let directory = tempfile::tempdir().unwrap();
        let schema = Schema { version: 1, create: "CREATE TABLE some (a INTEGER)" };
        let mut database = Database::open(Some(&directory.path().join("some.db")), &schema).unwrap();
        let told = |connection: &mut Connection| {
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            let level: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
            Ok((mode, level))
        };
        // FULL: each commit is synced, and not checkpoints alone.
        assert_eq!(database.run(told).unwrap(), ("wal".to_owned(), 2));
    }
}
