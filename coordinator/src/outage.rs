//! What ended the coordinator before its time, seen by everybody: a store that refuses, or a thread that failed. From then on
//! it stops, and comes back by replay.

use crate::error::{Error, in_one_line};
use std::sync::Arc;
use tokio::sync::watch;

/// Whether the coordinator came to an end before its time. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Outage(Arc<watch::Sender<Option<Error>>>);

impl Default for Outage {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Outage {
    /// Something ended it. What did so first is what is told.
    pub(crate) fn declare(&self, error: impl Into<Error>) {
        let error = error.into();
        self.0.send_if_modified(|told| {
            let first = told.is_none();
            if first {
                let why = in_one_line(&error);
                tracing::error!(why, "the coordinator stops, since memory never runs ahead of disk");
                *told = Some(error);
            }
            first
        });
    }

    /// What ended it, if anything did.
    pub(crate) fn get(&self) -> Option<Error> {
        self.0.borrow().clone()
    }

    /// Waits until something ends it: for ever, as a rule.
    pub(crate) async fn wait(&self) -> Error {
        let mut told = self.0.subscribe();
        let error = told.wait_for(Option::is_some).await.expect("the sender lives as long as this handle");
        error.clone().expect("waited for")
    }

    /// Declares an outage should the thread that holds the guard panic.
    pub(crate) fn guard(&self, thread: &'static str) -> Guard {
        Guard { outage: self.clone(), thread }
    }
}

/// Held by a thread without which the coordinator cannot go on.
pub(crate) struct Guard {
    outage: Outage,
    thread: &'static str,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.outage.declare(Error::Failed { thread: self.thread });
        }
    }
}
