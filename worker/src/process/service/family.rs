//! The family of a spawner: processes that live, and processes that ended but left something behind.
//!
//! Several live at once (a warm host and a helper), so an orphan is killed only when the process it descends from is
//! over: its mark tells which. An orphan without a mark is killed once nothing lives that it could belong to.
//! The usual case costs one system call: a spawner that has no children has no orphans.

use super::cgroup::Leaf;
use super::{orphans, reap};
use crate::process::limits::{HUNT, KILL, LEAK};
use crate::process::protocol::Reply;
use crate::process::{Ending, Exit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid, getpgrp};
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

pub(super) struct Family {
    leaf: Option<Leaf>,
    /// Those that live, by process id.
    living: BTreeMap<Pid, Living>,
    /// Those that ended, until nothing of them is left.
    ended: Vec<Ended>,
}

struct Living {
    id: u64,
    started: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// It was asked to end, and is killed at this time.
    Terminating(Instant),
    /// It was killed, and is given up at this time.
    Killed(Instant),
}

struct Ended {
    id: u64,
    exit: Exit,
    /// When its orphans are killed, and killed again.
    hunt_at: Instant,
    give_up_at: Instant,
    killed: Vec<Pid>,
}

impl Family {
    pub(super) fn new(leaf: Option<Leaf>) -> Self {
        Self { leaf, living: BTreeMap::new(), ended: Vec::new() }
    }

    pub(super) fn add(&mut self, id: u64, pid: Pid, started: Instant) {
        self.living.insert(pid, Living { id, started, stage: Stage::Running });
    }

    /// Terminates the process `id` now, and kills it after `grace`.
    pub(super) fn kill(&mut self, id: u64, now: Instant, grace: Duration) {
        if let Some((&pid, living)) = self.living.iter_mut().find(|(_, living)| living.id == id) {
            let at = now + grace;
            living.stage = match living.stage {
                Stage::Running if !grace.is_zero() => {
                    let _ended_just_now = killpg(pid, Signal::SIGTERM);
                    Stage::Terminating(at)
                }
                Stage::Running => Stage::Terminating(now),
                Stage::Terminating(before) => Stage::Terminating(before.min(at)),
                killed @ Stage::Killed(_) => killed,
            };
        } else if let Some(ended) = self.ended.iter_mut().find(|ended| ended.id == id) {
            ended.hunt_at = ended.hunt_at.min(now);
        }
    }

    /// Sends `signal` to the process `id` alone.
    pub(super) fn signal(&self, id: u64, signal: i32) {
        if let Some((&pid, _)) = self.living.iter().find(|(_, living)| living.id == id)
            && let Ok(signal) = Signal::try_from(signal)
        {
            let _ended_just_now = kill(pid, signal);
        }
    }

