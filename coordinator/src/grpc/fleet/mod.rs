//! What workers say and hear.

mod entries;
mod outputs;
mod session;

use super::Parts;
use regatta_core::Core;
use regatta_core::command::OF_WORKERS;
use regatta_domain::limits::SLOTS_PER_WORKER;
use regatta_domain::{Need, Token, WorkerId};
use regatta_wire::limits::LABEL_BYTES;
use regatta_wire::v1::fleet_server::Fleet;
use regatta_wire::v1::from_worker::Message;
use regatta_wire::{Failure, Invalid, PROTOCOL, Why, v1, worker_id};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// A stream that does not say who it is for so long is closed.
const HELLO: Duration = Duration::from_secs(10);

/// Words that wait for a worker that does not read, beside those for its slots: acknowledgements, mostly.
const WORDS: usize = 1_024;

/// Words that may wait for each slot: two grants, and what may be said about them.
const WORDS_PER_SLOT: usize = 8;

/// The service.
pub(super) struct Service {
    parts: Parts,
}

impl Service {
    pub(super) const fn new(parts: Parts) -> Self {
        Self { parts }
    }
}

/// Who a worker is, by its own account.
struct Introduced {
    worker: WorkerId,
    name: String,
    version: String,
    slots: u16,
    labels: Vec<Arc<str>>,
    capacities: BTreeMap<Arc<str>, u32>,
    holds: Vec<Token>,
}

#[tonic::async_trait]
impl Fleet for Service {
    type SessionStream = ReceiverStream<Result<v1::ToWorker, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::FromWorker>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        let silent = || Failure::Unfit(format!("a session begins with a hello; none came in {} s", HELLO.as_secs()));
        let first = tokio::time::timeout(HELLO, incoming.message()).await.map_err(|_| silent())??;
        let Some(v1::FromWorker { message: Some(Message::Hello(hello)) }) = first else {
            return Err(Failure::Unfit("a session begins with a hello; something else came first".to_owned()).into());
        };
        // From when it said hello, a worker counts on its leases for a whole one: that is for whoever certainly leads to say.
        if !self.parts.standing.borrow().leads_at(Instant::now()) {
            return Err(Failure::Unavailable(self.parts.standing.borrow().refusal()).into());
        }
        let Introduced { worker, name, version, slots, labels, capacities, holds } = introduced(hello)?;
        let (outgoing, words) = mpsc::channel(WORDS + WORDS_PER_SLOT * usize::from(slots));
        let (alive, closed) = oneshot::channel();
        let answers = outgoing.downgrade();
        let newcomer = |numbered| crate::driver::Newcomer {
            worker,
            name,
            version,
            slots,
            labels,
            capacities,
            holds,
            outgoing,
            alive,
            numbered,
        };
        let session = self.parts.driver.attach(newcomer).await?;
        tokio::spawn(session::Session::new(self.parts.clone(), worker, session).listen(incoming, answers, closed));
        Ok(Response::new(ReceiverStream::new(words)))
    }

    async fn workers(&self, _: Request<v1::WorkersRequest>) -> Result<Response<v1::WorkersResponse>, Status> {
        let workers = self.parts.driver.look(|core, sessions| {
            let of = |(id, session)| worker(core, id, session);
            let wanted = core.slots_wanted(regatta_domain::Time(regatta_runtime::clock::now_us()));
            (sessions.iter().filter_map(of).collect(), u32::try_from(wanted).unwrap_or(u32::MAX))
        });
        let (workers, slots_wanted) = workers.await?;
        let offers = self.parts.steward.offers();
        let resources = offers.iter();
        let resources = resources
            .map(|(name, offer)| v1::Need {
                resource: name.to_string(),
                seats: offer.resource.total(),
                ..Default::default()
            })
            .collect();
        Ok(Response::new(v1::WorkersResponse { workers, resources, slots_wanted }))
    }
}

/// Whom a hello introduces, if this coordinator can work with it.
fn introduced(hello: v1::Hello) -> Result<Introduced, Failure> {
    if hello.protocol != PROTOCOL {
        let v1::Hello { protocol, version, .. } = hello;
        let ours = env!("CARGO_PKG_VERSION");
        let older =
            if protocol < PROTOCOL { "update the worker" } else { "update the coordinator, or run an older worker" };
        return Err(Failure::Unfit(format!(
            "the worker speaks protocol {protocol} (Regatta {version}), this coordinator speaks {PROTOCOL} (Regatta {ours}); {older}"
        )));
    }
    for (field, text) in [("hello.name", &hello.name), ("hello.version", &hello.version)] {
        if text.len() > LABEL_BYTES {
            return Err(Invalid::new(field, Why::TooLong { most: LABEL_BYTES, found: text.len() }).into());
        }
    }
    let most = u64::try_from(SLOTS_PER_WORKER).unwrap_or(u64::MAX);
    let slots = u16::try_from(hello.slots).ok().filter(|&slots| u64::from(slots) <= most);
    let out_of_range = || Why::OutOfRange { found: hello.slots.into(), least: 0, most };
    Ok(Introduced {
        worker: worker_id("hello.worker", &hello.worker)?,
        slots: slots.ok_or_else(|| Invalid::new("hello.slots", out_of_range()))?,
        labels: regatta_wire::suite::labels("hello.labels", hello.labels)?,
        capacities: capacities(hello.capacities)?,
        name: hello.name,
        version: hello.version,
        holds: hello.holds.into_iter().map(Token).collect(),
    })
}

/// What a worker has of its own, under the names by which tests need it.
fn capacities(given: Vec<v1::Need>) -> Result<BTreeMap<Arc<str>, u32>, Invalid> {
    let given = regatta_wire::needs::read("hello.capacities", given)?;
    let named = |need: &Need| (format!("{OF_WORKERS}{}", need.resource).into(), need.seats);
    Ok(given.iter().map(named).collect())
}

/// What is told of a worker; nothing of a connection that does not count any more.
fn worker(core: &Core, id: regatta_core::SessionId, session: &crate::driver::Session) -> Option<v1::WorkerInfo> {
    let present = core.presence().workers().get(&session.worker).filter(|present| present.id == id)?;
    let held = core.state().slots.range((session.worker, regatta_domain::SlotIx(0))..);
    let busy = held.take_while(|((worker, _), _)| *worker == session.worker).count();
    Some(v1::WorkerInfo {
        worker: session.worker.to_string(),
        name: session.name.clone(),
        version: session.version.clone(),
        slots: present.slots.into(),
        busy: u32::try_from(busy).unwrap_or(u32::MAX),
        attached: session.attached.0,
        draining: present.draining,
        labels: core.presence().classes()[usize::from(present.class)].labels.iter().map(ToString::to_string).collect(),
    })
}
