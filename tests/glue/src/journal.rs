//! A journal that a simulation can lose the end of: commits take time, and a coordinator that dies loses those that were under way.

use crate::plan::Plan;
use crate::record::Shared;
use crate::story::Story;
use regatta_coordinator::store::{Base, Batch, Commit, Durable, Error, Journal, Reader};
use regatta_core::Entropy;
use regatta_domain::RunId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

/// Commits that may be under way: as many turns as the driver puts in line.
const UNDER_WAY: usize = 8;

/// The disk that it is on, which outlives every coordinator. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    kept: Arc<Mutex<Kept>>,
    record: Shared,
}

#[derive(Debug, Default)]
struct Kept {
    base: Base,
    commits: Vec<Commit>,
    requests: BTreeMap<RunId, (u64, Vec<u8>)>,
}

/// Something that is under way to the disk.
enum Order {
    Commit(Commit, Vec<(RunId, Vec<u8>)>),
    Trim(Base, Vec<RunId>),
}

/// A journal at work.
pub(crate) struct SlowJournal {
    disk: Disk,
    story: Story,
    last: u64,
    under_way: Arc<Mutex<VecDeque<Order>>>,
    more: Arc<Notify>,
    durable: Arc<watch::Sender<Durable>>,
}

impl Disk {
    pub(crate) fn new(record: &Shared) -> Self {
        Self { kept: Arc::default(), record: record.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, order: Order) -> Option<u64> {
        let mut kept = self.lock();
        match order {
            Order::Commit(commit, requests) => {
                self.record.lock().take(&commit);
                let seq = commit.seq;
                kept.commits.push(commit);
                kept.requests.extend(requests.into_iter().map(|(run, body)| (run, (seq, body))));
                Some(seq)
            }
            Order::Trim(base, live) => {
                kept.base = base;
                kept.commits.retain(|commit| commit.seq > base.seq);
                kept.requests.retain(|run, (seq, _)| *seq > base.seq || live.contains(run));
                None
            }
        }
    }
}

impl SlowJournal {
    /// Opens what is on the disk. Everything that is appended is written by a task, which ends with its host.
    pub(crate) fn open(disk: &Disk, plan: &Plan, life: u64, story: &Story) -> Self {
        let last = {
            let kept = disk.lock();
            kept.commits.last().map_or(kept.base.seq, |commit| commit.seq)
        };
        let durable = Arc::new(watch::Sender::new(Durable { seq: last, refused: None }));
        let journal = Self {
            disk: disk.clone(),
            story: story.clone(),
            last,
            under_way: Arc::default(),
            more: Arc::default(),
            durable,
        };
        let writing = write(
            (disk.clone(), Arc::clone(&journal.under_way), Arc::clone(&journal.more), Arc::clone(&journal.durable)),
            plan.commit,
            plan.chance(0x0d15_c000 ^ life),
        );
        drop(tokio::spawn(writing));
        journal
    }

    fn order(&self, order: Order) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.push_back(order);
        let commits = under_way.iter().filter(|order| matches!(order, Order::Commit(..))).count();
        if commits > UNDER_WAY {
            self.story.broke(format_args!("{commits} commits are under way"));
        }
        self.more.notify_one();
    }
}

type Line = (Disk, Arc<Mutex<VecDeque<Order>>>, Arc<Notify>, Arc<watch::Sender<Durable>>);

/// Writes what is under way, in order. A coordinator may die before a commit is on the disk, and after that and before it heard of it.
async fn write((disk, under_way, more, durable): Line, most: Duration, mut chance: Entropy) {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    loop {
        let waits = under_way.lock().unwrap_or_else(PoisonError::into_inner).len();
        if waits == 0 {
            more.notified().await;
            continue;
        }
        sleep(Duration::from_millis(1 + chance.below(most))).await;
        let mut last = None;
        for _ in 0..waits {
            let next = under_way.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            last = next.and_then(|order| disk.write(order)).or(last);
        }
        sleep(Duration::from_millis(chance.below(1 + most / 4))).await;
        if let Some(seq) = last {
            durable.send_replace(Durable { seq, refused: None });
        }
    }
}

impl Journal for SlowJournal {
    fn append(&mut self, batch: Batch) -> u64 {
        let Batch { at, events, requests } = batch;
        self.last += 1;
        self.order(Order::Commit(Commit { seq: self.last, at, events }, requests));
        self.last
    }

    fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.subscribe()
    }

    fn base(&self) -> Base {
        self.disk.lock().base
    }

    fn trim(&mut self, base: Base, live: Vec<RunId>) {
        self.order(Order::Trim(base, live));
    }

    fn settle(&mut self) -> Result<(), Arc<Error>> {
        let orders = std::mem::take(&mut *self.under_way.lock().unwrap_or_else(PoisonError::into_inner));
        for order in orders {
            self.disk.write(order);
        }
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(self.disk.clone()))
    }
}

impl Reader for Disk {
    fn read(&mut self, after: u64, most: usize) -> Result<Vec<Commit>, Error> {
        let kept = self.lock();
        let from = kept.commits.partition_point(|commit| commit.seq <= after);
        Ok(kept.commits[from..].iter().take(most).cloned().collect())
    }

    fn request(&mut self, run: RunId) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.lock().requests.get(&run).map(|(_, body)| body.clone()))
    }
}
