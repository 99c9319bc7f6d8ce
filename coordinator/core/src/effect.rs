//! Wishes, in the imperative: performed once the events before them are durable, and safe to lose or to repeat.

use crate::command::{Refusal, ReplyTo, SessionId};
use regatta_domain::{FileIx, RunId, SlotIx, SuiteIx, TestIx, Token, WorkerId};
use std::sync::Arc;

/// A wish.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Tell a worker something, if that connection still stands.
    Send {
        /// To whom.
        worker: WorkerId,
        /// Over which connection.
        session: SessionId,
        /// What.
        message: ToWorker,
    },
    /// Cut a connection that does not count any more, if it still stands: its worker dials again and says what it holds.
    /// Without it, a worker that was given up while its connection stood would talk to nobody for ever.
    Hangup {
        /// Whose.
        worker: WorkerId,
        /// Which.
        session: SessionId,
    },
    /// Bring a resource, or items of it, back into order between two leases; [`crate::Command::Examined`] tells how it went.
    Reset {
        /// The resource.
        resource: Arc<str>,
        /// The items; none for the resource itself.
        items: Vec<Arc<str>>,
        /// The lease that held them.
        token: Token,
    },
    /// Answer a client that waits.
    Reply {
        /// Which.
        reply: ReplyTo,
        /// With what: done (also when it had been done before), or why not.
        answer: Result<(), Refusal>,
    },
}

/// What a worker is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ToWorker {
    /// The session stands; reports over it will be acknowledged.
    Attached,
    /// A shard is its.
    Grant(Grant),
    /// Of a file that it listed, these tests are to run under the lease.
    Numbered {
        /// The lease.
        token: Token,
        /// The file.
        file: FileIx,
        /// The tests.
        tests: Vec<GrantedTest>,
    },
    /// Give these tests back, where none of them has begun.
    Steal {
        /// The lease.
        token: Token,
        /// The tests.
        tests: Vec<TestIx>,
    },
    /// Start nothing more under the lease, and release it.
    Stop {
        /// The lease.
        token: Token,
        /// Whether running tests are stopped too.
        kill: bool,
    },
    /// Tear down what is kept warm for the run.
    Close {
        /// The run.
        run: RunId,
    },
    /// The report is durable.
    Ack {
        /// Which.
        seq: u64,
    },
}

/// A lease as the worker receives it. Names are added on the way out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The run.
    pub run: RunId,
    /// The fencing token.
    pub token: Token,
    /// For which slot.
    pub slot: SlotIx,
    /// Of which suite.
    pub suite: SuiteIx,
    /// What.
    pub work: GrantedWork,
}

/// What a grant asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GrantedWork {
    /// Find the files of the suite.
    Discover,
    /// List these files, and run what they hold.
    List(Vec<FileIx>),
    /// Run these tests, in this order.
    Run(Vec<GrantedTest>),
}

/// A test in a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrantedTest {
    /// The test.
    pub test: TestIx,
    /// Which attempt it is, from 1.
    pub attempt: u16,
}
