//! The services: what passes between clients or workers and the driver. They hold no state of their own.

pub(crate) mod coordination;
mod databases;
mod fleet;
mod history;
mod resources;
mod runs;
mod watch;

use crate::blobs::Blobs;
use crate::driver::DriverHandle;
use crate::planner::{PlannerDesk, broken};
use crate::projector::Desk;
use crate::resources::{Databases, Steward};
use crate::standing::{Handover, Standing};
use crate::store::postgres;
use crate::store::projection::Reader;
use regatta_runtime::dial::{KEEP_ALIVE, KEEP_ALIVE_ANSWER};
use regatta_wire::Failure;
use regatta_wire::limits::MESSAGE_BYTES;
use regatta_wire::v1::databases_server::DatabasesServer;
use regatta_wire::v1::fleet_server::FleetServer;
use regatta_wire::v1::history_server::HistoryServer;
use regatta_wire::v1::resources_server::ResourcesServer;
use regatta_wire::v1::runs_server::RunsServer;
use tokio::sync::watch::Receiver;
use tonic::service::Routes;
use tonic::transport::Server;

/// What may be under way on one stream, and on one connection: a few messages of results, not a backlog.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Calls at a time on one connection: a session, and what a client asks and watches.
const STREAMS: u32 = 256;

/// What the services are made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) driver: DriverHandle,
    pub(crate) planner: PlannerDesk,
    pub(crate) projector: Desk,
    pub(crate) blobs: Blobs,
    pub(crate) databases: Databases,
    pub(crate) steward: Steward,
    pub(crate) standing: Receiver<Standing>,
    pub(crate) handover: Handover,
    /// The database that is shared with other coordinators, where one is.
    pub(crate) shared: Option<postgres::Server>,
}

impl Parts {
    /// For who only looks: the tables, once they tell of everything that happened before. While the store is away nobody waits for
    /// that; what belongs to a run does.
    async fn looking(&self) -> Result<Reader, Failure> {
        let tables = self.planner.projection().at_once();
        tokio::select! {
            // A projector that is gone has stopped the coordinator, and the next question says so.
            _ = self.projector.written(self.driver.committed()) => Ok(tables),
            error = tables.away() => Err(broken(error)),
        }
    }
}

/// The services, to be served.
pub(crate) fn routes(parts: &Parts) -> Routes {
    let runs = RunsServer::new(runs::Service::new(parts.clone()))
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let fleet = FleetServer::new(fleet::Service::new(parts.clone()))
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let history = HistoryServer::new(history::Service::new(parts.clone()))
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let databases = DatabasesServer::new(databases::Service::new(parts.clone()));
    let resources = ResourcesServer::new(resources::Service::new(parts.clone()))
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let coordination = coordination::service(parts.standing.clone(), parts.handover.clone(), parts.shared.clone());
    let routes = Routes::new(runs).add_service(fleet).add_service(history).add_service(databases);
    routes.add_service(resources).add_service(coordination)
}

/// A server with the limits of this house.
pub(crate) fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_ANSWER))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .tcp_nodelay(true)
}

/// Does something that waits for a disk.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    match regatta_runtime::threads::on_disk(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::Broken(format!("the coordinator failed at it: {error}"))),
    }
}
