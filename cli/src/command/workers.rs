//! Lists the workers of a coordinator.

use super::place::Answering;
use super::{block_on, print};
use crate::args::{TableFormat, WorkersArgs};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use regatta_wire::v1;
use regatta_wire::v1::fleet_client::FleetClient;
use std::fmt::Write as _;

/// Lists the workers of a coordinator.
pub(crate) fn workers(args: WorkersArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let workers = block_on(async {
        let answering = Answering::at(Some(&args.on), context).await?;
        let workers = FleetClient::new(answering.channel.clone()).workers(v1::WorkersRequest {}).await;
        answering.end().await?;
        workers.map_err(|status| Error::infrastructure("the workers cannot be listed").because(&status))
    })??;
    let v1::WorkersResponse { workers, slots_wanted, .. } = workers.into_inner();
    if slots_wanted > 0 {
        eprintln!("runs with a target need {slots_wanted} slots to end in time");
    }
    print(&match args.format {
        TableFormat::Human => table(&workers),
        TableFormat::Json => format!("{}\n", serde_json::Value::from_iter(workers.iter().map(object))),
    })?;
    Ok(Exit::Ok)
}

fn table(workers: &[v1::WorkerInfo]) -> String {
    let mut table = String::new();
    for worker in workers {
        let short = worker.worker.get(..8).unwrap_or(&worker.worker);
        let state = if worker.draining { "draining" } else { "" };
        let _infallible = writeln!(
            table,
            "{short}  {:<24}  {:>4} of {:>4} slots busy  {}  {}{state}",
            worker.name,
            worker.busy,
            worker.slots,
            worker.version,
            worker.labels.iter().map(|label| format!("{label} ")).collect::<String>()
        );
    }
    table
}

fn object(worker: &v1::WorkerInfo) -> serde_json::Value {
    serde_json::json!({
        "worker": worker.worker,
        "name": worker.name,
        "version": worker.version,
        "slots": worker.slots,
        "busy": worker.busy,
        "attached": regatta_domain::Micros(worker.attached).as_secs_f64(),
        "draining": worker.draining,
        "labels": worker.labels,
    })
}
