//! What workers ask for each test: its databases.

use super::Parts;
use regatta_wire::v1;
use regatta_wire::v1::databases_server::Databases;
use tonic::{Request, Response, Status};

/// The service.
pub(super) struct Service {
    parts: Parts,
}

impl Service {
    pub(super) const fn new(parts: Parts) -> Self {
        Self { parts }
    }
}

#[tonic::async_trait]
impl Databases for Service {
    async fn acquire(&self, request: Request<v1::AcquireRequest>) -> Result<Response<v1::AcquireResponse>, Status> {
        Ok(Response::new(self.parts.databases.acquire(request.into_inner()).await?))
    }

    async fn release(&self, request: Request<v1::ReleaseRequest>) -> Result<Response<v1::ReleaseResponse>, Status> {
        Ok(Response::new(self.parts.databases.release(request.into_inner()).await?))
    }

    async fn built(&self, request: Request<v1::BuiltRequest>) -> Result<Response<v1::BuiltResponse>, Status> {
        Ok(Response::new(self.parts.databases.built(request.into_inner()).await?))
    }
}
