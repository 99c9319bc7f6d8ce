//! Reading: what queries and the planner ask.

use super::Shared;
use super::write::CACHE_VERSION;
use crate::store::Error;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::report::Counts;
use regatta_domain::{FileKey, RunId, TestKey, Time, Verdict};
use regatta_wire::v1;
use regatta_wire::verdict::Closed as _;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use uuid::Uuid;

/// The one that reads. Clones share a connection, and take turns.
#[derive(Clone)]
pub struct Reader(Shared);

/// A list of files that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// Whether it is of the very tree that was asked for.
    pub exact: bool,
    /// The files.
    pub files: Vec<ListedFile>,
}

impl Reader {
    pub(super) const fn new(database: Shared) -> Self {
        Self(database)
    }

    pub(super) fn run<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        self.0.lock().run(work)
    }

    /// The files of a suite: of this tree, else of the newest that is remembered.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn file_list(&self, project: &str, suite: &str, tree_key: &str) -> Result<Recalled, Error> {
        let found: Option<(bool, Vec<u8>)> = self.run(|connection| {
            let find = "SELECT tree = ?3, files FROM file_lists
                WHERE suite = (SELECT id FROM suites WHERE project = ?1 AND name = ?2)
                ORDER BY tree = ?3 DESC, seen DESC LIMIT 1";
            let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare_cached(find)?.query_row([project, suite, tree_key], row).optional()
        })?;
        let recalled = found.and_then(|(exact, files)| Some(Recalled { exact, files: uncached(&files)? }));
        Ok(recalled.unwrap_or_default())
    }

    /// The listings that are remembered of files with these content addresses, each with when it was last used.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn listings(
        &self,
        keys: impl Iterator<Item = FileKey>,
    ) -> Result<HashMap<FileKey, (Time, Vec<ListedTest>)>, Error> {
        self.run(|connection| {
            let mut find = connection.prepare_cached("SELECT seen, tests FROM listings WHERE key = ?")?;
            let mut found = HashMap::new();
            for key in keys {
                let row = |row: &Row<'_>| Ok((time(row, 0)?, uncached(row.get_ref(1)?.as_blob()?)));
                if let Some((seen, Some(tests))) = find.query_row([key.0], row).optional()? {
                    found.insert(key, (seen, tests));
                }
            }
            Ok(found)
        })
    }

    /// The verdicts of a run, by what the tests' histories hang on; `None` when the run is not known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn verdicts(&self, run: RunId) -> Result<Option<HashMap<TestKey, Verdict>>, Error> {
        let Some((id, _)) = self.find(run)? else { return Ok(None) };
        let verdicts: HashMap<TestKey, Verdict> = self.run(|connection| {
            let mut find = connection.prepare_cached("SELECT key, verdict FROM verdicts WHERE run = ?")?;
            let row = |row: &Row<'_>| Ok((TestKey(row.get(0)?), verdict(row, 1)?));
            let rows = find
                .query_map([id], row)?
                .filter_map(|row| row.map(|(key, verdict)| verdict.map(|verdict| (key, verdict))).transpose());
            rows.collect()
        })?;
        Ok(Some(verdicts))
    }

    /// Whether the run is known, and if so, whether it has ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_ended(&self, run: RunId) -> Result<Option<bool>, Error> {
        Ok(self.find(run)?.map(|(_, ended)| ended))
    }

    /// Events of a run's record after `after`, in order, at most `most` of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events(&self, run: RunId, after: u64, most: usize) -> Result<Vec<Vec<u8>>, Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.run(|connection| {
            let find = "SELECT body FROM events WHERE run = (SELECT id FROM runs WHERE run = ?) AND seq > ?
                ORDER BY seq LIMIT ?";
            let mut find = connection.prepare_cached(find)?;
            let rows = find.query_map(params![run.0.as_bytes(), after.cast_signed(), most], |row| row.get(0))?;
            rows.collect()
        })
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self, most: u32) -> Result<Vec<v1::RunSummary>, Error> {
        self.run(|connection| {
            let find = "SELECT run, project, submitted, ended, outcome, passed, flaky, failed, timed_out, crashed,
                not_run, skipped, errors FROM runs WHERE listing = 0 ORDER BY submitted DESC, id DESC LIMIT ?";
            let mut find = connection.prepare_cached(find)?;
            find.query_map([most], summary)?.collect()
        })
    }

    fn find(&self, run: RunId) -> Result<Option<(i64, bool)>, Error> {
        self.run(|connection| {
            let mut find = connection.prepare_cached("SELECT id, ended IS NOT NULL FROM runs WHERE run = ?")?;
            find.query_row([run.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
    }
}

fn summary(row: &Row<'_>) -> rusqlite::Result<v1::RunSummary> {
    let counts = Counts {
        passed: row.get(5)?,
        flaky: row.get(6)?,
        failed: row.get(7)?,
        timed_out: row.get(8)?,
        crashed: row.get(9)?,
        not_run: row.get(10)?,
        skipped: row.get(11)?,
    };
    let ended: Option<i64> = row.get(3)?;
    let summary = v1::RunSummary {
        run: RunId(Uuid::from_bytes(row.get(0)?)).to_string(),
        project: row.get(1)?,
        submitted: time(row, 2)?.0,
        ended: ended.map(i64::cast_unsigned),
        outcome: row.get(4)?,
        tests: counts.total(),
        errors: row.get(12)?,
        ..Default::default()
    };
    Ok(summary.with_counts(counts))
}

pub(super) fn verdict(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Verdict>> {
    row.get(at).map(Verdict::read)
}

pub(super) fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Time> {
    row.get(at).map(|time: i64| Time(time.cast_unsigned()))
}

/// A list as a cache keeps it.
pub(super) fn cached<T: Serialize + ?Sized>(list: &T) -> Vec<u8> {
    postcard::to_extend(list, vec![CACHE_VERSION]).expect("lists are plain values, and a vector takes any length")
}

/// A list as a cache kept it; what does not decode is as good as forgotten.
fn uncached<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (&CACHE_VERSION, rest) = bytes.split_first()? else { return None };
    postcard::from_bytes(rest).ok()
}
