//! When an attempt has ended: what it asked to be done is done, its databases go back, and then its result is told, with what
//! was seen. Beside the next attempt, since the slot has better things to do than to wait.

use super::{Attempts, Claim, Open, Prepared, Shared, Urge};
use crate::cleanup;
use crate::databases;
use crate::process::Command;
use crate::runner::{Finished, Tell, TestWork};
use regatta_domain::database::Observation;
use regatta_wire::limits::{NOTE_BYTES, NOTES_PER_OBSERVATION};
use regatta_wire::v1;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::oneshot;

impl Attempts {
    /// An attempt has ended, everything that it started is gone, and this is its (last) result. `more`: other tests that use
    /// the shard's databases are still to come.
    pub(in crate::runner) async fn end(&self, prepared: Prepared, finished: Finished, more: bool) {
        let (number, shares) = (prepared.number, prepared.sharing.contains(&finished.test));
        let (open, has_registry, claim) = self.close_attempt(number, true);
        if !has_registry && claim.is_none() {
            return self.tell(finished, shares, more).await;
        }
        let of = self.clone();
        self.state().spawn(async move { of.after(number, open, has_registry, claim, finished, shares, more).await });
    }

    /// An attempt has ended that has no result of its own to tell: its tests were told of already, or run again. What it was
    /// handed stays with its test.
    pub(in crate::runner) fn over(&self, prepared: &Prepared) {
        let number = prepared.number;
        let (open, has_registry, _) = self.close_attempt(number, false);
        if has_registry {
            let of = self.clone();
            self.state().spawn(async move {
                for note in of.clean_up(number, &open).await {
                    of.0.sink.tell(Tell::Note(note)).await;
                }
                of.tidied();
            });
        }
    }

    /// An attempt that was prepared was not begun after all.
    pub(in crate::runner) fn put_back(&self, prepared: &Prepared) {
        self.state().open.remove(&prepared.number);
    }

