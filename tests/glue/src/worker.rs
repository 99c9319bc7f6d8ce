//! A worker's host: the real worker, with scripted tests; when one process has left, the next one comes.

use crate::bench::Scripted;
use crate::network::{PORT, Sea};
use crate::plan::{COORDINATOR, Plan};
use crate::record::Shared;
use crate::story::Story;
use crate::tap::Tap;
use regatta_runtime::dial;
use regatta_runtime::shutdown::Asked;
use regatta_worker::runner::Bench;
use regatta_worker::{Config, SpoolPlace};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How processes are asked to leave, by host.
pub(crate) type Levers = Arc<Mutex<BTreeMap<String, watch::Sender<Asked>>>>;

/// A worker's host.
pub(crate) struct Host {
    pub(crate) at: usize,
    pub(crate) plan: Arc<Plan>,
    pub(crate) story: Story,
    pub(crate) record: Shared,
    pub(crate) tap: Tap,
    pub(crate) levers: Levers,
    /// Where its spool is.
    pub(crate) directory: PathBuf,
    pub(crate) lives: AtomicU64,
}

/// A lever by which the next process of a host is asked to leave.
pub(crate) fn lever(levers: &Levers, host: &str) -> watch::Receiver<Asked> {
    let (tell, asked) = watch::channel(Asked::default());
    levers.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), tell);
    asked
}

/// A worker's process, from its start to its end.
pub(crate) async fn work(host: Arc<Host>) -> turmoil::Result {
    let planned = &host.plan.workers[host.at];
    let life = host.lives.fetch_add(1, Ordering::Relaxed);
    let worker = host.plan.worker_id(host.at, life);
    host.story.tell(&planned.name, format_args!("starts as {worker}"));
    let asked = lever(&host.levers, &planned.name);
    let addresses = format!("http://{COORDINATOR}:{PORT}").parse()?;
    let channel = dial::channel_over(Arc::new(Sea { tap: Some(host.tap.clone()) }), addresses);
    let bench = || -> Box<dyn Bench> {
        let (plan, story, record) = (Arc::clone(&host.plan), host.story.clone(), host.record.clone());
        Box::new(Scripted { host: planned.name.clone(), plan, story, record })
    };
    let spool = if planned.spools { SpoolPlace::At(host.directory.clone()) } else { SpoolPlace::None };
    let config = Config {
        worker,
        name: planned.name.clone(),
        slots: planned.slots,
        labels: Vec::new(),
        capacities: BTreeMap::new(),
        exe: PathBuf::new(),
        patience: None,
        spool,
        spool_bytes: 1 << 20,
    };
    let benches = (0..planned.slots).map(|_| bench()).collect();
    match regatta_worker::serve_at(benches, config, channel, asked).await {
        Ok(()) => host.story.tell(&planned.name, "has left"),
        Err(error) => host.story.broke(format_args!("{} gave up: {error}", planned.name)),
    }
    // The host stands until it is started again.
    tokio::time::sleep(Duration::from_secs(1 << 20)).await;
    Ok(())
}
