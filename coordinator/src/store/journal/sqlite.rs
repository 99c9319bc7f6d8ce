//! The journal as an SQLite file: one row a commit, in a write-ahead log that is synced before a commit is called durable.
//!
//! A thread of its own writes. What gathered while it waited for the disk goes into one transaction, so that the disk is
//! waited for once.

use super::{Base, Batch, Commit, Durable, Journal, READ_BYTES, Reader, encode, follow_one_another};
use crate::store::Error;
use crate::store::database::{Database, Schema};
use crate::store::snapshot::{FileSnapshots, Snapshots};
use regatta_domain::{RunId, Token};
use rusqlite::{OptionalExtension as _, Transaction, params};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// The version of the file.
pub(in crate::store) const VERSION: i64 = 1;

const SCHEMA: Schema = Schema {
    version: VERSION,
    create: "
        CREATE TABLE commits (seq INTEGER PRIMARY KEY, body BLOB NOT NULL, sum BLOB NOT NULL);
        CREATE TABLE requests (run BLOB PRIMARY KEY, seq INTEGER NOT NULL, body BLOB NOT NULL);
        CREATE TABLE base (only INTEGER PRIMARY KEY CHECK (only = 0), seq INTEGER NOT NULL, token INTEGER NOT NULL);
        INSERT INTO base VALUES (0, 0, 0);
    ",
};

/// Orders that may stand in line; beyond that whoever appends waits. The driver keeps far below it.
const LINE: usize = 64;

/// What one transaction takes at most beyond its first commit: it keeps a commit short, and the log small.
const TOGETHER_BYTES: usize = 4 * 1024 * 1024;

/// The journal as an SQLite file.
pub struct SqliteJournal {
    file: PathBuf,
    last: u64,
    base: Base,
    line: Option<SyncSender<Order>>,
    durable: watch::Receiver<Durable>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is to do.
enum Order {
    Append(u64, Batch),
    Trim(Base, Vec<RunId>),
    Settle(SyncSender<()>),
    #[cfg(test)]
    Work(Box<dyn FnOnce(&mut Database) + Send>),
}

impl SqliteJournal {
    /// Opens the journal in `file`, and creates it where there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, or was written by a newer version.
    pub fn open(file: &Path) -> Result<Self, Error> {
        let mut database = Database::open(Some(file), &SCHEMA)?;
        let (last, base) = database.run(|connection| {
            let last = "SELECT max(coalesce((SELECT max(seq) FROM commits), 0), (SELECT seq FROM base))";
            let last = connection.query_row(last, [], |row| row.get(0).map(i64::cast_unsigned))?;
            let base = connection.query_row("SELECT seq, token FROM base", [], |row| {
                let (seq, token): (i64, i64) = (row.get(0)?, row.get(1)?);
                Ok(Base { seq: seq.cast_unsigned(), token: Token(token.cast_unsigned()) })
            })?;
            Ok((last, base))
        })?;
        // A process that was killed before it synced leaves what is read here all the same, and what is told durable outlives the
        // power as well.
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        match File::open(&log).and_then(|log| log.sync_data()) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(Error::io(log.as_ref(), source)),
            _ => {}
        }
        let (line, orders) = sync_channel(LINE);
        let (tell, durable) = watch::channel(Durable { seq: last, refused: None });
        let writer = Writer { database, durable: tell };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.follow(&orders));
        let thread = Some(thread.map_err(|source| Error::io(file, source))?);
        Ok(Self { file: file.to_owned(), last, base, line: Some(line), durable, thread })
    }

    /// A thread that is gone has refused before, and whoever asks hears of that.
    fn order(&self, order: Order) {
        if let Some(line) = &self.line {
            let _gone = line.send(order);
        }
    }

    /// Does something with the thread's connection.
    #[cfg(test)]
    pub(super) fn work(&mut self, work: impl FnOnce(&mut Database) + Send + 'static) {
        self.order(Order::Work(Box::new(work)));
        self.settle().unwrap();
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        // The line ends, and the thread with it: the file is free from here on.
        self.line = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Journal for SqliteJournal {
    fn append(&mut self, batch: Batch) -> u64 {
        self.last += 1;
        self.order(Order::Append(self.last, batch));
        self.last
    }

    fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.clone()
    }

    fn base(&self) -> Base {
        self.base
    }

    fn trim(&mut self, base: Base, live: Vec<RunId>) {
        self.base = base;
        self.order(Order::Trim(base, live));
    }

    fn settle(&mut self) -> Result<(), Arc<Error>> {
        let (done, settled) = sync_channel(1);
        self.order(Order::Settle(done));
        if settled.recv().is_err() {
            // An end without an answer is a refusal, which is told before the thread ends.
            if let Some(thread) = self.thread.take() {
                let _panicked = thread.join();
            }
        }
        self.durable.borrow().refused.clone().map_or(Ok(()), Err)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Database::open_to_read(&self.file).map(|database| Box::new(View { database }) as Box<dyn Reader>)
    }

    fn snapshots(&self) -> Option<Box<dyn Snapshots>> {
        Some(Box::new(FileSnapshots::new(&self.file.with_extension("snapshot"))))
    }
}

