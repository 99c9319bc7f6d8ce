//! How long a host serves a shard: started with what the shard has, and gone before that is given back.
//!
//! Modules read variables when they are imported, and fixtures of a session keep connections. So a host that was there before
//! a shard does not serve one that holds resources or shares databases, and one that did does not outlive it.

use super::super::entry::{Entry, Phase};
use super::super::host::Host;
use super::super::limits::{FRUITLESS, GRACE};
use super::super::tell_teardown;
use super::{Shift, Stop, bounded};
use crate::runner::Tell;
use crate::runner::attempts::Standing;
use regatta_domain::result::RunErrorKind;
use std::pin::pin;
use std::sync::Arc;
use tokio::time::Instant;

impl Shift<'_> {
    /// Sees to it that the databases which all tests of the shard share are there, and that the host was started with them,
    /// before the first test that uses them. `false` where that has to be waited for, and there is no host to do anything
    /// else.
    pub(super) async fn has_what_is_shared(&mut self) -> bool {
        while self.attempts.shares() {
            let waiting = self.entries.iter().flat_map(|entry| &entry.unsent);
            let Some(test) = waiting.into_iter().find(|test| self.attempts.is_shared(test)) else { return true };
            match self.attempts.seek(test) {
                Standing::Waiting => return self.runner.host.is_some(),
                Standing::Refused => {
                    let attempts = self.attempts.clone();
                    self.entries.iter_mut().for_each(|entry| entry.unsent.retain(|test| !attempts.is_shared(test)));
                }
                Standing::Ready | Standing::Weak if !self.is_calm() => return true,
                Standing::Ready => {
                    let generation = self.attempts.generation();
                    if self.runner.host.as_ref().is_some_and(|host| host.generation < generation) {
                        self.let_go().await;
                    }
                    return true;
                }
                Standing::Weak => {
                    self.let_go().await;
                    let attempts = self.attempts.clone();
                    if self.attend(attempts.give_shard_back()).await.is_none() {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Sees to it that there is a host. Without one, why was told, and the shard is over.
    pub(super) async fn has_host(&mut self) -> bool {
        if self.runner.host.is_some() {
            return true;
        }
        if self.fruitless >= FRUITLESS {
            let text = format!("pytest ended {FRUITLESS} times in a row before it had run or collected anything");
            self.error(None, RunErrorKind::Runner, "pytest", &text).await;
            return false;
        }
        let (brief, place) = (Arc::clone(&self.runner.brief), Arc::clone(&self.runner.place));
        let (settings, zygote) = (Arc::clone(&self.runner.settings), Arc::clone(&self.runner.zygote));
        self.runner.hosts += 1;
        let (shard, generation) = (self.attempts.stems(), self.attempts.generation());
        let mut start = pin!(Host::start(&brief, &place, &settings, &zygote, &shard, self.runner.hosts));
        let started = loop {
            tokio::select! {
                started = &mut start => break started,
                control = self.control.recv() => self.note(control).await,
            }
            if self.stop.is_some() {
                return false;
            }
        };
        match started {
            Ok(mut host) => {
                self.heard = Instant::now();
                host.generation = generation;
                self.runner.host = Some(host);
                true
            }
            Err(errors) => {
                for error in errors {
                    self.sink.tell(Tell::Error { file: None, error: bounded(error) }).await;
                }
                false
            }
        }
    }

    /// Replaces a host that has run as much as one may.
    pub(super) async fn recycle(&mut self) {
        self.entries.iter_mut().for_each(Entry::forget_host);
        self.runner.finish(self.sink).await;
    }

    /// Whether the host has nothing to do.
    pub(super) fn is_calm(&self) -> bool {
        self.sent.is_empty() && !self.entries.iter().any(|entry| matches!(entry.phase, Phase::Collecting { .. }))
    }

    /// Has the host tear down everything, and waits for its end, unless it is to be killed.
    pub(super) async fn let_go(&mut self) {
        self.entries.iter_mut().for_each(Entry::forget_host);
        let Some(mut host) = self.runner.host.take() else { return };
        match self.attend(host.finish()).await {
            Some(errors) => tell_teardown(self.sink, errors).await,
            None => host.kill(GRACE).await,
        }
    }

    /// Waits for `work`, and sees to what arrives meanwhile; `None` when what runs is to be killed.
    pub(super) async fn attend<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        while self.stop != Some(Stop::Kill) {
            let control = tokio::select! {
                biased;
                done = &mut work => return Some(done),
                control = self.control.recv() => control,
            };
            self.note(control).await;
        }
        None
    }

    /// Ends the shard, for which nothing runs any more, or what does knows nothing of it.
    pub(super) async fn close(&mut self) {
        let attempts = self.attempts.clone();
        let mut closing = pin!(attempts.close());
        if self.attend(&mut closing).await.is_none() {
            attempts.hurry();
            closing.await;
        }
    }

    /// Tests that vanished when their file was collected anew may have what others wait for. While a listing is on its way,
    /// they may come back.
    pub(super) fn forget_what_vanished(&self) {
        let is_open = |entry: &Entry| matches!(entry.phase, Phase::Told | Phase::Collecting { .. });
        if !self.entries.iter().any(is_open) {
            let unsent = || self.entries.iter().flat_map(|entry| &entry.unsent);
            self.attempts.forget_but(|ix| unsent().any(|test| test.test == ix));
        }
    }
}
