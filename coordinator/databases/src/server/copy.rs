//! Copying a data directory: as fast as the file system allows, because an exclusive test waits for it.
//!
//! A stopped cluster of fifty tables is some 1 700 files, nearly all of one or a few pages: the time goes into system calls,
//! so a listing made once is kept with the image, small files are one read and one write, and two threads share the work.
//! Large files go through the kernel, which shares their blocks where the file system can.

use super::account::Account;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files up to this size are copied through memory.
const SMALL: u64 = 256 << 10;

/// Threads that copy. More than two gain nothing: the directory's own lock becomes the bound.
const THREADS: usize = 2;

/// What is in a directory that nobody changes any more.
#[derive(Debug)]
pub(crate) struct Listing {
    root: PathBuf,
    directories: Vec<PathBuf>,
    files: Vec<(PathBuf, u64)>,
    /// What all files take, in bytes.
    pub(crate) bytes: u64,
}

impl Listing {
    /// Lists `root`, leaving out what belongs to a server that once ran in it.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut listing = Self { root: root.to_owned(), directories: Vec::new(), files: Vec::new(), bytes: 0 };
        let mut waiting = vec![PathBuf::new()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(root.join(&directory))? {
                let entry = entry?;
                let path = directory.join(entry.file_name());
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    waiting.push(path.clone());
                    listing.directories.push(path);
                } else if kind.is_file() && !matches!(path.to_str(), Some("postmaster.pid" | "postmaster.opts")) {
                    let bytes = entry.metadata()?.len();
                    listing.bytes += bytes;
                    listing.files.push((path, bytes));
                }
            }
        }
        // Parents come before their children.
        listing.directories.sort();
        Ok(listing)
    }

    /// Copies everything to `target`, which must not exist, as files of `account`, who can read them.
    pub(crate) fn copy(&self, target: &Path, account: Account) -> io::Result<()> {
        self.copy_by(target, account, true)
    }

    /// Copies everything to `target`, which must not exist, as files of `account`, who may not be able to read them here.
    pub(crate) fn copy_for(&self, target: &Path, account: Account) -> io::Result<()> {
        self.copy_by(target, account, false)
    }

    fn copy_by(&self, target: &Path, account: Account, itself: bool) -> io::Result<()> {
        let gives = !itself || account.gives_away();
        let take_over = || {
            if itself {
                account.take_over_thread();
            }
        };
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    take_over();
                    make_directory(target, account, gives)?;
                    self.directories.iter().try_for_each(|path| make_directory(&target.join(path), account, gives))
                })
                .join()
                .expect("making directories does not panic")?;
            let copiers: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        take_over();
                        let mut buffer = vec![0; SMALL as usize];
                        while let Some((path, bytes)) = self.files.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let (from, to) = (self.root.join(path), target.join(path));
                            copy_file(&from, &to, *bytes, &mut buffer)
                                .and_then(|()| if gives { account.own(&to) } else { Ok(()) })
                                .map_err(|error| {
                                    io::Error::new(error.kind(), format!("copying {}: {error}", from.display()))
                                })?;
                        }
                        Ok(())
                    })
                })
                .collect();
            copiers.into_iter().try_for_each(|copier| copier.join().expect("copying does not panic"))
        })
    }
}

fn make_directory(path: &Path, account: Account, gives: bool) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    if gives { account.own(path) } else { Ok(()) }
}

fn copy_file(from: &Path, to: &Path, bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    if bytes == 0 {
        return Ok(());
    }
    let mut source = File::open(from)?;
    if bytes <= SMALL {
        let whole = &mut buffer[..usize::try_from(bytes).expect("a small file fits in memory")];
        source.read_exact(whole)?;
        return target.write_all(whole);
    }
    io::copy(&mut source, &mut target).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_every_file_and_nothing_of_a_server_that_ran_there() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("base/1/deep")).unwrap();
        fs::write(from.path().join("base/1/deep/small"), b"small").unwrap();
        fs::write(from.path().join("base/empty"), b"").unwrap();
        fs::write(from.path().join("large"), vec![7; 3 * SMALL as usize + 1]).unwrap();
        fs::write(from.path().join("postmaster.pid"), b"1").unwrap();
        let target = to.path().join("copy");
        let listing = Listing::read(from.path()).unwrap();
        listing.copy(&target, Account::Ours).unwrap();
        assert_eq!(fs::read(target.join("base/1/deep/small")).unwrap(), b"small");
        assert_eq!(fs::read(target.join("base/empty")).unwrap(), b"");
        assert_eq!(fs::read(target.join("large")).unwrap(), vec![7; 3 * SMALL as usize + 1]);
        assert!(!target.join("postmaster.pid").exists());
        assert_eq!(listing.bytes, 5 + 3 * SMALL + 1);
    }
}
