//! A journal in memory: for tests, and for a coordinator that is not given a directory. It outlives nothing.

use super::{Base, Batch, Commit, Journal, Reader};
use crate::store::Error;
use regatta_domain::RunId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A journal in memory. Clones are views of the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    base: Base,
    commits: Vec<Commit>,
    requests: BTreeMap<RunId, (u64, Vec<u8>)>,
}

impl MemoryJournal {
    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        // Each use leaves it whole, even if the thread that made it came to grief later.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, batch: Batch<'_>) -> Result<u64, Error> {
        Ok(self.with(|kept| {
            let seq = kept.commits.last().map_or(kept.base.seq, |last| last.seq) + 1;
            kept.commits.push(Commit { seq, at: batch.at, events: batch.events.into() });
            kept.requests.extend(batch.requests.iter().map(|(run, body)| (*run, (seq, body.clone()))));
            seq
        }))
    }

    fn base(&mut self) -> Result<Base, Error> {
        Ok(self.with(|kept| kept.base))
    }

    fn trim(&mut self, base: Base) -> Result<(), Error> {
        self.with(|kept| {
            kept.base = base;
            kept.commits.retain(|commit| commit.seq > base.seq);
            kept.requests.retain(|_, (seq, _)| *seq > base.seq);
        });
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(self.clone()))
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
