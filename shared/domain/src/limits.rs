//! Every bound that more than one part of the house keeps, with the arithmetic that chose it.

/// Tests in one run. The design's scale is a million; twice that leaves room, and dense indexes stay within `u32`.
pub const TESTS_PER_RUN: usize = 2_000_000;

/// Tests one file may list: a parametrised module of 200,000 cases is a mistake that should be said, not swallowed.
pub const TESTS_PER_FILE: usize = 200_000;

/// Files in one run.
pub const FILES_PER_RUN: usize = 200_000;

/// Suites in one run.
pub const SUITES_PER_RUN: usize = 1_000;

/// Slots one worker may offer.
pub const SLOTS_PER_WORKER: usize = 1_024;

/// Leases one slot may hold: the one it works on, and one in waiting, so that it is never idle for a round trip.
pub const LEASES_PER_SLOT: usize = 2;

/// The one line that says why a test did not pass.
pub const REASON_BYTES: usize = 512;

/// The text of an error beside the tests (a traceback of a collection error, the end of a compiler's output).
pub const ERROR_BYTES: usize = 16 * 1024;

/// Errors a run keeps; the rest are counted. 1,000 of them at their bound are 16 MiB.
pub const ERRORS_PER_RUN: usize = 1_000;

/// Late results that a run has on record as refused, and tests of its lost leases that are remembered for it. Ten thousand say
/// what went on; a worker that comes back with more has lost shards again and again.
pub const REFUSED_PER_RUN: usize = 10_000;

/// Tests of lost leases that are remembered over all runs, so that what comes late of them is recorded: some megabytes.
pub const FENCED_TESTS: usize = 100_000;

/// Results in one message: at about 100 bytes each, far below the bound of a gRPC message (4 MiB).
pub const RESULTS_PER_MESSAGE: usize = 1_000;

/// Output kept from the head of an attempt: what was printed first usually names the cause.
pub const OUTPUT_HEAD_BYTES: usize = 64 * 1024;

/// Output kept from the tail of an attempt.
pub const OUTPUT_TAIL_BYTES: usize = 192 * 1024;

/// Test ids in one shard: with names of 100 bytes, a grant stays below 1 MiB.
pub const TESTS_PER_SHARD: usize = 5_000;
