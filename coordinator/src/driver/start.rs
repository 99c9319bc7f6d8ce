//! Starting the driver: the journal is replayed, and the core goes on from there.

use super::handle::DriverHandle;
use super::pulse::Pulse;
use super::sessions::Sessions;
use super::{Driver, WAITING};
use crate::blobs::Blobs;
use crate::outage::Outage;
use crate::projector::{Desk, End, News, Projector};
use crate::resources::Custody;
use crate::store::projection::Writer;
use crate::store::{Error, Journal};
use regatta_core::{Core, Entropy, Setup};
use regatta_domain::Time;
use regatta_runtime::clock::Steady;
use regatta_runtime::threads::{self, Thread};
use regatta_wire::Failure;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use tokio::sync::{mpsc, watch};

/// Why the driver did not start.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// A store refuses.
    Store(Error),
    /// The system gives no thread.
    Thread(io::Error),
}

impl From<Error> for NotStarted {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for NotStarted {
    fn from(error: io::Error) -> Self {
        Self::Thread(error)
    }
}

/// What runs once the driver was started.
pub(crate) struct Started {
    pub(crate) handle: DriverHandle,
    pub(crate) projector: Desk,
    pub(crate) thread: Thread,
}

/// Replays the journal, and starts the driver and the projector on threads of their own.
pub(crate) fn start(
    journal: Box<dyn Journal>,
    writer: Writer,
    blobs: Blobs,
    setup: Setup,
    custody: Custody,
    outage: &Outage,
) -> Result<Started, NotStarted> {
    let lease = setup.tuning.lease;
    let base = journal.base();
    let (projector, end) = Projector::replay(journal.reader()?, journal.snapshots(), base.seq, writer, blobs)?;
    let End { seq: last, at, mut state, beginnings } = end;
    let mut clock = Steady::not_before(at.0);
    let now = Time(clock.now_us());
    state.last_token = state.last_token.max(base.token);
    custody.resume(&state);
    tracing::debug!(commits = last - base.seq, runs = state.runs.len(), "replayed the journal");

    let committed = watch::Sender::new(last);
    let (desk, projecting) = projector.start(committed.subscribe(), outage.clone())?;
    let (to, mut waiting) = mpsc::channel(WAITING);
    let pulse = Pulse::default();
    let handle = DriverHandle::new(to, committed.subscribe(), outage.clone(), pulse.clone());
    let durable = journal.durable();
    let mut driver = Driver {
        core: Core::resume(state, setup, now),
        entropy: Entropy::from_seed(chance()),
        clock,
        round: now,
        journal,
        sessions: Sessions::new(lease, pulse),
        replies: BTreeMap::new(),
        next_reply: 0,
        in_line: VecDeque::new(),
        last,
        durable,
        looks: Vec::new(),
        stop: Vec::new(),
        next: VecDeque::new(),
        beginnings,
        base,
        committed,
        projector: desk.clone(),
        projecting: Some(projecting),
        outage: outage.clone(),
        custody,
    };
    let thread = threads::start("driver", async move {
        let _guard = driver.outage.guard("driver");
        let driven = driver.drive(&mut waiting).await;
        let (asked, why) = match driven {
            Ok(asked) => (asked, "the coordinator stops; dial again in a while"),
            Err(error) => {
                driver.outage.declare(error);
                (Vec::new(), "the coordinator's store refuses; dial again in a while")
            }
        };
        waiting.close();
        driver.sessions.close_all(&Failure::Unavailable(why.to_owned()));
        driver.projector.tell_surely(News::Stop).await;
        if let Err(error) = driver.finish().await {
            driver.outage.declare(error);
        }
        for done in asked {
            // Whoever asked for the end may have gone away.
            let _gone = done.send(());
        }
    })?;
    Ok(Started { handle, projector: desk, thread })
}

/// Chance from the system: the keys of the standard library's hash maps are drawn from it, and jitter needs no better.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}
