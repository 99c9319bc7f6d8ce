//! What people ask of history: to take timings in, and to tell what is known.

use super::{Parts, on_disk};
use crate::planner::{broken, test_key};
use crate::projector::News;
use crate::store::projection::{Reader, Row, Scope};
use regatta_domain::listing::ListedFile;
use regatta_domain::{FileKey, Time};
use regatta_wire::history::{Import, remembered};
use regatta_wire::limits::ITEMS_PER_EVENT;
use regatta_wire::v1::history_server::History;
use regatta_wire::{Failure, v1};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Files that are read at once: the projection is not held up for longer than they take.
const FILES: usize = 200;

/// Messages that wait for a client to read them.
const WAITING: usize = 2;

/// The service.
pub(super) struct Service {
    parts: Parts,
}

/// What a stream is filled with.
type Sender<T> = mpsc::Sender<Result<T, Status>>;

impl Service {
    pub(super) const fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Takes the timings of one message; counts those that are new, and those of tests that were measured here.
    async fn take(&self, import: Import) -> Result<(u64, u64), Status> {
        let Import { project, suite, environment, timings } = import;
        let scope = Scope { branch: "".into(), class: environment };
        let known = {
            let (projection, scope) = (self.parts.planner.projection().at_once(), scope.clone());
            let (project, suite) = (Arc::clone(&project), Arc::clone(&suite));
            let paths: BTreeSet<Arc<str>> = timings.iter().map(|timing| Arc::clone(&timing.file)).collect();
            let read = move || projection.measured(&project, &suite, &scope, paths.iter().map(|path| &**path));
            on_disk(move || read().map_err(broken)).await?
        };
        let (mut taken, mut measured) = (0, 0);
        let at = Time(regatta_runtime::clock::now_us());
        for timing in timings {
            let key = test_key(&project, &suite, &timing.file, &timing.name);
            if known.contains(&key) {
                measured += 1;
                continue;
            }
            taken += 1;
            let row = Row::Imported {
                project: Arc::clone(&project),
                suite: Arc::clone(&suite),
                path: timing.file,
                name: timing.name,
                key,
                scope: scope.clone(),
                mean: timing.mean,
                spread: timing.spread,
                at,
            };
            self.parts.projector.tell_surely(News::Remember(row)).await;
        }
        Ok((taken, measured))
    }

    /// A stream that a thread fills from the store; what goes wrong is its last item.
    fn stream<T: Send + 'static>(
        projection: Reader,
        fill: impl FnOnce(&Reader, &Sender<T>) -> Result<(), Stop> + Send + 'static,
    ) -> ReceiverStream<Result<T, Status>> {
        let (to, items) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            if let Err(Stop::Failed(failure)) = fill(&projection, &to) {
                // Who went away does not hear it.
                let _gone = to.blocking_send(Err(failure.into()));
            }
        });
        ReceiverStream::new(items)
    }
}

/// Why a stream ends before its end.
enum Stop {
    /// Nobody reads it any more.
    Gone,
    /// The store cannot be read.
    Failed(Failure),
}

impl From<crate::store::Error> for Stop {
    fn from(error: crate::store::Error) -> Self {
        Self::Failed(broken(error))
    }
}

fn send<T>(to: &Sender<T>, item: T) -> Result<(), Stop> {
    to.blocking_send(Ok(item)).map_err(|_| Stop::Gone)
}

#[tonic::async_trait]
impl History for Service {
    async fn import(
        &self,
        request: Request<Streaming<v1::ImportRequest>>,
    ) -> Result<Response<v1::ImportResponse>, Status> {
        let mut incoming = request.into_inner();
        let mut answer = v1::ImportResponse::default();
        while let Some(message) = incoming.message().await? {
            let (taken, measured) = self.take(Import::try_from(message)?).await?;
            answer.taken += taken;
            answer.measured += measured;
        }
        if !self.parts.projector.settled().await {
            return Err(self.parts.driver.gone().into());
        }
        Ok(Response::new(answer))
    }

    type ExportStream = ReceiverStream<Result<v1::ExportResponse, Status>>;

    async fn export(&self, request: Request<v1::ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let v1::ExportRequest { project, suite, branch, environment } = request.into_inner();
        let scope = Scope { branch: branch.into(), class: environment.into() };
        let stream = Self::stream(self.parts.looking().await?, move |projection, to| {
            let suites = suite.map_or_else(|| projection.suites(&project), |suite| Ok(vec![suite]))?;
            suites.iter().try_for_each(|suite| export(projection, to, &project, suite, &scope))
        });
        Ok(Response::new(stream))
    }

    type KnownStream = ReceiverStream<Result<v1::KnownResponse, Status>>;

    async fn known(&self, request: Request<v1::KnownRequest>) -> Result<Response<Self::KnownStream>, Status> {
        let v1::KnownRequest { project, suite } = request.into_inner();
        let stream = Self::stream(self.parts.looking().await?, move |projection, to| {
            let files = projection.file_list(&project, &suite, "")?.files;
            files.chunks(FILES).try_for_each(|files| known(projection, to, &project, &suite, files))
        });
        Ok(Response::new(stream))
    }
}

/// What is known of the tests of a suite.
fn export(
    projection: &Reader,
    to: &Sender<v1::ExportResponse>,
    project: &str,
    suite: &str,
    scope: &Scope,
) -> Result<(), Stop> {
    for paths in projection.paths(project, suite)?.chunks(FILES) {
        let mut known = projection.histories(project, suite, scope, paths.iter().map(|path| &**path))?;
        let mut told = Vec::new();
        for path in paths {
            let mut tests = known.remove(&**path).unwrap_or_default();
            tests.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            told.extend(tests.iter().map(|test| remembered(path, &test.name, &test.history)));
        }
        for tests in told.chunks(ITEMS_PER_EVENT) {
            send(to, v1::ExportResponse { suite: suite.to_owned(), tests: tests.to_vec() })?;
        }
    }
    Ok(())
}

/// Files, with the tests that they held when they were last listed, or that history knows of them.
fn known(
    projection: &Reader,
    to: &Sender<v1::KnownResponse>,
    project: &str,
    suite: &str,
    files: &[ListedFile],
) -> Result<(), Stop> {
    let keys = files.iter().map(|file| file.key).filter(|key| *key != FileKey::default());
    let listings = projection.listings(keys)?;
    let unlisted = files.iter().filter(|file| !listings.contains_key(&file.key)).map(|file| &*file.path);
    let histories = projection.histories(project, suite, &Scope::default(), unlisted)?;
    let mut told = Vec::new();
    let mut room = ITEMS_PER_EVENT;
    for file in files {
        let (listed, names): (bool, Vec<&str>) = match listings.get(&file.key) {
            Some((_, tests)) => (true, tests.iter().map(|test| &*test.name).collect()),
            None => (false, histories.get(&*file.path).into_iter().flatten().map(|test| &*test.name).collect()),
        };
        // A file without tests is told, too.
        let parts = names.chunks(ITEMS_PER_EVENT).chain(names.is_empty().then_some(&names[..]));
        for part in parts {
            if room < part.len() {
                send(to, v1::KnownResponse { files: std::mem::take(&mut told) })?;
                room = ITEMS_PER_EVENT;
            }
            room -= part.len();
            let tests = part.iter().map(|name| (*name).to_owned()).collect();
            told.push(v1::KnownFile { path: file.path.to_string(), listed, tests });
        }
    }
    send(to, v1::KnownResponse { files: told })
}
