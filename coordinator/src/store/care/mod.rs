//! Care for a store at rest, or beside its coordinator: to look through it, to save what can be saved, to bring it to this
//! version, to copy it and to put a copy back.
//!
//! Looking and copying read along while a coordinator works; whatever changes a store takes its lock first. It leaves what
//! commits mean to the core.

mod backup;
mod check;
mod copy;
mod error;
mod manifest;
mod migrate;
mod restore;
mod salvage;
mod survey;

pub use backup::{Backup, backup};
pub use check::{Checked, Outputs, Tables, check};
pub use error::Error;
pub use migrate::{Migrated, migrate};
pub use restore::{Restored, restore};
pub use salvage::{Salvaged, salvage};
pub use survey::{Damage, Survey};

use std::path::{Path, PathBuf};

/// The files of a data directory.
const JOURNAL: &str = "journal.db";
const PROJECTION: &str = "projection.db";
/// What people declared, and what they did.
const PAPERS: [&str; 2] = ["resources.json", "acts.jsonl"];

/// The store of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In a data directory.
    Directory(PathBuf),
    /// In a PostgreSQL server, as the URL says.
    Postgres(String),
}

impl Store {
    /// The data directory, which has to hold a store.
    fn directory(&self) -> Result<&Path, Error> {
        match self {
            Self::Directory(directory) if directory.join(JOURNAL).exists() => Ok(directory),
            Self::Directory(directory) => Err(Error::NoStore(directory.clone())),
            Self::Postgres(_) => Err(Error::Postgres),
        }
    }
}
