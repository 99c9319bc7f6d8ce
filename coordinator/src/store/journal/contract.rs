//! The contract of a journal, checked on every one of them.

use super::{Base, Batch, Commit, Journal, MemoryJournal, PostgresJournal, READ_BYTES, Reader, SqliteJournal};
use crate::store::Error;
use crate::store::postgres::Server;
use crate::store::postgres::fixture::{SHARED, TestServer};
use crate::store::postgres::leader::{Candidate, Leadership};
use regatta_core::Event;
use regatta_domain::report::{CancelCause, RunOutcome};
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{RunId, Time, Token};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

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

    journal.trim(Base { seq: 3, token: Token(7) }, vec![run(2)]);
    journal.settle().unwrap();
    assert_eq!(reader.request(run(2)).unwrap(), Some(vec![2]), "what began early may still live");
    assert_eq!(seqs(&mut *reader, 0, 100), [4, 5, 6]);
    assert_eq!(reader.request(run(3)).unwrap(), None);
    assert_eq!(reader.request(run(4)).unwrap(), Some(vec![4]));

    // Numbers and tokens go on when everything was dropped, and after a restart.
    journal.trim(Base { seq: 6, token: Token(8) }, Vec::new());
    journal.settle().unwrap();
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
    reads_large_ones_one_by_one(Box::new(SqliteJournal::open(&file).unwrap()));
}

/// Whether commits that are large are read one by one, and small ones with the large one before.
fn reads_large_ones_one_by_one(mut journal: Box<dyn Journal>) {
    let error = |bytes: usize| RunError {
        kind: RunErrorKind::Infrastructure,
        place: "here".into(),
        message: "x".repeat(bytes).into(),
    };
    let first = journal.durable().borrow().seq;
    for (n, bytes) in (1..).zip([READ_BYTES, READ_BYTES / 2, READ_BYTES / 2, 1, 1]) {
        let erred = Event::RunErred { run: run(1), suite: None, error: error(bytes) };
        journal.append(Batch { at: Time(n), events: [erred].into(), requests: Vec::new() });
    }
    journal.settle().unwrap();
    let mut reader = journal.reader().unwrap();
    assert_eq!(seqs(&mut *reader, first, 9), [first + 1]);
    assert_eq!(seqs(&mut *reader, first + 1, 9), [first + 2, first + 3]);
    assert_eq!(seqs(&mut *reader, first + 2, 9), [first + 3, first + 4, first + 5]);
}

/// How long a server may be away, for tests.
const PATIENCE: Duration = Duration::from_secs(60);

