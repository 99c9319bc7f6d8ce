//! Whether the system ended processes for want of memory.
//!
//! Its killer leaves no word with its victim, which sees a SIGKILL like any other. But it counts: in the cgroup of the worker
//! (version 2, where the memory controller is on for it), or for the whole system. A process that was killed while the count
//! went up, and that nobody here killed, was most likely its victim. Where neither can be read nobody knows, and nothing is said.

use super::{Ending, Exit};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts kills of the system as a whole, since it started.
const SYSTEM: &str = "/proc/vmstat";

/// Where cgroup v2 is mounted: alone, or beside the first version.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// What this worker reads.
static COUNT: LazyLock<Option<KillCount>> = LazyLock::new(KillCount::find);

/// A count that is younger than this is young enough for the start of a process: to read one takes 50 µs.
const YOUNG: Duration = Duration::from_millis(100);

/// How often the system had ended processes for want of memory when a process started, as far as that can be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before(Option<u64>);

impl Before {
    /// As of now.
    pub(crate) fn now() -> Self {
        static LAST: Mutex<Option<(Instant, Option<u64>)>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, count)) if at.elapsed() < YOUNG => Self(count),
            _ => {
                let count = kills();
                *last = Some((Instant::now(), count));
                Self(count)
            }
        }
    }

    /// The end of a process that started then, with what is known of it now.
    pub(crate) fn judge(self, exit: Exit) -> Exit {
        let killed = exit.ending == Ending::Signalled(nix::libc::SIGKILL);
        Exit { starved: killed && self.0.is_some_and(|before| kills().is_some_and(|now| now > before)), ..exit }
    }
}

/// How often the system has ended processes for want of memory, as far as that can be told. Grows.
fn kills() -> Option<u64> {
    COUNT.as_ref().and_then(KillCount::read)
}

/// A file that has the count.
#[derive(Debug)]
struct KillCount(PathBuf);

impl KillCount {
    /// The one that tells most: of the worker's cgroup, which counts for those inside it too, or of the system.
    fn find() -> Option<Self> {
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = membership.lines().find_map(|line| line.strip_prefix("0::/"));
        let of_cgroup = own.into_iter().flat_map(|own| MOUNTS.map(|mount| Path::new(mount).join(own)));
        let files = of_cgroup.map(|cgroup| cgroup.join("memory.events")).chain([PathBuf::from(SYSTEM)]);
        files.map(Self).find(|count| count.read().is_some())
    }

    fn read(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.0).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_as_cgroups_and_the_system_tell_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("memory.events");
        let count = KillCount(file.clone());
        assert_eq!(count.read(), None, "there is no such file");
        fs::write(&file, "low 0\nhigh 0\nmax 14\noom 2\noom_kill 3\noom_group_kill 1\n").unwrap();
        assert_eq!(count.read(), Some(3));
        fs::write(&file, "thp_swpout 0\noom_kill 12\nnuma_hit 9\n").unwrap();
        assert_eq!(count.read(), Some(12));
        fs::write(&file, "oom 2\n").unwrap();
        assert_eq!(count.read(), None, "a kernel that does not count them");
    }
}
