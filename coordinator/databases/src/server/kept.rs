//! Images that outlive the engine: a template is built again when what it was built from has changed, not when somebody starts
//! anew.
//!
//! A directory each, complete or not there: it is filled under another name, and renamed.

use super::account::Account;
use super::copy::Listing;
use regatta_domain::Digest;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Changes when what we do to a finished template changes: images of another format are not used.
const FORMAT: u32 = 1;

/// Images on disk, by what they were built from and for.
#[derive(Debug)]
pub(crate) struct Kept {
    directory: PathBuf,
    /// What an image depends on beside its digest: the version of the server, the locale.
    kind: String,
    most: usize,
}

impl Kept {
    /// Keeps so many images at most in `directory`.
    pub(crate) fn new(directory: PathBuf, major: u32, locale: Option<&str>, most: usize) -> Self {
        let locale: String = locale.unwrap_or("default").chars().filter(char::is_ascii_alphanumeric).collect();
        Self { directory, kind: format!("pg{major}-{locale}-{FORMAT}"), most }
    }

    fn place(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}-{}", self.kind))
    }

    /// Copies the image of `digest` to `target`, for `account`; whether there was one.
    pub(crate) fn recall(&self, digest: Digest, target: &Path, account: Account) -> io::Result<bool> {
        let place = self.place(digest);
        if !place.is_dir() {
            return Ok(false);
        }
        // What was used last goes last.
        if let Ok(directory) = fs::File::open(&place) {
            let _ = directory.set_modified(SystemTime::now());
        }
        Listing::read(&place)?.copy_for(target, account)?;
        Ok(true)
    }

    /// Keeps a copy of an image, and forgets those that were used longest ago while there are too many.
    pub(crate) fn keep(&self, digest: Digest, image: &Listing) -> io::Result<()> {
        let place = self.place(digest);
        if place.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.directory)?;
        let half = self.directory.join(format!(".{digest}-{}", std::process::id()));
        // What an earlier process of this number left half done.
        let _ = fs::remove_dir_all(&half);
        image.copy_for(&half, Account::Ours)?;
        fs::rename(&half, &place)?;
        self.forget()
    }

    fn forget(&self) -> io::Result<()> {
        let mut all: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)?.flatten() {
            let half = entry.file_name().to_string_lossy().starts_with('.');
            let used = entry.metadata()?.modified()?;
            let old = used.elapsed().is_ok_and(|age| age.as_secs() > 3_600);
            if half && old {
                let _ = fs::remove_dir_all(entry.path());
            } else if !half {
                all.push((used, entry.path()));
            }
        }
        all.sort();
        let surplus = all.len().saturating_sub(self.most);
        all.into_iter().take(surplus).try_for_each(|(_, path)| fs::remove_dir_all(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_recalled_and_what_was_used_longest_ago_is_forgotten() {
        let (image, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(image.path().join("PG_VERSION"), "15").unwrap();
        let listing = Listing::read(image.path()).unwrap();
        let images = Kept::new(kept.path().join("images"), 15, None, 2);
        let digest = |n: u8| Digest([n; 32]);
        let target = kept.path().join("copy");
        assert!(!images.recall(digest(1), &target, Account::Ours).unwrap());
        for n in [1, 2] {
            images.keep(digest(n), &listing).unwrap();
            let old = SystemTime::now() - std::time::Duration::from_secs(100 - u64::from(n));
            fs::File::open(images.place(digest(n))).unwrap().set_modified(old).unwrap();
        }
        assert!(images.recall(digest(1), &target, Account::Ours).unwrap());
        assert_eq!(fs::read_to_string(target.join("PG_VERSION")).unwrap(), "15");
        images.keep(digest(3), &listing).unwrap();
        let there: Vec<bool> = (1..4).map(|n| images.place(digest(n)).is_dir()).collect();
        assert_eq!(there, [true, false, true], "the second was used longest ago");
        let other = Kept::new(kept.path().join("images"), 16, None, 2);
        assert!(!other.recall(digest(1), &kept.path().join("none"), Account::Ours).unwrap());
    }
}
