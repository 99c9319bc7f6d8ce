//! What a runner is given, and what it tells.

use super::reason;
use crate::databases::Provider;
use crate::process::{self, SpawnError, Spawner};
use async_trait::async_trait;
use regatta_domain::database::Observation;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::TestPolicy;
use regatta_domain::result::RunError;
use regatta_domain::{
    Cause, Exit, FileIx, FileKey, Level, Micros, Nuance, Outcome, RunId, SlotIx, TestIx, Time, Token, WorkerId,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What a worker has to know of a suite before it can run any of it.
#[derive(Debug)]
pub struct Brief {
    /// The run.
    pub run: RunId,
    /// The suite.
    pub suite: PlannedSuite,
    /// The seed that random order in the framework is pinned to, so that a run can be repeated.
    pub seed: u64,
    /// How many slots the worker offers (frameworks are told, for ports and database names).
    pub slots: u16,
}

/// Where a runner works: its slot and what belongs to it.
#[derive(Debug)]
pub struct Place {
    /// The worker.
    pub worker: WorkerId,
    /// The slot.
    pub slot: SlotIx,
    /// Starts the slot's processes. Nothing started here outlives the slot.
    pub spawner: Spawner,
    /// A directory of the slot's own for sockets, list files and result files; emptied when the slot ends.
    pub scratch: PathBuf,
    /// Hands out the databases of tests, and takes them back.
    pub databases: Arc<dyn Provider>,
}

/// A shard, as its slot receives it.
#[derive(Clone, Debug)]
pub struct Shard {
    /// The lease.
    pub token: Token,
    /// What of the fleet's resources comes with it, until it is released.
    pub holds: Vec<Holding>,
    /// What is to be done.
    pub work: Work,
}

/// What a lease holds of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The resource.
    pub resource: Arc<str>,
    /// How many seats.
    pub seats: u32,
    /// Which items, where it is a pool.
    pub items: Vec<HeldItem>,
}

/// An item of a pool, as its holder is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldItem {
    /// Its name.
    pub name: Arc<str>,
    /// What is told of it: values by name.
    pub values: Vec<(Arc<str>, Arc<str>)>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Work {
    /// Find the files of the suite.
    Discover,
    /// Work through these files in this order.
    Files(Vec<FileWork>),
}

/// One file of a shard.
#[derive(Clone, Debug)]
pub struct FileWork {
    /// Its index in the run.
    pub file: FileIx,
    /// See [`ListedFile::path`].
    pub path: Arc<str>,
    /// See [`ListedFile::key`].
    pub key: FileKey,
    /// See [`ListedFile::locator`].
    pub locator: Arc<str>,
    /// The digest ([`regatta_wire::listing::digest`]) of the listing that is remembered.
    /// When the file turns out to hold other tests, the runner tells [`Tell::Listed`] anew before it runs any, and waits for
    /// [`Control::Numbered`], which then names what is to run of the file.
    /// Zero when the file has been collected in this very run, and what is not found is [`Outcome::Missing`].
    pub remembered: u64,
    /// The tests to run, in order; `None` to list the file first, tell it, and wait for [`Control::Numbered`].
    pub tests: Option<Vec<TestWork>>,
}

/// One test of a shard.
#[derive(Clone, Debug)]
pub struct TestWork {
    /// Its index in the run.
    pub test: TestIx,
    /// Which attempt this is.
    pub attempt: u16,
    /// See [`ListedTest::name`].
    pub name: Arc<str>,
    /// How long it may take.
    pub estimate: Micros,
    /// The rules it runs under.
    pub policy: Arc<TestPolicy>,
    /// What it does with the databases of its suite.
    pub level: Level,
}

/// The coordinator's answer to a listing: those of the listed tests that are to run in this lease.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// The file.
    pub file: FileIx,
    /// What is to run, in order.
    pub tests: Vec<TestWork>,
}

/// What reaches a runner while it works.
#[derive(Debug)]
pub enum Control {
    /// The answer to a listing.
    Numbered(Numbered),
    /// Give these tests back where they have not begun; answered by [`Tell::GaveBack`], all of them or none.
    Steal(Vec<TestIx>),
    /// Start nothing more. With `kill`, also stop what runs (terminate, grace, kill) and tell nothing of it.
    Stop {
        /// Whether running tests are stopped too.
        kill: bool,
    },
}

