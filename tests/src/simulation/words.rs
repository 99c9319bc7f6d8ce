//! What passes between a worker and the coordinator, and between a worker and whoever owns it.

use regatta_core::{Entry, GrantedTest};
use regatta_domain::result::RunError;
use regatta_domain::submission::{FileDraft, TestDraft};
use regatta_domain::{Cause, FileIx, Outcome, RunId, SlotIx, SuiteIx, TestIx, Token};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FromWorker {
    /// The first word over a connection: the leases that it holds.
    Hello(Vec<Token>),
    /// A slot has room.
    Ask(SlotIx),
    /// What happened.
    Report(u64, Arc<Vec<Entry>>),
    /// It is there.
    Alive,
}

/// What a worker hears.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ToWorker {
    /// The session stands.
    Attached,
    /// A shard is its.
    Grant(SlotIx, Shard),
    /// What to run of a file that it listed.
    Numbered(Token, FileIx, Vec<GrantedTest>),
    /// Give these back where none has begun.
    Steal(Token, Vec<TestIx>),
    /// Start nothing more; with `true`, also stop what runs.
    Stop(Token, bool),
    /// Tear down.
    Close(RunId),
    /// The report is durable.
    Ack(u64),
}

/// A shard as a worker receives it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    /// The run.
    pub run: RunId,
    /// Of which suite.
    pub suite: SuiteIx,
    /// The lease.
    pub token: Token,
    /// Find the files of the suite.
    pub discover: bool,
    /// Work through these.
    pub files: VecDeque<FileWork>,
}

/// A file of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileWork {
    /// Its index in the run.
    pub file: FileIx,
    /// The listing that is remembered; 0 where the file was collected in this run.
    pub remembered: u64,
    /// What to run; `None` to list it first.
    pub tests: Option<VecDeque<GrantedTest>>,
}

/// What a slot does, for as long as whoever owns the worker says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Activity {
    /// It starts its framework.
    WarmUp,
    /// It finds the files of the suite.
    Discover,
    /// It lists a file, or compares it with the digest that is remembered.
    Open(FileIx, u64),
    /// It runs a test.
    Test(GrantedTest),
}

/// How an activity ended.
#[derive(Clone, Debug)]
pub enum Done {
    /// The framework is warm.
    Warm,
    /// These files were found.
    Discovered(Vec<FileDraft>),
    /// The file holds what is remembered.
    AsRemembered,
    /// The file holds this.
    Listed(Vec<TestDraft>),
    /// It did not work.
    Broken(RunError),
    /// The test ended, and what was behind it is this, where its outcome does not say it.
    Ran(Outcome, Option<Cause>),
}

/// What a worker wants of its surroundings.
#[derive(Clone, Debug)]
pub enum Out {
    /// Send this.
    Say(FromWorker),
    /// The slot does this from now on, and nothing else.
    Begin(SlotIx, RunId, SuiteIx, Token, Activity),
    /// The slot does nothing any more.
    Halt(SlotIx),
    /// Small news waits for company: have the worker flush soon.
    Linger,
}
