//! Clearing a database of what a lease left in it: sessions, prepared transactions, replication slots, subscriptions.
//!
//! Each of them keeps a database from being dropped, even by force, and each is ended in its own way.

use crate::limits;
use crate::server::{Error, Server, lane};
use std::time::{Duration, Instant};

/// Whether nothing but sessions may be there. In one round trip, because nearly always nothing is.
pub(super) async fn is_empty(server: &Server, oid: u32, name: &str) -> Result<bool, Error> {
    let rows = server
        .quick()
        .run(&format!(
            "SELECT 1 WHERE EXISTS (SELECT FROM pg_prepared_xacts WHERE database = '{name}') \
             OR EXISTS (SELECT FROM pg_replication_slots WHERE datoid = {oid}) \
             OR EXISTS (SELECT FROM pg_stat_subscription s JOIN pg_subscription u ON u.oid = s.subid WHERE u.subdbid = {oid})"
        ))
        .await;
    match rows {
        Ok(rows) => Ok(rows.is_empty()),
        // Only a superuser may look at subscriptions; who may not look has leases that cannot make them either.
        Err(error) if error.is("42501") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Ends everything that `is_empty` looks for. The database must allow connections.
pub(super) async fn clear(server: &Server, oid: u32, name: &str) -> Result<(), Error> {
    terminate(server, oid).await?;
    let slots = server.quick().run(&format!("SELECT slot_name FROM pg_replication_slots WHERE datoid = {oid}")).await?;
    for slot in slots.iter().filter_map(|row| row.get(0)) {
        // Whoever streams from it was ended above, and lets go of it a moment later.
        let until = Instant::now() + limits::TERMINATE;
        while let Err(error) = server.quick().run(&format!("SELECT pg_drop_replication_slot('{}')", quoted(slot))).await
        {
            if !error.is("55006") || Instant::now() > until {
                return Err(error);
            }
            server
                .quick()
                .run(&format!("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}' AND active", quoted(slot)))
                .await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let inside = lane::connect(&server.inside(name)).await?;
    let prepared = lane::run(&inside, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()").await?;
    for gid in prepared.iter().filter_map(|row| row.get(0)) {
        // Only from inside its own database, and not in a transaction.
        lane::run(&inside, &format!("ROLLBACK PREPARED '{}'", quoted(gid))).await?;
    }
    if server.facts.superuser {
        let subscriptions =
            lane::run(&inside, &format!("SELECT quote_ident(subname) FROM pg_subscription WHERE subdbid = {oid}"))
                .await?;
        for name in subscriptions.iter().filter_map(|row| row.get(0)) {
            // Without its slot: that is on a publisher which may be gone.
            lane::run(&inside, &format!("ALTER SUBSCRIPTION {name} DISABLE")).await?;
            lane::run(&inside, &format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")).await?;
            lane::run(&inside, &format!("DROP SUBSCRIPTION {name}")).await?;
        }
    }
    drop(inside);
    terminate(server, oid).await
}

/// Ends every session on the database, and waits until they have gone.
pub(super) async fn terminate(server: &Server, oid: u32) -> Result<(), Error> {
    gone(
        server,
        &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = {oid}"),
        limits::TERMINATE,
    )
    .await?
    .then_some(())
    .ok_or_else(|| Error::Unfit {
        why: format!("sessions on the database {oid} do not end although they were terminated"),
    })
}

/// Asks again every millisecond until `sql` returns no row. Says whether that came within `patience`.
pub(super) async fn gone(server: &Server, sql: &str, patience: Duration) -> Result<bool, Error> {
    let until = Instant::now() + patience;
    while !server.quick().run(sql).await?.is_empty() {
        if Instant::now() >= until {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(true)
}

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}