    /// When [`Family::tend`] has something to do even if nobody ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let living = self.living.values().filter_map(|living| match living.stage {
            Stage::Running => None,
            Stage::Terminating(at) | Stage::Killed(at) => Some(at),
        });
        living.chain(self.ended.iter().map(|ended| ended.hunt_at)).min()
    }

    /// Takes note of who ended, kills whose time is up, and tells of those of whom nothing is left.
    pub(super) fn tend(&mut self, now: Instant) -> Vec<Reply> {
        self.reap(now);
        self.kill_overdue(now);
        self.settle(now)
    }

    fn reap(&mut self, now: Instant) {
        while let Some(pid) = reap::next_ended() {
            let Some(living) = self.living.remove(&pid) else {
                reap::reap(pid);
                continue;
            };
            let asked = living.stage != Stage::Running;
            if asked {
                // The group's id is the process's, and certain to mean this group only until the process is reaped.
                let _empty_already = killpg(pid, Signal::SIGKILL);
            }
            let (ending, max_rss) = reap::reap(pid);
            self.note_end(&living, ending, max_rss, now, if asked { Duration::ZERO } else { LEAK });
        }
    }

    fn note_end(&mut self, living: &Living, ending: Ending, max_rss: u64, now: Instant, leak: Duration) {
        let duration = now.saturating_duration_since(living.started);
        let exit = Exit { ending, duration, leaked: 0, max_rss, starved: false };
        let (hunt_at, give_up_at) = (now + leak, now + leak + KILL);
        self.ended.push(Ended { id: living.id, exit, hunt_at, give_up_at, killed: Vec::new() });
    }

    fn kill_overdue(&mut self, now: Instant) {
        let mut hopeless = Vec::new();
        for (&pid, living) in &mut self.living {
            match living.stage {
                Stage::Terminating(at) if at <= now => {
                    let _ended_just_now = killpg(pid, Signal::SIGKILL);
                    living.stage = Stage::Killed(now + KILL);
                }
                Stage::Killed(at) if at <= now => hopeless.push(pid),
                _ => {}
            }
        }
        // It hangs in the kernel. When it ends after all, it is reaped as an orphan.
        for pid in hopeless {
            let living = self.living.remove(&pid).expect("it was found a moment ago");
            self.note_end(&living, Ending::Signalled(Signal::SIGKILL as i32), 0, now, Duration::ZERO);
        }
    }

    fn settle(&mut self, now: Instant) -> Vec<Reply> {
        if self.ended.is_empty() {
            return Vec::new();
        }
        let orphans = self.orphans();
        let alone = self.living.is_empty();
        let mut told = Vec::new();
        let living = &self.living;
        self.ended.retain_mut(|ended| {
            let own = |(_, of): &&(Pid, Option<u64>)| *of == Some(ended.id) || (alone && of.is_none());
            let left: Vec<Pid> = orphans.iter().filter(own).map(|&(pid, _)| pid).collect();
            if !left.is_empty() && now < ended.give_up_at {
                if ended.hunt_at <= now {
                    ended.hunt_at = now + HUNT;
                    hunt(&left, living);
                    left.iter().for_each(|pid| {
                        if !ended.killed.contains(pid) {
                            ended.killed.push(*pid);
                        }
                    });
                }
                return true;
            }
            ended.exit.leaked = u32::try_from(ended.killed.len()).unwrap_or(u32::MAX);
            told.push(Reply::Ended { id: ended.id, exit: ended.exit });
            false
        });
        told
    }

    /// The orphans, and whom they descend from: a process that is still known here, or `None`.
    fn orphans(&self) -> Vec<(Pid, Option<u64>)> {
        if self.living.is_empty() && !reap::has_children() {
            return Vec::new();
        }
        let known = |id: &u64| {
            self.living.values().any(|living| living.id == *id) || self.ended.iter().any(|ended| ended.id == *id)
        };
        orphans::children(self.leaf.as_ref())
            .into_iter()
            .filter(|pid| !self.living.contains_key(pid))
            .map(|pid| (pid, orphans::ancestor(pid).filter(known)))
            .collect()
    }

    /// Kills everything, and removes the cgroup. `wait` waits for a child to end, at most as long as it is told.
    pub(super) fn kill_all(&mut self, wait: impl Fn(Duration) -> io::Result<()>) {
        let deadline = Instant::now() + KILL;
        for &pid in self.living.keys() {
            let _ended_just_now = killpg(pid, Signal::SIGKILL);
        }
        self.living.clear();
        loop {
            while let Some(pid) = reap::next_ended() {
                reap::reap(pid);
            }
            if !reap::has_children() || Instant::now() > deadline {
                break;
            }
            hunt(&orphans::children(self.leaf.as_ref()), &self.living);
            if wait(HUNT).is_err() {
                break;
            }
        }
        if let Some(leaf) = self.leaf.take() {
            leaf.leave();
        }
    }
}

/// Kills `orphans`, each with its group: a group that a child of ours is in cannot have come to mean another. Groups of
/// living processes, and our own, are left alone; an orphan could have joined one.
fn hunt(orphans: &[Pid], living: &BTreeMap<Pid, Living>) {
    for &pid in orphans {
        if let Ok(group) = getpgid(Some(pid))
            && group != getpgrp()
            && !living.contains_key(&group)
        {
            let _ended_just_now = killpg(group, Signal::SIGKILL);
        }
        let _ended_just_now = kill(pid, Signal::SIGKILL);
    }
}
