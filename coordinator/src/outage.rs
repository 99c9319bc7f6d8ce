//! The first refusal of a store, seen by everybody: from then on the coordinator stops, and comes back by replay.

use crate::store;
use std::sync::Arc;
use tokio::sync::watch;

/// Whether a store has refused. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Outage(Arc<watch::Sender<Option<Arc<store::Error>>>>);

impl Default for Outage {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Outage {
    /// A store has refused. The first refusal is the one that is told.
    pub(crate) fn declare(&self, error: store::Error) {
        self.0.send_if_modified(|told| {
            let first = told.is_none();
            if first {
                tracing::error!(%error, "the store refuses; the coordinator stops, since memory never runs ahead of disk");
                *told = Some(Arc::new(error));
            }
            first
        });
    }

    /// What was refused, if anything was.
    pub(crate) fn get(&self) -> Option<Arc<store::Error>> {
        self.0.borrow().clone()
    }

    /// Waits until a store refuses: for ever, as a rule.
    pub(crate) async fn wait(&self) -> Arc<store::Error> {
        let mut told = self.0.subscribe();
        let refused = told.wait_for(Option::is_some).await.expect("the sender lives as long as this handle");
        Arc::clone(refused.as_ref().expect("waited for"))
    }
}
