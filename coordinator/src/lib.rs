//! The coordinator: the core's shell. It drives the core, keeps its journal, tells whoever watches, and serves clients and
//! workers, over a network or within the process.
//!
//! - [`driver`]: the one thread that owns the core; nothing is said or done ahead of disk.
//! - [`store`]: the journal and the projection, in SQLite files or a PostgreSQL database that coordinators share; [`blobs`]:
//!   captured output.
//! - [`projector`]: what events mean to those who watch, and to the tables.
//! - `resources`: what the fleet shares, the hooks that keep it in order, and what people decide about it.
//! - `planner`: what is asked for, with what is remembered; `grpc`: the services.
//!
//! It leaves every decision about tests to `regatta-core`.

mod abandon;
pub mod blobs;
pub mod driver;
mod error;
mod grpc;
mod outage;
mod planner;
pub mod projector;
mod resources;
mod server;
mod standing;
pub mod store;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use regatta_core::{Setup, Share, Tuning};
pub use resources::Broken;
pub use server::stand_by;
use standing::Handover;
pub use standing::Standing;
pub use store::projection::Keep;

use blobs::{Blobs, Place};
use driver::DriverHandle;
use grpc::Parts;
use outage::Outage;
use planner::PlannerDesk;
use regatta_runtime::threads::{self, Thread};
use resources::{Databases, Opening};
use server::{Accepted, Servers};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::lock::Lock;
use store::papers::Papers;
use store::postgres::leader::Leadership;
use store::{Journal, MemoryJournal, PostgresJournal, SqliteJournal, projection};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

/// What to do when another coordinator works in the data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenHeld {
    /// Refuse, and name it.
    #[default]
    Refuse,
    /// Wait until it is gone: for a second run in the same place.
    Wait,
}

/// How long a database that is shared may be away, before the coordinator gives up and stops: longer than any restart or failover
/// takes, and short enough that somebody looks.
const AWAY: Duration = Duration::from_secs(600);

/// How often one that waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How a coordinator is to be started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it keeps everything; `None` for memory, which outlives nothing.
    pub data: Option<PathBuf>,
    /// Where it keeps outputs; in the directory where that is left out.
    pub blobs: Option<Place>,
    /// What the core is told: numbers that it decides by, resources, shares of projects.
    pub setup: Setup,
    /// How much is kept of runs that ended.
    pub keep: Keep,
    /// What to do when another coordinator works in the directory.
    pub when_held: WhenHeld,
    /// Whether runs that an earlier process left live are cancelled: their clients are gone with it.
    pub abandon: bool,
}

impl Config {
    /// The blobs: in the data directory, unless another place was said. What is to go to another place waits there.
    async fn open_blobs(&self) -> Result<Blobs, Error> {
        let Some(data) = &self.data else { return Ok(Blobs::in_memory()) };
        let place = self.blobs.clone().unwrap_or_else(|| Place::Directory(data.join(blobs::DIRECTORY)));
        Ok(Blobs::open(&place, &data.join(blobs::WAITING)).await?)
    }

    /// Within a process that runs its own tests.
    #[must_use]
    pub fn local(data: PathBuf) -> Self {
        let setup = Tuning::LOCAL.into();
        Self { data: Some(data), blobs: None, setup, keep: Keep::LOCAL, when_held: WhenHeld::Wait, abandon: true }
    }

    /// In memory: what it knows ends with it.
    #[must_use]
    pub fn in_memory(tuning: Tuning) -> Self {
        let (setup, keep) = (tuning.into(), Keep::LOCAL);
        Self { data: None, blobs: None, setup, keep, when_held: WhenHeld::Refuse, abandon: false }
    }

    /// On a server.
    #[must_use]
    pub fn cluster(data: PathBuf) -> Self {
        Self {
            data: Some(data),
            blobs: None,
            setup: Tuning::CLUSTER.into(),
            keep: Keep::CLUSTER,
            when_held: WhenHeld::Refuse,
            abandon: false,
        }
    }
}

/// A coordinator that runs. [`Coordinator::shutdown`] ends it in order; dropping it ends it as a kill would, and nothing
/// that was acknowledged is lost by that.
pub struct Coordinator {
    parts: Parts,
    outage: Outage,
    servers: Servers,
    driver: Mutex<Option<Thread>>,
    lock: Mutex<Option<Lock>>,
    leadership: Mutex<Option<Leadership>>,
}

