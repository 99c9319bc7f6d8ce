//! Blobs: captured output, addressed by its content.
//!
//! A blob is written beside its place and then moved there, so that a blob that can be read is whole. It is not synced: a
//! power loss may take the output of the last seconds, never a verdict.

use regatta_domain::result::OutputRef;
use regatta_domain::{Digest, Time};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a store in memory holds; beyond it the blobs with the smallest addresses go, which is as good as any.
const MEMORY_BYTES: usize = 256 * 1024 * 1024;

/// A store of blobs. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Blobs(Arc<Place>);

#[derive(Debug)]
enum Place {
    Directory { directory: PathBuf, number: AtomicU64 },
    Memory(Mutex<BTreeMap<Digest, Vec<u8>>>),
}

impl Blobs {
    /// Blobs in a directory, which is created where it is not there.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let beside = directory.join("new");
        // What a process that was killed has left half written.
        match fs::remove_dir_all(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&beside)?;
        Ok(Self(Arc::new(Place::Directory { directory: directory.to_owned(), number: AtomicU64::new(0) })))
    }

    /// Blobs in memory: for tests, and for a coordinator that is not given a directory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Arc::new(Place::Memory(Mutex::default())))
    }

    /// Keeps `content`, and tells where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, content: &[u8]) -> io::Result<OutputRef> {
        let digest = Digest(*blake3::hash(content).as_bytes());
        match &*self.0 {
            Place::Directory { directory, number } => {
                let place = path(directory, digest);
                if !is_touched(&place) {
                    let beside = directory.join("new").join(number.fetch_add(1, Ordering::Relaxed).to_string());
                    fs::write(&beside, content)?;
                    settle(&beside, &place)?;
                }
            }
            Place::Memory(blobs) => {
                let mut blobs = blobs.lock().unwrap_or_else(PoisonError::into_inner);
                blobs.insert(digest, content.to_owned());
                while blobs.values().map(Vec::len).sum::<usize>() > MEMORY_BYTES {
                    blobs.pop_first();
                }
            }
        }
        Ok(OutputRef { digest, size: u32::try_from(content.len()).unwrap_or(u32::MAX) })
    }

    /// The content at `digest`; `None` where there is none (any more).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, digest: Digest) -> io::Result<Option<Vec<u8>>> {
        match &*self.0 {
            Place::Directory { directory, .. } => match fs::read(path(directory, digest)) {
                Ok(content) => Ok(Some(content)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            Place::Memory(blobs) => Ok(blobs.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned()),
        }
    }

    /// Drops what was last put before a moment. Blobs of runs that began later were put later.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn drop_before(&self, moment: Time) -> io::Result<()> {
        let Place::Directory { directory, .. } = &*self.0 else { return Ok(()) };
        let moment = UNIX_EPOCH + Duration::from_micros(moment.0);
        for shelf in fs::read_dir(directory)? {
            let shelf = shelf?;
            if shelf.file_name() == "new" || !shelf.file_type()?.is_dir() {
                continue;
            }
            for blob in fs::read_dir(shelf.path())? {
                let blob = blob?;
                if blob.metadata()?.modified()? < moment {
                    fs::remove_file(blob.path())?;
                }
            }
        }
        Ok(())
    }
}

/// 256 shelves: at a million blobs, 4,000 on each.
fn path(directory: &Path, digest: Digest) -> PathBuf {
    let name = digest.to_string();
    directory.join(&name[..2]).join(&name[2..])
}

/// Whether the blob is there already; its age starts anew.
fn is_touched(place: &Path) -> bool {
    File::options().append(true).open(place).and_then(|file| file.set_modified(SystemTime::now())).is_ok()
}

fn settle(beside: &Path, place: &Path) -> io::Result<()> {
    match fs::rename(beside, place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(place.parent().expect("a blob stands on a shelf"))?;
            fs::rename(beside, place)
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps_what_it_is_given(blobs: &Blobs) {
        let first = blobs.put(b"some output").unwrap();
        assert_eq!(first.size, 11);
        assert_eq!(blobs.put(b"some output").unwrap(), first);
        assert_eq!(blobs.get(first.digest).unwrap().unwrap(), b"some output");
        assert_eq!(blobs.get(Digest([9; 32])).unwrap(), None);
        let empty = blobs.put(b"").unwrap();
        assert_eq!(blobs.get(empty.digest).unwrap().unwrap(), b"");
    }

    #[test]
    fn both_stores_keep_what_they_are_given() {
        let directory = tempfile::tempdir().unwrap();
        keeps_what_it_is_given(&Blobs::open(directory.path()).unwrap());
        keeps_what_it_is_given(&Blobs::open(directory.path()).unwrap());
        keeps_what_it_is_given(&Blobs::in_memory());
    }

    #[test]
    fn old_blobs_are_dropped_unless_they_were_put_again() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).unwrap();
        let (old, again) = (blobs.put(b"old").unwrap(), blobs.put(b"again").unwrap());
        for blob in [old, again] {
            let file = File::options().append(true).open(path(directory.path(), blob.digest)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000)).unwrap();
        }
        blobs.put(b"again").unwrap();
        blobs.drop_before(Time(2_000_000_000)).unwrap();
        assert_eq!(blobs.get(old.digest).unwrap(), None);
        assert!(blobs.get(again.digest).unwrap().is_some());
    }
}
