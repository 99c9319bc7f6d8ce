//! The events of a run as others read them: version 1 of the stream.
//!
//! Published, in `docs/schema/events.schema.json`: fields are added and never change their meaning. The words of the closed
//! enums are written here once more, so that a name in the domain can change without changing what was published.

mod words;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use words::{CancelCause, Cause, ErrorKind, Nuance, Outcome, RunOutcome, Verdict};

/// One line of the stream.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Regatta run event", rename = "Line")]
pub(crate) struct Line<'a> {
    /// The version of the stream.
    pub(crate) v: Version,
    /// When it happened, by the coordinator's clock, in seconds since the Unix epoch.
    pub(crate) at: f64,
    /// What happened.
    #[serde(flatten)]
    pub(crate) event: Event<'a>,
}

/// What happened.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// The run was handed in. The first event of every stream.
    RunStarted {
        /// The id of the run.
        run: String,
        /// The project that its history belongs to.
        project: &'a str,
        /// The version of Regatta that writes the stream.
        regatta: &'a str,
        /// Its suites.
        suites: Vec<Suite<'a>>,
        /// The seed of the order, where it is random.
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
    },
    /// Files of a suite joined the plan.
    FilesPlanned {
        /// The suite.
        suite: &'a str,
        /// Their paths.
        files: Vec<&'a str>,
    },
    /// Tests of a file joined the plan.
    TestsPlanned {
        /// The suite.
        suite: &'a str,
        /// The path of the file.
        file: &'a str,
        /// The tests.
        tests: Vec<Planned>,
    },
    /// A test left the plan: its file no longer holds it.
    TestGone {
        /// The suite.
        suite: &'a str,
        /// The id of the test.
        id: String,
    },
    /// A shard was leased to a slot.
    ShardLeased {
        /// The fencing token of the lease.
        lease: u64,
        /// The worker.
        worker: &'a str,
        /// The slot of it.
        slot: u32,
        /// Whether it looks for the files of a suite.
        discovers: bool,
    },
    /// A test began. It may be said late, and is left out where the test ended at once.
    TestStarted {
        /// The suite.
        suite: &'a str,
        /// The id of the test.
        id: String,
        /// The worker.
        worker: &'a str,
        /// The slot of it.
        slot: u32,
    },
    /// An attempt did not pass, and the test runs once more.
    TestRetried {
        /// The suite.
        suite: &'a str,
        /// The id of the test.
        id: String,
        /// The attempt.
        #[serde(flatten)]
        attempt: Attempt<'a>,
    },
    /// An attempt ended without a result, with its worker or with what it held, and the test runs once more.
    TestLost {
        /// The suite.
        suite: &'a str,
        /// The id of the test.
        id: String,
        /// What is known of the attempt.
        #[serde(flatten)]
        loss: Option<Loss<'a>>,
    },
    /// A result came when its lease had been taken from its worker: it was refused, and counts for nothing. What comes after the end of
    /// the run is not said here.
    TestRefused {
        /// The suite.
        suite: &'a str,
        /// The id of the test.
        id: String,
        /// The fencing token of the lease.
        lease: u64,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// What it came to.
        outcome: Outcome,
        /// How long it took, in seconds.
        duration_s: f64,
    },
    /// A test has its verdict. Said exactly once of every planned test that did not leave the plan, once the run has ended.
    TestFinished {
        /// The suite.
        suite: &'a str,
        /// The id of the test.
        id: String,
        /// The verdict.
        verdict: Verdict,
        /// How many attempts were made, those that were lost with their worker included.
        attempts: u32,
        /// Why it is none that passes; left out where it is, and where the attempt says it.
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
        /// The attempt that decided; left out where none did.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        attempt: Option<Attempt<'a>>,
    },
    /// A test asked much more of its databases than it used to. Said when the run has ended, where statements are counted.
    TestAskedMore {
        /// The suite.
        suite: &'a str,
        /// The id of the test.
        id: String,
        /// What it asked now.
        now: Queried,
        /// What was usual: the medians of its last runs.
        usual: Queried,
        /// It sent at least twice as many statements.
        more_calls: bool,
        /// The server worked at least twice as long.
        more_time: bool,
    },
    /// Something went wrong beside any one test.
    Error {
        /// What kind of thing.
        kind: ErrorKind,
        /// Where: a file, a binary, a suite.
        place: &'a str,
        /// What was wrong.
        message: &'a str,
        /// The path of the file that it concerns.
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<&'a str>,
    },
    /// A line for people about work that takes long.
    Note {
        /// The line.
        text: &'a str,
    },
    /// The run is being ended before its time.
    RunCancelled {
        /// Why.
        cause: CancelCause,
    },
    /// The run has ended. The last event of a stream that was read to its end.
    RunFinished(Box<Finished>),
}

/// What a run came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Finished {
    /// How it ended; left out where that was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<RunOutcome>,
    /// How the process ends.
    pub(crate) exit: Exit,
    /// How many tests came to what.
    pub(crate) counts: Counts,
    /// How many tests have no verdict that passes, by cause.
    pub(crate) causes: BTreeMap<Cause, usize>,
    /// From the submission to the end, in seconds.
    pub(crate) wall_s: f64,
    /// No schedule on these slots could have been shorter: max(work / slots, longest group), in seconds.
    pub(crate) bound_s: f64,
    /// All attempts together, in seconds.
    pub(crate) work_s: f64,
    /// The slots that took part.
    pub(crate) slots: u32,
    /// `wall_s` / `bound_s`; 1 where there was nothing to do.
    pub(crate) ratio: f64,
    /// When it was handed in, in seconds since the Unix epoch.
    pub(crate) started_at: f64,
    /// From the submission to the first lease, in seconds; left out where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_lease_s: Option<f64>,
}

