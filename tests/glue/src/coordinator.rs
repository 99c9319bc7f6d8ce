//! The coordinator's host: the real coordinator, on a journal that outlives it, served over the simulated network.

use crate::journal::{Disk, SlowJournal};
use crate::network::{PORT, Served};
use crate::plan::{COORDINATOR, DEVICE, Plan};
use crate::story::Story;
use crate::worker::{Levers, lever};
use regatta_coordinator::{Config, Coordinator, Setup, Tuning};
use regatta_domain::{Micros, Offer, Resource};
use regatta_runtime::shutdown::Urgency;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use turmoil::net::TcpListener;

/// Connections that wait to be served.
const BACKLOG: usize = 16;

/// The coordinator's host.
pub(crate) struct Host {
    pub(crate) plan: Arc<Plan>,
    pub(crate) story: Story,
    pub(crate) disk: Disk,
    pub(crate) levers: Levers,
    /// Where its tables and blobs are.
    pub(crate) directory: PathBuf,
    pub(crate) lives: AtomicU64,
}

/// A coordinator's process, from its start to its end.
pub(crate) async fn coordinate(host: Arc<Host>) -> turmoil::Result {
    let life = host.lives.fetch_add(1, Ordering::Relaxed);
    host.story.tell(COORDINATOR, "starts");
    let mut asked = lever(&host.levers, COORDINATOR);
    let journal = SlowJournal::open(&host.disk, &host.plan, life, &host.story);
    let lease = Micros(u64::try_from(host.plan.lease.as_micros())?);
    let tuning = Tuning { lease, reconnect: Micros(lease.0 / 3), ..Tuning::CLUSTER };
    let mut setup = Setup::from(tuning);
    let device = Offer { resource: Arc::new(Resource::of_seats(1)), drained: false, withheld: Vec::new() };
    setup.resources.insert(DEVICE.into(), device);
    let config = Config { setup, ..Config::cluster(host.directory.clone()) };
    let coordinator = Coordinator::start_over(config, Box::new(journal)).await?;
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let (to, accepted) = mpsc::channel(BACKLOG);
    let accepting = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            if to.send(Ok(Served(connection))).await.is_err() {
                return;
            }
        }
    });
    let asked = async {
        let _gone = asked.wait_for(|asked| asked.urgency != Urgency::None).await;
    };
    tokio::select! {
        served = coordinator.serve_incoming(ReceiverStream::new(accepted)) => served?,
        () = asked => {
            accepting.abort();
            coordinator.shutdown().await?;
            host.story.tell(COORDINATOR, "has left");
        }
    }
    // The host stands until it is started again.
    tokio::time::sleep(Duration::from_secs(1 << 20)).await;
    Ok(())
}
