//! Which coordinator leads: the one question that each answers, and the only one that a coordinator which stands by does. And the
//! wish that another one leads.

use crate::standing::{Handover, Standing};
use crate::store::postgres::{Absence, Presence, Server};
use regatta_wire::v1::coordination_server::{Coordination, CoordinationServer};
use regatta_wire::v1::databases_server::DatabasesServer;
use regatta_wire::v1::fleet_server::FleetServer;
use regatta_wire::v1::history_server::HistoryServer;
use regatta_wire::v1::resources_server::ResourcesServer;
use regatta_wire::v1::runs_server::RunsServer;
use regatta_wire::{Failure, v1};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::{Service as Serves, http};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// Why one hands nothing over.
const ALONE: &str = "this coordinator keeps everything in a directory of its own, so nobody can take its place; stop it with SIGTERM, \
                     and start it again: its workers wait for it";

/// The service.
pub(super) struct Service {
    standing: watch::Receiver<Standing>,
    handover: Handover,
    /// The database that it shares with others, where it leads and does.
    shared: Option<Server>,
}

/// The service, to be served.
pub(super) fn service(
    standing: watch::Receiver<Standing>,
    handover: Handover,
    shared: Option<Server>,
) -> CoordinationServer<Service> {
    CoordinationServer::new(Service { standing, handover, shared })
}

#[tonic::async_trait]
impl Coordination for Service {
    async fn leader(&self, _: Request<v1::LeaderRequest>) -> Result<Response<v1::LeaderResponse>, Status> {
        let answer = answer(&self.standing.borrow());
        let away = if answer.leads { None } else { self.shared.as_ref().and_then(Server::refusal) };
        Ok(Response::new(v1::LeaderResponse { away: away.map(|error| error.to_string()), ..answer }))
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        let v1::LeaderResponse { leads, leader, epoch, .. } = answer(&self.standing.borrow());
        let store = self.shared.as_ref().map(|server| told(&server.presence()));
        Ok(Response::new(v1::StatusResponse { leads, leader, epoch, store }))
    }

    async fn hand_over(&self, _: Request<v1::HandOverRequest>) -> Result<Response<v1::HandOverResponse>, Status> {
        let standing = self.standing.borrow();
        match *standing {
            Standing::Leads { until: Some(_), epoch } => {
                self.handover.wish();
                Ok(Response::new(v1::HandOverResponse { epoch }))
            }
            Standing::Leads { until: None, .. } => Err(Failure::Unfit(ALONE.to_owned()).into()),
            Standing::Standby { .. } => Err(Failure::Unavailable(standing.refusal()).into()),
        }
    }
}

fn answer(standing: &Standing) -> v1::LeaderResponse {
    let (leader, epoch) = match standing {
        Standing::Standby { leader } => (leader.as_deref().map(ToOwned::to_owned), 0),
        Standing::Leads { epoch, .. } => (None, *epoch),
    };
    v1::LeaderResponse { leads: standing.leads_at(Instant::now()), leader, epoch, away: None }
}

/// How a database is, in the words of the wire.
fn told(presence: &Presence) -> v1::SharedStore {
    let Presence { server, absence, connections, counts } = presence;
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let micros = |span: std::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let absence = absence.as_ref().map(|Absence { since, again, trouble }| v1::StoreAbsence {
        since: micros(*since),
        again: again.map(micros),
        trouble: trouble.to_string(),
    });
    v1::SharedStore {
        server: server.to_string(),
        absence,
        most: small(connections.most),
        open: small(connections.open),
        idle: small(connections.idle),
        waiting: small(connections.waiting),
        answered: counts.answered,
        failed: counts.failed,
        refused: counts.refused,
        away: counts.away,
    }
}

/// What a coordinator serves that stands by: who leads, and for everything else a word where to go, so that nobody takes it for a
/// coordinator of another version.
pub(crate) fn standby(standing: &watch::Receiver<Standing>) -> Routes {
    Routes::new(service(standing.clone(), Handover::default(), None))
        .add_service(Elsewhere::<RunsServer<()>>::than(standing))
        .add_service(Elsewhere::<FleetServer<()>>::than(standing))
        .add_service(Elsewhere::<HistoryServer<()>>::than(standing))
        .add_service(Elsewhere::<DatabasesServer<()>>::than(standing))
        .add_service(Elsewhere::<ResourcesServer<()>>::than(standing))
}

/// A service `S` that is to be asked for elsewhere.
struct Elsewhere<S> {
    standing: watch::Receiver<Standing>,
    service: PhantomData<fn() -> S>,
}

impl<S> Elsewhere<S> {
    fn than(standing: &watch::Receiver<Standing>) -> Self {
        Self { standing: standing.clone(), service: PhantomData }
    }
}

impl<S> Clone for Elsewhere<S> {
    fn clone(&self) -> Self {
        Self::than(&self.standing)
    }
}

impl<S: NamedService> NamedService for Elsewhere<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Serves<http::Request<Body>> for Elsewhere<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let refusal = Failure::Unavailable(self.standing.borrow().refusal());
        ready(Ok(Status::from(refusal).into_http()))
    }
}
