//! The directory under which an engine keeps the servers that it starts: in memory where there is room, and gone with the engine.
//!
//! Whoever owns it holds a lock on a file in it, which the system gives back even after `kill -9`; a keeper, a tiny shell
//! process, holds the read end of a pipe and removes the directory when the pipe closes. What both missed (the keeper was
//! killed as well, the machine went down) is found and removed by the next engine that starts.

use super::account::Account;
use crate::limits;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// A directory of ours.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    account: Account,
    next: AtomicU64,
    /// Dropping these tells the keeper that we are gone.
    _keeper: (Child, Option<ChildStdin>),
    _lock: Flock<File>,
}

/// Which engine lives in a home: how its directory is called, and how its servers are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenant {
    /// The begin of every directory's name.
    pub(crate) prefix: &'static str,
    /// The names of the programs of its servers.
    pub(crate) programs: &'static [&'static str],
    /// What is there while one of its servers runs, as a pattern below the home.
    pub(crate) running: &'static str,
    /// What ends one at once.
    pub(crate) signal: Signal,
}

/// How homes of PostgreSQL servers are known.
pub(crate) const POSTGRES: Tenant = Tenant {
    prefix: "regatta-pg-",
    programs: &["postgres"],
    running: "s*/data/postmaster.pid",
    signal: Signal::SIGQUIT,
};

/// The file that the owner holds locked.
const LOCK: &str = "owner";

/// Waits for the end of its input, which is our end, gives the servers' own guards ten seconds, and removes what is left.
const KEEPER: &str = r#"read -r _; n=0
while [ -n "$(ls -d "$1"/$2 2>/dev/null)" ] && [ $n -lt 100 ]; do n=$((n+1)); sleep 0.1; done
exec rm -rf "$1""#;

impl Home {
    /// Makes a directory for the engine `epoch`, whose servers run as `account`: on a memory file system if it has the room, else
    /// under `directory`. What earlier engines of its kind left in either is removed first, and their servers ended.
    pub(crate) fn make(
        tenant: Tenant,
        account: Account,
        epoch: &str,
        memory: Option<&Path>,
        directory: &Path,
    ) -> io::Result<Self> {
        let places: Vec<&Path> = memory.into_iter().chain([directory]).collect();
        for removed in remove_orphans(tenant, &places) {
            tracing::info!(directory = %removed.display(), "removed what an earlier process left of its databases");
        }
        let parent = memory.filter(|place| free(place) >= limits::MEMORY_FREE).unwrap_or(directory);
        fs::create_dir_all(parent)?;
        let path = fs::canonicalize(parent)?.join(format!("{}{epoch}", tenant.prefix));
        fs::create_dir(&path)?;
        let lock = File::create(path.join(LOCK)).and_then(|file| {
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| io::Error::from(error))
        })?;
        account.own(&path)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&path)
            .arg(tenant.running)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the terminal is for us; the keeper must outlive us.
            .process_group(0)
            .spawn()?;
        let input = keeper.stdin.take();
        Ok(Self { path, account, next: AtomicU64::new(1), _keeper: (keeper, input), _lock: lock })
    }

    /// As whom everything in it runs.
    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A path in it that nothing has yet, for what `kind` says in one letter.
    pub(crate) fn fresh(&self, kind: char) -> PathBuf {
        self.path.join(format!("{kind}{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }

    /// Makes a fresh directory of the account.
    pub(crate) fn directory(&self, kind: char) -> io::Result<PathBuf> {
        let path = self.fresh(kind);
        fs::create_dir(&path)?;
        self.account.own(&path)?;
        Ok(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Servers have ended before; what is left is images. The keeper would do it too, a little later.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what engines left behind that are gone, and ends their servers. Returns what was removed.
fn remove_orphans(tenant: Tenant, places: &[&Path]) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for entry in places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(tenant.prefix) || !is_orphan(&path) {
            continue;
        }
        servers(tenant, &path).into_iter().for_each(|server| end(tenant, server));
        let gone = fs::remove_dir_all(&path);
        // One that was just starting had nothing to be known by; without its directory it would run on for a minute.
        servers(tenant, &path).into_iter().for_each(|server| end(tenant, server));
        match gone {
            Ok(()) => removed.push(path),
            Err(error) => {
                tracing::warn!(directory = %path.display(), %error, "an orphaned directory of databases stays; remove it by hand");
            }
        }
    }
    removed
}

/// Whether nobody holds the lock of the directory. One without a lock file is being made, or was left very early.
fn is_orphan(path: &Path) -> bool {
    match File::open(path.join(LOCK)) {
        Ok(file) => Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok(),
        Err(_) => {
            let made = fs::metadata(path).and_then(|meta| meta.modified()).ok();
            made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > Duration::from_secs(60))
        }
    }
}

/// The servers that still run under `path`, by their command lines where the system shows them: a number in a file proves
/// nothing, and a server that is starting has not written it yet.
fn servers(tenant: Tenant, path: &Path) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let program = line.split('\0').next().unwrap_or_default();
        if tenant.programs.iter().any(|name| program.ends_with(name)) && line.contains(&format!("{}/", path.display()))
        {
            found.push(Pid::from_raw(pid));
        }
    }
    found
}

fn end(tenant: Tenant, pid: Pid) {
    // Immediate shutdown first, so that backends go with it; what does not react in a second is killed.
    let _ = kill(pid, tenant.signal);
    for _ in 0..200 {
        if kill(pid, None).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = kill(pid, Signal::SIGKILL);
}

/// Where data is in memory, on systems that have such a place.
pub(crate) fn memory() -> Option<PathBuf> {
    Some(PathBuf::from("/dev/shm")).filter(|memory| memory.is_dir())
}

/// Bytes free for us on the file system of `path`; none where it cannot be told.
fn free(path: &Path) -> u64 {
    nix::sys::statvfs::statvfs(path).map_or(0, |fs| {
        // Of different widths on different systems.
        #[allow(clippy::unnecessary_cast, reason = "32 bits on macOS")]
        let (blocks, size) = (fs.blocks_available() as u64, fs.fragment_size() as u64);
        blocks * size
    })
}
