//! Reading what is known over all runs: what the planner and `regatta history` ask.

use super::costs::{self, Learnt};
use super::history::{self, COLUMNS, Found, Remembered, Scope};
use super::read::Reader;
use crate::store::Error;
use regatta_domain::TestKey;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::{HashMap, HashSet};

impl Reader {
    /// What is known of the tests of some files of a suite, by path; files of which nothing is known are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn histories<'a>(
        &self,
        project: &str,
        suite: &str,
        scope: &Scope,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<&'a str, Vec<Remembered>>, Error> {
        self.run(|connection| {
            let suite = suite_id(connection, project, suite)?;
            let rows_of = |branches: &str| {
                format!(
                    "SELECT key, name, branch = ?1 AND branch <> '', class, {COLUMNS} FROM history
                        WHERE file = (SELECT id FROM files WHERE suite = ?2 AND path = ?3) AND {branches}"
                )
            };
            let mut find = connection.prepare_cached(&rows_of("branch IN ('', ?1) ORDER BY key"))?;
            // A file that only other branches have run: the newest of what they know of a test.
            let mut find_anywhere = connection.prepare_cached(&rows_of("TRUE ORDER BY key, seen DESC"))?;
            let (mut names, mut rows) = (Vec::new(), Vec::new());
            for path in paths {
                let before = rows.len();
                for find in [&mut find, &mut find_anywhere] {
                    let found = |row: &Row<'_>| found(row, names.len(), &scope.class);
                    for row in find.query_map(params![&*scope.branch, suite, path], found)? {
                        rows.push(row?);
                    }
                    if rows.len() > before {
                        break;
                    }
                }
                names.push(path);
            }
            let mut histories: HashMap<&str, Vec<Remembered>> = HashMap::new();
            for row in history::overlay(rows) {
                histories.entry(names[row.file]).or_default().push(row.remembered);
            }
            Ok(histories)
        })
    }

    /// The tests of some files of a suite that were measured here, for this very scope.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn measured<'a>(
        &self,
        project: &str,
        suite: &str,
        scope: &Scope,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<HashSet<TestKey>, Error> {
        self.run(|connection| {
            let suite = suite_id(connection, project, suite)?;
            let find = "SELECT key FROM history WHERE file = (SELECT id FROM files WHERE suite = ? AND path = ?)
                AND branch = ? AND class = ? AND imported = 0 AND (runs > 0 OR mean > 0)";
            let mut find = connection.prepare_cached(find)?;
            let mut measured = HashSet::new();
            for path in paths {
                let of = params![suite, path, &*scope.branch, &*scope.class];
                for key in find.query_map(of, |row| row.get(0).map(TestKey))? {
                    measured.insert(key?);
                }
            }
            Ok(measured)
        })
    }

    /// The suites of a project of which anything is known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn suites(&self, project: &str) -> Result<Vec<String>, Error> {
        self.run(|connection| {
            let mut find = connection.prepare_cached("SELECT name FROM suites WHERE project = ? ORDER BY name")?;
            find.query_map([project], |row| row.get(0))?.collect()
        })
    }

    /// The paths of the files of a suite of which anything is known, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn paths(&self, project: &str, suite: &str) -> Result<Vec<String>, Error> {
        self.run(|connection| {
            let suite = suite_id(connection, project, suite)?;
            let mut find = connection.prepare_cached("SELECT path FROM files WHERE suite = ? ORDER BY path")?;
            find.query_map([suite], |row| row.get(0))?.collect()
        })
    }

    /// What a suite costs a slot beside its tests, on a class of machines, as far as it was measured; on any class, where
    /// not on this one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn costs(&self, project: &str, suite: &str, class: &str) -> Result<Learnt, Error> {
        self.run(|connection| {
            let suite = suite_id(connection, project, suite)?;
            costs::read(connection, suite, class)
        })
    }
}

/// The number of a suite; `None`, which is equal to no number, where nothing is known of it.
fn suite_id(connection: &Connection, project: &str, suite: &str) -> rusqlite::Result<Option<i64>> {
    let mut find = connection.prepare_cached("SELECT id FROM suites WHERE project = ? AND name = ?")?;
    find.query_row([project, suite], |row| row.get(0)).optional()
}

fn found(row: &Row<'_>, file: usize, class: &str) -> rusqlite::Result<Found> {
    let of = row.get_ref(3)?.as_str()?;
    Ok(Found {
        file,
        remembered: Remembered { key: TestKey(row.get(0)?), name: row.get(1)?, history: history::history(row, 4)? },
        of_branch: row.get(2)?,
        other: (of != class).then(|| of.into()),
    })
}
