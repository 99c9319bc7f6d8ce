//! Puts a backup back: into a directory of its own, whole or not at all.

use super::copy::{self, Scaffold};
use super::manifest::Manifest;
use super::survey::{self, survey};
use super::{Error, JOURNAL, PAPERS, PROJECTION, Store};
use crate::blobs;
use crate::store::projection;
use std::fs;
use std::io;
use std::path::Path;

/// What was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was taken, in microseconds since 1970.
    pub at: u64,
    /// The last commit in the journal.
    pub last: u64,
    /// The runs in the projection.
    pub runs: u64,
    /// The outputs that the store points at.
    pub outputs: u64,
    /// How many of them were in the backup.
    pub copied: u64,
}

/// Restores the backup in `from` into a directory that is empty, or not there.
///
/// # Errors
/// When the backup is not whole or was altered, when there is something in the directory, or the file system refuses.
/// Nothing is there then.
pub fn restore(from: &Path, store: &Store) -> Result<Restored, Error> {
    let Store::Directory(directory) = store else { return Err(Error::Postgres) };
    let manifest = Manifest::read(from)?;
    let scaffold = Scaffold::begin(directory)?;
    let to = scaffold.path();
    manifest.files.iter().try_for_each(|kept| kept.verify(from))?;
    for name in [JOURNAL, PROJECTION] {
        if !copy::file(&from.join(name), &to.join(name))? {
            let why = format!("it has no {name}");
            return Err(Error::NoBackup { directory: from.to_owned(), why });
        }
    }
    for name in PAPERS {
        copy::file(&from.join(name), &to.join(name))?;
    }
    // A backup of a newer version is refused here rather than by the coordinator.
    survey(&to.join(JOURNAL), |_, _| {})?;
    survey::version(&mut survey::open(&to.join(PROJECTION))?, projection::VERSION)?;
    tree(&from.join(blobs::DIRECTORY), &to.join(blobs::DIRECTORY))?;
    scaffold.finish()?;
    let Manifest { at, last, runs, outputs: (outputs, copied), .. } = manifest;
    Ok(Restored { at, last, runs, outputs, copied })
}

/// Copies the outputs.
fn tree(from: &Path, to: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Error::io(from, error))?,
    };
    fs::create_dir_all(to).map_err(|error| Error::io(to, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(from, error))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => tree(&from, &to)?,
            false => fs::copy(&from, &to).map(drop).map_err(|error| Error::io(&from, error))?,
        }
    }
    Ok(())
}
