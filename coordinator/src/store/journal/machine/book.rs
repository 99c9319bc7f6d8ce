//! The reference: what whoever appends to a journal may rely on, and what the journal may be found to hold.
//!
//! Orders stand in line until the journal says that they are done. Of those, whatever happens, a beginning may be done and the
//! rest not: which, is learnt from the journal when it is opened again, and from then on it is certain.

use crate::store::journal::{Base, Batch, Commit};
use crate::store::snapshot::Snapshot;
use regatta_domain::RunId;
use std::collections::{BTreeMap, VecDeque};

/// What a journal holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) base: Base,
    pub(super) commits: BTreeMap<u64, Commit>,
    pub(super) requests: BTreeMap<RunId, (u64, Vec<u8>)>,
}

/// What a journal was told to do.
#[derive(Clone, Debug)]
enum Order {
    Append(Commit, Vec<(RunId, Vec<u8>)>),
    Trim(Base, Vec<RunId>),
}

impl Kept {
    pub(super) fn last(&self) -> u64 {
        self.commits.last_key_value().map_or(self.base.seq, |(&seq, _)| seq)
    }

    fn take(&mut self, order: &Order) {
        match order {
            Order::Append(commit, requests) => {
                self.commits.insert(commit.seq, commit.clone());
                self.requests.extend(requests.iter().map(|(run, body)| (*run, (commit.seq, body.clone()))));
            }
            Order::Trim(base, live) => {
                self.base = *base;
                self.commits = self.commits.split_off(&(base.seq + 1));
                self.requests.retain(|run, (seq, _)| *seq > base.seq || live.contains(run));
            }
        }
    }

    fn reads(&self, after: u64, most: usize, found: &[Commit]) -> bool {
        self.commits.range(after + 1..).map(|(_, commit)| commit).take(most).eq(found)
    }
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// What is certain.
    pub(super) kept: Kept,
    /// The snapshot beside it.
    pub(super) snapshot: Option<Snapshot>,
    /// What may be done, from the front.
    line: VecDeque<Order>,
    /// Whether the journal refuses: nothing that it is told counts.
    pub(super) refused: bool,
}

impl Book {
    /// The number of the last commit, if everything in line comes true.
    pub(super) fn last(&self) -> u64 {
        let appended = |order: &Order| if let Order::Append(commit, _) = order { Some(commit.seq) } else { None };
        self.line.iter().rev().find_map(appended).unwrap_or_else(|| self.kept.last())
    }

    /// How much may be in line.
    pub(super) fn in_line(&self) -> usize {
        self.line.len()
    }

    /// Where the journal begins, if everything in line comes true.
    pub(super) fn base(&self) -> Base {
        let trimmed = |order: &Order| if let Order::Trim(base, _) = order { Some(*base) } else { None };
        self.line.iter().rev().find_map(trimmed).unwrap_or(self.kept.base)
    }

    /// A batch was handed over, and numbered.
    pub(super) fn append(&mut self, seq: u64, batch: Batch) {
        if self.refused {
            return;
        }
        assert_eq!(seq, self.last() + 1, "commits are numbered without gaps");
        let Batch { at, events, requests } = batch;
        self.line.push_back(Order::Append(Commit { seq, at, events }, requests));
    }

    /// It was told to drop a beginning.
    pub(super) fn trim(&mut self, base: Base, live: Vec<RunId>) {
        if !self.refused {
            self.line.push_back(Order::Trim(base, live));
        }
    }

    /// It said that it is durable up to this commit: so is everything that stood in line before.
    pub(super) fn told(&mut self, seq: u64) {
        assert!(seq >= self.kept.last(), "{seq} is durable, and {} was before", self.kept.last());
        assert!(seq <= self.last(), "{seq} is durable, and {} was the last one", self.last());
        while self.kept.last() < seq {
            let order = self.line.pop_front().expect("what is durable was in line");
            self.kept.take(&order);
        }
    }

    /// It said that everything is done.
    pub(super) fn settled(&mut self) {
        self.line.drain(..).for_each(|order| self.kept.take(&order));
    }

    /// It refuses from now on. Unless something became of its writes of which it does not know, none that it did not tell of
    /// is there.
    pub(super) fn refused(&mut self, doubt: bool) {
        self.refused = true;
        if !doubt {
            let append = self.line.iter().position(|order| matches!(order, Order::Append(..)));
            self.line.truncate(append.unwrap_or(self.line.len()));
        }
    }

    /// Everything that it may hold, from what is certain to what was in line.
    fn possible(&self) -> impl Iterator<Item = Kept> {
        let mut kept = Some(self.kept.clone());
        let mut line = self.line.iter();
        std::iter::from_fn(move || {
            let now = kept.take()?;
            kept = line.next().map(|order| {
                let mut next = now.clone();
                next.take(order);
                next
            });
            Some(now)
        })
    }

    /// It was opened again, and begins and reads so.
    pub(super) fn reopened(&mut self, base: Base, found: &[Commit]) {
        let mut possible = self.possible();
        let holds = possible.find(|kept| kept.base == base && kept.reads(0, usize::MAX, found));
        drop(possible);
        self.kept = holds.unwrap_or_else(|| {
            let seqs: Vec<u64> = found.iter().map(|commit| commit.seq).collect();
            panic!("it cannot begin at {base:?} and hold {seqs:?}: {} is durable of {:?}", self.kept.last(), self.line)
        });
        self.line.clear();
        self.refused = false;
    }

    /// A reader found these.
    pub(super) fn read(&self, after: u64, most: usize, found: &[Commit]) {
        let seqs = || found.iter().map(|commit| commit.seq).collect::<Vec<_>>();
        assert!(
            self.possible().any(|kept| kept.reads(after, most, found)),
            "{most} after {after} cannot be {:?}: {} is durable, from {:?} on",
            seqs(),
            self.kept.last(),
            self.kept.base
        );
    }

    /// A reader found this for a run.
    pub(super) fn answered(&self, run: RunId, found: Option<&[u8]>) {
        let fits = |kept: &Kept| kept.requests.get(&run).map(|(_, body)| &**body) == found;
        assert!(self.possible().any(|kept| fits(&kept)), "{run:?} cannot have asked for {found:?}");
    }
}
