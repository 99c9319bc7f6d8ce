//! A place where a store stands, of one test alone.

use super::*;
use crate::store::postgres::Server;
use crate::store::postgres::fixture::SHARED;
use std::sync::LazyLock;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// A place where a store stands. It can be opened again and again.
pub(super) enum World {
    Sqlite(TempDir),
    Postgres(Server),
}

/// Whose tasks talk to servers.
pub(super) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Longer than a server takes to come back on any machine.
pub(super) const PATIENCE: Patience = Patience { write: Duration::from_secs(60), read: Duration::from_secs(60) };

impl World {
    pub(super) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(super) fn postgres() -> Self {
        Self::Postgres(RUNTIME.block_on(SHARED.database()))
    }

    pub(super) fn open(&self, keep: Keep) -> (Writer, Reader) {
        match self {
            Self::Sqlite(directory) => open(Some(&directory.path().join("projection.db")), keep).unwrap(),
            Self::Postgres(server) => lead(server, 1, keep, PATIENCE).unwrap(),
        }
    }
}

/// Opens the projection on a server as the leader of an epoch.
pub(super) fn lead(server: &Server, epoch: u64, keep: Keep, patience: Patience) -> Result<(Writer, Reader), Error> {
    open_postgres((server, epoch), keep, patience, RUNTIME.handle().clone())
}
