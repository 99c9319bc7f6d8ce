//! Giving databases back: until it is acknowledged, or has failed for good.

use super::Provider;
use super::claim::{CALL, Claim, FIRST_WAIT, LONGEST_WAIT, Patience, is_final, until_over};
use regatta_domain::database::{Observation, Traffic};
use regatta_runtime::backoff::Backoff;
use regatta_wire::v1::ReleaseRequest;
use tonic::{Code, Status};

/// Gives back what was handed out to `claim`; what was seen of it. `None` where nothing was handed out, where the lease is
/// not live any more (then everything was taken back with it), or where patience ends first.
pub(crate) async fn give_back(provider: &dyn Provider, claim: Claim, patience: Patience) -> Option<Observation> {
    give_back_with(provider, claim, &[], patience).await
}

/// As [`give_back`]; `traffic` is what was seen on the way to them.
pub(crate) async fn give_back_with(
    provider: &dyn Provider,
    claim: Claim,
    traffic: &[Traffic],
    mut patience: Patience,
) -> Option<Observation> {
    tokio::select! {
        biased;
        given = give(provider, claim, traffic) => given,
        () = until_over(&mut patience) => {
            tracing::warn!(?claim, "databases are left to the coordinator, which takes them back with the lease");
            None
        }
    }
}

async fn give(provider: &dyn Provider, claim: Claim, traffic: &[Traffic]) -> Option<Observation> {
    let request = ReleaseRequest {
        token: claim.token.0,
        test: claim.test.map(|test| test.0),
        attempt: claim.attempt.into(),
        traffic: traffic.iter().map(Into::into).collect(),
    };
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, claim.seed());
    loop {
        let answer = tokio::time::timeout(CALL, provider.release(request.clone())).await;
        match answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in 30 s"))) {
            Ok(response) => {
                let seen = response.observation?;
                return Observation::try_from(seen)
                    .inspect_err(|invalid| tracing::warn!(?claim, %invalid, "what was seen of a test makes no sense"))
                    .ok();
            }
            Err(status) if is_final(&status) => {
                if status.code() != Code::FailedPrecondition {
                    tracing::warn!(?claim, status = %status.message(), "databases cannot be given back");
                }
                return None;
            }
            Err(status) => {
                tracing::debug!(?claim, status = %status.message(), "databases could not be given back yet");
                tokio::time::sleep(backoff.wait()).await;
            }
        }
    }
}
