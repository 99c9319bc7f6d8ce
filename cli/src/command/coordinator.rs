//! Serves as the coordinator of a fleet.

use super::{block_on, declared};
use crate::args::{CoordinatorArgs, ResourceArg, ShareArg};
use crate::error::Error;
use crate::exit::Exit;
use crate::here::refused;
use crate::intent::Context;
use regatta_coordinator::{Config, Coordinator, Share};
use regatta_domain::{Offer, Resource};
use regatta_runtime::shutdown::{Urgency, on_signals};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

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
    config.blobs = args.blobs;
    config.setup.resources = resources(args.resource, args.resources.as_deref(), context)?;
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

/// What the fleet shares: what was typed, and what the file declares.
fn resources(
    typed: Vec<ResourceArg>,
    file: Option<&Path>,
    context: &Context<'_>,
) -> Result<BTreeMap<Arc<str>, Offer>, Error> {
    let mut resources: BTreeMap<Arc<str>, Offer> =
        typed.into_iter().map(|given| (given.name.into(), Resource::of_seats(given.seats).into())).collect();
    let Some(file) = file else { return Ok(resources) };
    let base = context.cwd.join(file).parent().map(Path::to_owned);
    for (name, declared) in declared::read(file, context)? {
        let resource = declared.value.resource(base.as_deref());
        if resources.insert(name.as_str().into(), resource.into()).is_some() {
            let what = format!("`{name}` is declared by `--resource` and in {}", file.display());
            return Err(Error::usage(what).help("declare it in one of the two places"));
        }
    }
    Ok(resources)
}
