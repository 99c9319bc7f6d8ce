//! What is written: a row for each thing that happened.

use super::costs::Learnt;
use super::history::Scope;
use regatta_core::Refused;
use regatta_domain::evidence::Observed;
use regatta_domain::history::Queried;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::report::{Counts, RunOutcome};
use regatta_domain::result::{RunError, TestResult};
use regatta_domain::{Cause, Exit, FileKey, Micros, RunId, TestIx, TestKey, Time, Token, Verdict, WorkerId};
use std::sync::Arc;

/// One thing to be written.
#[derive(Clone, Debug)]
pub enum Row {
    /// A run was handed in.
    Run {
        /// The run.
        run: RunId,
        /// Its project.
        project: Arc<str>,
        /// When.
        submitted: Time,
        /// Whether it only lists: no run to come back to.
        listing: bool,
        /// Whose history its verdicts are.
        scope: Scope,
    },
    /// How far a run is.
    Progress {
        /// The run.
        run: RunId,
        /// Its verdicts so far.
        counts: Counts,
        /// Its errors so far.
        errors: u32,
        /// How it ended, if it did.
        ended: Option<(Time, RunOutcome)>,
    },
    /// An event of a run's record.
    Event {
        /// The run.
        run: RunId,
        /// Its number in the run.
        seq: u64,
        /// The wire event.
        body: Vec<u8>,
    },
    /// An attempt that was accepted.
    Attempt {
        /// The run.
        run: RunId,
        /// What was reported of it.
        result: TestResult,
    },
    /// A result that came too late, and was refused.
    Refused {
        /// The run.
        run: RunId,
        /// When.
        at: Time,
        /// The lease.
        token: Token,
        /// Who had held it.
        worker: WorkerId,
        /// What was reported.
        refused: Refused,
    },
    /// A test has its verdict.
    Verdict {
        /// The run.
        run: RunId,
        /// Its project.
        project: Arc<str>,
        /// The suite's name.
        suite: Arc<str>,
        /// The file's path.
        path: Arc<str>,
        /// The test's name.
        name: Arc<str>,
        /// The test.
        test: TestIx,
        /// What its history hangs on.
        key: TestKey,
        /// The verdict.
        verdict: Verdict,
        /// Why it is none that passes.
        cause: Option<Cause>,
        /// How many attempts it took.
        attempts: u16,
        /// How long the last one took, where there was one.
        duration: Option<Micros>,
        /// How fast its worker is: 2 does in a second what takes others two.
        speed: f64,
        /// What its attempts were seen to do with their databases, all in all; nothing where they had none.
        observed: Option<Observed>,
        /// How much the last one asked of them, where that was counted and compares with other runs.
        queried: Option<Queried>,
        /// When.
        at: Time,
    },
    /// A timing of a test that a file of timings tells, where nothing was measured.
    Imported {
        /// The project.
        project: Arc<str>,
        /// The suite's name.
        suite: Arc<str>,
        /// The file's path.
        path: Arc<str>,
        /// The test's name; empty for the whole file.
        name: Arc<str>,
        /// What its history hangs on.
        key: TestKey,
        /// Whose history it is.
        scope: Scope,
        /// How long it takes.
        mean: Micros,
        /// See [`regatta_domain::Estimate::spread`], where that is told.
        spread: Option<u16>,
        /// When it was imported.
        at: Time,
    },
    /// What a suite of a run cost its slots beside the tests.
    Costs {
        /// The run.
        run: RunId,
        /// Its project.
        project: Arc<str>,
        /// The suite's name.
        suite: Arc<str>,
        /// What was measured.
        measured: Learnt,
    },
    /// Something went wrong beside the tests.
    Error {
        /// The run.
        run: RunId,
        /// The how manieth of the run.
        number: u32,
        /// What.
        error: RunError,
    },
    /// The tests of a file, to be remembered by its content address.
    Listing {
        /// The content address.
        key: FileKey,
        /// All of its tests.
        tests: Arc<[ListedTest]>,
        /// When it was listed, or last used.
        at: Time,
    },
    /// The files of a suite, to be remembered by what the list depends on.
    FileList {
        /// The project.
        project: Arc<str>,
        /// The suite's name.
        suite: Arc<str>,
        /// What the list depends on.
        tree_key: Arc<str>,
        /// All of its files.
        files: Vec<ListedFile>,
        /// When.
        at: Time,
    },
}

/// The status with which a process exited, as a column.
pub(super) const fn status_of(exit: Option<Exit>) -> Option<i32> {
    match exit {
        Some(Exit::Status(status)) => Some(status),
        _ => None,
    }
}

/// The signal that ended a process, as a column.
pub(super) const fn signal_of(exit: Option<Exit>) -> Option<i32> {
    match exit {
        Some(Exit::Signal(signal)) => Some(signal),
        _ => None,
    }
}
