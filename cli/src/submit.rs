//! From what was meant to what is asked of a coordinator: the suites with their files, as far as those are remembered.

use crate::changed::changed;
use regatta_domain::listing::ListedFile;
use regatta_domain::plan::PlannedSuite;
use regatta_domain::result::RunError;
use regatta_wire::submission::SuiteRequest;
use regatta_wire::v1;
use regatta_wire::v1::runs_client::RunsClient;
use regatta_worker::runner::Snapshot;
use std::path::Path;
use std::sync::Arc;
use tonic::transport::Channel;

/// Why a suite cannot be asked for.
#[derive(Debug)]
pub(crate) enum Error {
    /// Its framework is not there, or is too old.
    Runner(RunError),
    /// A filter asks what has changed, and git cannot tell.
    Changes(String),
    /// The coordinator does not answer.
    Coordinator(tonic::Status),
}

/// Asks for a suite: its files as they are remembered, each with the key that it has now; with `changes`, what has changed
/// of them, too.
pub(crate) async fn suite(
    client: &mut RunsClient<Channel>,
    project: &str,
    suite: PlannedSuite,
    changes: bool,
) -> Result<SuiteRequest, Error> {
    let planned = suite.clone();
    let look = move || -> Result<_, Error> {
        let changed = if changes { changed(Path::new(&*planned.root)).map_err(Error::Changes)? } else { Vec::new() };
        Ok((Snapshot::take(&planned).map_err(Error::Runner)?, changed))
    };
    let (snapshot, changed) = tokio::task::spawn_blocking(look).await.expect("looking at files does not panic")?;
    let Some(tree_key) = snapshot.tree_key() else {
        return Ok(SuiteRequest { suite, tree_key: "".into(), discover: true, files: Vec::new(), changed });
    };
    let recall = v1::RecallRequest {
        project: project.to_owned(),
        suite: suite.name.to_string(),
        tree_key: tree_key.to_string(),
    };
    let recalled = client.recall(recall).await.map_err(Error::Coordinator)?.into_inner();
    let exact = recalled.exact;
    let files = tokio::task::spawn_blocking(move || {
        let current = |file: v1::File| {
            let key = snapshot.file_key(&file.path)?;
            Some(ListedFile { path: file.path.into(), key, locator: file.locator.into() })
        };
        recalled.files.into_iter().filter_map(current).collect::<Vec<ListedFile>>()
    })
    .await
    .expect("reading keys does not panic");
    Ok(SuiteRequest { suite, tree_key: Arc::from(tree_key.to_string()), discover: !exact, files, changed })
}
