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

use crate::desk::{Craft, Desk, Figures, Given, Opened};
use crate::lease::{Ask, DatabaseLease, Fate, Leased, Refused, Released, Unknown};
use crate::limits;
use crate::names::{self, Names};
use crate::server::account::Account;
use crate::server::home::{self, Home, Tenant};
use crate::status::Status;
use crate::template::{BuildId, Prepared, Wanted};
use admin::Admin;
use binaries::{Missing, Program};
use nix::sys::signal::Signal;
use process::Process;
use regatta_domain::{Digest, Level, Token};
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

/// Redis servers for tests. Cheap to clone. [`Self::shutdown`] ends all of them; so does the end of the process, in whatever
/// way it ends.
#[derive(Clone, Debug)]
pub struct Redis(Arc<Desk<Workshop>>);

/// What whoever runs the engine chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's program or its directory; without it it is looked for.
    pub program: Option<PathBuf>,
    /// A memory file system for what servers load, used while it has [`limits::MEMORY_FREE`] to spare.
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
        let memory = PathBuf::from("/dev/shm");
        Self { program: None, memory: memory.is_dir().then_some(memory), directory: std::env::temp_dir() }
    }
}

impl Redis {
    /// Begins: looks for the program, and removes what earlier engines left.
    ///
    /// # Errors
    /// When no server can be started here.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let made = tokio::task::spawn_blocking(move || {
            let Settings { program, memory, directory } = settings;
            let program = Program::find(program.as_deref()).map_err(Error::Missing)?;
            let places: Vec<&Path> = memory.iter().map(PathBuf::as_path).chain([&*directory]).collect();
            for removed in home::remove_orphans_of(TENANT, &places) {
                tracing::info!(directory = %removed.display(), "removed what an earlier process left of its databases");
            }
            let names = Names::begin();
            let home = Home::make_for(TENANT, Account::Ours, names.epoch(), memory.as_deref(), &directory)?;
            let (room, secret) = (Arc::new(Semaphore::new(SERVERS)), names::password());
            Ok::<_, Error>(Maker { program, home, names, secret, room, writes: OnceCell::new() })
        });
        let maker = made.await.map_err(|error| Error::Io(io::Error::other(error)))??;
        Ok(Self(Desk::new(Workshop(Arc::new(maker)), (limits::TEMPLATES, limits::TEMPLATE_BYTES))))
    }

    /// The directory of all servers.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.0.craft().0.home.path().to_owned()
    }

    /// Says what is to be done so that tests can have servers with a template's data. To be called before the first lease, and
    /// again after waiting.
    ///
    /// # Errors
    /// When no server to build on can be started; asking again later may help.
    pub async fn prepare(&self, wanted: Wanted) -> Result<Prepared, Refused> {
        self.0.prepare(wanted).await
    }

    /// The build that was ordered has ended: well, or with this log. Returns whether the template is ready now.
    pub async fn built(&self, id: BuildId, outcome: Result<(), String>) -> bool {
        self.0.built(id, outcome).await
    }

    /// Forgets that a template could not be built: the next who asks builds it again.
    pub fn retry(&self, template: Digest) {
        self.0.retry(template);
    }

    /// Gives a server for a test; of one that only reads, the right to read where others read, too.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn lease(&self, ask: Ask) -> Result<Leased, Refused> {
        self.0.lease(&ask).await
    }

    /// Ends a lease: nobody gets in any more by what it was told, and what was done is found out. Asked again, it tells the same.
    ///
    /// # Errors
    /// When the lease is not known, or its outcome is forgotten.
    pub async fn release(&self, id: DatabaseLease) -> Result<Released, Unknown> {
        self.0.release(id).await
    }

    /// Ends every lease and every build under a token; what asks under it from now on is refused.
    pub fn fence(&self, token: Token) {
        self.0.fence(token);
    }

    /// How the engine is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// Ends: nothing new is given, all leases end, and all servers go.
    pub async fn shutdown(&self) {
        self.0.shutdown().await;
        let home = self.directory();
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(home)).await;
    }
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
