//! A coordinator and a worker within this process: `regatta run` with no server at all.
//!
//! They are the ones that a fleet has, over a link that happens to be short.

use crate::args::ResourceArg;
use crate::error::Error;
use crate::link;
use crate::needs::Resources;
use regatta_coordinator::{Config, Coordinator};
use regatta_domain::WorkerId;
use regatta_runtime::shutdown::{Asked, Urgency};
use regatta_worker::SpoolPlace;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use uuid::Uuid;

/// Where a project keeps what Regatta remembers of it.
const DATA: &str = ".regatta";

/// A coordinator in this process, with a worker where tests are to run.
pub(crate) struct Here {
    coordinator: Arc<Coordinator>,
    /// How it is reached.
    pub(crate) channel: Channel,
    worker: Option<Worker>,
}

/// The worker in this process.
struct Worker {
    serving: JoinHandle<Result<(), regatta_worker::Error>>,
    stop: watch::Sender<Asked>,
}

/// How long a worker may take to leave a coordinator that has failed.
const LEAVE: Duration = Duration::from_secs(10);

impl Here {
    /// Starts the coordinator of the project in `base`, where there are these resources.
    pub(crate) async fn start(base: &Path, resources: Resources) -> Result<Self, Error> {
        let data = base.join(DATA);
        prepare(&data).map_err(|error| {
            Error::infrastructure(format!("cannot keep anything in {}", data.display()))
                .because(&error)
                .help("Regatta remembers durations and listings there; make the directory writable")
        })?;
        let mut config = Config::local(data);
        config.setup.resources = resources.into_iter().map(|(name, resource)| (name, resource.into())).collect();
        let coordinator = Coordinator::start(config).await.map_err(|error| refused(&error))?;
        let coordinator = Arc::new(coordinator);
        let dialled = Arc::downgrade(&coordinator);
        let channel = link::within(move || dialled.upgrade().map(|coordinator| coordinator.dial()));
        Ok(Self { coordinator, channel, worker: None })
    }

    /// Adds a worker with so many slots, that carries these labels.
    pub(crate) fn add_worker(&mut self, slots: u16, labels: Vec<String>) -> Result<(), Error> {
        let config = regatta_worker::Config {
            worker: WorkerId(Uuid::new_v4()),
            name: "here".to_owned(),
            slots,
            labels,
            capacities: capacities(Vec::new()),
            exe: own_binary()?,
            patience: Some(20),
            // Its coordinator ends with it.
            spool: SpoolPlace::None,
            spool_bytes: 0,
        };
        let (stop, asked) = watch::channel(Asked::default());
        let serving = tokio::spawn(regatta_worker::serve(config, self.channel.clone(), asked));
        self.worker = Some(Worker { serving, stop });
        Ok(())
    }

    /// Waits until the worker or the coordinator has failed: for ever, as a rule.
    pub(crate) async fn failed(&mut self) -> Error {
        let worker = async {
            match &mut self.worker {
                Some(worker) => (&mut worker.serving).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = worker => {
                self.worker = None;
                match ended {
                    Ok(Err(error)) => Error::infrastructure("the worker in this process stopped").because(&error),
                    Ok(Ok(())) => Error::infrastructure("the worker in this process left"),
                    Err(panic) => Error::infrastructure("the worker in this process broke").because(&panic),
                }
            }
            error = self.coordinator.refused() => refused(&error),
        }
    }

    /// Ends everything in order; what happened can be asked for afterwards.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        if let Some(Worker { serving, stop }) = self.worker.take() {
            stop.send_modify(|asked| asked.urgency = Urgency::Gentle);
            let _ended_either_way = serving.await;
        }
        self.close().await
    }

    /// Ends everything after a failure: what runs is stopped, and nobody is waited for who may never answer.
    pub(crate) async fn abandon(mut self) {
        if let Some(Worker { serving, stop }) = self.worker.take() {
            stop.send_modify(|asked| asked.urgency = Urgency::Hard);
            let _left_or_late = timeout(LEAVE, serving).await;
        }
        // Why it failed is told already.
        let _known = timeout(LEAVE, self.close()).await;
    }

    async fn close(self) -> Result<(), Error> {
        drop(self.channel);
        match Arc::try_unwrap(self.coordinator) {
            Ok(coordinator) => coordinator.shutdown().await.map_err(|error| refused(&error)),
            // A connection is just being dialled; what is acknowledged is durable without a proper end.
            Err(_) => Ok(()),
        }
    }
}

/// The binary that also is the spawner of test processes.
pub(crate) fn own_binary() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|error| Error::infrastructure("cannot tell where this binary is").because(&error))
}

/// What a worker on this machine has of its own: its processors and its memory in GiB, and what was said.
pub(crate) fn capacities(said: Vec<ResourceArg>) -> BTreeMap<String, u32> {
    let mut all = BTreeMap::from([("cpu".to_owned(), u32::from(slots_of_machine()))]);
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib: u64 = text.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok()?;
        u32::try_from(kib / (1024 * 1024)).ok()
    });
    all.extend(memory.map(|gib| ("memory".to_owned(), gib)));
    all.extend(said.into_iter().map(|offer| (offer.name, offer.seats)));
    all
}

/// One slot per processor.
pub(crate) fn slots_of_machine() -> u16 {
    std::thread::available_parallelism().map_or(1, |n| u16::try_from(n.get()).unwrap_or(1))
}

/// What the coordinator refuses, as people are told.
pub(crate) fn refused(error: &regatta_coordinator::Error) -> Error {
    let told = Error::infrastructure(error.to_string());
    match std::error::Error::source(error) {
        Some(source) => told.because(source),
        None => told,
    }
}

/// Makes the directory, and has git ignore it.
fn prepare(data: &Path) -> std::io::Result<()> {
    fs::create_dir_all(data)?;
    let ignore = data.join(".gitignore");
    if ignore.exists() { Ok(()) } else { fs::write(ignore, "*\n") }
}
