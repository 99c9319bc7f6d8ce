//! Whom databases are asked of.

use async_trait::async_trait;
use regatta_wire::limits::MESSAGE_BYTES;
use regatta_wire::v1::databases_client::DatabasesClient;
use regatta_wire::v1::{AcquireRequest, AcquireResponse, BuiltRequest, BuiltResponse, ReleaseRequest, ReleaseResponse};
use std::fmt;
use tonic::Status;
use tonic::transport::Channel;

/// The service `Databases`, as a worker calls it. Each call may be repeated.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// Asks for the databases of an attempt, or of a whole shard.
    ///
    /// # Errors
    /// As the service answers, or the way to it fails.
    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireResponse, Status>;

    /// Gives them back.
    ///
    /// # Errors
    /// As [`Provider::acquire`].
    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseResponse, Status>;

    /// Tells that a template was built, or could not be.
    ///
    /// # Errors
    /// As [`Provider::acquire`].
    async fn built(&self, request: BuiltRequest) -> Result<BuiltResponse, Status>;
}

/// The coordinator, over the connection that the worker's session uses too.
pub struct Coordinator(DatabasesClient<Channel>);

impl Coordinator {
    /// The one at the other end of `channel`.
    #[must_use]
    pub fn at(channel: Channel) -> Self {
        let client = DatabasesClient::new(channel);
        Self(client.max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES))
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coordinator")
    }
}

#[async_trait]
impl Provider for Coordinator {
    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireResponse, Status> {
        Ok(self.0.clone().acquire(request).await?.into_inner())
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseResponse, Status> {
        Ok(self.0.clone().release(request).await?.into_inner())
    }

    async fn built(&self, request: BuiltRequest) -> Result<BuiltResponse, Status> {
        Ok(self.0.clone().built(request).await?.into_inner())
    }
}
