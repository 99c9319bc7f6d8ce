//! The contract of a journal, checked on every one of them.

use super::{Base, Batch, Commit, Journal, MemoryJournal, Reader, SqliteJournal};
use crate::store::Error;
use regatta_core::Event;
use regatta_domain::report::{CancelCause, RunOutcome};
use regatta_domain::{RunId, Time, Token};
use std::path::Path;

fn run(n: u128) -> RunId {
    RunId::from_bits(n)
}

fn events(n: u64) -> Vec<Event> {
    let cancelled = Event::RunCancelled { at: Time(n), run: run(1), cause: CancelCause::Asked, kill: true };
    let ended = Event::RunEnded { at: Time(n), run: run(1), outcome: RunOutcome::Cancelled };
    vec![cancelled, ended]
}

fn batch(n: u64) -> Batch {
    let requests = vec![(run(u128::from(n)), vec![u8::try_from(n).unwrap()])];
    Batch { at: Time(n), events: events(n).into(), requests }
}

/// Appends, and waits until that is durable.
fn append(journal: &mut dyn Journal, n: u64) -> u64 {
    let seq = journal.append(batch(n));
    journal.settle().unwrap();
    assert_eq!(journal.durable().borrow().seq, seq);
    seq
}

fn seqs(reader: &mut dyn Reader, after: u64, most: usize) -> Vec<u64> {
    reader.read(after, most).unwrap().iter().map(|commit| commit.seq).collect()
}

/// Every promise, on the journal that `open` opens, and opens again.
fn keeps_its_promises(mut open: impl FnMut() -> Box<dyn Journal>) {
    let mut journal = open();
    assert_eq!(journal.base(), Base::default());
    assert_eq!(journal.durable().borrow().seq, 0);
    assert_eq!((1..=5).map(|n| append(&mut *journal, n)).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);

    let mut reader = journal.reader().unwrap();
    let first = Commit { seq: 1, at: Time(1), events: events(1).into() };
    assert_eq!(reader.read(0, 1).unwrap(), [first]);
    assert_eq!(seqs(&mut *reader, 0, 100), [1, 2, 3, 4, 5]);
    assert_eq!(seqs(&mut *reader, 2, 2), [3, 4]);
    assert!(seqs(&mut *reader, 5, 2).is_empty());
    assert_eq!(reader.request(run(3)).unwrap(), Some(vec![3]));
    assert_eq!(reader.request(run(9)).unwrap(), None);

    // What one view does not know yet, it learns.
    assert_eq!(append(&mut *journal, 6), 6);
    assert_eq!(seqs(&mut *reader, 5, 2), [6]);

    journal.trim(Base { seq: 3, token: Token(7) });
    journal.settle().unwrap();
    assert_eq!(seqs(&mut *reader, 0, 100), [4, 5, 6]);
    assert_eq!(reader.request(run(3)).unwrap(), None);
    assert_eq!(reader.request(run(4)).unwrap(), Some(vec![4]));

    // Numbers and tokens go on when everything was dropped, and after a restart.
    journal.trim(Base { seq: 6, token: Token(8) });
    drop((journal, reader));
    let mut journal = open();
    assert_eq!(journal.base(), Base { seq: 6, token: Token(8) });
    assert_eq!(append(&mut *journal, 7), 7);
    assert_eq!(seqs(&mut *journal.reader().unwrap(), 0, 100), [7]);

    // Many in line become durable in their order, and none is lost.
    let last = (8..=200).map(|n| journal.append(batch(n))).last();
    assert_eq!(last, Some(200));
    journal.settle().unwrap();
    assert_eq!(journal.durable().borrow().seq, 200);
    let read = journal.reader().unwrap().read(6, 1_000).unwrap();
    assert!(read.iter().zip(7..).all(|(commit, n)| (commit.seq, commit.at) == (n, Time(n))), "{read:?}");
    assert_eq!(read.len(), 194);
}

#[test]
fn the_journal_in_memory_keeps_its_promises() {
    let journal = MemoryJournal::default();
    keeps_its_promises(|| Box::new(journal.clone()));
}

#[test]
fn the_journal_on_disk_keeps_its_promises() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal.db");
    keeps_its_promises(|| Box::new(SqliteJournal::open(&file).unwrap()));
}

fn with_connection(file: &Path, sql: &str) {
    rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal.db");
    append(&mut SqliteJournal::open(&file).unwrap(), 1);
    with_connection(&file, "PRAGMA user_version = 9");
    let Err(error) = SqliteJournal::open(&file) else { panic!("a newer journal is refused") };
    assert!(matches!(error, Error::Newer { found: 9, known: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("was written by a newer Regatta (its version is 9, this one knows up to 1)"));
    with_connection(&file, "PRAGMA user_version = 1");
    assert_eq!(seqs(&mut *SqliteJournal::open(&file).unwrap().reader().unwrap(), 0, 9), [1]);
}

#[test]
fn damage_is_noticed_and_never_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal.db");
    append(&mut SqliteJournal::open(&file).unwrap(), 1);
    with_connection(&file, "UPDATE commits SET body = x'010203'");
    let error = SqliteJournal::open(&file).unwrap().reader().unwrap().read(0, 9).unwrap_err();
    assert!(error.to_string().contains("the checksum of commit 1 does not fit"), "{error}");

    let file = directory.path().join("nonsense.db");
    std::fs::write(&file, "this is not a database, and long enough to be told apart from an empty one").unwrap();
    let Err(error) = SqliteJournal::open(&file) else { panic!("nonsense is refused") };
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_full_disk_refuses_the_whole_batch_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal.db");
    let mut journal = SqliteJournal::open(&file).unwrap();
    append(&mut journal, 1);
    // SQLite's own bound on the size of a file fails as a full disk does.
    journal.work(|database| {
        let bound = |connection: &mut rusqlite::Connection| {
            connection.pragma_update_and_check(None, "max_page_count", 8, |_| Ok(()))
        };
        database.run(bound).unwrap();
    });
    let requests = vec![(run(2), vec![0; 1024 * 1024])];
    journal.append(Batch { requests, ..batch(2) });
    // What stands behind it in line would fit, and is not there either.
    journal.append(batch(3));
    let error = journal.settle().unwrap_err();
    assert!(matches!(*error, Error::Full { .. }), "{error:?}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(journal.durable().borrow().seq, 1);
    drop(journal);
    let journal = SqliteJournal::open(&file).unwrap();
    let mut reader = journal.reader().unwrap();
    assert_eq!(seqs(&mut *reader, 0, 9), [1]);
    assert_eq!(reader.request(run(2)).unwrap(), None);
}
