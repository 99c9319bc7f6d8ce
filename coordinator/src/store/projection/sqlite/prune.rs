//! Dropping what is beyond the bounds.

use crate::store::projection::activity::Activity;
use crate::store::projection::keep::{BATCH, Ended, FILE_LISTS_PER_SUITE, Keep, listings_beyond};
use regatta_domain::Time;
use rusqlite::{Connection, OptionalExtension as _, Row};

/// Drops what is beyond the bounds. Gives the moment from which on runs are still kept, where any were dropped, and the day.
pub(super) fn prune(connection: &mut Connection, keep: Keep, now: Time) -> rusqlite::Result<(Option<Time>, u64)> {
    let transaction = connection.transaction()?;
    let kept_from = runs(&transaction, keep, now)?;
    let listings = transaction.query_row("SELECT count(*) FROM listings", [], |row| number(row, 0))?;
    let beyond = listings_beyond(listings);
    if beyond > 0 {
        let drop = "DELETE FROM listings WHERE key IN (SELECT key FROM listings ORDER BY seen LIMIT ?)";
        transaction.execute(drop, [beyond.cast_signed()])?;
    }
    transaction.execute(
        "DELETE FROM file_lists WHERE (suite, tree) IN (SELECT suite, tree FROM (
            SELECT suite, tree, row_number() OVER (PARTITION BY suite ORDER BY seen DESC) AS age FROM file_lists
        ) WHERE age > ?)",
        [FILE_LISTS_PER_SUITE],
    )?;
    let mut activity = activity(&transaction)?;
    activity.tick(now);
    // It takes a look at every row: once a day is enough.
    if activity.day() > activity.pruned && history(&transaction, keep, activity.day())? {
        activity.pruned = activity.day();
    }
    transaction.execute("UPDATE activity SET at = ?, active = ?, pruned = ?", activity.columns())?;
    transaction.commit()?;
    Ok((kept_from, activity.day()))
}

/// Where the clock of activity stands.
pub(super) fn activity(connection: &Connection) -> rusqlite::Result<Activity> {
    connection.query_row("SELECT at, active, pruned FROM activity", [], |row| {
        Ok(Activity::of([row.get(0)?, row.get(1)?, row.get(2)?]))
    })
}

/// Drops tests that were not seen for long, and the oldest beyond the bound. Whether none of them is left.
fn history(connection: &Connection, keep: Keep, today: u64) -> rusqlite::Result<bool> {
    let mut days = connection.prepare("SELECT day, count(*) FROM history GROUP BY day ORDER BY day")?;
    let days = days.query_map([], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
    let drop = keep.obsolete(&days.collect::<Result<Vec<_>, _>>()?, today);
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
fn runs(connection: &Connection, keep: Keep, now: Time) -> rusqlite::Result<Option<Time>> {
    let sum = "passed + flaky + failed + timed_out + crashed + not_run + skipped";
    let time = |at: i64| Time(at.cast_unsigned());
    let (all, tests, oldest) = connection.query_row(
        &format!("SELECT count(*), coalesce(sum({sum}), 0), min(submitted) FROM runs WHERE ended IS NOT NULL"),
        [],
        |row| Ok((number(row, 0)?, number(row, 1)?, row.get::<_, Option<i64>>(2)?.map(time))),
    )?;
    if !keep.is_passed(all, tests, oldest, now) {
        return Ok(None);
    }
    let newest =
        format!("SELECT id, {sum}, submitted FROM runs WHERE ended IS NOT NULL ORDER BY submitted DESC, id DESC");
    let mut newest = connection.prepare(&newest)?;
    let newest = newest
        .query_map([], |row| Ok(Ended { id: row.get(0)?, tests: number(row, 1)?, submitted: time(row.get(2)?) }))?;
    let beyond = keep.beyond(newest.collect::<Result<Vec<_>, _>>()?, now);
    for table in ["events", "verdicts", "attempts", "refused", "errors"] {
        let mut drop = connection.prepare(&format!("DELETE FROM {table} WHERE run = ?"))?;
        beyond.iter().try_for_each(|id| drop.execute([id]).map(std::mem::drop))?;
    }
    let mut drop = connection.prepare("DELETE FROM runs WHERE id = ?")?;
    beyond.iter().try_for_each(|id| drop.execute([id]).map(std::mem::drop))?;
    let oldest = connection.query_row("SELECT min(submitted) FROM runs", [], |row| row.get::<_, Option<i64>>(0));
    Ok(oldest.optional()?.flatten().map(time))
}

fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get(at).map(i64::cast_unsigned)
}
