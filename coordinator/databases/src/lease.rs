//! What is asked for, what is given, and what is told at the end.

use crate::server::breaker::Health;
use crate::watch::{Account, Leak};
use regatta_domain::evidence::Evidence;
use regatta_domain::{Digest, Level, RunId, TestIx, Token};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::SystemTime;

/// One lease of a database. Never given twice, not even after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DatabaseLease(pub u64);

/// A test that wants a database.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The lease of the shard under which the test runs: fencing it ends the database's lease too.
    pub token: Token,
    /// The run.
    pub run: RunId,
    /// The test.
    pub test: TestIx,
    /// Which attempt.
    pub attempt: u16,
    /// What the test is expected to do.
    pub level: Level,
    /// What the database is made from.
    pub template: Digest,
    /// The application name that its connections should bear (at most 63 bytes count).
    pub application: String,
    /// Whether its statements are to be counted.
    pub statements: bool,
}

/// What is to be known at the end of a lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The level that was asked for.
    pub(crate) declared: Level,
    /// Whether its test is known to be dead, so that nobody is waited for.
    pub(crate) killed: bool,
    /// Whether its statements are to be counted.
    pub(crate) statements: bool,
}

/// A database for a test.
#[derive(Clone, Debug)]
pub struct Leased {
    /// The lease, to be released.
    pub id: DatabaseLease,
    /// Its URL; empty at level none.
    pub url: String,
    /// Environment variables for the test, the URL among them.
    pub variables: Vec<(String, String)>,
    /// The name of the database, by which it can be adopted after a restart; empty at level none.
    pub database: String,
}

/// How a lease ended.
#[derive(Clone, Debug)]
pub struct Released {
    /// What was seen.
    pub evidence: Evidence,
    /// The level that follows from it.
    pub level: Level,
    /// The level that was asked for.
    pub declared: Level,
    /// What it left behind (it has been cleared away).
    pub leaks: Vec<Leak>,
    /// Statements that tell why.
    pub statements: Vec<String>,
    /// It was refused a right, or wrote where it may only read.
    pub denied: bool,
    /// What became of the database.
    pub fate: Fate,
    /// What it asked, where that was to be counted.
    pub account: Account,
}

/// What became of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// There was none, or it stays because nobody may write to it.
    Kept,
    /// It was proven clean, and goes to the next test under another name.
    HandedOn,
    /// It is dropped, and another one made.
    Replaced,
    /// It was a private server, which is gone.
    Destroyed,
    /// Its server was lost while it was leased, or had no room on its disk: what happened to it is unknown.
    Lost,
}

/// Why there is no database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The template is not ready: prepare it first.
    NotReady,
    /// The server cannot be reached. It is probed meanwhile, and recovers by itself.
    Down {
        /// Since when.
        since: SystemTime,
        /// What was said.
        why: String,
    },
    /// As many leases as the server's connections allow are out.
    Full {
        /// How many those are.
        capacity: u32,
    },
    /// There was none in time: making them is too slow, or the server has no room.
    Late {
        /// What the last attempt to make one said, if it failed.
        why: String,
    },
    /// There is no private server here, and none can be started: exclusive means the whole server, alone.
    NoPrivateServer,
    /// The token was fenced.
    Fenced,
    /// The engine is shutting down.
    Closing,
}

/// Nobody knows this lease: it never was, or ended so long ago that its outcome is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown(pub DatabaseLease);

impl Refused {
    pub(crate) fn down(health: &Health) -> Option<Self> {
        match health {
            Health::Up => None,
            Health::Down { since, why, .. } => Some(Self::Down { since: *since, why: why.clone() }),
            Health::Probing { since } => Some(Self::Down { since: *since, why: "it is being tried again".into() }),
        }
    }
}

impl fmt::Display for DatabaseLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => f.write_str("the template of the database is not built yet"),
            Self::Down { why, .. } => write!(f, "the database server is down: {why}"),
            Self::Full { capacity } => write!(
                f,
                "{capacity} databases are leased, which is what the server's connections allow; raise max_connections for more"
            ),
            Self::Late { why } if why.is_empty() => f.write_str("no database was ready in time"),
            Self::Late { why } => write!(f, "no database was ready in time; making one failed: {why}"),
            Self::NoPrivateServer => {
                f.write_str("no private server can be started here: install PostgreSQL's server programs")
            }
            Self::Fenced => f.write_str("the lease under which the database was asked for has been fenced"),
            Self::Closing => f.write_str("the engine is shutting down"),
        }
    }
}

impl std::error::Error for Refused {}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nobody holds the database lease {}", self.0)
    }
}

impl std::error::Error for Unknown {}
