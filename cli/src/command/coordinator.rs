//! Serves as the coordinator of a fleet.

use super::block_on;
use crate::args::{CoordinatorArgs, ShareArg};
use crate::error::Error;
use crate::exit::Exit;
use crate::here::refused;
use crate::intent::Context;
use regatta_coordinator::{Config, Coordinator, Share};
use regatta_runtime::shutdown::{Urgency, on_signals};

/// Serves as the coordinator of a fleet, until a signal asks it to end.
pub(crate) fn coordinator(args: CoordinatorArgs, context: &Context<'_>) -> Result<Exit, Error> {
    regatta_runtime::telemetry::start("info");
    block_on(serve(args, context))?
}

async fn serve(args: CoordinatorArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let mut asked = on_signals().map_err(|error| Error::infrastructure("cannot listen for signals").because(&error))?;
    // The address first: two coordinators with one port must not fight over the data.
    let listener = Coordinator::listen(args.listen).await.map_err(|error| refused(&error))?;
    let address = listener.local_addr().map_err(|error| Error::infrastructure("no address").because(&error))?;
    let data = context.cwd.join(args.data);
    let mut config = Config::cluster(data.clone());
    config.setup.resources = args.resource.into_iter().map(|resource| (resource.name.into(), resource.seats)).collect();
    let share = |share: ShareArg| (share.project.into(), Share { weight: share.weight, quota: share.quota });
    config.setup.shares = args.share.into_iter().map(share).collect();
    let coordinator = Coordinator::start(config).await.map_err(|error| refused(&error))?;
    super::print(&format!("http://{address}\n"))?;
    tracing::info!(%address, data = %data.display(), "the coordinator is ready");
    let ended = tokio::select! {
        served = coordinator.serve(listener) => served.map_err(|error| refused(&error)),
        _ = asked.wait_for(|asked| asked.urgency != Urgency::None) => Ok(()),
    };
    tracing::info!("the coordinator stops");
    coordinator.shutdown().await.map_err(|error| refused(&error))?;
    ended.map(|()| Exit::Ok)
}