impl Coordinator {
    /// Starts a coordinator: takes the directory, and goes on from what its journal says.
    ///
    /// # Errors
    /// When the directory is held by another coordinator, or its store refuses.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let mut lock = None;
        if let Some(data) = &config.data {
            lock = Some(hold(data, config.when_held).await?);
        }
        let (opening, blobs) = (config.clone(), config.open_blobs().await?);
        let opened = threads::on_disk(move || Opened::open(&opening, lock, blobs)).await;
        let opened = opened.map_err(|error| Error::Thread(Arc::new(error.into())))??;
        Self::with(opened, &config).await
    }

    /// Starts a coordinator that goes on from what `journal` says, whatever keeps that. Everything else is where it always is.
    ///
    /// # Errors
    /// As [`Coordinator::start`].
    pub async fn start_over(config: Config, journal: Box<dyn Journal>) -> Result<Self, Error> {
        let mut lock = None;
        if let Some(data) = &config.data {
            lock = Some(hold(data, config.when_held).await?);
        }
        let (opening, blobs) = (config.clone(), config.open_blobs().await?);
        let opened = threads::on_disk(move || Opened::beside(journal, &opening, lock, blobs)).await;
        let opened = opened.map_err(|error| Error::Thread(Arc::new(error.into())))??;
        Self::with(opened, &config).await
    }

    /// Starts a coordinator that leads, and goes on from what the journal says that it shares with others. When another one
    /// leads instead, it stops as if its store refused; when it is shut down, another one may lead at once.
    ///
    /// # Errors
    /// When its own directory is held by another coordinator, or the store refuses.
    pub async fn lead(config: Config, leadership: Leadership) -> Result<Self, Error> {
        let mut lock = None;
        if let Some(data) = &config.data {
            lock = Some(hold(data, config.when_held).await?);
        }
        let (server, epoch) = (leadership.server().clone(), leadership.epoch());
        let blobs = config.open_blobs().await?;
        let journal = Box::new(PostgresJournal::open(&server, epoch, AWAY).await?);
        let papers = Papers::shared(&server, epoch, AWAY).await?;
        let (keep, runtime) = (config.keep, Handle::current());
        let shared = Some(server.clone());
        let open = move || projection::open_postgres((&server, epoch), keep, projection::Patience::default(), runtime);
        let opened = tokio::task::spawn_blocking(open).await;
        let (writer, projection) = opened.map_err(|error| Error::Thread(Arc::new(error.into())))??;
        let (standing, deposed) = (leadership.standing(), leadership.deposed());
        let opened = Opened { lock, journal, writer, projection, blobs, papers, standing, shared };
        let coordinator = Self::with(opened, &config).await?;
        let outage = coordinator.outage.clone();
        // Ends with the leadership, which the coordinator holds.
        drop(tokio::spawn(async move {
            if let Some(error) = deposed.await {
                outage.declare(error);
            }
        }));
        *coordinator.leadership.lock().unwrap_or_else(PoisonError::into_inner) = Some(leadership);
        Ok(coordinator)
    }

    async fn with(opened: Opened, config: &Config) -> Result<Self, Error> {
        let Opened { lock, journal, writer, projection, blobs, papers, standing, shared } = opened;
        let (outage, asked) = (Outage::default(), journal.reader()?);
        let (custody, to_do) = resources::Custody::new();
        let opening = Opening::new(papers, &config.setup.resources).await?;
        let directory = config.data.clone().unwrap_or_else(std::env::temp_dir).join("databases");
        let databases = Databases::new(custody.live.clone(), (directory, config.data.is_some()));
        // What the fleet shares is offered by the steward, once it is known how it is.
        let setup = Setup { resources: BTreeMap::new(), ..config.setup.clone() };
        let usage = custody.usage.clone();
        let errands = custody.errands();
        // Replay waits for the store.
        let (kept, declared) = (blobs.clone(), outage.clone());
        let start = move || driver::start(journal, writer, kept, setup, custody, &declared);
        let started = threads::on_disk(start).await;
        let driver::Started { handle, projector, thread } =
            started.map_err(|error| Error::Thread(Arc::new(error.into())))??;
        let started = opening.start(handle.clone(), databases.clone(), usage, to_do.errands).await;
        let steward = started.map_err(|_| outage.get().unwrap_or(Error::Failed { thread: "driver" }))?;
        let planner = PlannerDesk::new(projection, asked, projector.clone(), steward.clone());
        // Ends with the driver, which holds the other end.
        drop(tokio::spawn(resources::attend(databases.clone(), handle.downgrade(), to_do.ended, errands)));
        let handover = Handover::default();
        let parts = Parts { driver: handle, planner, projector, blobs, databases, steward, standing, handover, shared };
        let coordinator = Self {
            parts,
            outage,
            servers: Servers::default(),
            driver: Mutex::new(Some(thread)),
            lock: Mutex::new(lock),
            leadership: Mutex::default(),
        };
        if config.abandon {
            // A driver that is gone already says so to whoever asks next.
            let _gone = abandon::abandon(&coordinator.parts.driver).await;
        }
        Ok(coordinator)
    }

    /// How the driver is reached without a connection.
    #[must_use]
    pub const fn driver(&self) -> &DriverHandle {
        &self.parts.driver
    }

    /// Takes an address.
    ///
    /// # Errors
    /// When it is in use, or may not be used.
    pub async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
        let listening = TcpListener::bind(address).await;
        listening.map_err(|source| Error::Listen { address, source: Arc::new(source) })
    }

    /// Serves clients and workers that connect to `listener`, until the coordinator is shut down or its store refuses.
    ///
    /// # Errors
    /// When connections cannot be served, or the store refuses.
    pub async fn serve(&self, listener: impl Into<Arc<TcpListener>>) -> Result<(), Error> {
        self.serve_incoming(Accepted::new(listener.into())).await
    }

    /// Serves connections as they come, over whatever network, until the coordinator is shut down or its store refuses.
    ///
    /// # Errors
    /// As [`Coordinator::serve`].
    pub async fn serve_incoming<C>(&self, incoming: impl Stream<Item = io::Result<C>>) -> Result<(), Error>
    where
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let served = self.servers.serve(grpc::routes(&self.parts), incoming);
        tokio::select! {
            served = served => served.map_err(|error| Error::Serve(Arc::new(error))),
            ended = self.outage.wait() => Err(ended),
        }
    }

    /// A connection within the process: the client's end of one, to be given to a connector.
    #[must_use]
    pub fn dial(&self) -> DuplexStream {
        self.servers.dial(|| grpc::routes(&self.parts))
    }

    /// Waits until queries can see everything that happened so far.
    pub async fn projected(&self) {
        // A projector that is gone has stopped the coordinator, and the next question says so.
        let _gone = self.parts.projector.written(self.parts.driver.committed()).await;
    }

    /// Waits until the store refuses, or a thread of the coordinator has failed: for ever, as a rule. The process should
    /// stop then; it comes back by replay.
    pub async fn refused(&self) -> Error {
        self.outage.wait().await
    }

    /// Waits until somebody wishes that another coordinator leads: for ever, as a rule.
    pub async fn handed_over(&self) {
        self.parts.handover.wished().await;
    }

    /// Ends the coordinator in order: what was asked is durable and projected, workers and watchers are told, connections
    /// are given a moment to end.
    ///
    /// # Errors
    /// When the store has refused.
    pub async fn shutdown(&self) -> Result<(), Error> {
        // What waits for a store that is away waits no longer.
        self.parts.planner.projection().hurry();
        self.parts.driver.stop().await;
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(driver) = driver {
            // A driver that panicked has been heard of by now.
            let _panicked = driver.ended().await;
        }
        // Everything is durable and said: another one may lead before the last connection has ended.
        let leadership = self.leadership.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(leadership) = leadership {
            leadership.resign().await;
        }
        self.servers.stop().await;
        self.parts.steward.stop().await;
        self.parts.databases.shutdown().await;
        self.parts.blobs.close().await;
        // The directory is free from here on, however long this handle lives.
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.outage.get().map_or(Ok(()), Err)
    }
}

