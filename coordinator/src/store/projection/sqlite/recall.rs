//! Reading what is known over all runs.

use super::history::{COLUMNS, history};
use crate::store::projection::costs::Learnt;
use crate::store::projection::history::{Found, Remembered, Scope};
use regatta_domain::TestKey;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::HashSet;

pub(super) fn histories(
    connection: &Connection,
    [project, suite]: [&str; 2],
    scope: &Scope,
    paths: &[&str],
) -> rusqlite::Result<Vec<Found>> {
    let suite = suite_id(connection, project, suite)?;
    let rows_of = |branches: &str| {
        format!(
            "SELECT key, name, branch = ?1 AND branch <> '', class, {COLUMNS} FROM history
                WHERE file = (SELECT id FROM files WHERE suite = ?2 AND path = ?3) AND {branches}"
        )
    };
    let mut find = connection.prepare_cached(&rows_of("branch IN ('', ?1)"))?;
    let mut find_anywhere = connection.prepare_cached(&rows_of("TRUE"))?;
    let mut rows = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        let before = rows.len();
        for find in [&mut find, &mut find_anywhere] {
            for row in find.query_map(params![&*scope.branch, suite, path], |row| found(row, at, &scope.class))? {
                rows.push(row?);
            }
            if rows.len() > before {
                break;
            }
        }
    }
    Ok(rows)
}

pub(super) fn measured(
    connection: &Connection,
    [project, suite]: [&str; 2],
    scope: &Scope,
    paths: &[&str],
) -> rusqlite::Result<HashSet<TestKey>> {
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
}

pub(super) fn paths(connection: &Connection, project: &str, suite: &str) -> rusqlite::Result<Vec<String>> {
    let suite = suite_id(connection, project, suite)?;
    let mut find = connection.prepare_cached("SELECT path FROM files WHERE suite = ? ORDER BY path")?;
    find.query_map([suite], |row| row.get(0))?.collect()
}

/// What is known of the costs of a suite: on this class, else on the one that comes first.
pub(super) fn costs(connection: &Connection, suite: Option<i64>, class: &str) -> rusqlite::Result<Learnt> {
    let find = "SELECT start, batch, file, test FROM costs WHERE suite = ? ORDER BY class = ? DESC, class LIMIT 1";
    let learnt = |row: &Row<'_>| Ok(Learnt::of([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]));
    let found = connection.prepare_cached(find)?.query_row(params![suite, class], learnt).optional()?;
    Ok(found.unwrap_or_default())
}

/// The number of a suite; `None`, which is equal to no number, where nothing is known of it.
pub(super) fn suite_id(connection: &Connection, project: &str, suite: &str) -> rusqlite::Result<Option<i64>> {
    let mut find = connection.prepare_cached("SELECT id FROM suites WHERE project = ? AND name = ?")?;
    find.query_row([project, suite], |row| row.get(0)).optional()
}

fn found(row: &Row<'_>, file: usize, wanted: &str) -> rusqlite::Result<Found> {
    let class = row.get_ref(3)?.as_str()?;
    let remembered = Remembered { key: TestKey(row.get(0)?), name: row.get(1)?, history: history(row, 4)? };
    Ok(Found::new(file, remembered, row.get(2)?, class, wanted))
}
