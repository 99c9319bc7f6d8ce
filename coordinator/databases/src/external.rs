//! An external server: found in whatever state it is, used beside others, and left as it was.
//!
//! Each engine holds an advisory lock named after its epoch while it lives. Databases and roles whose engine's lock can be taken
//! are orphans; they are removed, except for those that were claimed.

use crate::names::{self, Names};
use crate::pool::discard::drop_database;
use crate::server::lane;
use crate::server::{Error, Server};
use regatta_domain::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio_postgres::Client;

/// The external server.
#[derive(Debug)]
pub(crate) struct External {
    pub(crate) server: Arc<Server>,
    names: Arc<Names>,
    /// Databases of earlier engines that are still leased.
    adopted: Mutex<BTreeSet<String>>,
    /// How many templates may stay.
    templates: usize,
}

/// How often it is looked whether our lock is still held, and whether others have gone.
const LOOK: Duration = Duration::from_secs(5);

impl External {
    /// Connects and looks.
    pub(crate) async fn begin(url: &str, names: Arc<Names>, templates: usize) -> Result<Arc<Self>, Error> {
        let mut config: tokio_postgres::Config =
            url.parse().map_err(|error| Error::Unfit { why: format!("its URL cannot be read: {error}") })?;
        config.application_name("regatta").connect_timeout(crate::limits::CONNECT);
        let host = match config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(tokio_postgres::config::Host::Unix(path)) => path.display().to_string().replace('/', "%2F"),
            None => "localhost".to_owned(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let server = Arc::new(Server::look(config, (host, port), false).await?);
        Ok(Arc::new(Self { server, names, adopted: Mutex::new(BTreeSet::new()), templates }))
    }

    /// Keeps our lock, watches over the server, and removes orphans once the grace has passed; until `closing`.
    pub(crate) async fn run(self: Arc<Self>, grace: Duration, mut closing: watch::Receiver<bool>) {
        let begun = Instant::now();
        let mut presence: Option<Client> = None;
        let mut swept = false;
        let over = self.server.clone().watch_over();
        tokio::pin!(over);
        loop {
            if presence.as_ref().is_none_or(Client::is_closed) && self.server.breaker.is_closed() {
                presence = self.announce().await.ok();
            }
            if !swept && begun.elapsed() >= grace && presence.is_some() {
                match self.sweep(false).await {
                    Ok(()) => swept = true,
                    Err(error) => {
                        tracing::warn!(%error, "what earlier engines left on the server could not be removed yet")
                    }
                }
            }
            let next = if swept {
                LOOK
            } else {
                LOOK.min(grace.saturating_sub(begun.elapsed()).max(Duration::from_millis(20)))
            };
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = &mut over => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
        }
    }

    async fn announce(&self) -> Result<Client, Error> {
        let client = lane::connect(&self.server.admin).await?;
        lane::run(&client, &format!("SELECT pg_advisory_lock({})", key(self.names.epoch()))).await?;
        Ok(client)
    }

    /// Claims a database of an earlier engine. Says whether it is there.
    pub(crate) async fn adopt(&self, name: &str) -> Result<bool, Error> {
        if names::parse(name).is_none() {
            return Ok(false);
        }
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        let rows = self.server.quick().run(&format!("SELECT 1 FROM pg_database WHERE datname = '{name}'")).await?;
        Ok(!rows.is_empty())
    }

    /// Ends an adopted database.
    pub(crate) async fn drop_adopted(&self, name: &str) -> Result<(), Error> {
        let owner = format!("SELECT datdba::regrole::text FROM pg_database WHERE datname = '{name}'");
        let rows = self.server.dropper.run(&owner).await?;
        let role = rows.first().and_then(|row| row.get(0)).filter(|role| names::parse(role).is_some());
        if let Some(role) = role {
            self.server.dropper.run(&format!("ALTER ROLE {role} NOLOGIN")).await?;
        }
        drop_database(&self.server, name).await?;
        if let Some(role) = role {
            self.server.dropper.run(&format!("DROP ROLE IF EXISTS {role}")).await?;
        }
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }

    /// Removes databases and roles of engines that are gone; of ours too if `ours`.
    pub(crate) async fn sweep(&self, ours: bool) -> Result<(), Error> {
        let rows = self
            .server
            .dropper
            .run(
                "SELECT 'd', datname FROM pg_database WHERE datname LIKE 'rg\\_%' \
                  UNION ALL SELECT 'r', rolname FROM pg_roles WHERE rolname LIKE 'rg\\_%'",
            )
            .await?;
        let mut epochs: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
        for row in &rows {
            let (Some(kind), Some(name)) = (row.get(0), row.get(1)) else { continue };
            let Some(parsed) = names::parse(name) else { continue };
            let (databases, roles) = epochs.entry(parsed.epoch.to_owned()).or_default();
            if kind == "d" { databases.push(name.to_owned()) } else { roles.push(name.to_owned()) }
        }
        let lock = lane::connect(&self.server.admin).await?;
        for (epoch, (databases, roles)) in epochs {
            let mine = epoch == self.names.epoch();
            if mine && !ours {
                continue;
            }
            if !mine {
                let got = lane::run(&lock, &format!("SELECT pg_try_advisory_lock({})", key(&epoch))).await?;
                if got.first().and_then(|row| row.get(0)) != Some("t") {
                    continue;
                }
            }
            self.remove(&epoch, databases, roles).await?;
            if !mine {
                lane::run(&lock, &format!("SELECT pg_advisory_unlock({})", key(&epoch))).await?;
            }
        }
        self.prune().await
    }

    async fn remove(&self, epoch: &str, databases: Vec<String>, roles: Vec<String>) -> Result<(), Error> {
        let count = databases.len();
        for role in &roles {
            self.server.dropper.run(&format!("ALTER ROLE {role} NOLOGIN")).await?;
        }
        for name in databases {
            let adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner).contains(&name);
            if !adopted {
                drop_database(&self.server, &name).await?;
            }
        }
        for role in roles {
            // The owner of a database that was claimed stays with it, and may come in again.
            let dropped = self.server.dropper.run(&format!("DROP ROLE IF EXISTS {role}")).await;
            match dropped {
                Err(error) if error.is("2BP01") => {
                    self.server.dropper.run(&format!("ALTER ROLE {role} LOGIN")).await?;
                }
                other => drop(other?),
            }
        }
        tracing::info!(epoch, databases = count, "removed what an earlier engine left on the server");
        Ok(())
    }

