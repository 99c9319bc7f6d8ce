//! Asks the coordinator that leads to let another one lead, and waits until one does.

use crate::args::HandoverArgs;
use crate::command::print;
use crate::error::Error;
use crate::exit::Exit;
use crate::link;
use regatta_runtime::dial::{self, Leader};
use regatta_wire::v1::HandOverRequest;
use regatta_wire::v1::coordination_client::CoordinationClient;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long another one may take: a term that nobody ended passes in three seconds, and a large journal is replayed in some more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOKED: Duration = Duration::from_millis(50);

/// Asks, waits, and prints where the one is that leads then.
pub(super) async fn hand_over(args: &HandoverArgs) -> Result<Exit, Error> {
    let addresses = args.on.addresses();
    let before = dial::leader(addresses).await.map_err(|nobody| nobody_leads(&nobody))?;
    let mut client = CoordinationClient::new(link::to(&args.on));
    let asked = Instant::now();
    let handed = client.hand_over(HandOverRequest {}).await.map_err(|status| match status.code() {
        tonic::Code::FailedPrecondition => {
            Error::usage(format!("{} does not hand over", before.address)).because(&status)
        }
        _ => Error::infrastructure(format!("{} cannot be asked to hand over", before.address)).because(&status),
    })?;
    let epoch = handed.into_inner().epoch;
    let after = next(args, epoch, asked + PATIENCE).await?;
    let took = asked.elapsed().as_secs_f64();
    print(&format!("{}\n", after.address))?;
    if after.address == before.address {
        let what = format!("{} leads again: nobody took its place", after.address);
        return Err(
            Error::infrastructure(what).help("start another coordinator on the same store, with an address of its own")
        );
    }
    eprintln!("{} leads in place of {}, after {took:.1} s", after.address, before.address);
    Ok(Exit::Ok)
}

/// The one that leads after `epoch`.
async fn next(args: &HandoverArgs, epoch: u64, until: Instant) -> Result<Leader, Error> {
    loop {
        match dial::leader(args.on.addresses()).await {
            Ok(leader) if leader.epoch > epoch => return Ok(leader),
            Err(nobody) if Instant::now() >= until => return Err(nobody_leads(&nobody)),
            _ => sleep(LOOKED).await,
        }
    }
}

fn nobody_leads(nobody: &dial::Nobody) -> Error {
    Error::infrastructure("no coordinator leads")
        .because(nobody)
        .help("one that stands by leads in some seconds; try again")
}
