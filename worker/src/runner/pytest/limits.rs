//! The bounds of the pytest runner, with the arithmetic that chose them.

use std::time::Duration;

/// Work that is sent to a host ahead of what it runs: enough that it never waits for the worker, even on a busy machine
/// (a thread may wait 10 ms for a core), and little enough that nothing worth stealing is out of reach.
pub(super) const AHEAD: Duration = Duration::from_millis(20);

/// Tests sent ahead, at most: at 100 µs each, trivial tests take 6 ms.
pub(super) const AHEAD_TESTS: usize = 64;

/// Tests sent ahead, at least: the one that runs, and the one that follows it.
pub(super) const AHEAD_TESTS_MIN: usize = 2;

/// Bytes of test names sent ahead: what surely fits into the socket of a host that does not read at the moment, so that
/// neither end ever waits for the other to read (sockets hold about 200 KiB).
pub(super) const AHEAD_BYTES: usize = 64 * 1024;

/// The largest message of a host: an output at its bound (256 KiB), each byte of it escaped (six bytes), with room to
/// spare.
pub(super) const LINE_BYTES: usize = 8 * 1024 * 1024;

/// How long reading waits for more while a host has enough to do. At 100 µs a test that is twenty results at a time; a
/// wake-up for each would cost a tenth of what the test itself costs.
pub(super) const CALM: Duration = Duration::from_millis(2);

/// With so many tests ahead a host does not run dry within [`CALM`].
pub(super) const CALM_TESTS: usize = 32;

/// How long a host may take to come up: imports of pytest, plugins and conftest files, on a machine that may be busy.
pub(super) const START: Duration = Duration::from_secs(300);

/// How long a host may be silent while it collects a file, or tears down what tests shared; no policy speaks of these.
pub(super) const SILENCE: Duration = Duration::from_secs(300);

/// How long a host is waited for when it was asked to finish: teardown of session fixtures, reports of plugins.
pub(super) const FINISH: Duration = Duration::from_secs(60);

/// How long a host may take to exit after it closed its connection.
pub(super) const EXIT: Duration = Duration::from_secs(5);

/// Between SIGTERM and SIGKILL for a host that no test's policy speaks for.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How long the traceback of a hanging test is waited for. A thread that holds the interpreter does not delay it.
pub(super) const TRACEBACK: Duration = Duration::from_millis(500);

/// Hosts that end in a row without having told anything of a test or a file, before the runner gives up.
pub(super) const FRUITLESS: u32 = 3;

/// A path to a socket: what `sockaddr_un` takes, less its end.
pub(super) const SOCKET_PATH_BYTES: usize = 107;

/// Requests that wait for a zygote. A slot has one host, and asks one thing at a time.
pub(super) const REQUESTS: usize = 256;

/// How much is read at once: what a pipe holds.
pub(super) const READ_BYTES: usize = 64 * 1024;
