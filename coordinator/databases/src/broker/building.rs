//! Templates: who builds, where, and what comes of it.

use super::{Engine, Postgres};
use crate::lease::Refused;
use crate::server::Error;
use crate::server::local::{Image, Local};
use crate::stock::{self, Site, Stock};
use crate::template::{BuildId, BuildOrder, Claim, Place, Prepared, Wanted};
use regatta_domain::{Digest, RunId};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Postgres {
    /// Says what is to be done so that tests can have databases from a template. To be called before the first lease, and again
    /// after waiting.
    ///
    /// # Errors
    /// When the server has no room for a build, is down, or cannot be started; asking again later may help.
    pub async fn prepare(&self, mut wanted: Wanted) -> Result<Prepared, Refused> {
        let engine = &self.0;
        if engine.is_closing() {
            return Err(Refused::Closing);
        }
        if engine.external.is_none() {
            wanted.place = Place::Shared;
        } else if wanted.place == Place::Private && engine.local.is_none() {
            return Err(Refused::NoPrivateServer);
        }
        let key = (wanted.template, wanted.place);
        let claim = {
            // Under the lock of the leases, so that a fence is either seen here or finds the build.
            let leases = engine.leases();
            if leases.fenced.contains(&wanted.token) {
                return Err(Refused::Fenced);
            }
            engine.registry().claim(key, wanted.token, wanted.run, Instant::now())
        };
        match claim {
            Claim::Ready => Ok(Prepared::Ready),
            Claim::Building(building) => Ok(Prepared::Building(building)),
            Claim::Failed { log, told } => Ok(Prepared::Failed { log, told }),
            Claim::Build(id) => {
                // A task of its own: whoever asked may go away, and the place is then disposed of by its fence.
                let engine = engine.clone();
                let opening = tokio::spawn(async move { engine.open(id, wanted).await });
                opening.await.unwrap_or_else(|error| Err(Refused::Late { why: error.to_string() }))
            }
        }
    }

    /// The build that was ordered has ended: well, or with this log. Finishes the template, and begins to serve it.
    ///
    /// Returns whether the template is ready now. A build that was fenced meanwhile, or told before, changes nothing.
    pub async fn built(&self, id: BuildId, outcome: Result<(), String>) -> bool {
        let Some((key, run, site)) = self.0.registry().finishing(id) else { return false };
        let engine = self.0.clone();
        tokio::spawn(async move { engine.finish(key, run, site, outcome).await }).await.unwrap_or(false)
    }

    /// Forgets that a template could not be built: the next who asks builds it again.
    pub fn retry(&self, template: Digest) {
        self.0.registry().retry(template);
    }
}

impl Engine {
    /// Makes the place to build in.
    async fn open(self: Arc<Self>, id: BuildId, wanted: Wanted) -> Result<Prepared, Refused> {
        let key = (wanted.template, wanted.place);
        let opened = self.open_site(&wanted).await;
        let (site, host, port, password, database) = match opened {
            Ok(Some(opened)) => opened,
            // It was there already, from an earlier engine.
            Ok(None) => return Ok(Prepared::Ready),
            Err(Error::Statement { sql, state, why }) => {
                // What the server refuses (an extension that is not installed) it refuses the next time, too.
                let log = format!("the database for the build could not be made: {why} ({state}) in {sql:?}");
                self.registry().failed(key, wanted.run, &log, Instant::now());
                return Ok(Prepared::Failed { log, told: false });
            }
            Err(error) => {
                self.registry().forget(key);
                return Err(self.refusal(&error));
            }
        };
        let late = self.registry().opened(id, site);
        if let Err(site) = late {
            self.dispose(site).await;
            return Err(Refused::Fenced);
        }
        let owner = crate::names::owner(wanted.template);
        let url = format!("postgresql://{owner}:{password}@{host}:{port}/{database}?sslmode=disable");
        let variables = [
            ("DATABASE_URL", url.clone()),
            ("PGHOST", host),
            ("PGPORT", port.to_string()),
            ("PGUSER", owner),
            ("PGPASSWORD", password),
            ("PGDATABASE", database),
            ("PGSSLMODE", "disable".to_owned()),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Prepared::Build(BuildOrder { id, template: wanted.template, url, variables }))
    }

