//! A journal in memory: for tests, and for a coordinator that is not given a directory. It outlives nothing.

use super::{Base, Batch, Commit, Durable, Journal, Reader};
use crate::store::Error;
use crate::store::snapshot::{MemorySnapshots, Snapshots};
use regatta_domain::RunId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A journal in memory. Clones are views of the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    kept: Arc<Mutex<Kept>>,
    durable: Arc<watch::Sender<Durable>>,
    snapshots: MemorySnapshots,
}

#[derive(Debug, Default)]
struct Kept {
    base: Base,
    commits: Vec<Commit>,
    requests: BTreeMap<RunId, (u64, Vec<u8>)>,
}

impl MemoryJournal {
    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        // Each use leaves it whole, even if the thread that made it came to grief later.
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, batch: Batch) -> u64 {
        let Batch { at, events, requests } = batch;
        let seq = self.with(|kept| {
            let seq = kept.commits.last().map_or(kept.base.seq, |last| last.seq) + 1;
            kept.commits.push(Commit { seq, at, events });
            kept.requests.extend(requests.into_iter().map(|(run, body)| (run, (seq, body))));
            seq
        });
        self.durable.send_replace(Durable { seq, refused: None });
        seq
    }

    fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.subscribe()
    }

    fn base(&self) -> Base {
        self.with(|kept| kept.base)
    }

    fn trim(&mut self, base: Base, live: Vec<RunId>) {
        self.with(|kept| {
            kept.base = base;
            kept.commits.retain(|commit| commit.seq > base.seq);
            kept.requests.retain(|run, (seq, _)| *seq > base.seq || live.contains(run));
        });
    }

    fn settle(&mut self) -> Result<(), Arc<Error>> {
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(self.clone()))
    }

    fn snapshots(&self) -> Option<Box<dyn Snapshots>> {
        Some(Box::new(self.snapshots.clone()))
    }
}

impl Reader for MemoryJournal {
    fn read(&mut self, after: u64, most: usize) -> Result<Vec<Commit>, Error> {
        Ok(self.with(|kept| {
            let from = kept.commits.partition_point(|commit| commit.seq <= after);
            kept.commits[from..].iter().take(most).cloned().collect()
        }))
    }

    fn request(&mut self, run: RunId) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.with(|kept| kept.requests.get(&run).map(|(_, body)| body.clone())))
    }
}