    /// Whether a result says that another test of the shard may still use what all of them share.
    pub(in crate::runner) fn is_any_shared<'a>(&self, tests: impl IntoIterator<Item = &'a TestWork>) -> bool {
        self.shares() && tests.into_iter().any(|test| self.is_shared(test))
    }

    /// As [`Attempts::end`], where one process ran several tests: these are their results.
    pub(in crate::runner) async fn end_all(&self, prepared: Prepared, mut results: Vec<Finished>, more: bool) {
        // What is seen of shared databases is told of a test that uses them.
        if let Some(at) = results.iter().rposition(|finished| prepared.sharing.contains(&finished.test)) {
            results[at..].rotate_left(1);
        }
        let Some(last) = results.pop() else { return self.over(&prepared) };
        for finished in results {
            self.0.sink.tell(Tell::Finished(finished)).await;
        }
        self.end(prepared, last, more).await;
    }

    /// Takes an attempt out of those that are open; with `give`, also what it was handed.
    fn close_attempt(&self, number: u64, give: bool) -> (Open, bool, Option<Claim>) {
        let has_registry = self.registry(number).exists();
        let mut state = self.state();
        let open = state.open.remove(&number).unwrap_or_default();
        let claim = open.own.filter(|_| give).and_then(|test| state.ledger.take(Some(test)));
        if has_registry || claim.is_some() {
            state.behind += 1;
            state.cleaning += usize::from(has_registry);
        }
        (open, has_registry, claim)
    }

    fn tidied(&self) {
        self.state().behind -= 1;
        self.0.changed.notify_one();
    }

    #[expect(clippy::too_many_arguments, reason = "they are what one attempt leaves, and go no further")]
    async fn after(
        self,
        number: u64,
        open: Open,
        has_registry: bool,
        claim: Option<Claim>,
        mut finished: Finished,
        shares: bool,
        more: bool,
    ) {
        let notes = if has_registry { self.clean_up(number, &open).await } else { Vec::new() };
        let seen = match claim {
            Some(claim) => self.give_back(claim).await,
            None => None,
        };
        finished.observation = with_notes(seen, notes);
        self.tell(finished, shares, more).await;
        self.tidied();
    }

    /// Performs what an attempt asked for; what failed.
    async fn clean_up(&self, number: u64, open: &Open) -> Vec<String> {
        let notes = self.perform(&self.registry(number), self.pattern(number, open)).await;
        self.state().cleaning -= 1;
        self.0.changed.notify_one();
        notes
    }

    async fn perform(&self, path: &Path, pattern: Command) -> Vec<String> {
        let mut urge = self.0.urge.subscribe();
        let notes = tokio::select! {
            notes = cleanup::perform(path, &self.0.place.spawner, &pattern) => notes,
            () = databases::until_over(&mut urge) => {
                vec!["the clean-up was cut short, because the worker was stopped".to_owned()]
            }
        };
        let _left_to_the_end_of_the_slot = std::fs::remove_file(path);
        notes
    }

    /// Gives back what was handed out. As soon as that is on its way, another test may ask for its own.
    pub(super) async fn give_back(&self, claim: Claim) -> Option<Observation> {
        let mut giving = pin!(self.returned(claim));
        let at_once = poll_fn(|context| match giving.as_mut().poll(context) {
            Poll::Ready(seen) => Poll::Ready(Some(seen)),
            Poll::Pending => Poll::Ready(None),
        });
        let at_once = at_once.await;
        self.state().ledger.given(&claim);
        self.0.changed.notify_one();
        match at_once {
            Some(seen) => seen,
            None => giving.await,
        }
    }

    /// Gives back what was handed out, or closes the ports that stand for it.
    async fn returned(&self, claim: Claim) -> Option<Observation> {
        let Shared { place, urge, .. } = &*self.0;
        let ports = self.state().ports.remove(&claim.test);
        let Some(ports) = ports else {
            return databases::give_back(&*place.databases, claim, urge.subscribe()).await;
        };
        let closed = ports.close(urge.subscribe()).await;
        if let Some(error) = closed.refused {
            self.refuse(error).await;
        }
        closed.observation
    }

    /// Tells a result. The last of those that use the shard's databases waits for what is seen of them, unless another is to
    /// come.
    async fn tell(&self, finished: Finished, shares: bool, more: bool) {
        if !shares {
            return self.0.sink.tell(Tell::Finished(finished)).await;
        }
        let before = self.state().last.take();
        if let Some(before) = before {
            self.0.sink.tell(Tell::Finished(before)).await;
        }
        if more {
            self.0.sink.tell(Tell::Finished(finished)).await;
        } else {
            self.state().last = Some(finished);
        }
    }

    /// Gives back the databases of the shard, which nothing uses any more; tells what was seen of them with the result of the
    /// last test that used them, or to people. Goes on where it is not waited for.
    pub(in crate::runner) async fn give_shard_back(&self) {
        let (done, ended) = oneshot::channel();
        let of = self.clone();
        self.state().spawn(async move {
            of.shard_back().await;
            let _nobody_waits = done.send(());
        });
        let _a_bug_shows_where_tasks_are_joined = ended.await;
    }

    async fn shard_back(&self) {
        let claim = self.state().ledger.take(None);
        let seen = match claim {
            Some(claim) => self.give_back(claim).await,
            None => None,
        };
        let last = self.state().last.take();
        match (last, seen) {
            (Some(mut last), Some(seen)) => {
                let notes = last.observation.take().map(|own| own.notes).unwrap_or_default();
                last.observation = with_notes(Some(seen), notes.iter().map(ToString::to_string).collect());
                self.0.sink.tell(Tell::Finished(last)).await;
            }
            (Some(last), None) => self.0.sink.tell(Tell::Finished(last)).await,
            (None, Some(seen)) => {
                for note in seen.notes {
                    self.0.sink.tell(Tell::Note(note.to_string())).await;
                }
            }
            (None, None) => {}
        }
    }

    /// Ends the shard: everything that runs for it is gone. Comes back once everything is tidied up, given back and told.
    pub(in crate::runner) async fn close(&self) {
        self.0.urge.send_if_modified(|urge| {
            let is_news = *urge == Urge::None;
            if is_news {
                *urge = Urge::BeginNothing;
            }
            is_news
        });
        // What was killed has no result; what it asked to be done is done all the same.
        let open: Vec<u64> = self.state().open.keys().copied().collect();
        for number in open {
            self.over(&Prepared { number, sharing: Vec::new() });
        }
        self.all_tasks().await;
        self.forget_but(|_| false);
        self.sweep().await;
        self.all_tasks().await;
        self.shard_back().await;
    }

    /// Performs what was asked for when its attempt had ended: by fixtures that outlive a test.
    async fn sweep(&self) {
        let prefix = format!("{}-", self.0.sink.token);
        for path in cleanup::left(&self.0.registries, &prefix) {
            let notes = self.perform(&path, self.pattern(0, &Open::default())).await;
            for note in notes {
                self.0.sink.tell(Tell::Note(note)).await;
            }
        }
    }

    /// Waits for everything that was begun.
    async fn all_tasks(&self) {
        loop {
            let mut tasks = std::mem::take(&mut self.state().tasks);
            if tasks.is_empty() {
                return;
            }
            while let Some(ended) = tasks.join_next().await {
                if let Err(panic) = ended {
                    tracing::error!(%panic, "what comes after an attempt did not end well");
                }
            }
        }
    }
}

/// What was seen, and what is to be said of the clean-up; `None` where there is neither.
fn with_notes(seen: Option<Observation>, notes: Vec<String>) -> Option<Observation> {
    if seen.is_none() && notes.is_empty() {
        return None;
    }
    let nothing = || Observation::try_from(v1::Observation::default()).expect("to have seen nothing is an observation");
    let mut seen = seen.unwrap_or_else(nothing);
    seen.notes.truncate(NOTES_PER_OBSERVATION.saturating_sub(notes.len()));
    seen.notes.extend(notes.iter().map(|note| Arc::from(clip(note))));
    seen.notes.truncate(NOTES_PER_OBSERVATION);
    Some(seen)
}

/// The head of a note within its bound, cut between characters.
fn clip(note: &str) -> &str {
    let end = (0..=note.len().min(NOTE_BYTES)).rev().find(|&at| note.is_char_boundary(at)).unwrap_or(0);
    &note[..end]
}
