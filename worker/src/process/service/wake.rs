//! What wakes the spawner beside its socket: signals, told through a pipe.
//!
//! They are caught, and neither blocked nor ignored: what a process blocks or ignores, its children inherit, and a test
//! whose server cannot be terminated waits for ever. What it catches is reset by `exec`.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// The end of the pipe that the handler writes to. Open for as long as the process lives.
static TOLD: AtomicI32 = AtomicI32::new(-1);

/// Becomes readable with every signal: the end of a child, and what a terminal or a service manager sends to everybody.
pub(super) struct Wake(OwnedFd);

impl Wake {
    /// Catches the signals from here on.
    pub(super) fn install() -> io::Result<Self> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        TOLD.store(write.into_raw_fd(), Ordering::Relaxed);
        let action = SigAction::new(SigHandler::Handler(tell), SaFlags::SA_RESTART, SigSet::empty());
        for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
            // SAFETY: the handler does only what is async-signal-safe, and leaves `errno` as it was.
            unsafe { sigaction(signal, &action) }?;
        }
        Ok(Self(read))
    }

    /// Forgets the signals so far. Only that there were some matters: whoever ended is asked for, the others are ignored.
    pub(super) fn forget(&self) {
        let mut bytes = [0; 64];
        while nix::unistd::read(&self.0, &mut bytes).is_ok_and(|read| read > 0) {}
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

extern "C" fn tell(_signal: libc::c_int) {
    let errno = Errno::last_raw();
    // SAFETY: `write` may be called in a signal handler, and reads one byte that lives for ever. A full pipe wakes as well.
    unsafe { libc::write(TOLD.load(Ordering::Relaxed), b"!".as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}
