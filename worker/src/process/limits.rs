//! The bounds of processes, with the arithmetic that chose them.

use std::time::Duration;

/// How long what a process leaves behind may go on before it is killed: the 100 ms that nextest grants as well. A shell
/// that waits for its last child needs a few; a daemon would take for ever.
pub(super) const LEAK: Duration = Duration::from_millis(100);

/// How long the end of a killed process is waited for. SIGKILL acts within milliseconds unless the process hangs in
/// the kernel (a dead network mount), and then it may hang for ever.
pub(super) const KILL: Duration = Duration::from_secs(10);

/// How often leftovers are looked for again while they are being killed, should a notice of their end be missed.
pub(super) const HUNT: Duration = Duration::from_millis(20);

/// The largest message between worker and spawner. The kernel takes at most 6 MiB of arguments and environment
/// (three quarters of its largest stack), so that whatever does not fit here could not be started either.
pub(super) const MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// Requests that wait for the spawner. A slot has a handful of processes at a time, each with one request in flight.
pub(super) const REQUESTS: usize = 256;

/// How long a spawner may take to say hello: an exec and a few system calls, on a machine that may be very busy.
pub(super) const HELLO: Duration = Duration::from_secs(30);

/// How much is read from a pipe at once: what a pipe holds.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// The longest list that a process may print: 200,000 tests a file (`TESTS_PER_FILE`) at 300 bytes each.
pub(super) const LIST_BYTES: usize = 64 * 1024 * 1024;

/// Between the death of a spawner and the start of another.
pub(super) const RESTART: Duration = Duration::from_millis(100);
