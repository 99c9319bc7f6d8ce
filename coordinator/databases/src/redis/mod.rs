//! Redis, or Valkey: a throw-away server for each lease, of which some are kept warm.
//!
//! One is ready in some ten milliseconds and takes as many megabytes, so nothing is shared but by those who may only read. `process`
//! starts and ends, `admin` (over `resp`) asks and counts, `verdict` judges, `server` is given and taken back, `stock` keeps
//! what a template needs. Leases and templates themselves are the desk's. The invariant: a server goes to another test only
//! when it is proven to hold what it began with, and under another password.

mod admin;
pub mod binaries;
mod process;
mod resp;
mod server;
mod stock;
mod verdict;

use crate::desk::{Craft, Figures, Given, Opened};
use crate::lease::{Ask, Fate, Refused, Released};
use crate::names::{self, Names};
use crate::server::account::Account;
use crate::server::home::{self, Home, Tenant};
use crate::throwaway::Throwaway;
use admin::Admin;
use binaries::{Missing, Program};
use nix::sys::signal::Signal;
use process::Process;
use regatta_domain::{Digest, Level};
use server::Holding;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};
use stock::Stock;
use tokio::sync::{OnceCell, Semaphore};

/// Servers at once, leased or warm: 64 of 12 MB are 768 MB.
pub const SERVERS: usize = 64;

/// Warm servers of one template: at 100 leases/s and 10 ms to make one, more than one is short for a moment only.
pub const WARM: usize = 16;

/// The user of ours in every server.
const ADMIN: &str = "regatta";

/// How homes of Redis servers are known.
const TENANT: Tenant =
    Tenant { prefix: "regatta-redis-", programs: &binaries::NAMES, running: "s*/redis.conf", signal: Signal::SIGKILL };

/// What whoever runs the engine chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's program or its directory; without it it is looked for.
    pub program: Option<PathBuf>,
    /// A memory file system for what servers load, used while it has [`crate::limits::MEMORY_FREE`] to spare.
    pub memory: Option<PathBuf>,
    /// Where that is kept otherwise.
    pub directory: PathBuf,
}

/// Why something could not be made.
#[derive(Debug)]
pub enum Error {
    /// Something on this machine.
    Io(io::Error),
    /// No server can be started here.
    Missing(Missing),
    /// A server did not come up.
    Start {
        /// Its directory.
        directory: PathBuf,
        /// The end of its log.
        log: String,
    },
    /// A server of ours did not do what it was told.
    Server(resp::Error),
}

/// Makes servers.
#[derive(Debug)]
struct Maker {
    program: Program,
    home: Home,
    names: Names,
    secret: String,
    /// One permit per server that exists for a lease, over all templates.
    room: Arc<Semaphore>,
    /// The commands that may change data, as the first server says.
    writes: OnceCell<BTreeSet<String>>,
}

/// The craft of making and judging Redis servers.
#[derive(Debug)]
struct Workshop(Arc<Maker>);

impl Default for Settings {
    fn default() -> Self {
        Self { program: None, memory: home::memory(), directory: std::env::temp_dir() }
    }
}

/// Begins: looks for the program, and removes what earlier engines left.
///
/// # Errors
/// When no server can be started here.
pub async fn start(settings: Settings) -> Result<Throwaway, Error> {
    let made = tokio::task::spawn_blocking(move || {
        let Settings { program, memory, directory } = settings;
        let program = Program::find(program.as_deref()).map_err(Error::Missing)?;
        let names = Names::begin();
        let home = Home::make(TENANT, Account::Ours, names.epoch(), memory.as_deref(), &directory)?;
        let (room, secret) = (Arc::new(Semaphore::new(SERVERS)), names::password());
        Ok::<_, Error>(Maker { program, home, names, secret, room, writes: OnceCell::new() })
    });
    let maker = Arc::new(made.await.map_err(|error| Error::Io(io::Error::other(error)))??);
    Ok(Throwaway::open(Workshop(maker.clone()), &maker.home))
}

impl Maker {
    /// Starts a server with what is in `image`.
    async fn start(&self, image: Option<&Path>, password: &str) -> Result<(Process, Admin), Error> {
        let (process, mut admin) = Process::start(&self.program, &self.home, image, (password, &self.secret)).await?;
        self.writes
            .get_or_try_init(async || {
                let told = admin.call(&["ACL", "CAT", "write"]).await?;
                Ok::<_, resp::Error>(told.list().iter().filter_map(|name| name.text().map(str::to_owned)).collect())
            })
            .await?;
        Ok((process, admin))
    }
}

impl Craft for Workshop {
    type Site = (Process, Admin);
    type Stock = Stock;
    type Holding = Holding;
    type Error = Error;

    async fn open(&self, _template: Digest) -> Result<Opened<Self::Site>, Error> {
        let password = names::password();
        let site = self.0.start(None, &password).await?;
        let (url, variables) = variables(site.0.port(), None, &password);
        Ok(Opened { site, url, variables })
    }

    async fn finish(&self, _template: Digest, site: Self::Site) -> Result<Stock, Error> {
        let (process, mut admin) = site;
        let begun = match admin.call(&["SAVE"]).await {
            Ok(_) => Stock::begin(self.0.clone(), &process),
            Err(error) => Err(error.into()),
        };
        process.destroy().await;
        begun
    }

    async fn dispose(&self, (process, _): Self::Site) {
        process.destroy().await;
    }

    async fn lease(&self, stock: &Stock, ask: &Ask) -> Result<Given<Holding>, Refused> {
        if ask.level == Level::Read { stock.reader(ask).await } else { stock.take(ask.level).await }
    }

    async fn release(&self, _stock: &Stock, holding: &mut Holding, (declared, killed): (Level, bool)) -> Released {
        match holding {
            Holding::Server(server) => {
                // Known since the first server was started.
                let writes = self.0.writes.get().cloned().unwrap_or_default();
                server.release(declared, killed, &writes).await
            }
            Holding::Reader(reader) => reader.release(declared, killed).await,
        }
    }

    async fn settle(&self, stock: &Stock, holding: Holding, fate: Fate) {
        stock.settle(holding, fate).await;
    }

    async fn close(&self, stock: &Stock) {
        stock.close().await;
    }

    fn figures(&self, stock: &Stock) -> Figures {
        stock.figures()
    }

    fn capacity(&self) -> u32 {
        SERVERS as u32
    }
}

/// The URL and the variables under which a test finds its server; without a user, it is the one that needs no name.
fn variables(port: u16, user: Option<&str>, password: &str) -> (String, Vec<(String, String)>) {
    let url = format!("redis://{}:{password}@127.0.0.1:{port}/0", user.unwrap_or_default());
    let mut said = vec![
        ("REDIS_URL", url.clone()),
        ("REDIS_HOST", "127.0.0.1".to_owned()),
        ("REDIS_PORT", port.to_string()),
        ("REDIS_PASSWORD", password.to_owned()),
    ];
    said.extend(user.map(|user| ("REDIS_USERNAME", user.to_owned())));
    (url, said.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<resp::Error> for Error {
    fn from(error: resp::Error) -> Self {
        Self::Server(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "a Redis server could not be given what it needs: {error}"),
            Self::Missing(missing) => missing.fmt(f),
            Self::Start { directory, log } => {
                write!(f, "the Redis server in {} did not come up; its log ends:\n{log}", directory.display())
            }
            Self::Server(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Missing(missing) => Some(missing),
            Self::Server(error) => Some(error),
            Self::Start { .. } => None,
        }
    }
}
