//! Writing the tables: all rows of a kind at once, in one transaction with the cursor.

use super::fence::{self, Fence, Passed};
use super::link::Link;
use super::names::{Runs, Suites};
use super::prune::{self, Pruned};
use super::refused::Refused;
use super::rows::Batch;
use super::{learn, parts};
use crate::store::Error;
use crate::store::projection::write::Sink;
use crate::store::projection::{Keep, Row};
use regatta_domain::Time;
use std::sync::Arc;
use tokio_postgres::Client;

/// The tables, to be written.
pub(in crate::store::projection) struct Tables {
    link: Link,
    keep: Keep,
    cursor: u64,
    fence: Fence,
    /// The day on which tests are seen; see `activity.rs`.
    day: u64,
}

impl Tables {
    /// Takes the tables over: from now on no older leader writes, and whoever tries is told so.
    pub(super) fn take_over(link: Link, keep: Keep) -> Result<Self, Error> {
        let epoch = link.epoch();
        let (fence, cursor, day) = link.read(move |client| {
            Box::pin(async move {
                let transaction = fence::begin(client).await?;
                let (fence, cursor) = Fence::take(&transaction, epoch).await?;
                let day = prune::activity(&transaction).await?.day();
                transaction.commit().await?;
                Ok((fence, cursor, day))
            })
        })?;
        Ok(Self { link, keep, cursor, fence, day })
    }
}

impl Sink for Tables {
    fn cursor(&self) -> u64 {
        self.cursor
    }

    fn write(&mut self, rows: &[Row], cursor: u64) -> Result<(), Error> {
        let (rows, fence, keep, day): (Arc<[Row]>, _, _, _) = (rows.into(), self.fence, self.keep, self.day);
        self.link.write(move |client| {
            let rows = Arc::clone(&rows);
            Box::pin(async move { write(client, &rows, cursor, (fence, keep, day)).await })
        })?;
        self.fence = fence.next();
        self.cursor = cursor;
        Ok(())
    }

    fn prune(&mut self, now: Time) -> Result<Option<Time>, Error> {
        let (fence, keep) = (self.fence, self.keep);
        let Pruned { kept_from, day, empty } =
            self.link.write(move |client| Box::pin(prune::prune(client, fence, keep, now)))?;
        self.fence = fence.next();
        self.day = day;
        for part in empty {
            let fence = self.fence;
            if self.link.write(move |client| Box::pin(parts::close(client, fence, part)))? {
                self.fence = fence.next();
            }
        }
        Ok(kept_from)
    }
}

/// Writes rows in one transaction with the cursor.
pub(super) async fn write(
    client: &mut Client,
    rows: &[Row],
    cursor: u64,
    (fence, keep, day): (Fence, Keep, u64),
) -> Result<(), Refused> {
    let mut transaction = fence::begin(client).await?;
    if fence.pass(&transaction, Some(cursor)).await? == Passed::Before {
        return Ok(());
    }
    let runs = Runs::of(&transaction, rows, keep).await?;
    let suites = Suites::of(&transaction, rows).await?;
    learn::learn(&transaction, rows, &runs, &suites, day).await?;
    learn::learn_costs(&transaction, rows, &runs, &suites).await?;
    Batch::of(rows, &runs, &suites)?.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}