/// What a runner tells, in the order in which it happened.
#[derive(Debug)]
pub enum Tell {
    /// The files of the suite, all of them.
    Discovered(Vec<ListedFile>),
    /// The tests of a file, all of them, in the order in which the framework would run them.
    Listed {
        /// The file.
        file: FileIx,
        /// Its tests.
        tests: Vec<ListedTest>,
    },
    /// A test began.
    Started {
        /// The test.
        test: TestIx,
        /// Which attempt.
        attempt: u16,
    },
    /// A test ended.
    Finished(Finished),
    /// The answer to [`Control::Steal`]: the tests it named, or none of them.
    GaveBack(Vec<TestIx>),
    /// Something went wrong beside the tests. A file that could not be collected has this instead of its listing.
    Error {
        /// The file it concerns, where it concerns one.
        file: Option<FileIx>,
        /// What went wrong.
        error: RunError,
    },
    /// A line for people, about work that takes long (a compiler's progress).
    Note(String),
}

/// A test that ended.
#[derive(Debug)]
pub struct Finished {
    /// The test.
    pub test: TestIx,
    /// Which attempt.
    pub attempt: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// What the framework tells beyond that.
    pub nuance: Nuance,
    /// Why it did not pass, where the outcome does not say it.
    pub cause: Option<Cause>,
    /// How the process ended that ran it and nothing else, or that died under it.
    pub exit: Option<Exit>,
    /// When it began.
    pub started: Time,
    /// How long it took.
    pub duration: Duration,
    /// One line that says why it did not pass.
    pub reason: Option<String>,
    /// What it printed, and the framework's own account of its failure; bounded, empty where there is none.
    pub output: Vec<u8>,
    /// What it was seen to do with its databases, and what is to be said of its clean-up; `None` where there is neither.
    pub observation: Option<Observation>,
}

impl Finished {
    /// The same, whose process ended so. One that died by the hand of the system, for want of memory, did not crash by itself.
    pub(super) fn with_exit(self, exit: &process::Exit) -> Self {
        let starved = self.outcome == Outcome::Crashed && exit.starved;
        Self { exit: Some(exit.ending.into()), cause: self.cause.or(starved.then_some(Cause::OutOfMemory)), ..self }
    }

    /// The same, of a test that was not begun, because its process could not be started.
    pub(super) fn not_started(self, error: &SpawnError) -> Self {
        let cause = if error.is_of_the_machine() { Cause::Infrastructure } else { Cause::SetUp };
        Self { cause: Some(cause), reason: Some(reason::one_line(&error.to_string())), ..self }
    }

    /// Why it did not pass; nothing where it did. That its database went away under it counts before what it made of that.
    #[must_use]
    pub fn because(&self) -> Option<Cause> {
        let shown = self.outcome.cause(self.nuance)?;
        let lost = self.observation.as_ref().is_some_and(|seen| seen.lost);
        Some(if lost { Cause::Resource } else { self.cause.unwrap_or(shown) })
    }
}

/// Where a runner tells what happens. Bounded: a runner that is ahead of the network waits here.
#[derive(Clone, Debug)]
pub struct Sink {
    /// The lease that the shard belongs to.
    pub token: Token,
    /// The slot's end of it.
    pub to: mpsc::Sender<(Token, Tell)>,
}

impl Sink {
    /// Tells what happened. Where nobody listens any more, the slot is being taken down, and there is nobody to tell.
    pub async fn tell(&self, what: Tell) {
        let _gone = self.to.send((self.token, what)).await;
    }
}

/// The adapter for a test framework, on one slot, for one suite of one run.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Works through a shard until everything in it was told of (finished, given back, in error), or it was stopped.
    /// Afterwards, tests of it that were neither finished nor given back were not begun.
    async fn work(&mut self, shard: Shard, control: &mut mpsc::Receiver<Control>, sink: &Sink);

    /// Tears down what is kept warm, and tells what went wrong in that. Called once, when the run is over.
    async fn close(&mut self, sink: &Sink);
}
