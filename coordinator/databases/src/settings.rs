//! What whoever runs the engine chooses: which server, how much of it, and where.

use crate::limits;
use crate::server::home;
use std::path::PathBuf;
use std::time::Duration;

/// All choices; the defaults are right for most.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which server.
    pub server: Choice,
    /// Where PostgreSQL's programs are; without it they are looked for.
    pub binaries: Option<PathBuf>,
    /// A memory file system for servers of our own, used while it has [`limits::MEMORY_FREE`] to spare.
    pub memory: Option<PathBuf>,
    /// Where servers of our own are kept otherwise.
    pub directory: PathBuf,
    /// Where finished templates of servers of our own are kept for engines to come; without it, they end with the engine.
    pub images: Option<PathBuf>,
    /// The locale of servers of our own; without it `C.UTF-8`.
    pub locale: Option<String>,
    /// Extensions that are made in each template before its migrations run, with our rights.
    pub extensions: Vec<String>,
    /// Bytes that the clones of one template may take.
    pub clone_bytes: u64,
    /// Templates that are kept.
    pub templates: usize,
    /// Bytes that all templates may take.
    pub template_bytes: u64,
    /// Connections that one lease may open.
    pub connection_limit: u32,
    /// Leases of one clone before it is replaced.
    pub reuses: u32,
    /// Private servers at once.
    pub private_servers: usize,
    /// How long databases of earlier engines on an external server wait to be claimed by [`crate::Postgres::adopt`].
    pub grace: Duration,
    /// `lock_timeout` of leases: a test that waits longer for a lock waits for ever.
    pub lock_timeout: Duration,
    /// `idle_in_transaction_session_timeout` of leases.
    pub idle_timeout: Duration,
}

/// Which server databases come from.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Throw-away servers, started here.
    Own,
    /// One that is there.
    External {
        /// Its URL, with a role that is superuser, or may create databases and roles.
        url: String,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: Choice::Own,
            binaries: None,
            memory: home::memory(),
            directory: std::env::temp_dir(),
            images: None,
            locale: None,
            extensions: Vec::new(),
            clone_bytes: limits::CLONE_BYTES,
            templates: limits::TEMPLATES,
            template_bytes: limits::TEMPLATE_BYTES,
            connection_limit: limits::CONNECTION_LIMIT,
            reuses: limits::REUSES,
            private_servers: limits::PRIVATE_SERVERS,
            grace: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(600),
        }
    }
}
