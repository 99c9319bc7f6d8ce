//! How a process reaches the coordinator that leads, of one or several addresses.
//!
//! A [`channel`] dials at its first call, and again whenever its connection breaks. Each time everybody is asked who leads, and only
//! a coordinator that says that it does is given the connection, which ends when another one leads: so whoever calls knows nothing of
//! standbys. Whoever calls decides how often it is tried again.

mod address;
mod ask;
mod guarded;
mod network;
mod search;
#[cfg(test)]
mod tests;

pub use address::{Address, Addresses, Malformed};
pub use network::{Connection, Network};
pub use search::{Leader, Nobody};

use guarded::{Guarded, another_leads};
use hyper_util::rt::TokioIo;
use network::System;
use search::Search;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::Service;

/// How long one address may take to take a connection, and to say who leads.
const LIMIT: Duration = Duration::from_secs(2);

/// Both sides look for a half-open connection this often, and give it this long to answer.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// See [`KEEP_ALIVE`].
pub const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(5);

/// How long any call may take until its answer begins. The longest plan a run of 200,000 files, or wait for a database.
const CALL: Duration = Duration::from_secs(60);

/// A channel to the one of the coordinators at `addresses` that leads.
#[must_use]
pub fn channel(addresses: Addresses) -> Channel {
    channel_over(Arc::new(System), addresses)
}

/// The same, over another network.
#[must_use]
pub fn channel_over(network: Arc<dyn Network>, addresses: Addresses) -> Channel {
    let endpoint = Endpoint::from_shared(addresses.first().to_string()).expect("an address is a URL");
    endpoint
        .timeout(CALL)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(Connector::new(network, addresses))
}

/// Which of the coordinators at `addresses` leads.
///
/// # Errors
/// When none does: what each said.
pub async fn leader(addresses: &Addresses) -> Result<Leader, Nobody> {
    Search::among(Arc::new(System), addresses, None).run().await
}

/// Whether a call failed only because nobody leads yet: somebody stands by, and is about to.
#[must_use]
pub fn awaits_a_leader(status: &tonic::Status) -> bool {
    nobody(status).is_some_and(Nobody::somebody_stands_by)
}

/// Whether a call failed since nobody can lead: the database is away that coordinators share.
#[must_use]
pub fn awaits_a_store(status: &tonic::Status) -> bool {
    nobody(status).is_some_and(Nobody::lacks_its_store)
}

/// Why a call found nobody that leads, where that is why it failed.
fn nobody(status: &tonic::Status) -> Option<&Nobody> {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if let Some(nobody) = error.downcast_ref::<Nobody>() {
            return Some(nobody);
        }
        cause = error.source();
    }
    None
}

/// Makes connections to the coordinator that leads.
#[derive(Clone, Debug)]
struct Connector {
    network: Arc<dyn Network>,
    addresses: Arc<Addresses>,
    /// The one that led when it was asked last.
    led: Arc<Mutex<Option<Address>>>,
}

impl Connector {
    fn new(network: Arc<dyn Network>, addresses: Addresses) -> Self {
        Self { network, addresses: Arc::new(addresses), led: Arc::default() }
    }

    async fn connect(self) -> Result<TokioIo<Box<dyn Connection>>, Nobody> {
        let led = self.led.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Leader { address, at, epoch } =
            Search::among(Arc::clone(&self.network), &self.addresses, led).run().await?;
        let connection = ask::connect(&*self.network, at).await.map_err(|why| Nobody::of(&address, &why))?;
        *self.led.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        if epoch == 0 {
            return Ok(TokioIo::new(connection));
        }
        let over = another_leads(self.network, self.addresses, at);
        Ok(TokioIo::new(Box::new(Guarded::new(connection, over))))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Connection>>;
    type Error = Nobody;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Nobody>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Nobody>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}
