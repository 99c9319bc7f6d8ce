//! What the coordinator calls: templates are prepared, databases leased, released and fenced.
//!
//! [`Postgres`] is a handle. `leasing` gives and takes back, `building` sees to templates; what they share is here. The
//! invariants: a lease ends once, whoever ends it; and after its end nobody gets in by what it was told.

mod building;
mod leasing;

use crate::external::External;
use crate::lease::{DatabaseLease, Released};
use crate::limits;
use crate::names::Names;
use crate::pool::{Database, Pool, Reader};
use crate::private::Private;
use crate::server::Error;
use crate::server::breaker::Health;
use crate::server::local::Local;
use crate::settings::{Choice, Settings};
use crate::status::{Status, TemplateStatus, Timings};
use crate::stock::{Site, State, Stock};
use crate::template::{Place, Registry};
use regatta_domain::{Digest, Level, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// PostgreSQL databases for tests. Cheap to clone. [`Self::shutdown`] removes everything that it made; on this machine the end of the
/// process does so, too, in whatever way it ends.
#[derive(Clone, Debug)]
pub struct Postgres(Arc<Engine>);

/// A lease of an earlier engine that is still valid.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// The lease, as it was given.
    pub id: DatabaseLease,
    /// Under which token.
    pub token: Token,
    /// The level that was asked for.
    pub level: Level,
    /// The name of its database.
    pub database: String,
}

/// The clones of a template that are ready.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// How they are entered with all rights; the name of the database is to be set.
    pub admin: tokio_postgres::Config,
    /// The clone that readers share: as the template, which cannot be entered.
    pub reading: String,
    /// Those that the next tests get.
    pub databases: Vec<String>,
    /// The private servers that are ready: how each is entered with all rights, its database, and the role of its next lease.
    pub private: Vec<(tokio_postgres::Config, String, String)>,
}

#[derive(Debug)]
struct Engine {
    settings: Arc<Settings>,
    names: Arc<Names>,
    /// Servers of our own: all of them, or only private ones beside an external server. Without PostgreSQL's programs, none.
    local: Option<Arc<Local>>,
    external: Option<Arc<External>>,
    registry: Mutex<Registry<Site, Arc<Stock>>>,
    leases: Mutex<Leases>,
    private_room: Arc<Semaphore>,
    next: AtomicU64,
    timings: Mutex<(Timings, Timings)>,
    closing: watch::Sender<bool>,
    /// What runs in the background; waited for at the end.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct Leases {
    held: BTreeMap<DatabaseLease, Held>,
    /// Those that are ending or have ended, by what came of them.
    ended: BTreeMap<DatabaseLease, watch::Receiver<Option<Arc<Released>>>>,
    fenced: BTreeSet<Token>,
}

#[derive(Debug)]
struct Held {
    token: Token,
    level: Level,
    statements: bool,
    since: Instant,
    stock: Option<Arc<Stock>>,
    holding: Holding,
}

#[derive(Debug)]
enum Holding {
    Nothing,
    Clone(Arc<Pool>, Box<Database>),
    Reader(Arc<Pool>, Box<Reader>),
    Private(Box<Private>),
    Adopted(Arc<External>, String),
}

impl Postgres {
    /// Begins: looks for programs or connects to the server, and sees to what earlier engines left.
    ///
    /// # Errors
    /// When no server can be started here, or the external one cannot be reached or used.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let (settings, names) = (Arc::new(settings), Arc::new(Names::begin()));
        let (local_settings, epoch) = (settings.clone(), names.epoch().to_owned());
        let local = tokio::task::spawn_blocking(move || {
            let Settings { binaries, memory, directory, locale, images, templates, .. } = &*local_settings;
            let images = images.as_deref().map(|place| (place, *templates));
            Local::begin(&epoch, binaries.as_deref(), memory.as_deref(), directory, locale.clone(), images)
        })
        .await
        .map_err(|error| Error::Io(std::io::Error::other(error)))?;
        let (local, external) = match &settings.server {
            Choice::Own => (Some(Arc::new(local?)), None),
            Choice::External { url } => {
                let external = External::begin(url, names.clone(), settings.templates).await?;
                // Private servers are a bonus here; without them exclusive tests take the whole server in turn.
                let local = local.map_err(|error| tracing::info!(%error, "no private servers")).ok();
                (local.map(Arc::new), Some(external))
            }
        };
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let engine = Arc::new(Engine {
            private_room: Arc::new(Semaphore::new(settings.private_servers)),
            // The second of the start, and a count of four billion leases: later engines give greater numbers.
            next: AtomicU64::new((begun << 32) | 1),
            settings,
            names,
            local,
            external,
            registry: Mutex::new(Registry::new()),
            leases: Mutex::new(Leases::default()),
            timings: Mutex::new(Default::default()),
            closing: watch::channel(false).0,
            tasks: Mutex::new(JoinSet::new()),
        });
        if let Some(external) = &engine.external {
            engine.spawn(external.clone().run(engine.settings.grace, engine.closing.subscribe()));
        }
        Ok(Self(engine))
    }

    /// The directory of servers of our own, if any can be started.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        self.0.local.as_ref().map(|local| local.directory().to_owned())
    }

    /// Whether exclusive tests get private servers; else they need the whole server, alone.
    #[must_use]
    pub fn has_private_servers(&self) -> bool {
        self.0.local.is_some()
    }

    /// The clones of a template as they are now, for whoever audits them.
    #[must_use]
    pub fn shelf(&self, template: Digest) -> Option<Shelf> {
        let stock = self.0.registry().stock((template, Place::Shared), Instant::now())?;
        let State::Up(pool) = stock.pool() else { return None };
        let (reading, databases) = pool.ready();
        let private = stock.privates.as_ref().map(|privates| privates.shown()).unwrap_or_default();
        Some(Shelf { admin: pool.server.admin.clone(), reading, databases, private })
    }

    /// How the engine is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// Ends: nothing new is given, all leases end, and everything that was made is removed. Finished templates stay on an
    /// external server, for the next engine.
    pub async fn shutdown(&self) {
        self.0.shutdown().await;
    }
}

