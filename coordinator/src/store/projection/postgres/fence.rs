//! Who may write: the newest leader, one write at a time.

use super::refused::Refused;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

/// What a writer believes of the cursor's row: that no newer leader has taken it, and that so much was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    epoch: i64,
    writes: i64,
}

/// How a writer came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// What it is about to write is not there.
    Now,
    /// An earlier try has written it, and was not answered.
    Before,
}

/// How transactions that write are set.
///
/// All that they look up is found by its key, and a table that was empty a moment ago has no statistics: so nothing but
/// indexes is used. A server that loses us in the middle ends the session, and the row of the cursor is free again for
/// whoever takes over.
const SETTINGS: &str = "
    SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL work_mem = '64MB'; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL jit = off";

/// Begins a transaction that writes.
pub(super) async fn begin(client: &mut Client) -> Result<Transaction<'_>, Refused> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(SETTINGS).await?;
    Ok(transaction)
}

impl Fence {
    /// Takes the cursor for the leader of this epoch. Gives where it stands, too.
    ///
    /// # Errors
    /// When a newer leader has taken it.
    pub(super) async fn take(transaction: &Transaction<'_>, epoch: u64) -> Result<(Self, u64), Refused> {
        let epoch = epoch.cast_signed();
        let take = "UPDATE regatta.cursor SET epoch = $1 WHERE epoch <= $1 RETURNING writes, seq";
        let Some(row) = transaction.query_typed_opt(take, &[(&epoch, Type::INT8)]).await? else {
            return Err(Self::find(transaction).await.err().unwrap_or(Refused::Deposed));
        };
        let seq: i64 = row.try_get(1)?;
        Ok((Self { epoch, writes: row.try_get(0)? }, seq.cast_unsigned()))
    }

    /// Passes, and moves the cursor to `seq` where that is given. From then on nobody else writes until the transaction ends.
    ///
    /// # Errors
    /// When somebody else has written since.
    pub(super) async fn pass(self, transaction: &Transaction<'_>, seq: Option<u64>) -> Result<Passed, Refused> {
        let pass = "UPDATE regatta.cursor SET seq = coalesce($1, seq), writes = writes + 1
            WHERE epoch = $2 AND writes = $3";
        let seq = seq.map(u64::cast_signed);
        let belief = [(&seq as _, Type::INT8), (&self.epoch as _, Type::INT8), (&self.writes as _, Type::INT8)];
        if transaction.execute_typed(pass, &belief).await? == 1 {
            return Ok(Passed::Now);
        }
        if Self::find(transaction).await? == self.next() { Ok(Passed::Before) } else { Err(Refused::Deposed) }
    }

    async fn find(transaction: &Transaction<'_>) -> Result<Self, Refused> {
        let find = transaction.query_typed_opt("SELECT epoch, writes FROM regatta.cursor", &[]).await?;
        let row = find.ok_or_else(|| Refused::Unfit("the row of its cursor is gone; restore a backup".to_owned()))?;
        Ok(Self { epoch: row.try_get(0)?, writes: row.try_get(1)? })
    }

    /// What to believe after a write.
    pub(super) const fn next(self) -> Self {
        Self { epoch: self.epoch, writes: self.writes + 1 }
    }
}
