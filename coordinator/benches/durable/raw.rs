//! What the machine can do at all: the same results as plain rows in one SQLite file, in commits as large as the
//! coordinator's, each durable before the next.

use rusqlite::{Connection, params};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// Beside its numbers a row holds such a text: about 90 bytes in all.
const TEXT: &str = "tests/p12/test_345.py::test_something_or_other_678 0123456789abcdef";

/// Rows a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// Into a table that checks nothing.
    pub(crate) plain: f64,
    /// Into one in which run, test and attempt together are unique.
    pub(crate) unique: f64,
}

pub(crate) fn measure(within: &Path, rows: usize, batch: usize) -> Limit {
    let limit = Limit {
        plain: rate(within, rows, batch, ""),
        unique: rate(within, rows, batch, ", UNIQUE (run, test, attempt)"),
    };
    println!("  the machine, {batch} rows a commit: {:.0} rows/s; with UNIQUE {:.0}", limit.plain, limit.unique);
    limit
}

fn rate(within: &Path, rows: usize, batch: usize, unique: &str) -> f64 {
    let directory = tempfile::tempdir_in(within).expect("a directory");
    let mut database = Connection::open(directory.path().join("raw.db")).expect("a file");
    database.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("WAL");
    database.pragma_update(None, "synchronous", "FULL").expect("synced");
    let table = format!(
        "CREATE TABLE results (run INTEGER, test INTEGER, attempt INTEGER, status INTEGER, duration INTEGER, name TEXT{unique})"
    );
    database.execute_batch(&table).expect("a table");
    let began = Instant::now();
    let mut at = 0;
    while at < rows {
        let transaction = database.transaction().expect("a transaction");
        {
            let insert = "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)";
            let mut insert = transaction.prepare_cached(insert).expect("a statement");
            for test in at..rows.min(at + batch) {
                let test = i64::try_from(test).expect("far below");
                insert.execute(params![1, test, 1, 1, test % 3_000, TEXT]).expect("a row");
            }
        }
        transaction.commit().expect("it is durable");
        at += batch;
    }
    rows as f64 / began.elapsed().as_secs_f64()
}

/// How long it takes to append 4 KiB to a file and have them durable; the median of many.
pub(crate) fn sync_micros(within: &Path) -> f64 {
    let mut file = File::create(within.join("synced")).expect("a file");
    let once = |_| {
        let began = Instant::now();
        file.write_all(&[7; 4096]).expect("it is written");
        file.sync_data().expect("it is synced");
        began.elapsed().as_secs_f64() * 1e6
    };
    super::median((0..200).map(once))
}
