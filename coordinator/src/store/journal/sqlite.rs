//! The journal as an SQLite file: one row a commit, in a write-ahead log that is synced before `append` returns.

use super::{Base, Batch, Commit, Journal, Reader, encode};
use crate::store::Error;
use crate::store::database::{Database, Schema};
use regatta_domain::{RunId, Token};
use rusqlite::{OptionalExtension as _, params};
use std::path::Path;

const SCHEMA: Schema = Schema {
    version: 1,
    synchronous: "FULL",
    create: "
        CREATE TABLE commits (seq INTEGER PRIMARY KEY, body BLOB NOT NULL, sum BLOB NOT NULL);
        CREATE TABLE requests (run BLOB PRIMARY KEY, seq INTEGER NOT NULL, body BLOB NOT NULL);
        CREATE TABLE base (only INTEGER PRIMARY KEY CHECK (only = 0), seq INTEGER NOT NULL, token INTEGER NOT NULL);
        INSERT INTO base VALUES (0, 0, 0);
    ",
};

/// The journal as an SQLite file.
pub struct SqliteJournal {
    pub(super) database: Database,
    last: u64,
}

impl SqliteJournal {
    /// Opens the journal in `file`, and creates it where there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, or was written by a newer version.
    pub fn open(file: &Path) -> Result<Self, Error> {
        let mut database = Database::open(Some(file), &SCHEMA)?;
        let last = database.run(|connection| {
            let last = "SELECT max(coalesce((SELECT max(seq) FROM commits), 0), (SELECT seq FROM base))";
            connection.query_row(last, [], |row| row.get(0).map(i64::cast_unsigned))
        })?;
        Ok(Self { database, last })
    }
}

impl Journal for SqliteJournal {
    fn append(&mut self, batch: Batch<'_>) -> Result<u64, Error> {
        let seq = self.last + 1;
        let body = encode::encode(batch.at, batch.events);
        let sum = encode::sum(seq, &body);
        self.database.run(|connection| {
            let transaction = connection.transaction()?;
            let add = "INSERT INTO commits (seq, body, sum) VALUES (?, ?, ?)";
            transaction.prepare_cached(add)?.execute(params![seq.cast_signed(), body, sum])?;
            for (run, body) in batch.requests {
                let keep = "INSERT OR REPLACE INTO requests (run, seq, body) VALUES (?, ?, ?)";
                transaction.prepare_cached(keep)?.execute(params![run.0.as_bytes(), seq.cast_signed(), body])?;
            }
            transaction.commit()
        })?;
        self.last = seq;
        Ok(seq)
    }

    fn base(&mut self) -> Result<Base, Error> {
        self.database.run(|connection| {
            connection.query_row("SELECT seq, token FROM base", [], |row| {
                let (seq, token): (i64, i64) = (row.get(0)?, row.get(1)?);
                Ok(Base { seq: seq.cast_unsigned(), token: Token(token.cast_unsigned()) })
            })
        })
    }

    fn trim(&mut self, base: Base) -> Result<(), Error> {
        let (seq, token) = (base.seq.cast_signed(), base.token.0.cast_signed());
        self.database.run(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM commits WHERE seq <= ?", [seq])?;
            transaction.execute("DELETE FROM requests WHERE seq <= ?", [seq])?;
            transaction.execute("UPDATE base SET seq = ?, token = ?", [seq, token])?;
            transaction.commit()
        })
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Database::open_to_read(&self.database.file).map(|database| Box::new(View { database }) as Box<dyn Reader>)
    }
}

/// Another connection to the same file.
struct View {
    database: Database,
}

impl Reader for View {
    fn read(&mut self, after: u64, most: usize) -> Result<Vec<Commit>, Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = self.database.run(|connection| {
            let next = "SELECT seq, body, sum FROM commits WHERE seq > ? ORDER BY seq LIMIT ?";
            let mut next = connection.prepare_cached(next)?;
            let rows =
                next.query_map([after.cast_signed(), most], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        })?;
        let file = &self.database.file;
        let decode = |(seq, body, sum): (i64, Vec<u8>, Vec<u8>)| {
            let corrupt = |why| Error::Corrupt { file: file.clone(), why };
            encode::decode(seq.cast_unsigned(), &body, &sum).map_err(corrupt)
        };
        rows.into_iter().map(decode).collect()
    }

    fn request(&mut self, run: RunId) -> Result<Option<Vec<u8>>, Error> {
        self.database.run(|connection| {
            let mut find = connection.prepare_cached("SELECT body FROM requests WHERE run = ?")?;
            find.query_row([run.0.as_bytes()], |row| row.get(0)).optional()
        })
    }
}
