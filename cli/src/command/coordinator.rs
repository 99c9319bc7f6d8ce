//! Serves as the coordinator of a fleet, or asks one that does.

mod handover;
mod status;

use super::{block_on, declared};
use crate::args::{CoordinatorArgs, CoordinatorCommand, ResourceArg, ShareArg};
use crate::error::Error;
use crate::exit::Exit;
use crate::here::refused;
use crate::intent::Context;
use regatta_coordinator::store::postgres::leader::Candidate;
use regatta_coordinator::{Config, Coordinator, Keep, Share, Standing, stand_by};
use regatta_domain::{Offer, Resource};
use regatta_runtime::shutdown::{Asked, Urgency, on_signals};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Why one that led leads no more, where nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// A signal asked it to end.
    Asked,
    /// Another one is to lead.
    HandedOver,
}

/// Serves as the coordinator of a fleet, until a signal asks it to end; or does what is asked of one that serves.
pub(crate) fn coordinator(args: CoordinatorArgs, context: &Context<'_>) -> Result<Exit, Error> {
    match args.command {
        Some(CoordinatorCommand::Handover(args)) => return block_on(handover::hand_over(&args))?,
        Some(CoordinatorCommand::Status(args)) => return block_on(status::status(&args))?,
        None => {}
    }
    regatta_runtime::telemetry::start("info");
    block_on(serve(args, context))?
}

async fn serve(args: CoordinatorArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let mut asked = on_signals().map_err(|error| Error::infrastructure("cannot listen for signals").because(&error))?;
    // The address first: two coordinators with one port must not fight over the data.
    let listener = Arc::new(Coordinator::listen(args.listen).await.map_err(|error| refused(&error))?);
    let address = listener.local_addr().map_err(|error| Error::infrastructure("no address").because(&error))?;
    let data = context.cwd.join(args.data);
    let mut config = Config::cluster(data.clone());
    config.blobs = args.blobs;
    let age = args.keep_for.map(|limit| limit.0);
    config.keep = Keep { runs: args.keep_runs, tests: args.keep_tests, age, ..Keep::CLUSTER };
    config.setup.resources = resources(args.resource, args.resources.as_deref(), context)?;
    let share = |share: ShareArg| (share.project.into(), Share { weight: share.weight, quota: share.quota });
    config.setup.shares = args.share.into_iter().map(share).collect();
    let say = || super::print(&format!("http://{address}\n"));
    let ready = || tracing::info!(%address, data = %data.display(), "the coordinator is ready");
    let Some(server) = args.store else {
        let coordinator = Coordinator::start(config).await.map_err(|error| refused(&error))?;
        say()?;
        ready();
        return lead(&coordinator, listener, &mut asked).await.map_err(|error| refused(&error)).map(|_| Exit::Ok);
    };
    say()?;
    let advertised = args.advertise.unwrap_or_else(|| format!("http://{address}"));
    let mut handed_over = false;
    loop {
        let candidate = Candidate::new(server.clone(), &advertised);
        let mut candidate = if handed_over { candidate.behind_others() } else { candidate };
        let standing = candidate.standing();
        tracing::info!(%address, %server, "the coordinator stands by");
        let leadership = tokio::select! {
            led = candidate.stand_by() => led.map_err(|error| refused(&error.into()))?,
            error = refuse_all(&listener, standing) => return Err(refused(&error)),
            _ = asked.wait_for(|asked| asked.urgency != Urgency::None) => return Ok(Exit::Ok),
        };
        let led = match Coordinator::lead(config.clone(), leadership).await {
            Ok(coordinator) => {
                ready();
                lead(&coordinator, Arc::clone(&listener), &mut asked).await
            }
            Err(error) => Err(error),
        };
        match led {
            Ok(Ended::Asked) => return Ok(Exit::Ok),
            Ok(Ended::HandedOver) => handed_over = true,
            Err(error) if error.is_deposed() => {
                tracing::warn!("{error}");
                handed_over = false;
            }
            Err(error) => return Err(refused(&error)),
        }
    }
}

/// Serves as the one that leads, until a signal asks it to end, or another one is to lead, or does.
async fn lead(
    coordinator: &Coordinator,
    listener: Arc<TcpListener>,
    asked: &mut watch::Receiver<Asked>,
) -> Result<Ended, regatta_coordinator::Error> {
    let ended = tokio::select! {
        served = coordinator.serve(listener) => served.map(|()| Ended::Asked),
        _ = asked.wait_for(|asked| asked.urgency != Urgency::None) => Ok(Ended::Asked),
        () = coordinator.handed_over() => Ok(Ended::HandedOver),
    };
    match ended {
        Ok(Ended::HandedOver) => tracing::info!("the coordinator hands over"),
        _ => tracing::info!("the coordinator stops"),
    }
    let stopped = coordinator.shutdown().await;
    ended.and_then(|ended| stopped.map(|()| ended))
}

/// Answers that another one leads, for ever.
async fn refuse_all(listener: &Arc<TcpListener>, standing: watch::Receiver<Standing>) -> regatta_coordinator::Error {
    match stand_by(listener, standing).await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
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
