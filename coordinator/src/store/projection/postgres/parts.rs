//! The parts in which what is written of runs lies: a partition of each of the three great tables.
//!
//! Runs are dropped by the hundred thousand rows. Deleting those would be written to the log row by row, leave dead rows for a
//! vacuum, and hold up whoever writes meanwhile; a partition is dropped at once, and its disk is free. So a run is given a part
//! when it begins, and a part is dropped when none of its runs is left.
//!
//! Parts are neither ranges of runs nor months: runs are of one test or of a million, and come by the minute or by the week. A
//! part is closed when it holds a thirty-second of what is kept, by runs or by tests: so there are some dozens of them whatever
//! the bounds are, and what a run leaves behind until its part goes is no more than the tenth by which bounds may be passed.

use super::column;
use super::fence::{self, Fence, Passed};
use super::refused::Refused;
use crate::store::projection::Keep;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

/// The tables in parts.
const TABLES: [&str; 3] = ["events", "verdicts", "attempts"];

/// So many parts, as long as runs are of one size.
const PARTS: u64 = 32;

/// What was done to bring tables up: a run is counted by its verdicts, not by what is still to come.
const STAND: &str = "SELECT p.part, count(r.id), coalesce(sum(
        r.passed::bigint + r.flaky + r.failed + r.timed_out + r.crashed + r.not_run + r.skipped), 0)::bigint
    FROM (SELECT max(part) AS part FROM regatta.parts) p LEFT JOIN regatta.runs r USING (part) GROUP BY 1";

/// Parts for so many runs that begin. Opens what is needed.
pub(super) async fn assign(transaction: &Transaction<'_>, keep: Keep, runs: usize) -> Result<Vec<i32>, Refused> {
    let stand = transaction.query_typed_one(STAND, &[]).await?;
    let (mut part, mut held, tests): (Option<i32>, i64, i64) =
        (stand.try_get(0)?, stand.try_get(1)?, stand.try_get(2)?);
    if tests.cast_unsigned() > keep.tests / PARTS {
        // Full: the next run begins another one.
        held = i64::MAX;
    }
    let most = i64::from(keep.runs / 32).max(1);
    let mut parts = Vec::with_capacity(runs);
    for _ in 0..runs {
        let current = match part {
            Some(part) if held < most => part,
            last => {
                held = 0;
                open(transaction, last.unwrap_or(0) + 1).await?
            }
        };
        held += 1;
        part = Some(current);
        parts.push(current);
    }
    Ok(parts)
}

/// Opens a part. Its tables are attached rather than created as parts: that locks nobody out who reads.
async fn open(transaction: &Transaction<'_>, part: i32) -> Result<i32, Refused> {
    let mut sql = format!("INSERT INTO regatta.parts VALUES ({part});");
    for table in TABLES {
        sql.push_str(&format!(
            "CREATE TABLE regatta.{table}_{part} (LIKE regatta.{table} INCLUDING ALL);
             ALTER TABLE regatta.{table} ATTACH PARTITION regatta.{table}_{part} FOR VALUES IN ({part});"
        ));
    }
    transaction.batch_execute(&sql).await?;
    Ok(part)
}

/// The parts of which no run is left. Never the last, from which others are counted on.
pub(super) async fn empty(transaction: &Transaction<'_>) -> Result<Vec<i32>, Refused> {
    let find = "SELECT part FROM regatta.parts p WHERE part < (SELECT max(part) FROM regatta.parts)
        AND NOT EXISTS (SELECT 1 FROM regatta.runs r WHERE r.part = p.part) ORDER BY part";
    transaction.query_typed(find, &[]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Drops a part with all that is in it. Whoever still reads from one of the tables is waited for a moment, and no longer,
/// since whoever comes after waits behind us: then it is left for the next time. Whether it is gone.
pub(super) async fn close(client: &mut Client, fence: Fence, part: i32) -> Result<bool, Refused> {
    let transaction = fence::begin(client).await?;
    if fence.pass(&transaction, None).await? == Passed::Before {
        return Ok(true);
    }
    let tables = column(&TABLES, |table| format!("regatta.{table}_{part}")).join(", ");
    let drop = format!("SET LOCAL lock_timeout = '1s'; DROP TABLE {tables}");
    match transaction.batch_execute(&drop).await {
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => return Ok(false),
        dropped => dropped?,
    }
    let forget = "DELETE FROM regatta.parts WHERE part = $1";
    transaction.execute_typed(forget, &[(&part, Type::INT4)]).await?;
    transaction.commit().await?;
    Ok(true)
}
