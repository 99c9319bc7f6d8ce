//! Throwing away: one at a time, in the background, databases before the roles that own them.
//!
//! A drop forces a checkpoint of the whole server, so it is never waited for by a lease, and two at once gain nothing.

use super::{Database, Pool, clear, count};
use crate::server::Error;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What is thrown away.
#[derive(Debug)]
pub(crate) struct Trash {
    pub(super) database: Option<String>,
    pub(super) roles: Vec<String>,
    /// How often it was tried.
    pub(super) tries: u32,
}

/// How often a drop is tried. What stays then is left to the next engine's start, and told.
const TRIES: u32 = 5;

/// Roles without a database are dropped together.
const TOGETHER: usize = 16;

/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_millis(500);

impl Trash {
    pub(super) fn of(database: Database) -> Self {
        Self { database: Some(database.name), roles: vec![database.owner.role], tries: 0 }
    }

    pub(crate) fn role(role: String) -> Self {
        Self { database: None, roles: vec![role], tries: 0 }
    }

    pub(super) fn database(name: String) -> Self {
        Self { database: Some(name), roles: Vec::new(), tries: 0 }
    }
}

impl Pool {
    /// Throws something away, later. Bounded by what there is to throw away.
    pub(crate) fn discard(&self, trash: Trash) {
        self.trash.lock().unwrap_or_else(PoisonError::into_inner).push_back(trash);
        self.full.notify_one();
    }

    /// Drops what was thrown away until the pool closes.
    pub(super) async fn discard_all(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        while !self.is_closing() {
            let Some(trash) = self.first_trash() else {
                tokio::select! {
                    () = self.full.notified() => {}
                    _ = closing.wait_for(|closing| *closing) => {}
                }
                continue;
            };
            if !self.server.breaker.is_closed() {
                self.discard(trash);
                let _ = tokio::time::timeout(PAUSE, closing.wait_for(|closing| *closing)).await;
                continue;
            }
            if let Err(error) = self.drop_now(&trash).await {
                self.try_again(trash, &error);
                let _ = tokio::time::timeout(PAUSE, closing.wait_for(|closing| *closing)).await;
            }
        }
    }

    fn try_again(&self, mut trash: Trash, error: &Error) {
        // A server that is down says nothing about what is to be dropped.
        trash.tries += u32::from(!matches!(error, Error::Down { .. } | Error::Full { .. }));
        if trash.tries < TRIES {
            self.discard(trash);
        } else {
            tracing::warn!(database = ?trash.database, roles = ?trash.roles, %error,
                "a database or role could not be dropped; the next start tries again");
        }
    }

    /// The first thing to drop; roles alone are taken together.
    fn first_trash(&self) -> Option<Trash> {
        let mut trash = self.trash.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = trash.pop_front()?;
        while first.database.is_none()
            && first.tries == 0
            && first.roles.len() < TOGETHER
            && trash.front().is_some_and(|next| next.database.is_none() && next.tries == 0)
            && let Some(next) = trash.pop_front()
        {
            first.roles.extend(next.roles);
        }
        Some(first)
    }

    async fn drop_now(&self, trash: &Trash) -> Result<(), Error> {
        let lane = &self.server.dropper;
        if let Some(name) = &trash.database {
            drop_database(&self.server, name).await?;
            count(&self.counts.dropped);
            // Room for another one.
            self.short.notify_waiters();
        }
        if !trash.roles.is_empty() {
            lane.run(&format!("DROP ROLE IF EXISTS {}", trash.roles.join(", "))).await?;
        }
        Ok(())
    }
}

/// Ends everything on `name`, refuses newcomers, and drops it. It is well if it is gone already.
pub(crate) async fn drop_database(server: &crate::server::Server, name: &str) -> Result<(), Error> {
    let rows = server.dropper.run(&format!("SELECT oid FROM pg_database WHERE datname = '{name}'")).await?;
    let Some(oid) = rows.first().and_then(|row| row.get(0)?.parse().ok()) else { return Ok(()) };
    if !clear::is_empty(server, oid, name).await? {
        clear::clear(server, oid, name).await?;
    }
    let drop = async {
        server.dropper.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await?;
        clear::terminate(server, oid).await?;
        // Never WITH (FORCE): it looks only every 100 ms.
        server.dropper.run(&format!("DROP DATABASE IF EXISTS {name}")).await
    };
    match drop.await {
        Ok(_) => {
            server.watch().1.forget(oid);
            Ok(())
        }
        Err(error) if error.is("3D000") => Ok(()),
        Err(error) => {
            // Whatever keeps it (a prepared transaction, a slot) is cleared from inside, so let us in again.
            let _ = server.dropper.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
            Err(error)
        }
    }
}