impl Engine {
    fn registry(&self) -> MutexGuard<'_, Registry<Site, Arc<Stock>>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timings(&self) -> MutexGuard<'_, (Timings, Timings)> {
        self.timings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Runs something in the background; [`Self::shutdown`] waits for it.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Where a template for tests at `level` has to be.
    fn place(&self, level: Level) -> Place {
        if level == Level::Exclusive && self.external.is_some() { Place::Private } else { Place::Shared }
    }

    fn status(&self) -> Status {
        let (lease, release) = {
            let timings = self.timings();
            (timings.0.percentiles(), timings.1.percentiles())
        };
        let mut status = Status {
            health: self.external.as_ref().map_or(Health::Up, |external| external.server.breaker.health()),
            capacity: self.external.as_ref().map_or(0, |external| external.server.capacity()),
            leased: u32::try_from(self.leases().held.len()).unwrap_or(u32::MAX),
            pooled: 0,
            templates: Vec::new(),
            made: 0,
            reused: 0,
            dropped: 0,
            rate: 0.0,
            lease,
            release,
        };
        let stocks = self.registry().stocks();
        for ((template, _), stock) in stocks {
            let mut one = TemplateStatus {
                template,
                bytes: stock.bytes(),
                pooled: 0,
                private: stock.privates.as_ref().map_or(0, |privates| privates.ready()),
                leased: stock.leases.load(Ordering::Relaxed),
                server: None,
                trouble: String::new(),
            };
            match stock.pool() {
                State::Up(pool) => {
                    let (rate, ready, _) = pool.figures();
                    status.rate += rate;
                    status.pooled += ready;
                    status.made += pool.counts.made.load(Ordering::Relaxed);
                    status.reused += pool.counts.reused.load(Ordering::Relaxed);
                    status.dropped += pool.counts.dropped.load(Ordering::Relaxed);
                    if self.external.is_none() {
                        status.capacity += pool.server.capacity();
                    }
                    (one.pooled, one.server, one.trouble) = (ready, pool.server.pid(), pool.trouble());
                }
                State::Down { since, why } => {
                    status.health = Health::Down { since, why, next: Duration::ZERO };
                }
                State::None => {}
            }
            status.templates.push(one);
        }
        status
    }

    async fn shutdown(&self) {
        self.closing.send_replace(true);
        let held = std::mem::take(&mut self.leases().held);
        let stocks = self.registry().stocks();
        let sites = self.registry().abandon();
        for held in held.into_values() {
            // Whatever a test is still doing there ends with the database.
            if let Holding::Private(private) = held.holding {
                private.destroy().await;
            }
        }
        for (_, stock) in stocks {
            stock.close().await;
        }
        for site in sites {
            self.dispose(site).await;
        }
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
        if let Some(external) = &self.external {
            let swept = tokio::time::timeout(limits::STATEMENT, external.sweep(true)).await;
            if !matches!(swept, Ok(Ok(()))) {
                tracing::warn!(outcome = ?swept, "databases of this engine stay on the server; the next start removes them");
            }
        }
        if let Some(local) = &self.local {
            let directory: PathBuf = <Path as ToOwned>::to_owned(local.directory());
            let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(directory)).await;
        }
    }
}
