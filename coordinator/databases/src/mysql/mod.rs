//! MariaDB, for whoever speaks MySQL: one server for each template, in which leases have databases of their own.
//!
//! `process` starts and ends servers, `wire` talks to them in the packets of `packet`, and `definition` copies a template. `entry`
//! lets a lease in and looks at it when it leaves: `journal` reads what was committed, as `changes`, and `verdict` judges.
//! `serving` and `private` are what leases get, `stock` gives it, and `keeper` keeps it ready. Leases and templates themselves are
//! the desk's. The invariant: a database goes to another test only when nothing was committed to it, and by then nobody knows its
//! user and password. Its name stays, since a server cannot rename a database: whoever still knows it finds no way in.

pub mod binaries;
mod changes;
mod craft;
mod definition;
mod entry;
mod journal;
mod keeper;
mod mention;
mod packet;
mod private;
mod process;
mod serving;
mod stock;
mod verdict;
mod wire;

use crate::limits;
use crate::names::Names;
use crate::server::account::Account;
use crate::server::copy::Listing;
use crate::server::home::{self, Home, Tenant};
use crate::throwaway::Throwaway;
use binaries::{Missing, Programs};
use entry::Entry;
use nix::sys::signal::Signal;
use process::Process;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};
use tokio::sync::{OnceCell, Semaphore};

/// Databases at once, leased or ready.
pub const LEASES: u32 = 64;

/// Private servers at once: each takes some 100 MB.
pub const PRIVATE_SERVERS: usize = 8;

/// How homes of MariaDB servers are known.
const TENANT: Tenant =
    Tenant { prefix: "regatta-mysql-", programs: &binaries::NAMES, running: "s*/my.cnf", signal: Signal::SIGKILL };

/// What whoever runs the engine chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of the server's programs; without it they are looked for.
    pub programs: Option<PathBuf>,
    /// A memory file system for data, used while it has [`limits::MEMORY_FREE`] to spare.
    pub memory: Option<PathBuf>,
    /// Where data is kept otherwise.
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
    /// A server did not end when it was told to, so its data cannot be used.
    Stop {
        /// Its directory.
        directory: PathBuf,
        /// The end of its log.
        log: String,
    },
    /// A template holds what cannot be made a second time.
    Copy(wire::Error),
    /// A server of ours did not do what it was told.
    Server(wire::Error),
}

/// Makes servers.
#[derive(Debug)]
struct Maker {
    programs: Programs,
    home: Home,
    names: Names,
    /// An empty data directory, made by whoever first needs one.
    empty: OnceCell<Arc<Listing>>,
    /// One permit for each copy, over all templates.
    copies: Arc<Semaphore>,
    privates: Arc<Semaphore>,
}

/// The data of a template, of a server that was stopped. Removed with the last that knows it.
#[derive(Debug)]
struct Image {
    directory: PathBuf,
    listing: Arc<Listing>,
    /// What the template's own database takes, in bytes.
    database_bytes: u64,
    database: String,
    /// The user who built it.
    builder: String,
}

/// Where a template is being built.
#[derive(Debug)]
struct Site {
    process: Process,
    builder: Entry,
}

/// The craft of making and judging MariaDB databases.
#[derive(Debug)]
struct Workshop(Arc<Maker>);

impl Default for Settings {
    fn default() -> Self {
        Self { programs: None, memory: home::memory(), directory: std::env::temp_dir() }
    }
}

/// Begins: looks for the programs, and removes what earlier engines left.
///
/// # Errors
/// When no server can be started here.
pub async fn start(settings: Settings) -> Result<Throwaway, Error> {
    let made = tokio::task::spawn_blocking(move || {
        let Settings { programs, memory, directory } = settings;
        let programs = Programs::find(programs.as_deref()).map_err(Error::Missing)?;
        let names = Names::begin();
        let home = Home::make(TENANT, Account::Ours, names.epoch(), memory.as_deref(), &directory)?;
        let (copies, privates) = (Semaphore::new(LEASES as usize), Semaphore::new(PRIVATE_SERVERS));
        let (copies, privates, empty) = (Arc::new(copies), Arc::new(privates), OnceCell::new());
        Ok::<_, Error>(Maker { programs, home, names, empty, copies, privates })
    });
    let maker = Arc::new(made.await.map_err(|error| Error::Io(io::Error::other(error)))??);
    Ok(Throwaway::open(Workshop(maker.clone()), &maker.home))
}

/// The URL and the variables under which a test finds its database.
fn variables(entry: &Entry, port: u16) -> (String, Vec<(String, String)>) {
    let Entry { database, user, password } = entry;
    let url = format!("mysql://{user}:{password}@127.0.0.1:{port}/{database}");
    let said = [
        ("DATABASE_URL", url.clone()),
        ("MYSQL_HOST", "127.0.0.1".to_owned()),
        ("MYSQL_TCP_PORT", port.to_string()),
        ("MYSQL_PORT", port.to_string()),
        ("MYSQL_USER", user.clone()),
        ("MYSQL_PWD", password.clone()),
        ("MYSQL_PASSWORD", password.clone()),
        ("MYSQL_DATABASE", database.clone()),
        ("REGATTA_MAX_CONNECTIONS", limits::CONNECTION_LIMIT.to_string()),
    ];
    (url, said.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<wire::Error> for Error {
    fn from(error: wire::Error) -> Self {
        Self::Server(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "a MariaDB server could not be given what it needs: {error}"),
            Self::Missing(missing) => missing.fmt(f),
            Self::Start { directory, log } => {
                write!(f, "the MariaDB server in {} did not come up; its log ends:\n{log}", directory.display())
            }
            Self::Stop { directory, log } => {
                write!(f, "the MariaDB server in {} did not end; its log ends:\n{log}", directory.display())
            }
            Self::Copy(error) => write!(
                f,
                "the template cannot be made a second time, as each test needs it: {error}. What its objects refer to has to \
                 be in its own database, and to exist"
            ),
            Self::Server(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Missing(missing) => Some(missing),
            Self::Copy(error) | Self::Server(error) => Some(error),
            Self::Start { .. } | Self::Stop { .. } => None,
        }
    }
}