async fn lead(server: &Server) -> Leadership {
    Candidate::new(server.clone(), "http://here").stand_by().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_in_postgresql_keeps_its_promises() {
    let server = SHARED.database().await;
    let leading = lead(&server).await;
    let (epoch, here) = (leading.epoch(), Handle::current());
    let open = move || -> Box<dyn Journal> {
        Box::new(here.block_on(PostgresJournal::open(&server, epoch, PATIENCE)).unwrap())
    };
    let check = move || {
        keeps_its_promises(&open);
        reads_large_ones_one_by_one(open());
    };
    spawn_blocking(check).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_deposed_writes_nothing_more() {
    let server = SHARED.database().await;
    let old = lead(&server).await;
    let mut first = PostgresJournal::open(&server, old.epoch(), PATIENCE).await.unwrap();
    append(&mut first, 1);
    old.resign().await;
    let new = lead(&server).await;
    let mut second = PostgresJournal::open(&server, new.epoch(), PATIENCE).await.unwrap();
    // Both would write the second commit.
    first.append(batch(7));
    let error = first.settle().unwrap_err();
    assert!(matches!(*error, Error::Deposed { epoch: 1, .. }), "{error:?}");
    assert_eq!(append(&mut second, 2), 2);
    let read = second.reader().unwrap().read(0, 9).unwrap();
    assert_eq!(read.iter().map(|commit| commit.at).collect::<Vec<_>>(), [Time(1), Time(2)]);
    // Nor does it drop what the other one still needs.
    let mut third = PostgresJournal::open(&server, 1, PATIENCE).await.unwrap();
    third.trim(Base { seq: 2, token: Token(9) }, Vec::new());
    assert!(matches!(*third.settle().unwrap_err(), Error::Deposed { .. }));
    assert_eq!(seqs(&mut *second.reader().unwrap(), 0, 9), [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_the_middle_loses_nothing_and_repeats_nothing() {
    let own = TestServer::start();
    let server = own.database().await;
    let leading = lead(&server).await;
    let mut journal = PostgresJournal::open(&server, leading.epoch(), PATIENCE).await.unwrap();
    let mut reader = journal.reader().unwrap();
    let mut n = 0;
    for _ in 0..4 {
        (0..200).for_each(|_| {
            n += 1;
            journal.append(batch(n % 200));
        });
        own.tell("kill");
        own.tell("start");
        reader.read(0, 1).expect("a reader waits as well");
    }
    journal.settle().unwrap();
    assert_eq!(journal.durable().borrow().seq, n);
    let read = reader.read(0, 10_000).unwrap();
    assert_eq!(read.len(), 800);
    assert!(read.iter().zip(1..).all(|(commit, n)| (commit.seq, commit.at) == (n, Time(n % 200))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_and_not_confirmed_is_not_written_twice() {
    let server = SHARED.database().await;
    let leading = lead(&server).await;
    let mut journal = PostgresJournal::open(&server, leading.epoch(), PATIENCE).await.unwrap();
    append(&mut journal, 1);
    // Connections are ended again and again: before the statement, within it, and after it, before its answer.
    for n in 2..60 {
        journal.append(batch(n));
        let client = server.connect().await.unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'regatta'
            AND datname = current_database() AND query LIKE '%INSERT INTO regatta.commits%' AND pid <> pg_backend_pid()";
        client.batch_execute(end).await.unwrap();
    }
    journal.settle().unwrap();
    assert_eq!(seqs(&mut *journal.reader().unwrap(), 0, 100), (1..60).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_postgresql_is_noticed_and_told_with_its_place() {
    let server = SHARED.database().await;
    let leading = lead(&server).await;
    let mut journal = PostgresJournal::open(&server, leading.epoch(), PATIENCE).await.unwrap();
    append(&mut journal, 1);
    append(&mut journal, 2);
    let damage = "UPDATE regatta.commits SET body = '\\x010203' WHERE seq = 2";
    server.connect().await.unwrap().batch_execute(damage).await.unwrap();
    let mut reader = journal.reader().unwrap();
    assert_eq!(reader.read(0, 1).unwrap().len(), 1);
    let error = reader.read(1, 9).unwrap_err().to_string();
    assert!(error.contains("the checksum of commit 2 does not fit") && error.contains("postgres://"), "{error}");
    append(&mut journal, 3);
    server.connect().await.unwrap().batch_execute("DELETE FROM regatta.commits WHERE seq = 2").await.unwrap();
    let error = reader.read(0, 9).unwrap_err().to_string();
    assert!(error.contains("commit 2 is missing, and commit 3 is there"), "{error}");
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

    let file = directory.path().join("hole.db");
    let mut journal = SqliteJournal::open(&file).unwrap();
    assert_eq!((1..=4).map(|n| append(&mut journal, n)).last(), Some(4));
    with_connection(&file, "DELETE FROM commits WHERE seq = 2");
    let mut reader = journal.reader().unwrap();
    assert_eq!(seqs(&mut *reader, 2, 9), [3, 4]);
    for after in [0, 1] {
        let error = reader.read(after, 9).unwrap_err().to_string();
        assert!(error.contains("commit 2 is missing, and commit 3 is there"), "{error}");
    }

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
