//! What the fleet shares, outside the core: which leases are live right now, and what has to be done when one ends.
//!
//! It leaves every decision about who holds what to the core.

mod live;

pub(crate) use live::{Live, LiveLease};

use regatta_core::{Event, State};
use regatta_domain::Token;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Errands that may wait: one for each item of a large fleet, and one for each of its slots.
pub(crate) const ERRANDS: usize = 65_536;

/// Something that has to be done because of a lease.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Bring items of a resource (or the resource itself) back into order: the lease that held them has ended.
    Reset {
        /// The resource.
        resource: Arc<str>,
        /// The items.
        items: Vec<Arc<str>>,
    },
    /// The lease has ended: everything that was handed out under it is taken back.
    Ended(Token),
}

/// What the driver tells those who look after resources. Clones reach the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Custody {
    pub(crate) live: Live,
    errands: mpsc::Sender<Errand>,
}

impl Custody {
    /// Nobody holds anything yet; what has to be done comes out at the other end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Errand>) {
        let (errands, to_do) = mpsc::channel(ERRANDS);
        (Self { live: Live::default(), errands }, to_do)
    }

    /// These leases outlived the coordinator that granted them.
    pub(crate) fn resume(&self, state: &State) {
        for (&token, lease) in state.leases.iter() {
            self.live.begin(token, LiveLease { worker: lease.worker, run: lease.run, suite: lease.work.suite() });
        }
    }

    /// An event is durable.
    pub(crate) fn note(&self, event: &Event) {
        match event {
            Event::ShardLeased { token, run, worker, work, .. } => {
                self.live.begin(*token, LiveLease { worker: *worker, run: *run, suite: work.suite() });
            }
            Event::LeaseEnded { token, .. } => {
                self.live.end(*token);
                self.send(Errand::Ended(*token));
            }
            _ => {}
        }
    }

    /// Something is to be brought back into order.
    pub(crate) fn reset(&self, resource: Arc<str>, items: Vec<Arc<str>>) {
        self.send(Errand::Reset { resource, items });
    }

    fn send(&self, errand: Errand) {
        // Those who do errands end with the coordinator; a queue that is full is a bug of theirs that must not stop tests.
        if let Err(mpsc::error::TrySendError::Full(lost)) = self.errands.try_send(errand) {
            tracing::error!(
                ?lost,
                "nobody does errands: what a lease held stays as it is until the coordinator starts again"
            );
        }
    }
}