/// A suite.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Suite<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its runner.
    pub(crate) runner: &'a str,
    /// Where it runs.
    pub(crate) root: &'a str,
}

/// A planned test.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Planned {
    /// Its id.
    pub(crate) id: String,
    /// How long it is thought to take, in seconds.
    pub(crate) estimate_s: f64,
    /// Whether that comes from its own history.
    pub(crate) known: bool,
}

/// An attempt of a test.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Attempt<'a> {
    /// Its number, from 1.
    pub(crate) attempt: u16,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// What the framework told beyond that.
    pub(crate) nuance: Nuance,
    /// Why it did not pass; left out where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Cause>,
    /// How its process ended, where it had one of its own that did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit: Option<ProcessExit>,
    /// When it began, by the worker's clock, in seconds since the Unix epoch.
    pub(crate) began_at: f64,
    /// How long it took, in seconds.
    pub(crate) duration_s: f64,
    /// Why it did not pass, in a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
    /// The worker that ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) worker: Option<&'a str>,
    /// The slot of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slot: Option<u32>,
    /// Where its output lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<Output>,
    /// What it was seen to do with its databases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database: Option<Database<'a>>,
}

/// How a process ended: with one of the two.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProcessExit {
    /// The status with which it exited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<i32>,
    /// The name of that signal, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signal_name: Option<&'static str>,
}

impl From<regatta_domain::Exit> for ProcessExit {
    fn from(exit: regatta_domain::Exit) -> Self {
        let signal_name = exit.signal_name();
        match exit {
            regatta_domain::Exit::Status(status) => Self { status: Some(status), signal: None, signal_name },
            regatta_domain::Exit::Signal(signal) => Self { status: None, signal: Some(signal), signal_name },
        }
    }
}

/// An attempt that ended without a result.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Loss<'a> {
    /// Its number, from 1.
    pub(crate) attempt: u32,
    /// Why it ended.
    pub(crate) cause: Cause,
    /// How long it had run, as far as the coordinator was told, in seconds.
    pub(crate) ran_s: f64,
    /// The worker that ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) worker: Option<&'a str>,
    /// The slot of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slot: Option<u32>,
}

/// What an attempt was seen to do with its databases.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Database<'a> {
    /// The level under which it was handed them.
    pub(crate) leased: &'static str,
    /// The level that what it did belongs to.
    pub(crate) seen: &'static str,
    /// It was refused something for lack of rights.
    pub(crate) denied: bool,
    /// Statements that tell why, and what it left behind.
    pub(crate) notes: Vec<&'a str>,
    /// What it asked of them; left out where statements are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<Asked<'a>>,
}

/// What an attempt asked of its databases.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Asked<'a> {
    /// How many statements it sent.
    pub(crate) calls: u64,
    /// How long the servers worked at them, in seconds.
    pub(crate) time_s: f64,
    /// Whether all of them are counted; where not, it were at least so many.
    pub(crate) whole: bool,
    /// Those that took longest, the longest first.
    pub(crate) top: Vec<Statement<'a>>,
}

/// A statement, as the server counts it: without its constants.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Statement<'a> {
    /// How it reads; the end of a long one is cut off.
    pub(crate) text: &'a str,
    /// How often it was executed.
    pub(crate) calls: u64,
    /// How many rows it returned or changed, all executions together.
    pub(crate) rows: u64,
    /// How long the server worked at it, all executions together, in seconds.
    pub(crate) time_s: f64,
}

/// How much a test asked of its databases.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Queried {
    /// How many statements it sent.
    pub(crate) calls: u64,
    /// How long the servers worked at them, in seconds.
    pub(crate) time_s: f64,
}

/// Captured output.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// Its address.
    pub(crate) digest: String,
    /// Its size in bytes.
    pub(crate) size: u32,
}

/// How a process ends.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Exit {
    /// The code.
    pub(crate) code: u8,
    /// Its name.
    pub(crate) name: &'static str,
}

/// Counts in the words of the frameworks: comparable with their own summaries.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Counts {
    /// Passed, flaky ones included, unexpected passes apart.
    pub(crate) passed: u32,
    /// Failed in the test itself, those that timed out or crashed included.
    pub(crate) failed: u32,
    /// Skipped, expected failures apart.
    pub(crate) skipped: u32,
    /// Failed as expected.
    pub(crate) xfailed: u32,
    /// Passed although a failure was expected.
    pub(crate) xpassed: u32,
    /// Set-ups, teardowns and files that failed.
    pub(crate) errors: u32,
    /// Passed after attempts that did not.
    pub(crate) flaky: u32,
    /// Of the failed: exceeded their limit.
    pub(crate) timed_out: u32,
    /// Of the failed: lost their process, host or worker.
    pub(crate) crashed: u32,
    /// Never run to an end.
    pub(crate) not_run: u32,
}

/// The version of the stream: the number 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

impl JsonSchema for Version {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "const": 1 })
    }
}

/// The JSON Schema of a line of the stream.
pub(crate) fn schema() -> Schema {
    schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Line<'_>>()
}
