//! The directory in which a worker keeps sockets, lists and what tests asked to have cleaned up: gone with the worker.
//!
//! A worker that is killed cannot remove it. So its owner holds a lock on a file in it, which the system gives back however
//! the owner ends, and the next worker of this user removes every directory whose lock is free.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tempfile::TempDir;

/// The begin of every directory's name.
const PREFIX: &str = "regatta-worker-";

/// The file that the owner holds locked.
const LOCK: &str = "owner";

/// How many entries of the directory for temporary files are looked at, at most: it belongs to everybody.
const LOOKED_AT: usize = 65_536;

/// A worker's directory.
#[derive(Debug)]
pub(crate) struct Scratch {
    directory: TempDir,
    _lock: Flock<File>,
}

impl Scratch {
    /// Makes one in `parent`, and removes those there whose workers are gone.
    ///
    /// # Errors
    /// When none can be made.
    pub(crate) fn make(parent: &Path) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Locked under another name first: one that stands under its own is never free while its owner lives.
        let fresh = directory.path().join("fresh");
        let lock = Flock::lock(File::create(&fresh)?, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| io::Error::from(errno))?;
        fs::rename(&fresh, directory.path().join(LOCK))?;
        remove_abandoned(parent);
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes what workers of this user left behind that are gone. What cannot be looked at or removed stays.
fn remove_abandoned(parent: &Path) {
    let user = nix::unistd::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten().take(LOOKED_AT) {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == user);
        if ours && is_abandoned(&entry.path()) {
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => tracing::debug!(path = %entry.path().display(), "removed what a worker left that was killed"),
                Err(error) => {
                    tracing::warn!(path = %entry.path().display(), %error, "cannot remove what a worker left")
                }
            }
        }
    }
}

/// Whether nobody holds its lock. A directory without one is somebody else's, or not finished.
fn is_abandoned(directory: &Path) -> bool {
    let Ok(file) = File::open(directory.join(LOCK)) else { return false };
    Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_worker_left_is_removed_by_the_next_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Scratch::make(parent.path()).unwrap();
        let killed = Scratch::make(parent.path()).unwrap();
        fs::write(killed.path().join("list"), "a test").unwrap();
        let Scratch { directory, _lock: lock } = killed;
        let left = directory.keep();
        // The system lets go of it when its process ends.
        drop(lock);
        let foreign = parent.path().join("regatta-worker-of-somebody");
        fs::create_dir(&foreign).unwrap();

        let next = Scratch::make(parent.path()).unwrap();
        assert!(!left.exists(), "nobody holds it");
        assert!(alive.path().exists() && next.path().exists() && foreign.exists());
    }

    #[test]
    fn it_goes_with_its_worker() {
        let parent = tempfile::tempdir().unwrap();
        drop(Scratch::make(parent.path()).unwrap());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
