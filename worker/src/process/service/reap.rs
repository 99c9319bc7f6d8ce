//! The ends of children, asked of the kernel. `nix` has no `wait4`, and its `waitid` refuses real-time signals.

use crate::process::Ending;
use nix::libc;
use nix::unistd::Pid;
use std::mem::MaybeUninit;

/// A child that has ended and was not reaped yet; it keeps its process id until it is.
pub(super) fn next_ended() -> Option<Pid> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is a place for the answer, and stays zero, which is a valid value of it, where there is none.
    let pid = unsafe {
        match libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) {
            0 => info.assume_init().si_pid(),
            _ => 0,
        }
    };
    (pid > 0).then(|| Pid::from_raw(pid))
}

/// Whether there is any child, ended or not.
pub(super) fn has_children() -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: as above. The only error is that there is no child.
    unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) == 0 }
}

/// Reaps the ended child `pid`: how it ended, and its largest resident size in bytes.
pub(super) fn reap(pid: Pid) -> (Ending, u64) {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both are places for the answer; zero is a valid value of them.
    let usage = unsafe {
        libc::wait4(pid.as_raw(), &raw mut status, libc::WNOHANG, usage.as_mut_ptr());
        usage.assume_init()
    };
    let ending = if libc::WIFSIGNALED(status) {
        Ending::Signalled(libc::WTERMSIG(status))
    } else {
        Ending::Exited(libc::WEXITSTATUS(status))
    };
    (ending, u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024)
}
