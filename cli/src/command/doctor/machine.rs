//! Whether this machine gives a run what it needs: processes that can be held, files, room, a clock.

use super::Finding;
use nix::sys::resource::{Resource, getrlimit};
use regatta_worker::process::{Containment, Spawner};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Open files that a run with a few dozen slots needs: some twenty a slot, and as many again for everything else.
const OPEN_FILES: u64 = 1_024;

/// Processes and threads that a run with a few dozen slots needs.
const PROCESSES: u64 = 512;

/// 2025-01-01 in seconds since the epoch: a clock that says less was never set.
const OLDEST_TIME: u64 = 1_735_689_600;

/// All findings about the machine.
pub(super) fn check(cwd: &Path) -> Vec<Finding> {
    vec![
        containment(),
        limit(Resource::RLIMIT_NOFILE, "open files", OPEN_FILES, "ulimit -n 65536"),
        limit(Resource::RLIMIT_NPROC, "processes", PROCESSES, "ulimit -u 16384"),
        writable("temporary files", &std::env::temp_dir(), "set TMPDIR to a directory that can be written to"),
        writable("the run's own data", cwd, "run where `.regatta` can be written, or make it writable"),
        clock(SystemTime::now()),
    ]
}

/// Starts a spawner, and asks how it holds its processes.
fn containment() -> Finding {
    const AREA: &str = "processes";
    let held = std::env::current_exe().and_then(|exe| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let spawner = Spawner::start(&exe).await?;
            let held = spawner.containment().clone();
            spawner.close().await;
            Ok(held)
        })
    });
    match held {
        Ok(Containment::Cgroup(path)) => {
            Finding::good(AREA, format!("nothing outlives a test: cgroup v2 ({})", path.display()))
        }
        // The sub-reaper catches everything too, as long as the spawner lives: that is good, if not best.
        Ok(Containment::SubReaper(reason)) => {
            Finding::good(AREA, format!("nothing outlives a test: sub-reaper (no cgroup v2: {reason})"))
        }
        Err(error) => {
            let fix = "see that this binary may start itself, and that `ulimit -u` leaves room";
            Finding::bad(AREA, format!("the spawner does not start: {error}"), fix)
        }
    }
}

fn limit(resource: Resource, what: &str, needed: u64, fix: &str) -> Finding {
    match getrlimit(resource) {
        Ok((soft, _)) if soft >= needed => {
            let soft = if soft == nix::libc::RLIM_INFINITY { "no limit".to_owned() } else { soft.to_string() };
            Finding::good("limits", format!("{what}: {soft}"))
        }
        Ok((soft, _)) => Finding::bad("limits", format!("{what}: {soft}, and a run may need {needed}"), fix),
        Err(error) => Finding::bad("limits", format!("{what}: the limit cannot be read: {error}"), fix),
    }
}

/// Tries it: permissions, quotas and read-only mounts all show that way.
fn writable(what: &str, dir: &Path, fix: &str) -> Finding {
    let path = dir.join(format!(".regatta-doctor-{}", std::process::id()));
    let tried = File::create_new(&path).and_then(|_| fs::remove_file(&path));
    match tried {
        Ok(()) => Finding::good("disk", format!("{what}: {} can be written", dir.display())),
        Err(error) => Finding::bad("disk", format!("{what}: {} cannot be written: {error}", dir.display()), fix),
    }
}

fn clock(now: SystemTime) -> Finding {
    let oldest = SystemTime::UNIX_EPOCH + Duration::from_secs(OLDEST_TIME);
    if now >= oldest {
        Finding::good("clock", "set")
    } else {
        Finding::bad("clock", "was never set: it is before 2025", "set it (`timedatectl set-ntp true`)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_written_is_bad() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert!(writable("x", dir.path(), "y").is_good());
        assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 0, "nothing is left behind");
        assert!(!writable("x", &dir.path().join("missing"), "y").is_good());
    }

    #[test]
    fn a_clock_at_the_epoch_is_bad() {
        assert!(!clock(SystemTime::UNIX_EPOCH).is_good());
        assert!(clock(SystemTime::now()).is_good());
    }
}
