//! The lease behind the ports of an attempt: taken by whoever comes first, waited for by all.

use super::address::Address;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, watch};

/// A lease, and how it stands with it.
#[derive(Debug)]
pub(super) struct Lease {
    state: watch::Sender<State>,
    wanted: Notify,
    is_wanted: AtomicBool,
    /// Somebody left before it was there, or found the server away.
    in_vain: AtomicBool,
}

/// How it stands with a lease.
#[derive(Clone, Debug, Default)]
pub(super) enum State {
    /// It was not asked for, or there is no answer yet.
    #[default]
    Open,
    /// The databases, by resource.
    Taken(Arc<BTreeMap<String, Address>>),
    /// There will be none, and why.
    Refused(String),
}

impl Lease {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::default(),
            wanted: Notify::new(),
            is_wanted: AtomicBool::new(false),
            in_vain: AtomicBool::new(false),
        }
    }

    /// Comes back when somebody wants it for the first time.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Tells all who wait.
    pub(super) fn settle(&self, state: State) {
        self.state.send_replace(state);
    }

    /// How it stands.
    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The databases, for whoever is entitled to them; the error is why there are none.
    pub(super) async fn take(&self) -> Result<Arc<BTreeMap<String, Address>>, String> {
        if !self.is_wanted.swap(true, Ordering::AcqRel) {
            self.wanted.notify_one();
        }
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Open)).await.map(|state| state.clone());
        match settled.expect("the sender is here") {
            State::Taken(addresses) => Ok(addresses),
            State::Refused(why) => Err(why),
            State::Open => unreachable!("it was waited for"),
        }
    }

    /// Somebody waited in vain.
    pub(super) fn disappoint(&self) {
        self.in_vain.store(true, Ordering::Release);
    }

    /// Whether anybody waited in vain.
    pub(super) fn disappointed(&self) -> bool {
        self.in_vain.load(Ordering::Acquire)
    }
}
