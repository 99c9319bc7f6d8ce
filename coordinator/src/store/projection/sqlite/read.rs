//! Reading the tables: what queries ask.

use super::{Shared, recall};
use crate::store::Error;
use crate::store::projection::costs::Learnt;
use crate::store::projection::history::{Found, Scope};
use crate::store::projection::read::{Given, Source, Told};
use regatta_domain::report::Counts;
use regatta_domain::{FileKey, RunId, TestKey, Time, Verdict};
use regatta_wire::verdict::Closed as _;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::HashSet;
use uuid::Uuid;

/// The tables, to be read.
pub(in crate::store::projection) struct Tables(Shared);

impl Tables {
    pub(super) const fn new(database: Shared) -> Self {
        Self(database)
    }

    fn run<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        self.0.lock().run(work)
    }
}

impl Source for Tables {
    fn file_list(&self, project: &str, suite: &str, tree_key: &str) -> Result<Option<(bool, Vec<u8>)>, Error> {
        self.run(|connection| {
            let find = "SELECT tree = ?3, files FROM file_lists
                WHERE suite = (SELECT id FROM suites WHERE project = ?1 AND name = ?2)
                ORDER BY tree = ?3 DESC, seen DESC LIMIT 1";
            let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare_cached(find)?.query_row([project, suite, tree_key], row).optional()
        })
    }

    fn listings(&self, keys: &[FileKey]) -> Result<Vec<(FileKey, Time, Vec<u8>)>, Error> {
        self.run(|connection| {
            let mut find = connection.prepare_cached("SELECT seen, tests FROM listings WHERE key = ?")?;
            let mut found = Vec::new();
            for &key in keys {
                let row = |row: &Row<'_>| Ok((key, time(row, 0)?, row.get(1)?));
                found.extend(find.query_row([key.0], row).optional()?);
            }
            Ok(found)
        })
    }

    fn verdicts(&self, run: RunId) -> Result<Option<Vec<Given>>, Error> {
        self.run(|connection| {
            let Some((id, _)) = find(connection, run)? else { return Ok(None) };
            let mut find = connection.prepare_cached("SELECT key, verdict, cause FROM verdicts WHERE run = ?")?;
            let rows = find.query_map([id], |row| Ok((TestKey(row.get(0)?), row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<_>>().map(Some)
        })
    }

    fn has_ended(&self, run: RunId) -> Result<Option<bool>, Error> {
        self.run(|connection| Ok(find(connection, run)?.map(|(_, ended)| ended)))
    }

    fn events(&self, run: RunId, after: u64, most: usize) -> Result<Vec<Vec<u8>>, Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.run(|connection| {
            let find = "SELECT body FROM events WHERE run = (SELECT id FROM runs WHERE run = ?) AND seq > ?
                ORDER BY seq LIMIT ?";
            let mut find = connection.prepare_cached(find)?;
            let rows = find.query_map(params![run.0.as_bytes(), after.cast_signed(), most], |row| row.get(0))?;
            rows.collect()
        })
    }

    fn runs(&self, most: u32) -> Result<Vec<Told>, Error> {
        self.run(|connection| {
            let find = "SELECT run, project, submitted, ended, outcome, passed, flaky, failed, timed_out, crashed,
                not_run, skipped, errors FROM runs WHERE listing = 0 ORDER BY submitted DESC, id DESC LIMIT ?";
            let mut find = connection.prepare_cached(find)?;
            find.query_map([most], told)?.collect()
        })
    }

    fn histories(&self, project: &str, suite: &str, scope: &Scope, paths: &[&str]) -> Result<Vec<Found>, Error> {
        self.run(|connection| recall::histories(connection, [project, suite], scope, paths))
    }

    fn measured(&self, project: &str, suite: &str, scope: &Scope, paths: &[&str]) -> Result<HashSet<TestKey>, Error> {
        self.run(|connection| recall::measured(connection, [project, suite], scope, paths))
    }

    fn suites(&self, project: &str) -> Result<Vec<String>, Error> {
        self.run(|connection| {
            let mut find = connection.prepare_cached("SELECT name FROM suites WHERE project = ? ORDER BY name")?;
            find.query_map([project], |row| row.get(0))?.collect()
        })
    }

    fn paths(&self, project: &str, suite: &str) -> Result<Vec<String>, Error> {
        self.run(|connection| recall::paths(connection, project, suite))
    }

    fn costs(&self, project: &str, suite: &str, class: &str) -> Result<Learnt, Error> {
        self.run(|connection| {
            let suite = recall::suite_id(connection, project, suite)?;
            recall::costs(connection, suite, class)
        })
    }
}

fn find(connection: &Connection, run: RunId) -> rusqlite::Result<Option<(i64, bool)>> {
    let mut find = connection.prepare_cached("SELECT id, ended IS NOT NULL FROM runs WHERE run = ?")?;
    find.query_row([run.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

fn told(row: &Row<'_>) -> rusqlite::Result<Told> {
    let ended: Option<i64> = row.get(3)?;
    Ok(Told {
        run: RunId(Uuid::from_bytes(row.get(0)?)),
        project: row.get(1)?,
        submitted: time(row, 2)?,
        ended: ended.map(|ended| Time(ended.cast_unsigned())),
        outcome: row.get(4)?,
        counts: Counts {
            passed: row.get(5)?,
            flaky: row.get(6)?,
            failed: row.get(7)?,
            timed_out: row.get(8)?,
            crashed: row.get(9)?,
            not_run: row.get(10)?,
            skipped: row.get(11)?,
        },
        errors: row.get(12)?,
    })
}

pub(super) fn verdict(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Verdict>> {
    row.get(at).map(Verdict::read)
}

pub(super) fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Time> {
    row.get(at).map(|time: i64| Time(time.cast_unsigned()))
}
