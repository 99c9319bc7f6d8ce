//! Dropping what is beyond the bounds.

use super::fence::{self, Fence, Passed};
use super::parts;
use super::refused::Refused;
use crate::store::projection::Keep;
use crate::store::projection::activity::Activity;
use crate::store::projection::keep::{BATCH, Ended, FILE_LISTS_PER_SUITE, listings_beyond};
use regatta_domain::Time;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, Transaction};

/// What was dropped, and what is left to drop.
#[derive(Debug)]
pub(super) struct Pruned {
    /// From when on runs are still kept, where any were dropped.
    pub(super) kept_from: Option<Time>,
    /// The day.
    pub(super) day: u64,
    /// The parts that hold nothing any more.
    pub(super) empty: Vec<i32>,
}

/// How many tests a run has.
const TESTS: &str = "(passed::bigint + flaky + failed + timed_out + crashed + not_run + skipped)";

/// Drops what is beyond the bounds, but for the parts that hold nothing any more: those have transactions of their own.
pub(super) async fn prune(client: &mut Client, fence: Fence, keep: Keep, now: Time) -> Result<Pruned, Refused> {
    let transaction = fence::begin(client).await?;
    // It takes a look at whole tables, unlike what is written otherwise.
    transaction.batch_execute("SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on").await?;
    if fence.pass(&transaction, None).await? == Passed::Before {
        let (day, empty) = (activity(&transaction).await?.day(), parts::empty(&transaction).await?);
        let kept_from = oldest(&transaction).await?;
        return Ok(Pruned { kept_from, day, empty });
    }
    let kept_from = runs(&transaction, keep, now).await?;
    caches(&transaction).await?;
    let mut activity = activity(&transaction).await?;
    activity.tick(now);
    // It takes a look at every row: once a day is enough.
    if activity.day() > activity.pruned && history(&transaction, keep, activity.day()).await? {
        activity.pruned = activity.day();
    }
    let [at, active, pruned] = activity.columns();
    let columns = [(&at as _, Type::INT8), (&active as _, Type::INT8), (&pruned as _, Type::INT8)];
    let put = "UPDATE regatta.activity SET at = $1, active = $2, pruned = $3";
    transaction.execute_typed(put, &columns).await?;
    let empty = parts::empty(&transaction).await?;
    transaction.commit().await?;
    Ok(Pruned { kept_from, day: activity.day(), empty })
}

/// Where the clock of activity stands.
pub(super) async fn activity(transaction: &Transaction<'_>) -> Result<Activity, Refused> {
    let row = transaction.query_typed_one("SELECT at, active, pruned FROM regatta.activity", &[]).await?;
    Ok(Activity::of([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?]))
}

/// Drops the oldest runs that ended: nobody finds them from then on. What was written of them goes with their parts.
async fn runs(transaction: &Transaction<'_>, keep: Keep, now: Time) -> Result<Option<Time>, Refused> {
    let all = format!(
        "SELECT count(*), coalesce(sum({TESTS}), 0)::bigint, min(submitted) FROM regatta.runs WHERE ended IS NOT NULL"
    );
    let all = transaction.query_typed_one(&all, &[]).await?;
    let time = |at: i64| Time(at.cast_unsigned());
    if !keep.is_passed(number(&all, 0)?, number(&all, 1)?, all.try_get::<_, Option<i64>>(2)?.map(time), now) {
        return Ok(None);
    }
    let newest = format!(
        "SELECT id, {TESTS}, submitted FROM regatta.runs WHERE ended IS NOT NULL ORDER BY submitted DESC, id DESC"
    );
    let newest = transaction.query_typed(&newest, &[]).await?;
    let ended = |row: &Row| Ok(Ended { id: row.try_get(0)?, tests: number(row, 1)?, submitted: time(row.try_get(2)?) });
    let newest: Vec<Ended> = newest.iter().map(ended).collect::<Result<_, Refused>>()?;
    let beyond = keep.beyond(newest, now);
    for drop in [
        "DELETE FROM regatta.errors WHERE run = ANY($1)",
        "DELETE FROM regatta.refused WHERE run = ANY($1)",
        "DELETE FROM regatta.runs WHERE id = ANY($1)",
    ] {
        transaction.execute_typed(drop, &[(&beyond, Type::INT8_ARRAY)]).await?;
    }
    oldest(transaction).await
}

/// When the oldest run was handed in that is kept.
async fn oldest(transaction: &Transaction<'_>) -> Result<Option<Time>, Refused> {
    let oldest = transaction.query_typed_one("SELECT min(submitted) FROM regatta.runs", &[]).await?;
    let oldest: Option<i64> = oldest.try_get(0)?;
    Ok(oldest.map(|time| Time(time.cast_unsigned())))
}

/// Drops what the caches hold beyond their bounds.
async fn caches(transaction: &Transaction<'_>) -> Result<(), Refused> {
    let listings = transaction.query_typed_one("SELECT count(*) FROM regatta.listings", &[]).await?;
    let beyond = listings_beyond(number(&listings, 0)?).cast_signed();
    if beyond > 0 {
        let drop = "DELETE FROM regatta.listings WHERE key IN
            (SELECT key FROM regatta.listings ORDER BY seen LIMIT $1)";
        transaction.execute_typed(drop, &[(&beyond, Type::INT8)]).await?;
    }
    let drop = "DELETE FROM regatta.file_lists WHERE (suite, tree) IN (SELECT suite, tree FROM (
            SELECT suite, tree, row_number() OVER (PARTITION BY suite ORDER BY seen DESC) AS age FROM regatta.file_lists
        ) aged WHERE age > $1)";
    transaction.execute_typed(drop, &[(&i64::from(FILE_LISTS_PER_SUITE), Type::INT8)]).await?;
    Ok(())
}

/// Drops tests that were not seen for long, and the oldest beyond the bound. Whether none of them is left.
async fn history(transaction: &Transaction<'_>, keep: Keep, today: u64) -> Result<bool, Refused> {
    let days = "SELECT day, count(*) FROM regatta.history GROUP BY day ORDER BY day";
    let days = transaction.query_typed(days, &[]).await?;
    let days: Vec<(u64, u64)> =
        days.iter().map(|row| Ok((number(row, 0)?, number(row, 1)?))).collect::<Result<_, Refused>>()?;
    let drop = keep.obsolete(&days, today);
    if drop > 0 {
        // By where the rows are on disk: nothing is looked up a second time.
        let oldest = "DELETE FROM regatta.history WHERE ctid = ANY (ARRAY
            (SELECT ctid FROM regatta.history ORDER BY day LIMIT $1))";
        transaction.execute_typed(oldest, &[(&drop.min(BATCH).cast_signed(), Type::INT8)]).await?;
    }
    if drop > BATCH {
        return Ok(false);
    }
    let bare = "DELETE FROM regatta.files f WHERE NOT EXISTS (SELECT 1 FROM regatta.history h WHERE h.file = f.id)";
    transaction.execute_typed(bare, &[]).await?;
    Ok(true)
}

fn number(row: &Row, at: usize) -> Result<u64, Refused> {
    Ok(row.try_get::<_, i64>(at)?.cast_unsigned())
}
