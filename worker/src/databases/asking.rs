//! Asking for databases: until there is an answer that lasts.
//!
//! A coordinator that is away is waited for, with back-off; one that says "later" is asked again then; one that orders a
//! template is told when that is built, and asked again.

use super::build::build;
use super::claim::{CALL, Claim, FIRST_WAIT, LONGEST_WAIT, Patience, is_final, until_over, until_stopped};
use super::{Provider, give_back};
use crate::runner::{Brief, Place, Sink};
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_runtime::backoff::Backoff;
use regatta_wire::v1::{AcquireRequest, AcquireResponse, Variable, acquire_response};
use std::time::Duration;
use tonic::{Code, Status};

/// The longest that is waited because the coordinator said so: it may be wrong, and somebody waits for a test.
const LATER: Duration = Duration::from_secs(60);

/// How long it is tried to give back what may never have been handed out.
const UNSURE: Duration = Duration::from_secs(2);

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Answer {
    /// They were handed out: what the test is told.
    Handed(Vec<(String, String)>),
    /// They never will be. `None` where there is nothing to be told of: the lease is over.
    Refused(Option<RunError>),
    /// Nobody waits for them any more, and nothing is handed out.
    Dropped,
}

/// Asks for `claim` until there is an answer, for as long as `is_wanted`. What is handed out when nobody wants it any more is
/// given back.
pub(crate) async fn ask(
    brief: &Brief,
    place: &Place,
    sink: &Sink,
    claim: Claim,
    mut patience: Patience,
    is_wanted: impl Fn() -> bool,
) -> Answer {
    let provider = &*place.databases;
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, claim.seed());
    // Whether the coordinator may have handed something out of which nothing was heard.
    let mut unsure = false;
    loop {
        if *patience.borrow() != super::Urge::None || !is_wanted() {
            if unsure {
                // Where the coordinator is still away, it is not waited for because of what may be nothing.
                let _left_to_the_coordinator = tokio::time::timeout(UNSURE, give_back(provider, claim, patience)).await;
            }
            return Answer::Dropped;
        }
        let wait = match call(provider, claim, &mut patience).await {
            Ok(Some(acquire_response::Answer::Databases(handed))) => {
                if *patience.borrow() != super::Urge::None || !is_wanted() {
                    give_back(provider, claim, patience).await;
                    return Answer::Dropped;
                }
                let pair = |Variable { name, value }| (name, value);
                return Answer::Handed(handed.variables.into_iter().map(pair).collect());
            }
            Ok(Some(acquire_response::Answer::Build(order))) => {
                (unsure, backoff) = (false, Backoff::new(FIRST_WAIT, LONGEST_WAIT, claim.seed()));
                tokio::select! {
                    () = build(brief, place, sink, claim, order) => {}
                    () = until_stopped(&mut patience) => {}
                }
                continue;
            }
            Ok(Some(acquire_response::Answer::Later(later))) => {
                unsure = false;
                tracing::debug!(?claim, reason = later.reason, "databases are not there yet");
                Duration::from_millis(later.after_ms.max(1).into()).min(LATER)
            }
            Ok(Some(acquire_response::Answer::Error(error))) => return Answer::Refused(Some(read(brief, error))),
            Ok(None) => {
                let message =
                    "the coordinator gave an answer that this worker does not understand: it is newer, perhaps";
                return Answer::Refused(Some(error(brief, message.to_owned())));
            }
            Err(status) if status.code() == Code::FailedPrecondition => return Answer::Refused(None),
            Err(status) if is_final(&status) => {
                let message = format!("the coordinator refuses databases: {}", status.message());
                return Answer::Refused(Some(error(brief, message)));
            }
            Err(status) => {
                unsure = true;
                tracing::debug!(?claim, status = %status.message(), "databases could not be asked for");
                backoff.wait()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = until_stopped(&mut patience) => {}
        }
    }
}

/// One call. It is seen to its end where that comes in time, so that nothing is handed out unheard.
async fn call(
    provider: &dyn Provider,
    claim: Claim,
    patience: &mut Patience,
) -> Result<Option<acquire_response::Answer>, Status> {
    let request = AcquireRequest {
        token: claim.token.0,
        test: claim.test.map(|test| test.0),
        attempt: claim.attempt.into(),
        level: regatta_wire::v1::Level::from(claim.level).into(),
    };
    tokio::select! {
        biased;
        answer = tokio::time::timeout(CALL, provider.acquire(request)) => match answer {
            Ok(answer) => answer.map(|AcquireResponse { answer }| answer),
            Err(_) => Err(Status::deadline_exceeded("no answer in 30 s")),
        },
        () = until_over(patience) => Err(Status::cancelled("the slot is being taken down")),
    }
}

fn read(brief: &Brief, told: regatta_wire::v1::RunError) -> RunError {
    let text = format!("{}: {}", told.place, told.message);
    RunError::try_from(told).unwrap_or_else(|_| error(brief, text))
}

fn error(brief: &Brief, message: String) -> RunError {
    RunError { kind: RunErrorKind::Infrastructure, place: brief.suite.name.clone(), message: message.into() }
}
