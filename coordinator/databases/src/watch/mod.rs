//! What tests do to their databases, told from outside.
//!
//! One [`Watch`] per server reads the write-ahead log forward, once for all databases, and adds up what the transactions of
//! each came to. What the log does not show, counters, settings and the texts of statements do. Before a lease the database
//! is *marked*; when its sessions are gone, what was done *since* is told as evidence.
//!
//! - `reader` asks the server the `questions`, `follower` is the task that takes turns asking, `ledger` adds up the log that `wal`
//!   understands; `rules` judge statements by their `tokens` and `names`; `verdict` compares then and now; `account` counts what was asked; `traffic` adds what was seen
//!   on the way.
//!
//! It leaves to its caller: that sessions are gone, what becomes of a database, and refusals in the server's log, which
//! the caller adds as [`Fact::Denied`]. The invariant: what cannot be known counts as dirty.

mod abilities;
mod account;
mod follower;
mod leak;
mod ledger;
mod names;
mod questions;
mod reader;
mod rules;
mod tokens;
mod traffic;
mod verdict;
mod wal;

pub use abilities::Abilities;
pub use account::{Account, Whose};
pub use leak::{Kind, Leak};
pub use traffic::add_traffic;

use follower::{Follower, Request};
use regatta_domain::evidence::{Evidence, Fact, RELATIONS};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Client, Config};
use verdict::Stand;

/// Requests that wait for the next turn. A turn takes some milliseconds and takes all of them: at 200 leases a second,
/// a second's worth of marks and releases is 400.
const WAITING: usize = 1_024;

/// Relations that are told by number; their names are asked for only where somebody wants to read them.
const CHANGED: usize = 64;

/// Why the server could not be watched.
#[derive(Debug)]
pub enum Error {
    /// The server refused a question, or cannot be reached.
    Postgres(tokio_postgres::Error),
    /// The turn of everybody who asked failed, for this reason; asking again later may help.
    Down(String),
    /// It did not answer in time.
    Late(&'static str),
    /// It is older than PostgreSQL 14: this version number.
    Old(i32),
    /// Watching has ended.
    Ended,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Postgres(error) => match error.as_db_error() {
                Some(told) => write!(f, "the watched server refused: {}", told.message()),
                None => write!(f, "the watched server cannot be reached: {error}"),
            },
            Self::Down(why) => f.write_str(why),
            Self::Late(what) => write!(f, "the watched server did not answer in time: {what}"),
            Self::Old(version) => {
                write!(f, "the server is of version {version}; databases are watched from 140000 (PostgreSQL 14) on")
            }
            Self::Ended => f.write_str("the server is no longer watched"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Postgres(error) => Some(error),
            Self::Down(_) | Self::Late(_) | Self::Old(_) | Self::Ended => None,
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// How a database stood right before it was leased. When it is dropped, the lease counts as over.
#[derive(Clone, Debug)]
pub struct Mark(Arc<Held>);

#[derive(Debug)]
struct Held {
    number: u64,
    database: u32,
    stand: Stand,
    /// Whether nobody else leased the database at that time.
    is_first: bool,
    given_up: Arc<Mutex<GivenUp>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).marks.push((self.database, self.number));
    }
}

/// What nobody asks about any more, until the next turn.
#[derive(Debug, Default)]
struct GivenUp {
    databases: Vec<u32>,
    marks: Vec<(u32, u64)>,
}

impl Mark {
    /// Of which database, by its oid.
    #[must_use]
    pub fn database(&self) -> u32 {
        self.0.database
    }
}

/// A relation that committed transactions changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The number of its file (`relfilenode`), which clones share with their template until they rewrite it.
    pub file: u32,
    /// Its name, once somebody asked for it: see [`names()`].
    pub name: Option<String>,
}

/// What was done to a database since a mark.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The evidence; names of relations are in it once they are known.
    pub evidence: Evidence,
    /// The statements that tell most, strongest first, their constants left out where the server does so.
    pub statements: Vec<String>,
    /// Whether a sequence moved. Rolled back or not, it has to be set back before the database is handed on.
    pub sequences_moved: bool,
    /// The relations that were changed for good, as far as they are remembered.
    pub changed: Vec<Changed>,
    /// What was asked of it, where somebody wanted to know.
    pub account: Account,
}

