//! One coordinator per data directory: a lock that the system takes away with the process, whatever ends it.

use super::Error;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

/// The name of the file that is locked.
const FILE: &str = "lock";

/// The lock on a data directory, for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes the lock on `directory`, which is created where it is not there.
    ///
    /// # Errors
    /// When another process holds it, or the file system refuses.
    pub fn take(directory: &Path) -> Result<Self, Error> {
        let file = directory.join(FILE);
        let io = |source| Error::io(&file, source);
        fs::create_dir_all(directory).map_err(|source| Error::io(directory, source))?;
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file).map_err(io)?;
        let mut locked = match Flock::lock(open, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => locked,
            Err((mut open, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                let pid = open.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(Error::Held { directory: directory.to_owned(), pid });
            }
            Err((_, errno)) => return Err(io(errno.into())),
        };
        let mut say = || {
            locked.set_len(0)?;
            locked.rewind()?;
            writeln!(locked, "{}", std::process::id())
        };
        say().map_err(io)?;
        Ok(Self { _file: locked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_coordinator_is_refused_and_the_first_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path()).unwrap();
        let second = Lock::take(directory.path()).unwrap_err();
        let told = second.to_string();
        assert!(told.contains(&format!("process {} is a coordinator", std::process::id())), "{told}");
        drop(first);
        Lock::take(directory.path()).unwrap();
    }
}
