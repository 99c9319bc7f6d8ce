//! The tables in PostgreSQL, and how those of an older version become those of this one.
//!
//! Each set of tables has a version in `regatta.migrations`. It goes forward, a version at a time, all in one transaction under
//! a lock, so that coordinators that start together do it once. One of a newer version is refused and left as it is.

use super::Server;
use crate::store::Error;
use tokio_postgres::Client;

/// A set of tables.
pub(crate) struct Tables {
    /// Its name in `regatta.migrations`.
    pub(crate) kind: &'static str,
    /// What brings it to version 1, from there to version 2, and so on.
    pub(crate) steps: &'static [&'static str],
}

/// Taken while tables are changed: any number that nobody else takes.
const LOCK: i64 = 0x7265_6761_7474_6101;

/// Brings tables to the version of this program. Gives the versions before and after.
///
/// # Errors
/// When a newer version made them, or the server refuses; nothing was changed then.
pub(crate) async fn migrate(server: &Server, client: &mut Client, tables: &Tables) -> Result<(usize, usize), Error> {
    let work = async {
        let transaction = client.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        let exists = "SELECT to_regclass('regatta.migrations') IS NOT NULL";
        if !transaction.query_one(exists, &[]).await?.get::<_, bool>(0) {
            let create = "CREATE SCHEMA IF NOT EXISTS regatta;
                CREATE TABLE regatta.migrations (kind text PRIMARY KEY, version int NOT NULL);";
            transaction.batch_execute(create).await?;
        }
        let find = "SELECT version FROM regatta.migrations WHERE kind = $1";
        let found = transaction.query_opt(find, &[&tables.kind]).await?.map_or(0, |row| row.get::<_, i32>(0));
        let found = usize::try_from(found).unwrap_or(0);
        let known = tables.steps.len();
        if found > known {
            return Ok(Err((found, known)));
        }
        if found < known {
            for step in &tables.steps[found..] {
                transaction.batch_execute(step).await?;
            }
            let set = "INSERT INTO regatta.migrations VALUES ($1, $2) ON CONFLICT (kind) DO UPDATE SET version = $2";
            let version = i32::try_from(known).unwrap_or(i32::MAX);
            transaction.execute(set, &[&tables.kind, &version]).await?;
            transaction.commit().await?;
        }
        Ok(Ok((found, known)))
    };
    let outcome = work.await.map_err(|error| server.sorted(error))?;
    outcome.map_err(|(found, known)| Error::NewerTables {
        server: server.to_string().into(),
        kind: tables.kind,
        found,
        known,
    })
}
