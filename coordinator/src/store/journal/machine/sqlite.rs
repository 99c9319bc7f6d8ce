//! The journal on disk, which SQLite itself refuses: no room, another one's lock, nothing that may be written. One that dies leaves
//! its files as they are at that moment, and of what was not synced yet, perhaps a part.

use super::{Fault, Outline, Second, Store};
use crate::store::Error;
use crate::store::journal::SqliteJournal;
use crate::store::lock::Lock;
use rusqlite::Connection;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A write-ahead log that never was longer than this was never moved into its file: a thousand pages.
const UNMOVED: u64 = 4_096 * 1_000;

/// A data directory.
pub(super) struct SqliteStore {
    directory: TempDir,
    lock: Option<Lock>,
    /// Somebody else's lock on the file.
    other: Option<Connection>,
    /// The length of the write-ahead log in which everything is that was told durable.
    synced: u64,
    may_refuse: Option<bool>,
}

impl SqliteStore {
    fn file(&self) -> PathBuf {
        self.directory.path().join("journal.db")
    }

    fn log(directory: &Path) -> PathBuf {
        directory.join("journal.db-wal")
    }

    /// The files as they are: where the log began anew meanwhile, they are taken again.
    fn image(&self) -> TempDir {
        loop {
            let image = tempfile::tempdir().unwrap();
            let head =
                |directory: &Path| fs::read(Self::log(directory)).map(|log| log[..log.len().min(32)].to_vec()).ok();
            let before = head(self.directory.path());
            for name in ["journal.db", "journal.db-wal", "journal.snapshot"] {
                let (from, to) = (self.directory.path().join(name), image.path().join(name));
                match fs::copy(from, to) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{name}: {error}"),
                    _ => {}
                }
            }
            // A log that begins within the copy has everything from its beginning on.
            if before.is_none_or(|before| before.is_empty() || head(image.path()).as_ref() == Some(&before)) {
                return image;
            }
        }
    }
}

impl Store for SqliteStore {
    type Journal = SqliteJournal;

    const FAULTS: &'static [Fault] = &[Fault::Slow, Fault::Slow, Fault::Conflict, Fault::Error, Fault::Full];

    fn new(_: Outline) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), lock: None, other: None, synced: 0, may_refuse: None }
    }

    fn open(&mut self) -> SqliteJournal {
        (self.other, self.lock, self.may_refuse) = (None, None, None);
        self.lock = Some(Lock::take(self.directory.path()).unwrap());
        SqliteJournal::open(&self.file()).unwrap()
    }

    fn crash(&mut self, journal: SqliteJournal, kept: u64) {
        let image = self.image();
        self.other = None;
        drop(journal);
        if let Ok(log) = OpenOptions::new().write(true).open(Self::log(image.path())) {
            let length = log.metadata().unwrap().len();
            if length < UNMOVED {
                let lost = length.saturating_sub(self.synced) * (1_000 - kept) / 1_000;
                log.set_len(length - lost).unwrap();
            }
        }
        self.directory = image;
    }

    fn second(&mut self) -> Second<SqliteJournal> {
        match Lock::take(self.directory.path()) {
            Err(Error::Held { .. }) => Second::Refused,
            other => panic!("the directory is taken: {other:?}"),
        }
    }

    fn strike(&mut self, fault: Fault, journal: &mut SqliteJournal) {
        // One that has refused has no connection any more.
        if self.may_refuse.is_some() {
            return;
        }
        let lock = |store: &mut Self| {
            let other = store.other.take().unwrap_or_else(|| Connection::open(store.file()).unwrap());
            if other.is_autocommit() {
                other.busy_timeout(Duration::from_secs(10)).unwrap();
                other.execute_batch("BEGIN IMMEDIATE").unwrap();
            }
            store.other = Some(other);
        };
        // What is in line is done before that, and must not wait for a lock of ours.
        self.other = None;
        match fault {
            Fault::Slow => lock(self),
            Fault::Conflict => {
                journal.work(|database| database.run(|connection| connection.busy_timeout(Duration::ZERO)).unwrap());
                lock(self);
                self.may_refuse = Some(false);
            }
            Fault::Error => {
                journal.work(|database| {
                    database.run(|connection| connection.pragma_update(None, "query_only", true)).unwrap();
                });
                self.may_refuse = Some(false);
            }
            Fault::Full => {
                journal.work(|database| {
                    let bound = |connection: &mut Connection| {
                        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
                        connection.pragma_update_and_check(None, "max_page_count", pages + 1, |_| Ok(()))
                    };
                    database.run(bound).unwrap();
                });
                self.may_refuse = Some(false);
            }
            other => unreachable!("{other:?} does not happen to a file"),
        }
    }

    fn go_on(&mut self) {
        self.other = None;
    }

    fn told(&mut self) {
        self.synced = fs::metadata(Self::log(self.directory.path())).map_or(0, |log| log.len());
    }

    fn may_refuse(&self) -> Option<bool> {
        self.may_refuse
    }
}
