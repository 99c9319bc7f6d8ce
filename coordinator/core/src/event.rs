//! Facts, in the past tense: durable, replayable, never revoked. An event records every choice that was made, so that
//! replay needs neither clock nor chance.

use regatta_domain::report::{CancelCause, RunOutcome};
use regatta_domain::result::{RunError, TestResult};
use regatta_domain::submission::{FileDraft, Submission, TestDraft};
use regatta_domain::{
    Cause, FileIx, Held, Level, Micros, NeedsIx, Outcome, RunId, SlotIx, SuiteIx, TestIx, Time, Token, Verdict,
    WorkerId,
};
use serde::{Deserialize, Serialize};

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// A run was handed in. Its known files and tests joined the plan, in order.
    RunSubmitted {
        /// When.
        at: Time,
        /// All of it.
        submission: Box<Submission>,
    },
    /// The files of a suite were found: those that are new joined the plan, those that vanished left it.
    SuiteDiscovered {
        /// The run.
        run: RunId,
        /// The suite.
        suite: SuiteIx,
        /// The new ones, in order.
        files: Vec<FileDraft>,
        /// The vanished ones. Their waiting tests left the plan with them.
        gone: Vec<FileIx>,
    },
    /// A file was listed under a lease: new tests joined the plan (and the lease), vanished ones left it.
    FileListed {
        /// The run.
        run: RunId,
        /// The lease.
        token: Token,
        /// The file.
        file: FileIx,
        /// The new ones, in order.
        tests: Vec<TestDraft>,
        /// The vanished ones.
        gone: Vec<TestIx>,
    },
    /// A file could not be listed, or takes its workers down: the tests remembered of it that nobody else runs left the plan. Recorded once more for
    /// each lease that meets the same obstacle with tests of its own; what went wrong counts once.
    FileFailed {
        /// The run.
        run: RunId,
        /// The lease.
        token: Token,
        /// The file.
        file: FileIx,
        /// The tests that left.
        gone: Vec<TestIx>,
        /// Why.
        error: RunError,
    },
    /// Something went wrong beside the tests.
    RunErred {
        /// The run.
        run: RunId,
        /// The suite that cannot go on because of it, where it is that.
        suite: Option<SuiteIx>,
        /// What.
        error: RunError,
    },
    /// A shard was cut and granted.
    ShardLeased {
        /// When.
        at: Time,
        /// The run.
        run: RunId,
        /// The fencing token.
        token: Token,
        /// To whom.
        worker: WorkerId,
        /// On which slot.
        slot: SlotIx,
        /// What.
        work: Work,
        /// The resources that come with it.
        holds: Vec<Held>,
    },
    /// Results were accepted under a lease.
    ResultsAccepted {
        /// The run.
        run: RunId,
        /// The lease.
        token: Token,
        /// The results.
        results: Vec<Accepted>,
    },
    /// Results came under a lease that had been taken from its worker: they count for nothing. Each is recorded once, also when the
    /// run has ended meanwhile.
    ResultsRefused {
        /// When.
        at: Time,
        /// The run.
        run: RunId,
        /// The lease.
        token: Token,
        /// Who had held it.
        worker: WorkerId,
        /// The results.
        results: Vec<Refused>,
    },
    /// Tests that had not begun came back from a lease that goes on.
    TestsGivenBack {
        /// The run.
        run: RunId,
        /// The lease.
        token: Token,
        /// The tests.
        tests: Vec<TestIx>,
    },
    /// A lease ended. What was unfinished waits again.
    LeaseEnded {
        /// When.
        at: Time,
        /// The run.
        run: RunId,
        /// The lease.
        token: Token,
        /// Why.
        cause: LeaseEnd,
        /// The test that was running, and what follows for it.
        blamed: Option<Blamed>,
    },
    /// What waited in a queue could not be run as the fleet stands, for longer than is waited for: it is not run.
    WaitGivenUp {
        /// The run.
        run: RunId,
        /// The suite.
        suite: SuiteIx,
        /// What it needs.
        needs: NeedsIx,
        /// Why it could not be run.
        error: RunError,
    },
    /// A run was ended before its time. What waited is not run.
    RunCancelled {
        /// When.
        at: Time,
        /// The run.
        run: RunId,
        /// Why.
        cause: CancelCause,
        /// Whether running tests are stopped too.
        kill: bool,
    },
    /// Every test has its verdict, and the workers that served the run were asked to tear it down.
    RunClosing {
        /// The run.
        run: RunId,
    },
    /// A worker has torn the run down (or is not expected to any more).
    WorkerClosed {
        /// The run.
        run: RunId,
        /// The worker.
        worker: WorkerId,
    },
    /// A run ended.
    RunEnded {
        /// When.
        at: Time,
        /// The run.
        run: RunId,
        /// How.
        outcome: RunOutcome,
    },
    /// An ended run left the memory of the core.
    RunForgotten {
        /// The run.
        run: RunId,
    },
}

