//! SQLite: a copy of the template's file for each lease, in memory where there is room.
//!
//! There is no server: `files` tells what is in a directory, what changed there, and who has it open; `judge` what follows;
//! `stock` keeps copies ready. Leases and templates themselves are the desk's. The invariant: a copy goes to another test only
//! when nothing was written to it and nobody has it open, and under another name.

mod files;
mod judge;
mod stock;

use crate::desk::{Craft, Figures, Given, Opened};
use crate::lease::{Ask, Fate, Refused, Released};
use crate::names::Names;
use crate::server::account::Account;
use crate::server::home::{self, Home, Tenant};
use crate::throwaway::Throwaway;
use files::DATABASE;
use nix::sys::signal::Signal;
use regatta_domain::{Digest, Level};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};
use stock::{Holding, Stock};

/// How homes of SQLite files are known; no process of ours lives there.
const TENANT: Tenant =
    Tenant { prefix: "regatta-sqlite-", programs: &[], running: "no-process", signal: Signal::SIGKILL };

/// Leases at once: as many as there are copies that may be ready.
const LEASES: u32 = 256;

/// What whoever runs the engine chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A memory file system for the files, used while it has [`crate::limits::MEMORY_FREE`] to spare.
    pub memory: Option<PathBuf>,
    /// Where they are kept otherwise.
    pub directory: PathBuf,
}

/// Why something could not be made.
#[derive(Debug)]
pub enum Error {
    /// The system refuses.
    Io(io::Error),
    /// The build left nothing at the path that it was given.
    Nothing,
    /// What the build left is no SQLite database.
    Foreign,
    /// Somebody still has the file open that was built: it could change under those who copy it.
    Open {
        /// Who.
        holders: Vec<String>,
    },
}

/// Makes copies.
#[derive(Debug)]
struct Maker {
    home: Home,
}

/// The craft of copying and judging files.
#[derive(Debug)]
struct Workshop(Arc<Maker>);

impl Default for Settings {
    fn default() -> Self {
        Self { memory: home::memory(), directory: std::env::temp_dir() }
    }
}

/// Begins: removes what earlier engines left.
///
/// # Errors
/// When there is no directory to keep files in.
pub async fn start(settings: Settings) -> Result<Throwaway, Error> {
    let home = tokio::task::spawn_blocking(move || {
        let Settings { memory, directory } = settings;
        Home::make(TENANT, Account::Ours, Names::begin().epoch(), memory.as_deref(), &directory)
    });
    let maker = Arc::new(Maker { home: home.await.map_err(io::Error::other)?? });
    Ok(Throwaway::open(Workshop(maker.clone()), &maker.home))
}

impl Craft for Workshop {
    type Site = PathBuf;
    type Stock = Stock;
    type Holding = Holding;
    type Error = Error;

    async fn open(&self, _template: Digest) -> Result<Opened<PathBuf>, Error> {
        let site = self.0.home.directory('b')?;
        fs::set_permissions(&site, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        // No bytes are an empty database: what nobody builds is one, too.
        fs::File::create_new(site.join(DATABASE))?;
        let (url, variables) = variables(&site.join(DATABASE), false);
        Ok(Opened { site, url, variables })
    }

    async fn finish(&self, _template: Digest, site: PathBuf) -> Result<Stock, Error> {
        let maker = self.0.clone();
        let finished = tokio::task::spawn_blocking(move || {
            let served = check(&site).and_then(|()| Stock::begin(maker, site.clone()));
            if served.is_err() {
                let _ = fs::remove_dir_all(&site);
            }
            served
        });
        finished.await.map_err(io::Error::other)?
    }

    async fn dispose(&self, site: PathBuf) {
        let _ = tokio::task::spawn_blocking(move || fs::remove_dir_all(site)).await;
    }

    async fn lease(&self, stock: &Stock, ask: &Ask) -> Result<Given<Holding>, Refused> {
        if ask.level == Level::Read { stock.read().await } else { stock.take(ask.level).await }
    }

    async fn release(&self, stock: &Stock, holding: &mut Holding, (declared, _): (Level, bool)) -> Released {
        stock.release(holding, declared).await
    }

    async fn settle(&self, stock: &Stock, holding: Holding, fate: Fate) {
        let stock = stock.clone();
        // Removing a large file takes its time.
        let _ = tokio::task::spawn_blocking(move || stock.settle(holding, fate)).await;
    }

    async fn close(&self, stock: &Stock) {
        stock.close();
    }

    fn figures(&self, stock: &Stock) -> Figures {
        stock.figures()
    }

    fn capacity(&self) -> u32 {
        LEASES
    }
}

/// Whether what was built can be copied.
fn check(site: &Path) -> Result<(), Error> {
    let database = site.join(DATABASE);
    if !database.is_file() {
        return Err(Error::Nothing);
    }
    if !files::is_database(&database)? {
        return Err(Error::Foreign);
    }
    let holders: Vec<String> =
        files::holders(site).into_iter().flatten().map(|(pid, name)| format!("{name} ({pid})")).collect();
    if holders.is_empty() { Ok(()) } else { Err(Error::Open { holders }) }
}

/// The URL and the variables under which a test finds its file.
fn variables(path: &Path, reads: bool) -> (String, Vec<(String, String)>) {
    // An absolute path after an empty host: four slashes, as the libraries of most languages want it.
    let url = format!("sqlite:///{}{}", path.display(), if reads { "?mode=ro" } else { "" });
    let variables = vec![("DATABASE_URL".to_owned(), url.clone())];
    (url, variables)
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the files of a SQLite database could not be kept: {error}"),
            Self::Nothing => f.write_str(
                "the build removed the empty database that DATABASE_URL names, and left none there; let it make its own in that place",
            ),
            Self::Foreign => f.write_str("what the build left where DATABASE_URL says is no SQLite database"),
            Self::Open { holders } => write!(
                f,
                "the database that was built is still open in {}; let the build end what it started",
                holders.join(", ")
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Io(error) = self { Some(error) } else { None }
    }
}