impl Seen {
    /// Gives the changed relations their names, so that the evidence can be read.
    pub fn name(&mut self, names: &HashMap<u32, String>) {
        for changed in &mut self.changed {
            changed.name = names.get(&changed.file).cloned();
        }
        let mut known: Vec<String> = self.changed.iter().filter_map(|changed| changed.name.clone()).collect();
        known.dedup();
        let all = self.changed.len().max(self.evidence.relations_more as usize + self.evidence.relations.len());
        known.truncate(RELATIONS);
        if self.evidence.facts.has(Fact::Committed) {
            self.evidence.relations_more = u32::try_from(all - known.len()).unwrap_or(u32::MAX);
            self.evidence.relations = known;
        }
    }
}

/// The names of relations by the numbers of their files, asked over a connection to the database itself (a clone, or the
/// template, whose clones have the same files). Indexes are named by their tables, as are overflow tables.
///
/// # Errors
/// When the database cannot be asked.
pub async fn names(client: &Client, files: &[u32]) -> Result<HashMap<u32, String>, Error> {
    const NAMES: &str = "
        SELECT pg_relation_filenode(c.oid), coalesce(i.indrelid, t.oid, c.oid)::regclass::text
        FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.reltoastrelid = c.oid
        WHERE pg_relation_filenode(c.oid) = ANY($1::oid[])";
    let rows = client.query(NAMES, &[&files]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Follows what happens on one server. Cheap to clone; the last one to go ends it.
#[derive(Clone, Debug)]
pub struct Watch {
    requests: mpsc::Sender<Request>,
    given_up: Arc<Mutex<GivenUp>>,
    abilities: Arc<Abilities>,
}

impl Watch {
    /// Follows a server from now on, over a connection of its own that it makes from `config` (a role that administers,
    /// a database that nobody leases). `whole_server` says that the server is leased as a whole, to one lease at a time:
    /// then what happens to roles, settings and other databases is the lease's doing.
    ///
    /// # Errors
    /// When the server cannot be reached or is too old. What merely cannot be seen is told by [`Self::abilities`].
    pub async fn start(config: Config, whole_server: bool) -> Result<Self, Error> {
        let given_up = Arc::<Mutex<GivenUp>>::default();
        let (requests, inbox) = mpsc::channel(WAITING);
        let follower = Follower::start(config, whole_server, Arc::clone(&given_up)).await?;
        let abilities = Arc::new(follower.abilities().clone());
        tokio::spawn(follower.run(inbox));
        Ok(Self { requests, given_up, abilities })
    }

    /// What can be seen of the server.
    #[must_use]
    pub fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// A database as it stands. To be taken when no session of ours is left there, and before the lease's begin.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn mark(&self, database: u32) -> Result<Mark, Error> {
        self.ask(|reply| Request::Mark { database, reply }).await
    }

    /// What was done to a database since a mark. To be asked when the sessions of the lease are gone: those that are left
    /// count as a leak. May be asked again.
    ///
    /// # Errors
    /// When the server cannot be asked. Then nothing is known, and the database is to be taken for dirty.
    pub async fn since(&self, mark: &Mark) -> Result<Seen, Error> {
        self.look(mark, None).await
    }

    /// As [`Self::since`]; where `whose` says so, with an account of what was asked since.
    ///
    /// # Errors
    /// As [`Self::since`].
    pub async fn look(&self, mark: &Mark, whose: Option<Whose>) -> Result<Seen, Error> {
        self.ask(|reply| Request::Since { mark: mark.clone(), whose, reply }).await
    }

    /// Forgets a database that is gone. Marks of it are told as unknown from now on.
    pub fn forget(&self, database: u32) {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).databases.push(database);
    }

    /// What is left on the server of a lease: of its database, of its role, and of what is named after the role
    /// (`<role>_...`).
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn leaks(&self, database: u32, role: &str) -> Result<Vec<Leak>, Error> {
        self.ask(|reply| Request::Leaks { database, role: role.to_owned(), reply }).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Error::Ended)?;
        answer.await.map_err(|_| Error::Ended)?
    }
}

type Reply<T> = oneshot::Sender<Result<T, Error>>;
