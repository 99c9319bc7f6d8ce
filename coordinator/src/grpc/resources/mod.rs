//! What people do with what the fleet shares: they look, declare, drain, release and reserve.
//!
//! Values of items and addresses of servers are told to nobody but a holder: a listing has none.

mod listing;

use super::Parts;
use crate::resources::catalogue::Reserve;
use crate::resources::steward::Wish;
use regatta_domain::Micros;
use regatta_wire::limits::LABEL_BYTES;
use regatta_wire::v1::resources_server::Resources;
use regatta_wire::{Failure, resource, v1};
use std::sync::Arc;
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
impl Resources for Service {
    async fn list(&self, _: Request<v1::ListResourcesRequest>) -> Result<Response<v1::ListResourcesResponse>, Status> {
        let overview = self.parts.steward.look().await?;
        let usage = self.parts.steward.usage().clone();
        let databases = self.parts.databases.status().await;
        let listed = self.parts.driver.look(move |core, _| listing::list(core, &overview, &usage, &databases)).await?;
        Ok(Response::new(v1::ListResourcesResponse { resources: listed }))
    }

    async fn declare(&self, request: Request<v1::DeclareRequest>) -> Result<Response<v1::DeclareResponse>, Status> {
        let v1::DeclareRequest { resource, by } = request.into_inner();
        let named = resource::named("resource", resource)?;
        self.parts.steward.ask(Wish::Declare(Box::new(named)), &named_by(by)?).await?;
        Ok(Response::new(v1::DeclareResponse {}))
    }

    async fn withdraw(&self, request: Request<v1::WithdrawRequest>) -> Result<Response<v1::WithdrawResponse>, Status> {
        let v1::WithdrawRequest { name, by } = request.into_inner();
        self.parts.steward.ask(Wish::Withdraw { name: name.into() }, &named_by(by)?).await?;
        Ok(Response::new(v1::WithdrawResponse {}))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        let v1::DrainRequest { name, item, undo, by } = request.into_inner();
        let wish = Wish::Drain { name: name.into(), item: item.map(Arc::from), undo };
        let held = self.parts.steward.ask(wish, &named_by(by)?).await?.leases;
        Ok(Response::new(v1::DrainResponse { held }))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseResourceRequest>,
    ) -> Result<Response<v1::ReleaseResourceResponse>, Status> {
        let v1::ReleaseResourceRequest { name, item, by } = request.into_inner();
        let wish = Wish::Release { name: name.into(), item: item.map(Arc::from) };
        let ended = self.parts.steward.ask(wish, &named_by(by)?).await?.leases;
        Ok(Response::new(v1::ReleaseResourceResponse { ended }))
    }

    async fn reserve(&self, request: Request<v1::ReserveRequest>) -> Result<Response<v1::ReserveResponse>, Status> {
        let v1::ReserveRequest { name, item, seats, time, by } = request.into_inner();
        let by = named_by(by)?;
        let wanted =
            Reserve { name: name.into(), item: item.map(Arc::from), seats, time: Micros(time), by: by.as_str().into() };
        let granted = self.parts.steward.ask(Wish::Reserve(wanted), &by).await?;
        // Until it is theirs alone, and in order, nobody is told what belongs to its holder.
        let is_theirs = granted.leases == 0 && granted.is_ready;
        let item = granted.item.as_ref();
        let values = item.filter(|_| is_theirs).map(|item| v1::PoolItem::from(item).values).unwrap_or_default();
        let item = item.map(|item| item.name.to_string());
        Ok(Response::new(v1::ReserveResponse { item, held: granted.leases, values }))
    }
}

/// Who does something.
fn named_by(by: String) -> Result<String, Failure> {
    let wrong = by.trim().is_empty() || by.len() > LABEL_BYTES || by.chars().any(char::is_control);
    if wrong {
        let what = format!("field `by` says who does it, in 1 to {LABEL_BYTES} bytes without control characters");
        return Err(Failure::Invalid(what));
    }
    Ok(by)
}