    /// Makes the place; nothing if the template is there already.
    async fn open_site(&self, wanted: &Wanted) -> Result<Option<(Site, String, u16, String, String)>, Error> {
        let (digest, name) = (wanted.template, self.names.next(wanted.template));
        match (&self.external, &self.local) {
            (Some(external), _) if wanted.place == Place::Shared => {
                if external.has(digest).await? {
                    let stock = self.serve_external(digest).await?;
                    self.registry().ready((digest, Place::Shared), stock, Instant::now());
                    return Ok(None);
                }
                let server = &external.server;
                let opened = stock::open_external(server, digest, name.clone(), &wanted.extensions).await;
                match opened {
                    Ok((site, password)) => Ok(Some((site, server.host.clone(), server.port, password, name))),
                    Err(error) => {
                        self.dispose(Site::External(name)).await;
                        Err(error)
                    }
                }
            }
            (_, Some(local)) => {
                if let Some(image) = local.recall(digest).await {
                    let stock = self.serve_own(local.clone(), image, digest).await?;
                    self.registry().ready((digest, wanted.place), stock, Instant::now());
                    return Ok(None);
                }
                let (site, port, password) = stock::open_own(local, digest, name.clone(), &wanted.extensions).await?;
                Ok(Some((site, "127.0.0.1".to_owned(), port, password, name)))
            }
            (_, None) => Err(Error::Unfit { why: Refused::NoPrivateServer.to_string() }),
        }
    }

    async fn serve_own(&self, local: Arc<Local>, image: Image, digest: Digest) -> Result<Arc<Stock>, Error> {
        // Beside an external server, only private servers are made from images.
        let shared = self.external.is_none();
        let room = self.private_room.clone();
        Stock::own(local, image, digest, self.names.clone(), self.settings.clone(), (room, shared)).await
    }

    async fn serve_external(&self, digest: Digest) -> Result<Arc<Stock>, Error> {
        let external = self.external.as_ref().expect("only an external server has templates of its own");
        external.used(digest).await?;
        Stock::external(external.server.clone(), digest, self.names.clone(), self.settings.clone()).await
    }

    /// Makes a template of what was built, and serves it. Says whether it is ready.
    async fn finish(
        self: Arc<Self>,
        key: (Digest, Place),
        run: RunId,
        site: Site,
        outcome: Result<(), String>,
    ) -> bool {
        if let Err(log) = outcome {
            self.dispose(site).await;
            self.registry().failed(key, run, &log, Instant::now());
            return false;
        }
        match self.finish_site(key, site).await {
            Ok(stock) => {
                if self.is_closing() {
                    stock.close().await;
                    return false;
                }
                self.registry().ready(key, stock, Instant::now());
                self.prune(key).await;
                true
            }
            Err(Error::Down { why } | Error::Full { why }) => {
                tracing::warn!(template = %key.0, why, "the server was lost while a template was finished; it is built again");
                self.registry().forget(key);
                false
            }
            Err(error) => {
                self.registry().failed(key, run, &error.to_string(), Instant::now());
                false
            }
        }
    }

    async fn finish_site(&self, key: (Digest, Place), site: Site) -> Result<Arc<Stock>, Error> {
        match site {
            Site::Own(process, database) => {
                let local = self.local.clone().expect("who builds on a server of its own can start one");
                let image = stock::finish_own(&local, key.0, process, &database).await?;
                let stock = self.serve_own(local, image, key.0).await?;
                let kept = stock.clone();
                self.spawn(async move { kept.keep().await });
                Ok(stock)
            }
            Site::External(database) => {
                let server = &self.external.as_ref().expect("who builds on an external server has one").server;
                let finished = stock::finish_on(&server.admin, &server.dropper, key.0, &database).await;
                if let Err(error) = finished {
                    self.dispose(Site::External(database)).await;
                    return Err(error);
                }
                self.serve_external(key.0).await
            }
        }
    }

    /// Removes a place that nobody builds in any more.
    pub(super) async fn dispose(&self, site: Site) {
        match site {
            Site::Own(process, _) => process.destroy().await,
            Site::External(database) => {
                if let Some(external) = &self.external
                    && let Err(error) = external.drop_adopted(&database).await
                {
                    tracing::warn!(database, %error, "an abandoned build stays on the server until the next start");
                }
            }
        }
    }

    /// Ends the templates that were used longest ago while there are too many. None in use goes, nor the newest.
    async fn prune(&self, newest: (Digest, Place)) {
        loop {
            let stocks = self.registry().stocks();
            let bytes: u64 = stocks.iter().map(|(_, stock)| stock.bytes()).sum();
            if stocks.len() <= self.settings.templates && bytes <= self.settings.template_bytes {
                return;
            }
            let idle =
                stocks.into_iter().find(|(key, stock)| *key != newest && stock.leases.load(Ordering::Acquire) == 0);
            let Some((key, stock)) = idle else { return };
            self.registry().forget(key);
            tracing::info!(template = %key.0, "a template that was not used for the longest is removed");
            stock.close().await;
            if let Some(external) = self.external.as_ref().filter(|_| key.1 == Place::Shared)
                && let Err(error) = external.drop_template(&crate::names::template(key.0)).await
            {
                tracing::debug!(template = %key.0, %error, "an old template stays on the server");
            }
        }
    }

    /// What an asker is told of an error.
    pub(super) fn refusal(&self, error: &Error) -> Refused {
        let down = self.external.as_ref().and_then(|external| Refused::down(&external.server.breaker.health()));
        down.unwrap_or_else(|| Refused::Late { why: error.to_string() })
    }
}
