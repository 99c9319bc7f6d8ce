//! The bounds that only the wire keeps.

/// One message of either side. The largest is a submission of 200,000 files ([`regatta_domain::limits::FILES_PER_RUN`])
/// at about 200 bytes each: 40 MB; a listing of 200,000 tests is half of that.
pub const MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// A path, a locator, a root: what Linux calls `PATH_MAX`.
pub const PATH_BYTES: usize = 4_096;

/// The name of a test. Parametrised ids may hold whole documents; beyond this they are a mistake.
pub const NAME_BYTES: usize = 16 * 1024;

/// A name that people give: of a project, a suite, a worker, a version.
pub const LABEL_BYTES: usize = 256;

/// A group's key, a tag.
pub const TAG_BYTES: usize = 4_096;

/// Tags of one test.
pub const TAGS_PER_TEST: usize = 256;

/// The settings of a suite.
pub const SETTINGS_BYTES: usize = 1024 * 1024;

/// Labels of a worker, or those that a suite requires.
pub const LABELS: usize = 64;

/// Resources that one test needs. They are taken all at once: beyond a few, a test waits for ever.
pub const NEEDS_PER_TEST: usize = 16;

/// Conditions of one need.
pub const WANTS_PER_NEED: usize = 16;

/// Items of one pool: beyond that it is a fleet of its own.
pub const ITEMS_PER_POOL: usize = 10_000;

/// The most seats that a resource may have.
pub const SEATS: u32 = 100_000;

/// Arguments of one command.
pub const ARGUMENTS: usize = 1_024;

/// What is told of a test beside its outcome.
pub const NOTES_PER_OBSERVATION: usize = 32;

/// Statements of a test.
pub const STATEMENTS_PER_TEST: usize = 16;

/// A statement.
pub const STATEMENT_BYTES: usize = 1_024;

/// Statements that were seen on the way to one database of an attempt.
pub const STATEMENTS_PER_TRAFFIC: usize = 64;

/// Codes of errors that were seen there.
pub const ERRORS_PER_TRAFFIC: usize = 16;

/// The code of an error.
pub const CODE_BYTES: usize = 16;

/// Databases of one suite.
pub const DATABASES_PER_SUITE: usize = 8;

/// Variables of a suite's environment.
pub const VARIABLES_PER_SUITE: usize = 4_096;

/// The value of one variable: what Linux takes for one (`MAX_ARG_STRLEN`).
pub const VARIABLE_BYTES: usize = 128 * 1024;

/// Overrides of one submission.
pub const OVERRIDES_PER_RUN: usize = 1_000;

/// Filters of one submission.
pub const FILTERS_PER_RUN: usize = 100;

/// Entries of one report: as many results as a message holds, with the start of each, and what else happened.
pub const ENTRIES_PER_REPORT: usize = 3 * regatta_domain::limits::RESULTS_PER_MESSAGE;

/// One part of an output.
pub const OUTPUT_PART_BYTES: usize = 256 * 1024;

/// A line for people.
pub const NOTE_BYTES: usize = 4_096;

/// Runs in one listing of runs.
pub const RUNS_PER_LIST: u32 = 1_000;

/// Tests, or files, in one event: at about 150 bytes each, 5,000 of them are far below a message.
pub const ITEMS_PER_EVENT: usize = 5_000;
