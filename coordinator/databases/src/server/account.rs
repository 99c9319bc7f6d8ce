//! As whom a server runs: PostgreSQL refuses root, so root starts it as `postgres`, else as `nobody`.

use nix::unistd::{Gid, Uid, User, geteuid};
use std::io;
use std::path::Path;

/// The user that servers run as and their files belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Account {
    /// The user that we are.
    Ours,
    /// Another one, because we are root.
    Other { uid: Uid, gid: Gid },
}

impl Account {
    /// The account for servers of this process.
    pub(crate) fn find() -> io::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self::Ours);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).map_err(io::Error::from)? {
                return Ok(Self::Other { uid: user.uid, gid: user.gid });
            }
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as; \
             make one, or run this as an ordinary user",
        ))
    }

    /// Gives `path` to the account.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Ours => Ok(()),
            Self::Other { uid, gid } => std::os::unix::fs::chown(path, Some(uid.as_raw()), Some(gid.as_raw())),
        }
    }

    /// Makes `command` run under the account.
    pub(crate) fn apply(self, command: &mut tokio::process::Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
    }

    /// Makes files that this thread creates from now on the account's. Only for threads that end with the task.
    #[cfg(target_os = "linux")]
    pub(super) fn take_over_thread(self) {
        if let Self::Other { uid, gid } = self {
            nix::unistd::setfsgid(gid);
            nix::unistd::setfsuid(uid);
        }
    }

    /// Whether files made by [`Self::take_over_thread`]'s threads still have to be given away.
    pub(super) fn gives_away(self) -> bool {
        !cfg!(target_os = "linux") && matches!(self, Self::Other { .. })
    }
}

#[cfg(not(target_os = "linux"))]
impl Account {
    pub(super) fn take_over_thread(self) {}
}
