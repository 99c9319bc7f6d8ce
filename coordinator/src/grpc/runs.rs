//! What clients ask: to run, to watch, to end, to look up.

use super::watch::watch;
use super::{Parts, on_disk};
use crate::planner::broken;
use prost::Message as _;
use regatta_core::Refusal;
use regatta_domain::report::CancelCause;
use regatta_domain::{RunId, Time};
use regatta_wire::limits::RUNS_PER_LIST;
use regatta_wire::submission::Request as Asked;
use regatta_wire::v1::runs_server::Runs;
use regatta_wire::verdict::Closed as _;
use regatta_wire::{Failure, digest, run_id, v1};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Bytes of output in one message.
const CHUNK: usize = 64 * 1024;

/// Events that wait for a watcher to read them; beyond that the watcher's own pace counts.
const EVENTS: usize = 64;

/// How long a plan waits for what happened before: it would be balanced a little worse without. The tables may be half a minute's work
/// behind, and as a rule it is some milliseconds.
const CATCHES_UP: Duration = Duration::from_secs(5);

/// The service.
pub(super) struct Service {
    parts: Parts,
}

impl Service {
    pub(super) const fn new(parts: Parts) -> Self {
        Self { parts }
    }

    async fn ended(&self, run: RunId) -> Result<Option<bool>, Failure> {
        let projection = self.parts.planner.projection().clone();
        on_disk(move || projection.has_ended(run).map_err(broken)).await
    }

    /// Waits until queries can see everything that happened before.
    async fn caught_up(&self) {
        // A projector that is gone has stopped the coordinator, and the next question says so.
        let _gone = self.parts.projector.written(self.parts.driver.committed()).await;
    }
}

#[tonic::async_trait]
impl Runs for Service {
    async fn recall(&self, request: Request<v1::RecallRequest>) -> Result<Response<v1::RecallResponse>, Status> {
        let v1::RecallRequest { project, suite, tree_key } = request.into_inner();
        let projection = self.parts.planner.projection().clone();
        let recalled = on_disk(move || projection.file_list(&project, &suite, &tree_key).map_err(broken)).await?;
        let files = recalled.files.iter().map(Into::into).collect();
        Ok(Response::new(v1::RecallResponse { exact: recalled.exact, files }))
    }

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitResponse>, Status> {
        let message = request.into_inner();
        let said = message.encode_to_vec();
        let asked = Arc::new(Asked::try_from(message)?);
        if asked.rerun_of.is_some() || !asked.filters.is_empty() {
            self.caught_up().await;
        } else {
            // Whoever saw a run end may ask for the next one before what it found out is in the tables.
            let _does_without_what_is_not_there_by_then = timeout(CATCHES_UP, self.caught_up()).await;
        }
        let (planner, now) = (self.parts.planner.clone(), Time(regatta_runtime::clock::now_us()));
        let asking = Arc::clone(&asked);
        let planned = on_disk(move || {
            // A run that ended long ago has left the core, and is the same run none the less.
            if planner.projection().has_ended(asking.run).map_err(broken)? == Some(true) {
                return Ok(None);
            }
            let plan = planner.plan(&asking, now)?;
            planner.keep(&plan);
            Ok(Some(plan.submission))
        });
        let Some(submission) = planned.await? else { return Ok(Response::new(v1::SubmitResponse {})) };
        self.parts.driver.submit(submission, said).await?.map_err(|refusal| refused(asked.run, refusal))?;
        Ok(Response::new(v1::SubmitResponse {}))
    }

    type WatchStream = ReceiverStream<Result<v1::RunEvent, Status>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let v1::WatchRequest { run, after } = request.into_inner();
        let run = run_id("run", &run)?;
        // What was handed in before this call is known by then.
        if !self.parts.projector.told(self.parts.driver.committed()).await {
            return Err(self.parts.driver.gone().into());
        }
        let feed = self.parts.projector.feeds().of(run);
        if feed.is_none() {
            match self.ended(run).await? {
                None => return Err(unknown(run).into()),
                // The feeds end with the driver; the next coordinator has the run.
                Some(false) if self.parts.driver.has_stopped() => return Err(self.parts.driver.gone().into()),
                Some(_) => {}
            }
        }
        let (to, events) = mpsc::channel(EVENTS);
        let (projection, driver) = (self.parts.planner.projection().clone(), self.parts.driver.clone());
        tokio::spawn(async move { watch(run, after, feed, projection, driver, to).await });
        Ok(Response::new(ReceiverStream::new(events)))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Result<Response<v1::CancelResponse>, Status> {
        let v1::CancelRequest { run, kill, cause } = request.into_inner();
        let run = run_id("run", &run)?;
        let cause = if cause == 0 { CancelCause::Asked } else { CancelCause::field("cause", cause)? };
        match self.parts.driver.cancel(run, cause, kill).await? {
            Err(Refusal::UnknownRun) if self.ended(run).await? == Some(true) => {}
            answer => answer.map_err(|refusal| refused(run, refusal))?,
        }
        Ok(Response::new(v1::CancelResponse {}))
    }

    async fn list(&self, request: Request<v1::ListRunsRequest>) -> Result<Response<v1::ListRunsResponse>, Status> {
        let most = match request.into_inner().limit {
            0 => RUNS_PER_LIST,
            limit => limit.min(RUNS_PER_LIST),
        };
        let projection = self.parts.looking().await?;
        let runs = on_disk(move || projection.runs(most).map_err(broken)).await?;
        Ok(Response::new(v1::ListRunsResponse { runs }))
    }

    type OutputStream = ReceiverStream<Result<v1::OutputChunk, Status>>;

    async fn output(&self, request: Request<v1::OutputRequest>) -> Result<Response<Self::OutputStream>, Status> {
        let digest = digest("digest", &request.into_inner().digest)?;
        let content = self.parts.blobs.get(digest).await.map_err(|error| match error.may_pass() {
            true => Failure::Unavailable(error.to_string()),
            false => Failure::Broken(error.to_string()),
        })?;
        let gone = || Failure::NotFound(format!("there is no output {digest} (any more)"));
        let content = content.ok_or_else(gone)?;
        let (to, chunks) = mpsc::channel(2);
        tokio::spawn(async move {
            for data in content.chunks(CHUNK) {
                if to.send(Ok(v1::OutputChunk { data: data.to_vec() })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(chunks)))
    }
}

fn unknown(run: RunId) -> Failure {
    Failure::NotFound(format!("there is no run {run}; `regatta runs` lists those that are known"))
}

/// Why the core refuses, in words.
fn refused(run: RunId, refusal: Refusal) -> Failure {
    use regatta_domain::limits::{FILES_PER_RUN, SUITES_PER_RUN, TESTS_PER_RUN};
    match refusal {
        Refusal::Exists => Failure::Exists(format!("run {run} exists and is another one; choose another id")),
        Refusal::UnknownRun => unknown(run),
        Refusal::TooLarge => Failure::TooLarge(format!(
            "a run may hold {TESTS_PER_RUN} tests in {FILES_PER_RUN} files of {SUITES_PER_RUN} suites; hand it in as several"
        )),
        Refusal::NoSuchResource => {
            Failure::Unfit(format!("tests of run {run} need a resource that this coordinator does not have"))
        }
        Refusal::NoSuchPolicy => Failure::Broken(format!("a test of run {run} points at rules that are not there")),
    }
}
