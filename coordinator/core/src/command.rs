//! What comes in: requests of clients, and the words of workers.

use crate::ledger::Health;
use regatta_domain::report::CancelCause;
use regatta_domain::result::{RunError, TestResult};
use regatta_domain::submission::{FileDraft, Submission, TestDraft};
use regatta_domain::{FileIx, Micros, Need, Offer, RunId, SlotIx, TestIx, Token, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One connection of a worker. A worker that reconnects has a new one, and messages of the old one are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

/// Where an answer goes: the shell's handle on a waiting client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplyTo(pub u64);

/// A request to the core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// A client hands in a run.
    Submit {
        /// The run.
        submission: Box<Submission>,
        /// Who waits for the answer.
        reply: ReplyTo,
    },
    /// Somebody ends a run before its time.
    Cancel {
        /// The run.
        run: RunId,
        /// Why.
        cause: CancelCause,
        /// Whether running tests are stopped too, or may end.
        kill: bool,
        /// Who waits for the answer.
        reply: ReplyTo,
    },
    /// A worker connects, or connects again.
    Attach {
        /// The worker.
        worker: WorkerId,
        /// Its new connection.
        session: SessionId,
        /// How many slots it offers.
        slots: u16,
        /// What it offers beside them; suites may require it.
        labels: Vec<Arc<str>>,
        /// What of itself it divides among its shards, by name.
        capacities: BTreeMap<Arc<str>, u32>,
        /// The leases that it holds: those it works on, and those of which it has something to say that was not
        /// acknowledged yet.
        holds: Vec<Token>,
    },
    /// A worker's connection broke.
    Detach {
        /// The worker.
        worker: WorkerId,
        /// The connection.
        session: SessionId,
    },
    /// A slot has room for a shard.
    Ask {
        /// The worker.
        worker: WorkerId,
        /// Its connection.
        session: SessionId,
        /// The slot.
        slot: SlotIx,
    },
    /// A worker tells what happened, in order. Acknowledged as a whole, once it is durable. Empty as a sign of life.
    Report {
        /// The worker.
        worker: WorkerId,
        /// Its connection.
        session: SessionId,
        /// Names the report in its acknowledgement; 0 for a sign of life, which is not acknowledged.
        seq: u64,
        /// What happened.
        entries: Vec<Entry>,
    },
    /// These are the resources of the fleet from now on. What is held of others stays held.
    Offer {
        /// All of them.
        resources: BTreeMap<Arc<str>, Offer>,
    },
    /// A resource, or an item of it, was found to be so.
    Examined {
        /// The resource.
        resource: Arc<str>,
        /// The item, where it is one.
        item: Option<Arc<str>>,
        /// How it is.
        health: Health,
        /// The last lease on it that whoever examined it knew to have ended: what is said of it before a later one ended does not
        /// say that it was brought into order since.
        after: Token,
    },
    /// The leases that hold a resource, or an item of it, end: whatever their holders say afterwards is late.
    Revoke {
        /// The resource.
        resource: Arc<str>,
        /// The item, where only that is meant.
        item: Option<Arc<str>>,
        /// Who waits for the answer.
        reply: ReplyTo,
    },
    /// The coordinator could hear nobody for a while (its disk was slow, its process was stopped): that somebody was silent says
    /// nothing. As after a restart, everybody gets time to be heard.
    HeldUp,
    /// A deadline may have passed.
    Tick,
}

/// One thing that a worker tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Under the lease, the files of its suite were found.
    Discovered {
        /// The lease.
        token: Token,
        /// All of them, with what the shell remembers of each.
        files: Vec<FileDraft>,
    },
    /// Under the lease, a file was listed (again).
    Listed {
        /// The lease.
        token: Token,
        /// The file.
        file: FileIx,
        /// Its tests, as far as they are selected.
        tests: Vec<TestDraft>,
    },
    /// Under the lease, something went wrong beside the tests.
    Erred {
        /// The lease.
        token: Token,
        /// The file that could not be listed, where it is that.
        file: Option<FileIx>,
        /// What went wrong.
        error: RunError,
    },
    /// A test began.
    Started {
        /// The lease.
        token: Token,
        /// The test.
        test: TestIx,
    },
    /// A test ended.
    Finished {
        /// The lease.
        token: Token,
        /// How.
        result: TestResult,
    },
    /// The answer to a steal: tests that were not begun; empty when they had been.
    GaveBack {
        /// The lease.
        token: Token,
        /// The tests.
        tests: Vec<TestIx>,
    },
    /// The shard is over; what is unfinished was not begun.
    Released {
        /// The lease.
        token: Token,
    },
    /// Nothing of the run is kept warm any more.
    Closed {
        /// The run.
        run: RunId,
        /// What went wrong in tearing it down.
        errors: Vec<RunError>,
    },
    /// The worker wants no more shards.
    Draining,
    /// The process that worked under a lease is gone with what it was at, and another one speaks for the worker.
    Lost {
        /// The lease.
        token: Token,
    },
}

