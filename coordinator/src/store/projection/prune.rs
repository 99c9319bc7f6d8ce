//! What is dropped, so that no table grows for ever.

use super::activity::Activity;
use regatta_domain::Time;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// How much is kept of runs that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// So many runs.
    pub runs: u32,
    /// As long as they have not more tests than this together. At about 500 bytes a test, a million is half a gigabyte.
    pub tests: u64,
    /// So many rows of history, at about 150 bytes each.
    pub history: u64,
}

impl Keep {
    /// On somebody's own machine.
    pub const LOCAL: Self = Self { runs: 100, tests: 500_000, history: 2_000_000 };

    /// On a server.
    pub const CLUSTER: Self = Self { runs: 1_000, tests: 10_000_000, history: 2_000_000 };
}

/// Nothing is dropped until a bound is passed by a tenth, so that it is not done at the end of every run.
const SLACK: u64 = 10;

/// Listings that are remembered: at about 5 KB each, 250 MB.
const LISTINGS: u64 = 50_000;

/// Lists of files that are remembered of one suite: as many branches as people go back and forth between.
const FILE_LISTS_PER_SUITE: u32 = 20;

/// A test that was not seen on so many days on which something ran is gone, or will be new again.
const DAYS: u64 = 90;

/// Rows of history that are dropped at once: some tenths of a second. What is left is dropped after the next run.
const BATCH: u64 = 50_000;

/// Drops what is beyond the bounds. Gives the moment from which on runs are still kept, where any were dropped, and the day.
pub(super) fn prune(connection: &mut Connection, keep: Keep, now: Time) -> rusqlite::Result<(Option<Time>, u64)> {
    let transaction = connection.transaction()?;
    let kept_from = runs(&transaction, keep)?;
    let listings = count(&transaction, "SELECT count(*) FROM listings")?;
    if listings > LISTINGS + LISTINGS / SLACK {
        let drop = "DELETE FROM listings WHERE key IN (SELECT key FROM listings ORDER BY seen LIMIT ?)";
        transaction.execute(drop, [(listings - LISTINGS).cast_signed()])?;
    }
    transaction.execute(
        "DELETE FROM file_lists WHERE (suite, tree) IN (SELECT suite, tree FROM (
            SELECT suite, tree, row_number() OVER (PARTITION BY suite ORDER BY seen DESC) AS age FROM file_lists
        ) WHERE age > ?)",
        [FILE_LISTS_PER_SUITE],
    )?;
    let mut activity = Activity::read(&transaction)?;
    activity.tick(now);
    // It takes a look at every row: once a day is enough.
    if activity.day() > activity.pruned && history(&transaction, keep.history, activity.day())? {
        activity.pruned = activity.day();
    }
    activity.write(&transaction)?;
    transaction.commit()?;
    Ok((kept_from, activity.day()))
}

/// Drops tests that were not seen for long, and the oldest beyond the bound. Whether none of them is left.
fn history(connection: &Connection, most: u64, today: u64) -> rusqlite::Result<bool> {
    let number = |row: &Row<'_>, at| row.get(at).map(i64::cast_unsigned);
    let mut days = connection.prepare("SELECT day, count(*) FROM history GROUP BY day ORDER BY day")?;
    let days = days.query_map([], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
    let days: Vec<(u64, u64)> = days.collect::<Result<_, _>>()?;
    let all: u64 = days.iter().map(|(_, rows)| rows).sum();
    let old: u64 = days.iter().take_while(|(day, _)| day + DAYS < today).map(|(_, rows)| rows).sum();
    let drop = old.max(all.saturating_sub(most));
    if drop > 0 {
        let oldest = "DELETE FROM history WHERE (file, key, branch, class) IN
            (SELECT file, key, branch, class FROM history ORDER BY day LIMIT ?)";
        connection.execute(oldest, [drop.min(BATCH).cast_signed()])?;
    }
    if drop > BATCH {
        return Ok(false);
    }
    let bare = "DELETE FROM files WHERE NOT EXISTS (SELECT 1 FROM history WHERE history.file = files.id)";
    connection.execute(bare, [])?;
    Ok(true)
}

/// Drops the oldest runs that ended. Gives when the oldest of those that stay was handed in, where any were dropped.
fn runs(connection: &Connection, keep: Keep) -> rusqlite::Result<Option<Time>> {
    let sum = "passed + flaky + failed + timed_out + crashed + not_run + skipped";
    let (all, tests) = connection.query_row(
        &format!("SELECT count(*), coalesce(sum({sum}), 0) FROM runs WHERE ended IS NOT NULL"),
        [],
        |row: &Row<'_>| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned())),
    )?;
    let most = u64::from(keep.runs);
    if all <= most + most / SLACK && tests <= keep.tests + keep.tests / SLACK {
        return Ok(None);
    }
    let beyond = format!(
        "SELECT id FROM (
            SELECT id, row_number() OVER newest AS age, sum({sum}) OVER newest AS tests FROM runs
            WHERE ended IS NOT NULL WINDOW newest AS (ORDER BY submitted DESC, id DESC)
        ) WHERE age > 1 AND (age > ? OR tests > ?)"
    );
    let bounds = params![keep.runs, keep.tests.cast_signed()];
    let ids: Vec<i64> = connection.prepare(&beyond)?.query_map(bounds, |row| row.get(0))?.collect::<Result<_, _>>()?;
    for table in ["events", "verdicts", "attempts", "errors"] {
        let mut drop = connection.prepare(&format!("DELETE FROM {table} WHERE run = ?"))?;
        ids.iter().try_for_each(|id| drop.execute([id]).map(std::mem::drop))?;
    }
    let mut drop = connection.prepare("DELETE FROM runs WHERE id = ?")?;
    ids.iter().try_for_each(|id| drop.execute([id]).map(std::mem::drop))?;
    let oldest = connection.query_row("SELECT min(submitted) FROM runs", [], |row| row.get::<_, Option<i64>>(0));
    Ok(oldest.optional()?.flatten().map(|time| Time(time.cast_unsigned())))
}

fn count(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}
