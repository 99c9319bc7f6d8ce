//! Where spools are: one directory a worker, locked for as long as the worker or anything that it started lives.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file that the worker holds locked.
const OWNER: &str = "owner";

/// The file that those hold locked, together, who start its tests: they outlive a worker that is killed by as long as it takes them
/// to kill what they started.
const STARTERS: &str = "starters";

/// How long the processes of an earlier worker may take to be gone.
const LINGER: Duration = Duration::from_secs(15);

/// Workers on one machine that serve one coordinator.
const WORKERS: usize = 1_024;

/// A directory of one's own.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) directory: PathBuf,
    /// Whether the directory was made here, and goes with what is in it.
    made: bool,
    _owner: Flock<File>,
}

/// Why a directory cannot be one's own.
#[derive(Debug)]
pub(crate) enum Error {
    /// Another worker has it.
    Held,
    /// The file system refuses.
    Io(PathBuf, io::Error),
}

impl Place {
    /// Takes a directory. One that another worker has just left is waited for.
    pub(crate) fn take(directory: &Path) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(|error| Error::Io(directory.to_owned(), error))?;
        let since = Instant::now();
        let owner = loop {
            match lock(&directory.join(OWNER), FlockArg::LockExclusiveNonblock)? {
                Some(owner) => break owner,
                None if since.elapsed() > LINGER => return Err(Error::Held),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        Self::settled(directory, owner, false)
    }

    /// Takes the first directory below `base` that no worker has.
    pub(crate) fn take_one_of(base: &Path) -> Result<Self, Error> {
        make(base).map_err(|error| Error::Io(base.to_owned(), error))?;
        for number in 0..WORKERS {
            let directory = base.join(number.to_string());
            make(&directory).map_err(|error| Error::Io(directory.clone(), error))?;
            if let Some(owner) = lock(&directory.join(OWNER), FlockArg::LockExclusiveNonblock)? {
                return Self::settled(&directory, owner, true);
            }
        }
        Err(Error::Held)
    }

    /// Waits until nothing of an earlier worker runs: whoever speaks for it may say so from then on.
    fn settled(directory: &Path, owner: Flock<File>, made: bool) -> Result<Self, Error> {
        let since = Instant::now();
        while lock(&directory.join(STARTERS), FlockArg::LockExclusiveNonblock)?.is_none() {
            if since.elapsed() > LINGER {
                return Err(Error::Held);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { directory: directory.to_owned(), made, _owner: owner })
    }

    /// What whoever starts tests holds locked while it lives.
    pub(crate) fn starters(&self) -> PathBuf {
        self.directory.join(STARTERS)
    }

    /// Removes the directory, in which nothing is that anybody needs; one that somebody else made stays.
    pub(super) fn remove(self) -> io::Result<()> {
        if !self.made {
            return Ok(());
        }
        fs::remove_dir_all(&self.directory)?;
        // Those above it that were made with it go where no other worker is in them.
        let _others = self.directory.ancestors().skip(1).take(2).try_for_each(fs::remove_dir);
        Ok(())
    }
}

/// Holds a file locked together with others. `None` where the file system refuses.
pub(crate) fn hold(path: &Path) -> Option<Flock<File>> {
    lock(path, FlockArg::LockSharedNonblock).ok().flatten()
}

/// Where a user's spools are for one coordinator, which is named as on the command line: below the directory for temporary files.
pub(crate) fn base(temporary: &Path, on: &str) -> PathBuf {
    let name = &blake3::hash(on.as_bytes()).to_hex()[..16];
    temporary.join(format!("regatta-spool-{}", nix::unistd::geteuid())).join(name)
}

/// Makes a directory that nobody else may look into; one that is there has to be such a one.
fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let found = fs::symlink_metadata(directory)?;
    let ours = found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o022 == 0;
    if ours { Ok(()) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else")) }
}

/// Locks a file; `None` where others have it.
fn lock(path: &Path, how: FlockArg) -> Result<Option<Flock<File>>, Error> {
    let io = |error| Error::Io(path.to_owned(), error);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    match Flock::lock(open.map_err(io)?, how) {
        // A worker that leaves removes the file before it lets go of it: then this is not the one that others see.
        Ok(locked) => {
            let seen =
                fs::metadata(path).is_ok_and(|seen| locked.metadata().is_ok_and(|ours| ours.ino() == seen.ino()));
            Ok(seen.then_some(locked))
        }
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(io(errno.into())),
    }
}
