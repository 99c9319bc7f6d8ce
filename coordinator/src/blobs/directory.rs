//! Blobs in a directory, a file each.
//!
//! A blob is written beside its place and then moved there, so that a blob that can be read is whole as long as the machine
//! does not lose power. It is not synced: a power loss may take the output of the last seconds, or leave files that are cut
//! short; those are refused when they are read, and written again when the same content comes again.

use super::{Error, digest_of};
use regatta_domain::{Digest, Time};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where blobs are written before they are moved to their places.
const BESIDE: &str = "new";

/// Blobs in a directory.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    number: AtomicU64,
    /// Held while the age of a blob begins anew, and while an old blob is looked at and dropped: so that none is dropped that
    /// somebody has just relied on.
    aging: Mutex<()>,
}

impl Directory {
    /// Blobs in `root`, which is created where it is not there.
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let beside = root.join(BESIDE);
        // What a process that was killed has left half written.
        match fs::remove_dir_all(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(&beside, error)),
            _ => {}
        }
        fs::create_dir_all(&beside).map_err(|error| Error::io(&beside, error))?;
        Ok(Self::at(root))
    }

    /// Blobs in a directory that stands, and is left as it is.
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), number: AtomicU64::new(0), aging: Mutex::new(()) }
    }

    /// Where a blob stands. 256 shelves: at a million blobs, 4,000 on each.
    pub(super) fn path(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(&name[..2]).join(&name[2..])
    }

    /// Keeps `content`, which has this digest.
    pub(super) fn put(&self, digest: Digest, content: &[u8]) -> Result<(), Error> {
        let place = self.path(digest);
        if self.is_touched(&place, content.len()) {
            return Ok(());
        }
        let beside = self.root.join(BESIDE).join(self.number.fetch_add(1, Ordering::Relaxed).to_string());
        let written = fs::write(&beside, content).and_then(|()| settle(&beside, &place));
        written.map_err(|error| {
            // A disk that is full stays so until what was begun is gone.
            let _gone = fs::remove_file(&beside);
            Error::io(&place, error)
        })
    }

    /// The content at `digest`; `None` where there is none (any more).
    pub(super) fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, Error> {
        let place = self.path(digest);
        match fs::read(&place) {
            Ok(content) if digest_of(&content) == digest => Ok(Some(content)),
            Ok(_) => Err(Error::Damaged { digest, place: place.display().to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&place, error)),
        }
    }

    /// Drops a blob; that it is gone already is as good.
    pub(super) fn drop(&self, digest: Digest) -> Result<(), Error> {
        let place = self.path(digest);
        match fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(&place, error)),
            _ => Ok(()),
        }
    }

    /// Drops what was last put before a moment; counts it. Blobs of runs that began later were put later.
    pub(super) fn drop_before(&self, moment: Time) -> Result<u64, Error> {
        let moment = UNIX_EPOCH + Duration::from_micros(moment.0);
        let mut dropped = 0;
        self.each(|_, place, _| {
            let _one_at_a_time = self.aging.lock().unwrap_or_else(PoisonError::into_inner);
            // It may be gone, or young again, since it was listed.
            if place.metadata().and_then(|blob| blob.modified()).is_ok_and(|modified| modified < moment) {
                fs::remove_file(place).map_err(|error| Error::io(place, error))?;
                dropped += 1;
            }
            Ok(())
        })?;
        Ok(dropped)
    }

    /// Goes over all blobs: the digest, the place and the size of each.
    pub(super) fn each(&self, mut see: impl FnMut(Digest, &Path, u64) -> Result<(), Error>) -> Result<(), Error> {
        let io = |error| Error::io(&self.root, error);
        let shelves = match fs::read_dir(&self.root) {
            // Nothing was ever put there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            shelves => shelves.map_err(io)?,
        };
        for shelf in shelves {
            let shelf = shelf.map_err(io)?;
            if shelf.file_name() == BESIDE || !shelf.file_type().map_err(io)?.is_dir() {
                continue;
            }
            for blob in fs::read_dir(shelf.path()).map_err(io)? {
                let blob = blob.map_err(io)?;
                let name = [shelf.file_name(), blob.file_name()].map(|part| part.to_string_lossy().into_owned());
                // Whatever else somebody has put there is theirs.
                let Some(digest) = Digest::parse(&name.concat()) else { continue };
                let Ok(metadata) = blob.metadata() else { continue };
                see(digest, &blob.path(), metadata.len())?;
            }
        }
        Ok(())
    }

    /// Whether the blob is there already, in full length; its age starts anew.
    fn is_touched(&self, place: &Path, length: usize) -> bool {
        let _one_at_a_time = self.aging.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(file) = File::options().append(true).open(place) else { return false };
        let is_whole = file.metadata().is_ok_and(|metadata| metadata.len() == length as u64);
        is_whole && file.set_modified(SystemTime::now()).is_ok()
    }
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

    fn put(blobs: &Directory, content: &[u8]) -> Digest {
        let digest = digest_of(content);
        blobs.put(digest, content).unwrap();
        digest
    }

    #[test]
    fn a_blob_is_read_as_it_was_put_also_by_the_next_process() {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let blobs = Directory::open(directory.path()).unwrap();
            let (some, empty) = (put(&blobs, b"some output"), put(&blobs, b""));
            assert_eq!(blobs.get(some).unwrap().unwrap(), b"some output");
            assert_eq!(blobs.get(empty).unwrap().unwrap(), b"");
            assert_eq!(blobs.get(Digest([9; 32])).unwrap(), None);
        }
    }

    #[test]
    fn old_blobs_are_dropped_unless_they_were_put_again() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Directory::open(directory.path()).unwrap();
        let (old, again) = (put(&blobs, b"old"), put(&blobs, b"again"));
        for digest in [old, again] {
            let file = File::options().append(true).open(blobs.path(digest)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000)).unwrap();
        }
        put(&blobs, b"again");
        assert_eq!(blobs.drop_before(Time(2_000_000_000)).unwrap(), 1);
        assert_eq!(blobs.get(old).unwrap(), None);
        assert!(blobs.get(again).unwrap().is_some());
    }

    #[test]
    fn a_damaged_blob_is_refused_by_name_and_one_that_was_cut_short_is_mended_by_the_next_put() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Directory::open(directory.path()).unwrap();
        let digest = put(&blobs, b"some output");
        fs::write(blobs.path(digest), b"some 0utput").unwrap();
        let told = blobs.get(digest).unwrap_err().to_string();
        assert!(told.contains(&digest.to_string()) && told.contains("damaged"), "{told}");
        fs::write(blobs.path(digest), b"some").unwrap();
        assert!(blobs.get(digest).is_err());
        put(&blobs, b"some output");
        assert_eq!(blobs.get(digest).unwrap().unwrap(), b"some output");
    }

    #[test]
    fn what_cannot_be_written_is_told_with_its_place_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Directory::open(directory.path()).unwrap();
        let digest = digest_of(b"some output");
        // A file where the shelf should be.
        fs::write(directory.path().join(&digest.to_string()[..2]), b"").unwrap();
        let told = blobs.put(digest, b"some output").unwrap_err().to_string();
        assert!(told.contains(&directory.path().display().to_string()), "{told}");
        assert_eq!(fs::read_dir(directory.path().join(BESIDE)).unwrap().count(), 0);
    }
}
