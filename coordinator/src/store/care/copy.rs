//! Copies of what stands in files: all of it, durable, and beside those who write.

use super::Error;
use crate::store;
use crate::store::database::Database;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A directory that is not there until it is whole: it is filled under another name, and then renamed.
pub(super) struct Scaffold {
    beside: PathBuf,
    place: PathBuf,
}

impl Scaffold {
    /// Begins a directory at `place`, where there may be an empty one, or none.
    pub(super) fn begin(place: &Path) -> Result<Self, Error> {
        match fs::read_dir(place).map(Iterator::count) {
            Ok(1..) => return Err(Error::NotEmpty(place.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(Error::NotEmpty(place.to_owned()));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(place, error)),
            _ => {}
        }
        let place = std::path::absolute(place).map_err(|error| Error::io(place, error))?;
        let name = place.file_name().ok_or_else(|| Error::NotEmpty(place.clone()))?;
        let beside = place.with_file_name(format!(".{}.{}", name.display(), std::process::id()));
        // What a process with our number has left half done.
        match fs::remove_dir_all(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(&beside, error)),
            _ => {}
        }
        fs::create_dir_all(&beside).map_err(|error| Error::io(&beside, error))?;
        Ok(Self { beside, place })
    }

    /// Where it is filled.
    pub(super) fn path(&self) -> &Path {
        &self.beside
    }

    /// It is whole.
    pub(super) fn finish(self) -> Result<(), Error> {
        sync(&self.beside)?;
        fs::rename(&self.beside, &self.place).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty => Error::NotEmpty(self.place.clone()),
            _ => Error::io(&self.place, error),
        })?;
        sync(self.place.parent().unwrap_or(Path::new("/")))
    }
}

impl Drop for Scaffold {
    fn drop(&mut self) {
        // Where it was finished there is nothing left.
        let _gone = fs::remove_dir_all(&self.beside);
    }
}

/// Copies a database as the connection sees it: where that has begun a transaction, as it was then. The copy is one file.
pub(super) fn database(from: &mut Database, to: &Path) -> Result<(), Error> {
    let sorted = |error| Error::Store(store::Error::sorted(to, error));
    let mut copy = Connection::open(to).map_err(sorted)?;
    from.run(|connection| Backup::new(connection, &mut copy)?.step(-1).map(drop))?;
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(sorted)?;
    copy.close().map_err(|(_, error)| sorted(error))?;
    sync(to)
}

/// Copies a file, where it is there: whether it was.
pub(super) fn file(from: &Path, to: &Path) -> Result<bool, Error> {
    match fs::copy(from, to) {
        Ok(_) => sync(to).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(from, error)),
    }
}

/// Makes a file, or the names in a directory, durable.
pub(super) fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::io(path, error))
}
