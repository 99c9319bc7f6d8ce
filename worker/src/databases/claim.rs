//! What is asked for under a lease, and how patiently.

use regatta_domain::{Level, TestIx, Token};
use std::time::Duration;
use tokio::sync::watch;
use tonic::{Code, Status};

/// The databases of one attempt of a test, or of a whole shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The lease.
    pub(crate) token: Token,
    /// The test; `None` for the whole shard.
    pub(crate) test: Option<TestIx>,
    /// Which attempt; for the whole shard, how often it has asked before.
    pub(crate) attempt: u16,
    /// What is going to be done with them.
    pub(crate) level: Level,
}

impl Claim {
    /// A number of its own, for jitter.
    pub(super) fn seed(&self) -> u64 {
        let test = self.test.map_or(0, |test| u64::from(test.0) + 1);
        self.token.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ test
    }
}

/// How long whoever waits may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urge {
    /// For as long as it takes.
    None,
    /// Nothing more is begun: what is not there yet is not waited for.
    BeginNothing,
    /// What runs was stopped, or the slot is being taken down: what is not done in [`STOPPING`] is left undone.
    Stop,
}

/// Tells those who wait how long they may.
pub(crate) type Patience = watch::Receiver<Urge>;

/// Comes back when nothing is to be begun any more.
pub(super) async fn until_stopped(patience: &mut Patience) {
    // Where whoever could tell is gone, so is the shard.
    drop(patience.wait_for(|urge| *urge != Urge::None).await);
}

/// Comes back when what began just now is to be left undone.
pub(crate) async fn until_over(patience: &mut Patience) {
    drop(patience.wait_for(|urge| *urge == Urge::Stop).await);
    tokio::time::sleep(STOPPING).await;
}

/// How long anything that is still to be done may take, once what runs was stopped.
const STOPPING: Duration = Duration::from_secs(5);

/// How long one call may take before it is made again: a verified release takes 100 ms, a clone of a large template some
/// seconds.
pub(super) const CALL: Duration = Duration::from_secs(30);

/// Waits between calls that did not arrive.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(50);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Whether trying again would get the same answer.
pub(super) fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::NotFound
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
    )
}
