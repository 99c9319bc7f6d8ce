//! One question to one address: does its coordinator lead?

use super::LIMIT;
use super::network::{Connection, Network};
use hyper_util::rt::TokioIo;
use regatta_wire::v1::coordination_client::CoordinationClient;
use regatta_wire::v1::{LeaderRequest, LeaderResponse};
use std::io;
use std::net::SocketAddr;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Endpoint;

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It leads, since this epoch.
    Leads(u64),
    /// It does not; whoever leads says that it can be reached there.
    Follows(Option<String>),
    /// It cannot say whether it leads, and nobody else can: the database is away that they share, as it says.
    Without(String),
    /// It did not answer, for this reason.
    Failed(String),
}

/// Asks whoever listens at `at`.
pub(super) async fn ask(network: &dyn Network, at: SocketAddr) -> Answer {
    let asking = async {
        let connection = connect(network, at).await?;
        let mut connection = Some(TokioIo::new(connection));
        let only = tower::service_fn(move |_| {
            let given = connection.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
            std::future::ready(given)
        });
        let connected = Endpoint::from_static("http://coordinator").connect_with_connector(only).await;
        let channel = connected.map_err(|_| "what listens there does not speak HTTP/2".to_owned())?;
        match CoordinationClient::new(channel).leader(LeaderRequest {}).await {
            Ok(answer) => Ok(answer.into_inner()),
            // One of an earlier version, which is always alone.
            Err(status) if status.code() == Code::Unimplemented => {
                Ok(LeaderResponse { leads: true, ..Default::default() })
            }
            Err(status) => Err(status.message().to_owned()),
        }
    };
    match timeout(LIMIT, asking).await {
        Ok(Ok(answer)) if answer.leads => Answer::Leads(answer.epoch),
        Ok(Ok(LeaderResponse { away: Some(away), .. })) => Answer::Without(away),
        Ok(Ok(answer)) => Answer::Follows(answer.leader),
        Ok(Err(why)) => Answer::Failed(why),
        Err(_) => Answer::Failed(format!("it did not say in {} s whether it leads", LIMIT.as_secs())),
    }
}

/// Opens a connection.
pub(super) async fn connect(network: &dyn Network, at: SocketAddr) -> Result<Box<dyn Connection>, String> {
    let connected = timeout(LIMIT, network.connect(at)).await;
    let connected = connected.map_err(|_| format!("it took no connection in {} s", LIMIT.as_secs()))?;
    connected.map_err(|error| error.to_string())
}
