//! One watcher: the record of a run, every event once and in order, from memory or from the projection.

use super::on_disk;
use crate::driver::DriverHandle;
use crate::planner::broken;
use crate::projector::{Feed, Mark, Next};
use crate::store::projection::Reader;
use prost::Message as _;
use regatta_domain::RunId;
use regatta_wire::{Failure, v1};
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::Status;

/// Events that are read from the projection at once.
const AT_ONCE: usize = 64;

type To = mpsc::Sender<Result<v1::RunEvent, Status>>;

/// The watcher has gone away, or was told all there is.
struct Over;

/// Tells a watcher what happened in a run after the event `after`, until it ended.
pub(super) async fn watch(
    run: RunId,
    after: u64,
    feed: Option<Arc<Feed>>,
    projection: Reader,
    driver: DriverHandle,
    to: To,
) {
    let watching = Watching { run, projection, to };
    let told = match feed {
        Some(feed) => watching.live(&feed, Mark::after(after)).await,
        None => watching.ended(after).await,
    };
    if let Err(failure) = told {
        let failure = match failure {
            // It says what stopped the coordinator, where something did.
            Failure::Unavailable(_) => driver.gone().into(),
            failure => failure,
        };
        // The watcher may have gone away.
        let _gone = watching.to.send(Err(failure.into())).await;
    }
}

struct Watching {
    run: RunId,
    projection: Reader,
    to: To,
}

impl Watching {
    /// A run that goes on: wait for news, and look again.
    async fn live(&self, feed: &Feed, mut mark: Mark) -> Result<(), Failure> {
        let mut news = feed.news();
        loop {
            news.borrow_and_update();
            match feed.next(&mut mark) {
                Next::Events(events) => {
                    for event in events {
                        if self.tell((*event).clone()).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                Next::Older => match self.older(mark.seq).await? {
                    Some(seq) => mark = Mark::after(seq),
                    None => return Ok(()),
                },
                Next::Nothing => tokio::select! {
                    _ = news.changed() => {}
                    () = self.to.closed() => return Ok(()),
                },
                Next::Over => return Ok(()),
                Next::Closed => return Err(Failure::Unavailable(String::new())),
            }
        }
    }

    /// A run that ended: everything is in the projection.
    async fn ended(&self, mut after: u64) -> Result<(), Failure> {
        while let Some(seq) = self.older(after).await? {
            if seq > after {
                after = seq;
                continue;
            }
            let (projection, run) = (self.projection.clone(), self.run);
            if on_disk(move || projection.has_ended(run).map_err(broken)).await? == Some(true) {
                return Ok(());
            }
            return Err(Failure::Broken(format!("run {run} was never brought to an end: its journal is gone")));
        }
        Ok(())
    }

    /// Tells the next events that are in the projection. Gives the last of them; `None` when the watching is over.
    async fn older(&self, after: u64) -> Result<Option<u64>, Failure> {
        let (projection, run) = (self.projection.clone(), self.run);
        let bodies = on_disk(move || projection.events(run, after, AT_ONCE).map_err(broken)).await?;
        let mut last = after;
        for body in bodies {
            let event = v1::RunEvent::decode(&*body)
                .map_err(|error| Failure::Broken(format!("an event of run {run} does not decode: {error}")))?;
            last = event.seq;
            if self.tell(event).await.is_err() {
                return Ok(None);
            }
        }
        Ok(Some(last))
    }

    async fn tell(&self, event: v1::RunEvent) -> Result<(), Over> {
        let is_last = event.is_last();
        self.to.send(Ok(event)).await.map_err(|_| Over)?;
        if is_last { Err(Over) } else { Ok(()) }
    }
}
