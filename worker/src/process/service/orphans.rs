//! Orphans: children of the spawner that it did not start. Their parents ended, and the kernel gave them to the
//! sub-reaper.
//!
//! Only direct children are looked for and killed: they cannot be reaped behind our back, so that their process ids
//! cannot come to mean others. Their own children become orphans in turn, and are found the next time.

use super::cgroup::Leaf;
use super::start::MARK;
use nix::unistd::Pid;
use std::fs;

/// The process ids of all direct children of this process.
pub(super) fn children(leaf: Option<&Leaf>) -> Vec<Pid> {
    let inside = leaf.map(|leaf| own_children(leaf.processes())).unwrap_or_default();
    // There are some, or nobody would ask: what is not in the cgroup has left it, or there is none.
    if inside.is_empty() { own_children(all_processes()) } else { inside }
}

fn own_children(pids: impl IntoIterator<Item = i32>) -> Vec<Pid> {
    let own = i32::try_from(std::process::id()).expect("process ids are small");
    pids.into_iter().filter(|&pid| parent(pid) == Some(own)).map(Pid::from_raw).collect()
}

fn all_processes() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The fourth field of `stat`; the second is a name that may hold spaces and brackets.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = String::from_utf8_lossy(stat.get(after_name + 1..)?).into_owned();
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The number of the process that `orphan` descends from, by the mark in its environment; `None` where it has none of
/// ours (it was started with an empty environment, wrote over it, or belongs to another user).
pub(super) fn ancestor(orphan: Pid) -> Option<u64> {
    let environment = fs::read(format!("/proc/{orphan}/environ")).ok()?;
    let prefix = format!("{MARK}={}.", std::process::id());
    environment
        .split(|&byte| byte == 0)
        .find_map(|variable| variable.strip_prefix(prefix.as_bytes()))
        .and_then(|id| std::str::from_utf8(id).ok()?.parse().ok())
}
