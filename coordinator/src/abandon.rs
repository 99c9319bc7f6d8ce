//! Ends the runs that an earlier process left live, where their workers are known to have died with it.
//!
//! Nobody waits for those workers: in their name it is said that they hold nothing and have torn everything down.

use crate::driver::{DriverHandle, Gone, Newcomer};
use regatta_core::{Core, Entry};
use regatta_domain::report::CancelCause;
use regatta_domain::{RunId, WorkerId};
use std::collections::BTreeSet;
use tokio::sync::{mpsc, oneshot};

/// Words that may be said to the dead: those of attaching, and one for each run.
const WORDS: usize = 256;

/// Ends every live run.
pub(crate) async fn abandon(driver: &DriverHandle) -> Result<(), Gone> {
    let (runs, workers) = driver.look(|core, _| live(core)).await?;
    let mut sessions = Vec::with_capacity(workers.len());
    for worker in workers {
        let (outgoing, words) = mpsc::channel(WORDS);
        let (alive, closed) = oneshot::channel();
        let newcomer = |numbered| Newcomer {
            worker,
            name: "gone".to_owned(),
            version: String::new(),
            slots: 0,
            labels: Vec::new(),
            capacities: std::collections::BTreeMap::new(),
            holds: Vec::new(),
            outgoing,
            alive,
            numbered,
        };
        sessions.push((worker, driver.attach(newcomer).await?, words, closed));
    }
    for &run in &runs {
        tracing::info!(%run, "an earlier process left this run live; it is cancelled");
        // It may have ended by what was just said.
        let _ended = driver.cancel(run, CancelCause::Abandoned, true).await?;
    }
    for (worker, session, ..) in &sessions {
        let closed = runs.iter().map(|&run| Entry::Closed { run, errors: Vec::new() }).collect();
        driver.report(*worker, *session, 0, closed).await?;
        driver.detach(*worker, *session, None).await?;
    }
    Ok(())
}

/// The live runs, and the workers that ever served one.
fn live(core: &Core) -> (Vec<RunId>, BTreeSet<WorkerId>) {
    let live = || core.state().runs.values().filter(|run| !run.has_ended());
    (live().map(|run| run.id).collect(), live().flat_map(|run| run.served.iter().copied()).collect())
}
