//! Offers slots to a coordinator.

use super::block_on;
use crate::args::WorkerArgs;
use crate::error::Error;
use crate::exit::Exit;
use crate::here::{capacities, own_binary, slots_of_machine};
use crate::intent::Context;
use crate::link;
use regatta_domain::WorkerId;
use regatta_runtime::shutdown::on_signals;
use regatta_worker::SpoolPlace;
use uuid::Uuid;

/// Offers slots to a coordinator, until a signal asks it to leave and everything is handed back.
pub(crate) fn worker(args: WorkerArgs, _: &Context<'_>) -> Result<Exit, Error> {
    regatta_runtime::telemetry::start("info");
    block_on(serve(args))?
}

async fn serve(args: WorkerArgs) -> Result<Exit, Error> {
    let asked = on_signals().map_err(|error| Error::infrastructure("cannot listen for signals").because(&error))?;
    let channel = link::to(&args.on);
    let config = regatta_worker::Config {
        worker: WorkerId(Uuid::new_v4()),
        name: args.name.unwrap_or_else(name_of_machine),
        slots: args.slots.unwrap_or_else(slots_of_machine),
        labels: args.label,
        capacities: capacities(args.offer),
        exe: own_binary()?,
        patience: None,
        spool: match args.spool {
            Some(path) if path.as_os_str() == "none" => SpoolPlace::None,
            Some(path) => SpoolPlace::At(path),
            None => SpoolPlace::Temporary(args.on.to_string()),
        },
        spool_bytes: args.spool_size.bytes(),
    };
    tracing::info!(worker = %config.worker, slots = config.slots, on = %args.on, "the worker dials in");
    match regatta_worker::serve(config, channel, asked).await {
        Ok(()) => Ok(Exit::Ok),
        Err(error) => Err(Error::infrastructure("the worker stops").because(&error)),
    }
}

fn name_of_machine() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "worker".to_owned())
}