/// Takes a directory; waits for another coordinator to leave it, where that is wanted.
async fn hold(data: &Path, when_held: WhenHeld) -> Result<Lock, Error> {
    let mut said = false;
    loop {
        match Lock::take(data) {
            Err(held @ store::Error::Held { .. }) if when_held == WhenHeld::Wait => {
                if !said {
                    tracing::info!("waiting: {held}");
                    said = true;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            taken => return Ok(taken?),
        }
    }
}

/// The stores of a coordinator, open.
struct Opened {
    lock: Option<Lock>,
    journal: Box<dyn Journal>,
    writer: projection::Writer,
    projection: projection::Reader,
    blobs: Blobs,
    papers: Papers,
    standing: watch::Receiver<Standing>,
    /// The database that is shared with other coordinators, where one is.
    shared: Option<store::postgres::Server>,
}

impl Opened {
    fn open(config: &Config, lock: Option<Lock>, blobs: Blobs) -> Result<Self, Error> {
        let journal: Box<dyn Journal> = match &config.data {
            Some(data) => Box::new(SqliteJournal::open(&data.join("journal.db"))?),
            None => Box::new(MemoryJournal::default()),
        };
        Self::beside(journal, config, lock, blobs)
    }

    /// Opens what stands beside a journal.
    fn beside(journal: Box<dyn Journal>, config: &Config, lock: Option<Lock>, blobs: Blobs) -> Result<Self, Error> {
        let data = config.data.as_deref();
        let tables = data.map(|data| data.join("projection.db"));
        let (writer, projection) = projection::open(tables.as_deref(), config.keep)?;
        let (papers, standing) = (Papers::at(data), Standing::alone());
        Ok(Self { lock, journal, writer, projection, blobs, papers, standing, shared: None })
    }
}