/// What a shard consists of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Work {
    /// Find the files of a suite.
    Discover(SuiteIx),
    /// List these files of a suite, and run what they hold.
    List(SuiteIx, Vec<FileIx>),
    /// Run these tests of a suite, in this order.
    Run(SuiteIx, Vec<TestIx>),
    /// Run a test a second time beside the lease that it stands under, which takes far longer than was thought: the first
    /// result counts.
    Again(SuiteIx, TestIx),
}

impl Work {
    /// The suite it belongs to.
    #[must_use]
    pub const fn suite(&self) -> SuiteIx {
        match self {
            Self::Discover(suite) | Self::List(suite, _) | Self::Run(suite, _) | Self::Again(suite, _) => *suite,
        }
    }
}

/// A result that was accepted, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Accepted {
    /// What the worker reported.
    pub result: TestResult,
    /// What follows.
    pub then: Then,
}

/// A result that was refused, as far as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Refused {
    /// The test.
    pub test: TestIx,
    /// Which attempt it was, from 1.
    pub attempt: u16,
    /// What it came to.
    pub outcome: Outcome,
    /// When it began, by its worker's clock.
    pub started: Time,
    /// How long it took.
    pub duration: Micros,
}

impl From<&TestResult> for Refused {
    fn from(result: &TestResult) -> Self {
        let &TestResult { test, attempt, outcome, started, duration, .. } = result;
        Self { test, attempt, outcome, started, duration }
    }
}

/// A test that was running when its lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blamed {
    /// The test.
    pub test: TestIx,
    /// Why its attempt came to nothing.
    pub cause: Cause,
    /// How long it had run, as far as the coordinator was told.
    pub ran: Micros,
    /// What follows.
    pub then: Then,
}

/// What follows from a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Then {
    /// The test has its verdict.
    Verdict(Verdict),
    /// The test runs once more, not before this moment.
    Retry(Time),
    /// The test runs once more, not before this moment, and is not charged for it: it is not to blame.
    Anew(Time, Blameless),
}

impl Then {
    /// Whether it counts against no cap: that a worker was asked to leave is nobody's failure.
    #[must_use]
    pub const fn is_free(self) -> bool {
        matches!(self, Self::Anew(_, Blameless::Drained))
    }
}

/// Why an attempt that did not pass is not the test's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Blameless {
    /// Its database refused it what it needs: it is leased with that level from now on.
    Promoted(Level),
    /// A resource that it held was not well, or was taken from it.
    Unwell,
    /// Its worker was asked to leave, and did not wait for it. It does not even count against the cap of the run.
    Drained,
    /// The machine it was on could not run it.
    Infrastructure,
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseEnd {
    /// The worker said that it is over.
    Released,
    /// The worker never took it up: it did not receive it, or it is leaving and hands it back.
    Unreceived,
    /// The worker went silent, or its connection broke and it did not come back.
    WorkerLost,
    /// A test exceeded its limit, and the worker did not stop it.
    Overdue,
    /// Somebody took a resource back that it held.
    Revoked,
    /// The worker was lost before or after a restart of the coordinator, and said nothing in between: nobody knows what it
    /// was at, so nothing is charged with it.
    Unwitnessed,
}

impl LeaseEnd {
    /// Whether the lease was taken from its worker, which may know nothing of it and go on: what it says afterwards is late. The
    /// others end by its own word.
    #[must_use]
    pub const fn fences(self) -> bool {
        match self {
            Self::WorkerLost | Self::Overdue | Self::Revoked | Self::Unwitnessed => true,
            Self::Released | Self::Unreceived => false,
        }
    }
}

impl Event {
    /// The run it belongs to: every event belongs to one.
    #[must_use]
    pub fn run(&self) -> RunId {
        match self {
            Self::RunSubmitted { submission, .. } => submission.run,
            Self::SuiteDiscovered { run, .. }
            | Self::FileListed { run, .. }
            | Self::FileFailed { run, .. }
            | Self::RunErred { run, .. }
            | Self::ShardLeased { run, .. }
            | Self::ResultsAccepted { run, .. }
            | Self::ResultsRefused { run, .. }
            | Self::TestsGivenBack { run, .. }
            | Self::LeaseEnded { run, .. }
            | Self::WaitGivenUp { run, .. }
            | Self::RunCancelled { run, .. }
            | Self::RunClosing { run }
            | Self::WorkerClosed { run, .. }
            | Self::RunEnded { run, .. }
            | Self::RunForgotten { run } => *run,
        }
    }
}