/// The thread that writes.
struct Writer {
    database: Database,
    durable: watch::Sender<Durable>,
}

impl Writer {
    /// Does what stands in line, until the line ends or the store refuses.
    fn follow(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            if let Err(error) = self.take(order, orders) {
                self.durable.send_modify(|durable| durable.refused = Some(Arc::new(error)));
                return;
            }
        }
    }

    fn take(&mut self, order: Order, orders: &Receiver<Order>) -> Result<(), Error> {
        let mut next = Some(order);
        while let Some(order) = next.take() {
            match order {
                Order::Append(seq, batch) => next = self.append(Row::of(seq, batch), orders)?,
                Order::Trim(base, live) => self.trim(base, &live)?,
                Order::Settle(done) => {
                    // Whoever asked may have gone away.
                    let _gone = done.send(());
                }
                #[cfg(test)]
                Order::Work(work) => work(&mut self.database),
            }
        }
        Ok(())
    }

    /// Makes a commit durable, and whatever else waits to be. Gives back what came after that.
    fn append(&mut self, first: Row, orders: &Receiver<Order>) -> Result<Option<Order>, Error> {
        let (mut seq, mut next, mut bytes) = (first.seq, None, 0);
        self.database.run(|connection| {
            let transaction = connection.transaction()?;
            first.write(&transaction)?;
            while bytes < TOGETHER_BYTES {
                match orders.try_recv() {
                    Ok(Order::Append(number, batch)) => {
                        let row = Row::of(number, batch);
                        row.write(&transaction)?;
                        (seq, bytes) = (number, bytes + row.bytes());
                    }
                    other => {
                        next = other.ok();
                        break;
                    }
                }
            }
            transaction.commit()
        })?;
        self.durable.send_modify(|durable| durable.seq = seq);
        Ok(next)
    }

    fn trim(&mut self, base: Base, live: &[RunId]) -> Result<(), Error> {
        let (seq, token) = (base.seq.cast_signed(), base.token.0.cast_signed());
        self.database.run(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM commits WHERE seq <= ?", [seq])?;
            let early = "SELECT run FROM requests WHERE seq <= ?";
            let early: Vec<Vec<u8>> =
                transaction.prepare_cached(early)?.query_map([seq], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for run in early.iter().filter(|run| !live.iter().any(|live| live.0.as_bytes()[..] == ***run)) {
                transaction.prepare_cached("DELETE FROM requests WHERE run = ?")?.execute([run])?;
            }
            transaction.execute("UPDATE base SET seq = ?, token = ?", [seq, token])?;
            transaction.commit()
        })
    }
}

/// A commit as it is written.
struct Row {
    seq: u64,
    body: Vec<u8>,
    sum: encode::Sum,
    requests: Vec<(RunId, Vec<u8>)>,
}

