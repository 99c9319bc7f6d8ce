//! What is recorded of a run, event by event: all of it, or of a live one as far as it is now.

use crate::error::Error;
use regatta_domain::RunId;
use regatta_wire::Invalid;
use regatta_wire::v1::runs_client::RunsClient;
use regatta_wire::v1::{self, RunEvent};
use std::time::Duration;
use tonic::transport::Channel;

/// A live run that says nothing for so long has said everything that happened so far.
const QUIET: Duration = Duration::from_millis(500);

/// Hands over the events behind number `after`, up to the run's last or to now.
///
/// # Errors
/// When they cannot be read, or say what this version does not know.
pub(super) async fn read(
    client: &mut RunsClient<Channel>,
    run: RunId,
    after: u64,
    mut take: impl FnMut(RunEvent) -> Result<(), Invalid>,
) -> Result<(), Error> {
    let asked = regatta_runtime::clock::now_us();
    let broken = |status: tonic::Status| Error::infrastructure("the run cannot be read").because(&status);
    let request = v1::WatchRequest { run: run.to_string(), after };
    let mut events = client.watch(request).await.map_err(broken)?.into_inner();
    while let Ok(next) = tokio::time::timeout(QUIET, events.message()).await {
        let Some(event) = next.map_err(broken)? else { break };
        let over = event.is_last() || event.at > asked;
        take(event).map_err(|invalid| {
            Error::infrastructure("the coordinator says what this version does not know")
                .because(&invalid)
                .help("use the same version of regatta on both sides")
        })?;
        if over {
            break;
        }
    }
    Ok(())
}
