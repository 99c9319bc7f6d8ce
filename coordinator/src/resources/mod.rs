//! What the fleet shares, outside the core: what is declared and what people decide about it, the hooks that keep it in order,
//! which leases are live right now, and what has to be done when one ends.
//!
//! - [`catalogue`]: what is declared, drained and reserved; [`acts`]: who did so.
//! - [`keeper`]: which hook is due, and how each item is.
//! - [`steward`]: the task that owns both, and how it is asked.
//! - [`databases`]: what attempts are handed of database servers.
//! - [`usage`]: what leases hold, and for how long; [`live`]: the fence for whoever serves workers.
//!
//! It leaves every decision about who holds what to the core.

mod acts;
pub(crate) mod catalogue;
mod databases;
pub(crate) mod keeper;
mod live;
pub(crate) mod steward;
pub(crate) mod usage;

pub use catalogue::kept::Broken;
pub(crate) use databases::{Databases, attend};
pub(crate) use live::{Live, LiveLease};
pub(crate) use steward::{Opening, Steward};

use regatta_core::{Event, State};
use regatta_domain::{Held, Offer, Outcome, Resource, ResourceKind, Time, Token};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use usage::Usage;

/// Those of these resources that are databases.
pub(crate) fn databases_among(
    resources: &BTreeMap<Arc<str>, Offer>,
) -> impl Iterator<Item = (Arc<str>, Arc<Resource>)> + '_ {
    let databases = resources.iter().filter(|(_, offer)| offer.resource.kind == ResourceKind::Database);
    databases.map(|(name, offer)| (Arc::clone(name), Arc::clone(&offer.resource)))
}

/// Errands that may wait: one for each item of a large fleet, and one for each of its slots.
pub(crate) const ERRANDS: usize = 65_536;

/// Something that has to be done for resources because of a lease.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Bring items of a resource (or the resource itself) back into order: the lease that held them has ended.
    Reset {
        /// The resource.
        resource: Arc<str>,
        /// The items.
        items: Vec<Arc<str>>,
        /// The lease.
        token: Token,
    },
    /// The lease that held these has ended.
    Freed(Vec<Held>),
    /// A test failed under a lease that holds these.
    Failed(Vec<Held>),
    /// The connections of a database server allow so many leases.
    Allows(Arc<str>, u32),
}

/// What the driver tells those who look after resources. Clones reach the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Custody {
    pub(crate) live: Live,
    pub(crate) usage: Usage,
    errands: mpsc::Sender<Errand>,
    ended: mpsc::Sender<Token>,
}

/// What has to be done, as it comes in.
#[derive(Debug)]
pub(crate) struct ToDo {
    /// For resources.
    pub(crate) errands: mpsc::Receiver<Errand>,
    /// The leases that have ended: everything that was handed out under them is taken back.
    pub(crate) ended: mpsc::Receiver<Token>,
}

impl Custody {
    /// Nobody holds anything yet; what has to be done comes out at the other end.
    pub(crate) fn new() -> (Self, ToDo) {
        let (errands, to_do) = mpsc::channel(ERRANDS);
        let (end, ended) = mpsc::channel(ERRANDS);
        let custody = Self { live: Live::default(), usage: Usage::default(), errands, ended: end };
        (custody, ToDo { errands: to_do, ended })
    }

    /// Where others than the driver say what has to be done.
    pub(crate) fn errands(&self) -> mpsc::Sender<Errand> {
        self.errands.clone()
    }

    /// These leases outlived the coordinator that granted them.
    pub(crate) fn resume(&self, state: &State) {
        let now = Time(regatta_runtime::clock::now_us());
        for (&token, lease) in state.leases.iter() {
            self.live.begin(token, LiveLease::of(state, lease.run, lease.worker, lease.work.suite()));
            self.usage.begin(now, token, &lease.holds);
        }
    }

    /// An event is durable.
    pub(crate) fn note(&self, event: &Event, state: &State) {
        match event {
            Event::ShardLeased { at, token, run, worker, work, holds, .. } => {
                self.live.begin(*token, LiveLease::of(state, *run, *worker, work.suite()));
                self.usage.begin(*at, *token, holds);
            }
            Event::ResultsAccepted { token, results, .. } => {
                let is_bad = |outcome| matches!(outcome, Outcome::Failed | Outcome::TimedOut | Outcome::Crashed);
                if results.iter().any(|accepted| is_bad(accepted.result.outcome)) {
                    let holds = self.usage.holds(*token);
                    if !holds.is_empty() {
                        send(&self.errands, Errand::Failed(holds));
                    }
                }
            }
            Event::LeaseEnded { token, .. } => {
                self.live.end(*token);
                let holds = self.usage.end(Time(regatta_runtime::clock::now_us()), *token);
                if !holds.is_empty() {
                    send(&self.errands, Errand::Freed(holds));
                }
                send(&self.ended, *token);
            }
            _ => {}
        }
    }

    /// Something is to be brought back into order.
    pub(crate) fn reset(&self, resource: Arc<str>, items: Vec<Arc<str>>, token: Token) {
        send(&self.errands, Errand::Reset { resource, items, token });
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

/// A resource, or an item of it, as people write it.
pub(crate) fn told(name: &str, item: Option<&str>) -> String {
    item.map_or_else(|| name.to_owned(), |item| format!("{name}/{item}"))
}
