//! A worker from its start to its end.

use crate::databases::{Coordinator, Provider};
use crate::desk::Desk;
use crate::process::Spawner;
use crate::runner::{Bench, Place};
use crate::scratch::Scratch;
use crate::session::{Error, Session};
use crate::slot::Slot;
use crate::spool::{Left, Spool, SpoolPlace};
use crate::tenure::Tenure;
use regatta_domain::{SlotIx, WorkerId};
use regatta_runtime::shutdown::Asked;
use regatta_runtime::threads;
use regatta_wire::limits::MESSAGE_BYTES;
use regatta_wire::v1::fleet_client::FleetClient;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tonic::transport::Channel;

/// What one slot may be told before it listens: two grants, an answer for each file of them, a steal and a stop each,
/// and the end of a hundred runs.
const TO_SLOT: usize = 4_096;

/// What all slots together may have said before the session listens.
const FROM_SLOTS: usize = 1_024;

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its id: a new one for every process. One that finds a spool of a worker that is gone speaks for that one, and has its id.
    pub worker: WorkerId,
    /// What people call it.
    pub name: String,
    /// How many slots it offers.
    pub slots: u16,
    /// What it offers beside them; suites may require it.
    pub labels: Vec<String>,
    /// What it has of its own to divide among its shards, by name: `cpu`, `memory`, `gpu`; tests need it as `worker.cpu`.
    pub capacities: BTreeMap<String, u32>,
    /// The `regatta` binary, which is also the spawner of test processes.
    pub exe: PathBuf,
    /// How often the first connection is tried before the worker gives up; `None` for ever.
    pub patience: Option<u32>,
    /// Where it keeps what is not acknowledged, so that it survives the process.
    pub spool: SpoolPlace,
    /// The most bytes that may be there; beyond them slots wait.
    pub spool_bytes: u64,
}

/// Serves until `shutdown` asks to stop and everything is handed back and acknowledged.
///
/// # Errors
/// When the coordinator refuses the worker, or cannot be reached within its patience.
///
/// # Panics
/// When no spawner can be started: the machine has no process left to give.
pub async fn serve(config: Config, channel: Channel, shutdown: watch::Receiver<Asked>) -> Result<(), Error> {
    let scratch = Scratch::make(&std::env::temp_dir()).map_err(|error| {
        Error::Setup(format!("no directory for sockets and lists in {}: {error}", std::env::temp_dir().display()))
    })?;
    let spool = open_spool(&config).await?;
    let worker = spool.as_ref().map_or(config.worker, |(spool, _)| spool.worker());
    let starters = spool.as_ref().map(|(spool, _)| spool.starters());
    let databases: Arc<dyn Provider> = Arc::new(Coordinator::at(channel.clone()));
    let mut benches: Vec<Box<dyn Bench>> = Vec::with_capacity(config.slots.into());
    for slot in (0..config.slots).map(SlotIx) {
        let place = scratch.path().join(format!("slot-{slot}"));
        std::fs::create_dir(&place)
            .map_err(|error| Error::Setup(format!("cannot make {}: {error}", place.display())))?;
        let spawner = Spawner::start_holding(&config.exe, starters.as_deref()).await;
        let spawner = spawner
            .map_err(|error| Error::Setup(format!("cannot start {} as a spawner: {error}", config.exe.display())))?;
        let databases = Arc::clone(&databases);
        benches.push(Box::new(Arc::new(Place { worker, slot, spawner, scratch: place, databases })));
    }
    work(config, spool, benches, channel, shutdown).await
}

/// Serves with a slot at each of these benches instead of slots for the frameworks: a simulation's tests are no processes.
///
/// # Errors
/// As [`serve`].
pub async fn serve_at(
    benches: Vec<Box<dyn Bench>>,
    config: Config,
    channel: Channel,
    shutdown: watch::Receiver<Asked>,
) -> Result<(), Error> {
    let spool = open_spool(&config).await?;
    work(config, spool, benches, channel, shutdown).await
}

async fn open_spool(config: &Config) -> Result<Option<(Spool, Left)>, Error> {
    let (place, bytes, worker) = (config.spool.clone(), config.spool_bytes, config.worker);
    let opened = threads::on_disk(move || Spool::open(&place, bytes, worker)).await;
    opened.expect("opening a spool does not panic").map_err(|error| Error::Setup(error.to_string()))
}

/// Serves with what is ready for it.
async fn work(
    config: Config,
    spool: Option<(Spool, Left)>,
    benches: Vec<Box<dyn Bench>>,
    channel: Channel,
    shutdown: watch::Receiver<Asked>,
) -> Result<(), Error> {
    let worker = spool.as_ref().map_or(config.worker, |(spool, _)| spool.worker());
    let (out, from_slots) = mpsc::channel(FROM_SLOTS);
    let (tenure, term) = Tenure::new();
    let mut senders = Vec::with_capacity(benches.len());
    let mut slots = tokio::task::JoinSet::new();
    for (slot, bench) in benches.into_iter().enumerate() {
        let (to, inbox) = mpsc::channel(TO_SLOT);
        senders.push(to);
        slots.spawn(Slot::new((SlotIx::nth(slot), bench), term.clone(), inbox, out.clone()).run());
    }
    drop(out);
    let client =
        FleetClient::new(channel).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES);
    let mut desk = Desk::new(worker, config.name, (config.labels, config.capacities), senders);
    if let Some((spool, left)) = spool {
        if worker != config.worker {
            let (reports, leases) = (left.reports.len(), left.holds.len());
            tracing::info!(%worker, reports, leases, "goes on for a worker that is gone, and tells what it had not told");
        }
        desk = desk.with_spool(spool, &left);
    }
    // The desk ends with the session, the slots' inboxes close with the desk, and the slots tear down what is warm.
    let ended = Session { desk, tenure, from_slots, client, shutdown, patience: config.patience }.run().await;
    while let Some(slot) = slots.join_next().await {
        if let Err(panic) = slot {
            tracing::error!(%panic, "a slot did not end well");
        }
    }
    ended
}
