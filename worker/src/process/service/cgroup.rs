//! A cgroup of the spawner's own, below the one it was started in: an exact list of its processes, and the kernel's
//! own way to kill them all, which works even when the spawner is gone.
//!
//! Needs cgroup v2, mounted and writable (root, or a delegated subtree). It uses no controllers, so it does not matter
//! which are enabled.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Where cgroup v2 is mounted: alone, or beside the first version.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// How deep cgroups inside the leaf are looked into (a test may run a worker of its own).
const DEPTH: usize = 8;

/// A cgroup that this process has entered.
pub(super) struct Leaf {
    path: PathBuf,
    /// The cgroup it came from.
    origin: PathBuf,
}

impl Leaf {
    /// Makes a cgroup and enters it, or says why that is not possible.
    pub(super) fn enter() -> Result<Self, String> {
        let membership = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let own = own_path(&membership).ok_or("no cgroup v2 on this system")?;
        let origin = MOUNTS
            .iter()
            .map(|mount| Path::new(mount).join(own))
            .find(|path| path.join("cgroup.procs").exists())
            .ok_or("cgroup v2 is not mounted here")?;
        sweep(&origin);
        let path = origin.join(format!("{PREFIX}{}", std::process::id()));
        let enter = || {
            fs::create_dir(&path)?;
            move_self(&path)
        };
        match enter() {
            Ok(()) => Ok(Self { path, origin }),
            Err(error) => {
                let _was_not_made = fs::remove_dir(&path);
                Err(format!("a cgroup in {} is refused: {error}", origin.display()))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The ids of all processes in it, this one's too.
    pub(super) fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        collect(&self.path, DEPTH, &mut pids);
        pids
    }

    /// Goes back to where it came from, and removes the cgroup.
    pub(super) fn leave(self) {
        if move_self(&self.origin).is_ok() {
            destroy(&self.path);
        }
    }
}

const PREFIX: &str = "regatta-";

/// Kills everything in the cgroup at `path`, and removes it with those inside it.
pub(in crate::process) fn destroy(path: &Path) {
    // A process leaves its cgroup a moment after it was killed: up to a second in all, and far less as a rule.
    for _ in 0..1_000 {
        let _gone_already = fs::write(path.join("cgroup.kill"), "1");
        remove(path, DEPTH);
        if !path.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn remove(path: &Path, depth: usize) {
    if depth > 0 {
        inner(path).iter().for_each(|inner| remove(inner, depth - 1));
    }
    let _not_empty_yet = fs::remove_dir(path);
}

fn inner(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn collect(path: &Path, depth: usize, pids: &mut Vec<i32>) {
    let list = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    pids.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()));
    if depth > 0 {
        inner(path).iter().for_each(|inner| collect(inner, depth - 1, pids));
    }
}

/// The path of the second version in `/proc/self/cgroup`, relative to its mount.
fn own_path(membership: &str) -> Option<&str> {
    membership.lines().find_map(|line| line.strip_prefix("0::/"))
}

fn move_self(path: &Path) -> io::Result<()> {
    fs::write(path.join("cgroup.procs"), "0")
}

/// Removes what was left by spawners that were killed together with their workers. One in use refuses to go.
fn sweep(origin: &Path) {
    for path in inner(origin) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let owner = name.strip_prefix(PREFIX).and_then(|pid| pid.parse::<u32>().ok());
        // A live one may be between making its cgroup and entering it.
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _in_use = fs::remove_dir(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_path_is_that_of_the_second_version() {
        assert_eq!(own_path("9:name=systemd:/\n4:memory:/a/b\n0::/user.slice/x\n"), Some("user.slice/x"));
        assert_eq!(own_path("0::/\n"), Some(""));
        assert_eq!(own_path("4:memory:/a/b\n"), None);
    }
}
