//! What the fleet shares, outside the core: which leases are live right now, and what has to be done when one ends.
//!
//! It leaves every decision about who holds what to the core.

mod databases;
mod live;

pub(crate) use databases::{Databases, attend};
pub(crate) use live::{Live, LiveLease};

use regatta_core::{Event, State};
use regatta_domain::{Offer, Resource, ResourceKind, Token};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Those of these resources that are databases.
pub(crate) fn databases_among(
    resources: &BTreeMap<Arc<str>, Offer>,
) -> impl Iterator<Item = (Arc<str>, Arc<Resource>)> + '_ {
    let databases = resources.iter().filter(|(_, offer)| offer.resource.kind == ResourceKind::Database);
    databases.map(|(name, offer)| (Arc::clone(name), Arc::clone(&offer.resource)))
}

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
}

/// What comes out of [`Custody`].
pub(crate) struct ToDo {
    /// What has to be brought back into order.
    pub(crate) errands: mpsc::Receiver<Errand>,
    /// Leases that have ended: the databases that were handed out under them are taken back.
    pub(crate) ended: mpsc::Receiver<Token>,
}

/// What the driver tells those who look after resources. Clones reach the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Custody {
    pub(crate) live: Live,
    errands: mpsc::Sender<Errand>,
    ended: mpsc::Sender<Token>,
}

impl Custody {
    /// Nobody holds anything yet; what has to be done comes out at the other end.
    pub(crate) fn new() -> (Self, ToDo) {
        let ((errands, to_do), (ended, over)) = (mpsc::channel(ERRANDS), mpsc::channel(ERRANDS));
        (Self { live: Live::default(), errands, ended }, ToDo { errands: to_do, ended: over })
    }

    /// These leases outlived the coordinator that granted them.
    pub(crate) fn resume(&self, state: &State) {
        for (&token, lease) in state.leases.iter() {
            self.live.begin(token, LiveLease::of(state, lease.run, lease.worker, lease.work.suite()));
        }
    }

    /// An event is durable.
    pub(crate) fn note(&self, event: &Event, state: &State) {
        match event {
            Event::ShardLeased { token, run, worker, work, .. } => {
                self.live.begin(*token, LiveLease::of(state, *run, *worker, work.suite()));
            }
            Event::LeaseEnded { token, .. } => {
                self.live.end(*token);
                send(&self.ended, *token);
            }
            _ => {}
        }
    }

    /// Something is to be brought back into order.
    pub(crate) fn reset(&self, resource: Arc<str>, items: Vec<Arc<str>>) {
        send(&self.errands, Errand::Reset { resource, items });
    }
}

/// Those who do errands end with the coordinator; a queue that is full is a bug of theirs that must not stop tests.
fn send<T: std::fmt::Debug>(to: &mpsc::Sender<T>, what: T) {
    if let Err(mpsc::error::TrySendError::Full(lost)) = to.try_send(what) {
        tracing::error!(
            ?lost,
            "nobody does errands: what a lease held stays as it is until the coordinator starts again"
        );
    }
}
