//! `store`: care for what a coordinator keeps.

use super::value::TableFormat;
use clap::{Args, Subcommand, ValueHint};
use regatta_coordinator::blobs::Place;
use regatta_coordinator::store::care::Store;
use std::path::PathBuf;

/// Check, migrate, back up and restore what a coordinator keeps
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Look through a store, and save what can be saved of a damaged one
    #[command(after_help = "\
Every commit of the journal is compared with its checksum, and their order is looked at; so are both files as SQLite sees
them. Nothing is changed, and a coordinator may work on the store meanwhile.

What comes after a damaged commit is of no use. With --salvage everything before it goes to a new directory, on which a
coordinator starts; the damaged store is left as it is.

Examples:
  regatta store check --data /var/lib/regatta
  regatta store check --data /var/lib/regatta --blobs
  regatta store check --data /var/lib/regatta --salvage /var/lib/regatta-saved")]
    Check(CheckStoreArgs),
    /// Bring a store of an older version to this one
    #[command(after_help = "\
A coordinator does the same when it starts. No coordinator may work on the store meanwhile. There is no way back: take a
backup before.")]
    Migrate(MigrateArgs),
    /// Copy a store into a new directory, also while a coordinator works on it
    #[command(after_help = "\
The copy is the store as it was at one moment. Outputs that lie in the data directory are copied with it; those in a bucket
stay there, and the list of all is in outputs.txt.

Examples:
  regatta store backup /backup/monday --data /var/lib/regatta
  regatta store backup /backup/monday --data /var/lib/regatta --without-outputs")]
    Backup(BackupArgs),
    /// Put a backup back, into a directory that is empty or not there
    #[command(after_help = "\
Example:
  regatta store restore /backup/monday --data /var/lib/regatta")]
    Restore(RestoreArgs),
}

/// Which store.
#[derive(Debug, Args)]
pub(crate) struct Kept {
    /// Where the coordinator keeps everything
    #[arg(long, value_name = "DIR", env = "REGATTA_DATA", default_value = ".regatta/coordinator")]
    #[arg(value_hint = ValueHint::DirPath)]
    data: PathBuf,
    /// A store in PostgreSQL, instead of a directory: these have tools of their own
    #[arg(long, value_name = "URL", env = "REGATTA_STORE", hide_env_values = true)]
    store: Option<String>,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human")]
    pub(crate) format: TableFormat,
}

impl Kept {
    /// The store that is meant.
    pub(crate) fn store(&self, cwd: &std::path::Path) -> Store {
        match &self.store {
            Some(url) => Store::Postgres(url.clone()),
            None => Store::Directory(cwd.join(&self.data)),
        }
    }
}

/// Look through a store.
#[derive(Debug, Args)]
pub(crate) struct CheckStoreArgs {
    /// Which store.
    #[command(flatten)]
    pub(crate) kept: Kept,
    /// Look whether the outputs are there, too; in the data directory, or where the coordinator was told (--blobs URL)
    #[arg(long, value_name = "URL", env = "REGATTA_BLOBS", num_args = 0..=1, default_missing_value = "here", value_parser = outputs)]
    pub(crate) blobs: Option<Outputs>,
    /// Save everything up to the damage in this new directory
    #[arg(long, value_name = "DIR", env = "REGATTA_SALVAGE", value_hint = ValueHint::DirPath)]
    pub(crate) salvage: Option<PathBuf>,
}

/// Where outputs are looked for; in the data directory where nothing was said.
pub(crate) type Outputs = Option<Place>;

fn outputs(text: &str) -> Result<Outputs, regatta_coordinator::blobs::NoPlace> {
    if text == "here" { Ok(None) } else { text.parse().map(Some) }
}

/// Bring a store to this version.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Which store.
    #[command(flatten)]
    pub(crate) kept: Kept,
}

/// Copy a store.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The new directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) to: PathBuf,
    /// Leave the outputs out
    #[arg(long, env = "REGATTA_WITHOUT_OUTPUTS")]
    pub(crate) without_outputs: bool,
    /// Which store.
    #[command(flatten)]
    pub(crate) kept: Kept,
}

/// Put a backup back.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The directory with the backup
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) from: PathBuf,
    /// Which store.
    #[command(flatten)]
    pub(crate) kept: Kept,
}