/// Numbers that the core decides by. What a cluster must agree on; chosen by whoever starts the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// A worker that says nothing for this long has lost its leases.
    pub lease: Micros,
    /// A worker whose connection broke has this long to connect again.
    pub reconnect: Micros,
    /// Beyond a test's limit and grace, how long the coordinator waits for the worker to stop it.
    pub overdue: Micros,
    /// How long workers have to tear a run down.
    pub close: Micros,
    /// How long an ended run is kept in memory for those who still ask.
    pub keep: Micros,
    /// No shard is cut smaller than this, while there is more to cut.
    pub shard_min: Micros,
    /// No shard is cut larger than this.
    pub shard_max: Micros,
    /// After so many times that others went first, work that needs resources keeps them for itself: nobody else is granted
    /// any of them until it has had its turn.
    pub bypasses: u32,
    /// What can never run as the fleet stands (a resource that is gone, a label that no worker carries) is given up after this.
    pub patience: Micros,
    /// What it costs at least to hand work over from one slot to another: a few round trips, and whatever its runner does
    /// first.
    pub handover: Micros,
}

impl Tuning {
    /// For workers in the same process, a function call away.
    pub const LOCAL: Self = Self {
        lease: Micros::from_secs(15),
        reconnect: Micros::from_secs(5),
        overdue: Micros::from_secs(10),
        close: Micros::from_secs(60),
        keep: Micros::from_secs(300),
        shard_min: Micros::from_ms(25),
        shard_max: Micros::from_secs(60),
        bypasses: 100,
        patience: Micros::from_secs(120),
        handover: Micros::from_ms(20),
    };

    /// For workers across a network.
    pub const CLUSTER: Self = Self { shard_min: Micros::from_ms(200), ..Self::LOCAL };
}

/// Everything that the core is told once, by whoever starts the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setup {
    /// Numbers that it decides by.
    pub tuning: Tuning,
    /// The resources that the fleet shares.
    pub resources: BTreeMap<Arc<str>, Offer>,
    /// What projects are entitled to; those that are not named have [`Share::default`].
    pub shares: BTreeMap<Arc<str>, Share>,
}

/// What a project is entitled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// Its part of the fleet against that of others.
    pub weight: u32,
    /// The most leases that its runs may hold together; `None` for any number.
    pub quota: Option<u32>,
}

impl Default for Share {
    fn default() -> Self {
        Self { weight: 1, quota: None }
    }
}

impl From<Tuning> for Setup {
    fn from(tuning: Tuning) -> Self {
        Self { tuning, resources: BTreeMap::new(), shares: BTreeMap::new() }
    }
}

/// How the names begin of what workers offer of themselves: a need of such a thing is met by the worker that runs the shard.
pub const OF_WORKERS: &str = "worker.";

impl Setup {
    /// Whether there is as much at all as `need` asks for, of what the fleet shares. What workers have of their own may
    /// still come.
    #[must_use]
    pub fn offers(&self, need: &Need) -> bool {
        need.resource.starts_with(OF_WORKERS)
            || self.resources.get(&need.resource).is_some_and(|offer| offer.resource.suffices(need))
    }
}

/// Why a submission is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The run exists, and is another one.
    Exists,
    /// There is no such run.
    UnknownRun,
    /// More tests, files or suites than `limits.rs` allows.
    TooLarge,
    /// A test points at a policy, or at needs, that are not there.
    NoSuchPolicy,
    /// Tests need a resource that nobody has, or more seats of it than there are.
    NoSuchResource,
}

/// What `submission` may hold, or why not.
#[must_use]
pub fn refuse(submission: &Submission, setup: &Setup) -> Option<Refusal> {
    use regatta_domain::limits;
    let files: usize = submission.suites.iter().map(|suite| suite.files.len()).sum();
    let tests = || submission.suites.iter().flat_map(|suite| &suite.files).filter_map(|file| file.tests.as_ref());
    if submission.suites.len() > limits::SUITES_PER_RUN
        || files > limits::FILES_PER_RUN
        || tests().map(Vec::len).sum::<usize>() > limits::TESTS_PER_RUN
    {
        return Some(Refusal::TooLarge);
    }
    let in_range =
        |test: &TestDraft| test.policy.at() < submission.policies.len() && test.needs.at() <= submission.needs.len();
    if !tests().flatten().all(in_range) {
        return Some(Refusal::NoSuchPolicy);
    }
    if !submission.needs.iter().flat_map(|needs| needs.iter()).all(|need| setup.offers(need)) {
        return Some(Refusal::NoSuchResource);
    }
    None
}