    /// Whether the finished template is in the server, from an earlier engine.
    pub(crate) async fn has(&self, digest: Digest) -> Result<bool, Error> {
        let rows = self
            .server
            .quick()
            .run(&format!(
                "SELECT 1 FROM pg_database WHERE datname = '{}' AND datistemplate \
                 AND shobj_description(oid, 'pg_database') LIKE 'regatta template {digest}%'",
                names::template(digest)
            ))
            .await?;
        Ok(!rows.is_empty())
    }

    /// Writes down that a template is used now, so that the oldest can be told.
    pub(crate) async fn used(&self, digest: Digest) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let name = names::template(digest);
        let sql = format!("COMMENT ON DATABASE {name} IS 'regatta template {digest} used {now}'");
        self.server.quick().run(&sql).await.map(drop)
    }

    /// Drops a template that nobody uses.
    pub(crate) async fn drop_template(&self, name: &str) -> Result<(), Error> {
        self.server.dropper.run(&format!("ALTER DATABASE {name} IS_TEMPLATE false")).await?;
        self.server.dropper.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await?;
        drop_database(&self.server, name).await?;
        let stem = name.trim_end_matches("_template");
        self.server.dropper.run(&format!("DROP ROLE IF EXISTS {stem}_owner, {stem}_reader")).await.map(drop)
    }

    /// Drops the templates that were used longest ago, above the bound. One from which another engine has clones keeps its
    /// roles, and therefore fails to be dropped wholly; that is no harm.
    async fn prune(&self) -> Result<(), Error> {
        let rows = self
            .server
            .dropper
            .run(&format!(
                "SELECT datname FROM pg_database WHERE datname LIKE 'rg\\_%\\_template' AND datistemplate \
                 ORDER BY coalesce(substring(shobj_description(oid, 'pg_database') FROM ' used (\\d+)$')::bigint, 0) DESC \
                 OFFSET {}",
                self.templates
            ))
            .await?;
        for name in rows.iter().filter_map(|row| row.get(0)) {
            if let Err(error) = self.drop_template(name).await {
                tracing::debug!(template = name, %error, "an old template stays");
            }
        }
        Ok(())
    }
}

/// The advisory lock of an engine: FNV-1a of its epoch.
fn key(epoch: &str) -> i64 {
    let hash = format!("regatta:{epoch}")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.cast_signed()
}
