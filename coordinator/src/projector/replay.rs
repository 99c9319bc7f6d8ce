//! How a projector, and with it the coordinator, comes back: from the snapshot, where there is one, and the journal after it.
//!
//! What is in the tables is read to know where things stand. What is not is only folded, for the core to go on from; the
//! projector reads it once more when it has its thread, so that workers need not wait for tables.

use super::desk::Load;
use super::translate::Translator;
use super::{COMMITS, Feeds, Projector, snapshot};
use crate::blobs::Blobs;
use crate::store::projection::Writer;
use crate::store::snapshot::Snapshots;
use crate::store::{Error, Reader};
use regatta_core::{Event, State};
use regatta_domain::{RunId, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The end of the journal, from where the coordinator goes on.
#[derive(Debug)]
pub(crate) struct End {
    /// The last commit.
    pub(crate) seq: u64,
    /// When it was made.
    pub(crate) at: Time,
    /// What all of them led to.
    pub(crate) state: State,
    /// The commits with which the runs in the state began.
    pub(crate) beginnings: BTreeMap<RunId, u64>,
}

impl Projector {
    /// A projector that follows `journal` from the commit after `base` on, and the end of that.
    ///
    /// # Errors
    /// When a store refuses, or the journal or the snapshot is damaged.
    pub(crate) fn replay(
        journal: Box<dyn Reader>,
        snapshots: Option<Box<dyn Snapshots>>,
        base: u64,
        writer: Writer,
        blobs: Blobs,
    ) -> Result<(Self, End), Error> {
        let mut projector = Self {
            translator: Translator::default(),
            journal,
            snapshots,
            writer,
            blobs,
            feeds: Feeds::default(),
            rows: Vec::new(),
            touched: BTreeMap::new(),
            told: base,
            at: Time::default(),
            progress: watch::Sender::default(),
            load: Arc::new(Load::default()),
            unkept: 0,
            snapshot: 0,
            said: false,
        };
        projector.recall(base)?;
        projector.pass()?;
        let state = projector.translator.state();
        for (&run, tale) in projector.translator.runs() {
            if state.run(run).is_some_and(|run| !run.has_ended()) {
                projector.feeds.open(run).resume(tale.seq);
            }
        }
        projector.publish();
        let end = projector.end()?;
        Ok((projector, end))
    }

    /// Takes up the snapshot, if there is one that goes on where the journal begins.
    fn recall(&mut self, base: u64) -> Result<(), Error> {
        let Some(snapshots) = &mut self.snapshots else { return Ok(()) };
        let kept = match snapshots.latest() {
            Err(error @ Error::Corrupt { .. }) => return unread(&error),
            kept => kept?,
        };
        let Some(kept) = kept else { return Ok(()) };
        if kept.seq < base {
            // All that was in it is over: else the journal would still have what came after it.
            return snapshots.forget();
        }
        let (translator, at) = match snapshot::read(&kept.body) {
            Err(why) => return unread(&snapshots.corrupt(why)),
            Ok(read) => read,
        };
        let last = self.journal.read(kept.seq - 1, 1)?;
        if kept.seq > base && last.first().is_none_or(|commit| (commit.seq, commit.at) != (kept.seq, at)) {
            tracing::warn!("the snapshot is of another journal, or of a later one; it is not used");
            return snapshots.forget();
        }
        if kept.seq > self.writer.cursor() {
            if translator.runs().values().all(|tale| tale.first > base) {
                tracing::warn!("the tables were lost; they are made again from the journal");
                return Ok(());
            }
            tracing::error!(
                "the tables were lost, and the journal does not have the beginning of every live run any more: what \
                 happened before commit {} is not in the tables",
                kept.seq
            );
            let rows = translator.rows().map(|row| self.scoped(row)).collect::<Result<Vec<_>, _>>()?;
            self.writer.write(&rows, kept.seq)?;
        }
        (self.translator, self.told, self.at, self.snapshot) = (translator, kept.seq, at, kept.seq);
        Ok(())
    }

    /// Reads what is in the tables already.
    fn pass(&mut self) -> Result<(), Error> {
        while self.told < self.writer.cursor() {
            let left = usize::try_from(self.writer.cursor() - self.told).unwrap_or(usize::MAX);
            let commits = self.journal.read(self.told, COMMITS.min(left))?;
            if commits.is_empty() {
                tracing::warn!("the projection is ahead of the journal, which was replaced; both go on from here");
                return self.writer.write(&[], self.told);
            }
            for commit in commits {
                commit.events.iter().for_each(|event| self.translator.pass(commit.seq, event));
                (self.told, self.at) = (commit.seq, commit.at);
                self.unkept += snapshot::weight(&commit.events);
            }
        }
        Ok(())
    }

    /// Folds what is not in the tables.
    fn end(&mut self) -> Result<End, Error> {
        let beginnings = self.translator.runs().iter().map(|(&run, tale)| (run, tale.first)).collect();
        let mut end = End { seq: self.told, at: self.at, state: self.translator.state().clone(), beginnings };
        loop {
            let commits = self.journal.read(end.seq, COMMITS)?;
            if commits.is_empty() {
                return Ok(end);
            }
            for commit in commits {
                self.load.hand(&commit);
                self.load.taken(&commit);
                commit.events.iter().for_each(|event| end.take(commit.seq, event));
                (end.seq, end.at) = (commit.seq, commit.at);
            }
        }
    }
}

impl End {
    fn take(&mut self, seq: u64, event: &Event) {
        let run = event.run();
        match event {
            Event::RunSubmitted { .. } => _ = self.beginnings.insert(run, seq),
            Event::RunForgotten { .. } => _ = self.beginnings.remove(&run),
            _ => {}
        }
        // Events of runs whose beginning was dropped are of runs that are over.
        if self.beginnings.contains_key(&run) {
            self.state.fold(event);
        } else {
            self.state.runs.remove(&run);
        }
    }
}

/// A snapshot only shortens what is read: the journal has everything that live runs did. So one that is damaged, or was
/// written by another version, is no reason not to start.
#[expect(clippy::unnecessary_wraps, reason = "it is what its callers give")]
fn unread(error: &Error) -> Result<(), Error> {
    tracing::warn!(%error, "the snapshot is not used; the journal is read from its beginning");
    Ok(())
}
