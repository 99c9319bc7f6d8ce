//! The rows of what is known of tests, for a branch and a class of machines.
//!
//! A branch reads the rows of the main line, and its own over them; it writes its own. Of a file that neither has run it reads
//! what other branches know. A class without a row reads that of another, scaled by what both took of the tests that they have
//! in common. What the rows mean is `regatta_domain`'s to say, and finding them is left to the kinds of stores.

use regatta_domain::TestKey;
use regatta_domain::history::TestHistory;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

/// What is known of the tests of a file.
pub type FileHistory = HashMap<TestKey, TestHistory>;

/// Whose history: that of a branch, on a class of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The branch; empty for the main line.
    pub branch: Arc<str>,
    /// The class of machines; empty where nobody told any apart.
    pub class: Arc<str>,
}

/// A test that is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// What its history hangs on.
    pub key: TestKey,
    /// Its name; empty where the file is the test, or was timed as a whole.
    pub name: Box<str>,
    /// What is known of it.
    pub history: TestHistory,
}

/// A row as it was found: of the branch or the main line, of this class or another.
pub(super) struct Found {
    /// The how manieth of the files that were asked for.
    pub(super) file: usize,
    pub(super) remembered: Remembered,
    /// Of the branch itself.
    pub(super) of_branch: bool,
    /// The class, where it is another one.
    pub(super) other: Option<Box<str>>,
}

impl Found {
    /// A row of `class`, found where `wanted` was looked for.
    pub(super) fn new(file: usize, remembered: Remembered, of_branch: bool, class: &str, wanted: &str) -> Self {
        Self { file, remembered, of_branch, other: (class != wanted).then(|| class.into()) }
    }

    /// Of the rows of one test, the one with the greatest rank counts.
    fn rank(&self) -> (bool, bool) {
        (self.other.is_none(), self.of_branch)
    }
}

/// One history for each test, of all rows that were found, in whatever order. Of rows of the same rank the newest counts.
pub(super) fn overlay(mut rows: Vec<Found>) -> Vec<Found> {
    rows.sort_by_key(|row| (row.file, row.remembered.key, Reverse(row.remembered.history.seen)));
    let factors = factors(&rows);
    let mut chosen: Vec<Found> = Vec::with_capacity(rows.len());
    for row in rows {
        match chosen.last_mut() {
            Some(last) if (last.file, last.remembered.key) == (row.file, row.remembered.key) => {
                if row.rank() > last.rank() {
                    *last = row;
                }
            }
            _ => chosen.push(row),
        }
    }
    for row in &mut chosen {
        if let Some(other) = &row.other {
            let factor = factors.get(other).copied().unwrap_or(1.0);
            row.remembered.history = row.remembered.history.scaled(factor);
        }
    }
    chosen
}

/// How much longer everything takes on this class than on each of the others: the mean over the tests that both have run.
fn factors(rows: &[Found]) -> HashMap<Box<str>, f64> {
    let mut sums: HashMap<&str, (f64, f64)> = HashMap::new();
    let of_one_test = |a: &Found, b: &Found| (a.file, a.remembered.key) == (b.file, b.remembered.key);
    for rows in rows.chunk_by(of_one_test).filter(|rows| rows.len() > 1) {
        let measured = |row: &&Found| row.remembered.history.runs > 0;
        let own = rows.iter().filter(measured).filter(|row| row.other.is_none()).max_by_key(|row| row.of_branch);
        let Some(own) = own else { continue };
        for row in rows.iter().filter(measured) {
            if let Some(other) = &row.other {
                let sum = sums.entry(other).or_default();
                *sum = (sum.0 + own.remembered.history.mean - row.remembered.history.mean, sum.1 + 1.0);
            }
        }
    }
    sums.into_iter().map(|(class, (sum, tests))| (class.into(), (sum / tests).exp())).collect()
}