impl Row {
    fn of(seq: u64, batch: Batch) -> Self {
        let body = encode::encode(batch.at, &batch.events);
        let sum = encode::sum(seq, &body);
        Self { seq, body, sum, requests: batch.requests }
    }

    fn bytes(&self) -> usize {
        self.body.len() + self.requests.iter().map(|(_, body)| body.len()).sum::<usize>()
    }

    fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let seq = self.seq.cast_signed();
        let add = "INSERT INTO commits (seq, body, sum) VALUES (?, ?, ?)";
        transaction.prepare_cached(add)?.execute(params![seq, self.body, self.sum])?;
        for (run, body) in &self.requests {
            let keep = "INSERT OR REPLACE INTO requests (run, seq, body) VALUES (?, ?, ?)";
            transaction.prepare_cached(keep)?.execute(params![run.0.as_bytes(), seq, body])?;
        }
        Ok(())
    }
}

/// A journal that is made from the rows of another.
pub(in crate::store) struct Rows {
    database: Database,
}

impl Rows {
    /// An empty one, in a file that is not there yet.
    pub(in crate::store) fn create(file: &Path) -> Result<Self, Error> {
        let mut database = Database::open(Some(file), &SCHEMA)?;
        database.run(|connection| connection.execute_batch("BEGIN"))?;
        Ok(Self { database })
    }

    /// Adds the next commit.
    pub(in crate::store) fn add(&mut self, seq: u64, body: &[u8], sum: &[u8]) -> Result<(), Error> {
        self.database.run(|connection| {
            let add = "INSERT INTO commits (seq, body, sum) VALUES (?, ?, ?)";
            connection.prepare_cached(add)?.execute(params![seq.cast_signed(), body, sum]).map(drop)
        })
    }

    /// Takes from the journal in `from` where it begins, and what was handed in up to the last commit; then all of it is
    /// durable, in one file.
    pub(in crate::store) fn finish(mut self, from: &Path, last: u64) -> Result<(), Error> {
        let mut from = Database::open_to_read(from)?;
        let (base, requests) = from.run(|connection| {
            let base = connection.query_row("SELECT seq, token FROM base", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut requests = connection.prepare("SELECT run, seq, body FROM requests WHERE seq <= ?")?;
            let requests =
                requests.query_map([last.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok::<((i64, i64), Vec<(Vec<u8>, i64, Vec<u8>)>), _>((base, requests.collect::<Result<_, _>>()?))
        })?;
        self.database.run(|connection| {
            connection.execute("UPDATE base SET seq = ?, token = ?", [base.0, base.1])?;
            let mut keep = connection.prepare("INSERT INTO requests (run, seq, body) VALUES (?, ?, ?)")?;
            requests.iter().try_for_each(|(run, seq, body)| keep.execute(params![run, seq, body]).map(drop))?;
            drop(keep);
            connection.execute_batch("COMMIT")?;
            connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
        })
    }
}

/// Another connection to the same file.
struct View {
    database: Database,
}

impl Reader for View {
    fn read(&mut self, after: u64, most: usize) -> Result<Vec<Commit>, Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let (base, rows) = self.database.run(|connection| {
            // Together, so that nothing is trimmed in between.
            let transaction = connection.transaction()?;
            let base: i64 = transaction.query_row("SELECT seq FROM base", [], |row| row.get(0))?;
            let next = "SELECT seq, body, sum FROM commits WHERE seq > ? ORDER BY seq LIMIT ?";
            let mut next = transaction.prepare_cached(next)?;
            let mut found = next.query([after.cast_signed(), most])?;
            let (mut rows, mut bytes) = (Vec::new(), 0);
            while bytes < READ_BYTES
                && let Some(row) = found.next()?
            {
                let row = (row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?);
                bytes += row.1.len();
                rows.push(row);
            }
            Ok((base, rows))
        })?;
        let file = &self.database.file;
        let found = rows.iter().map(|(seq, ..)| seq.cast_unsigned());
        follow_one_another(after, base.cast_unsigned(), found)
            .map_err(|why| Error::Corrupt { file: file.clone(), why })?;
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
