//! The journal in memory, with a line before it that is worked off now and then, or not: it has no faults of its own.

use super::{Fault, Outline, Second, Store};
use crate::store::Error;
use crate::store::journal::{Base, Batch, Durable, Journal, MemoryJournal, Reader};
use crate::store::snapshot::Snapshots;
use regatta_domain::RunId;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The store: what outlives those who open it.
pub(super) struct MemoryStore {
    kept: MemoryJournal,
    line: Arc<Mutex<Line>>,
    may_refuse: Option<bool>,
}

/// The journal of one of them.
pub(super) struct Delayed {
    kept: MemoryJournal,
    line: Arc<Mutex<Line>>,
    last: u64,
    base: Base,
}

/// What stands in line, and what is to go wrong with it.
struct Line {
    orders: VecDeque<Order>,
    fault: Option<Fault>,
    durable: watch::Sender<Durable>,
}

enum Order {
    Append(Batch),
    Trim(Base, Vec<RunId>),
}

impl Line {
    fn new(durable: u64) -> Self {
        let durable = watch::Sender::new(Durable { seq: durable, refused: None });
        Self { orders: VecDeque::new(), fault: None, durable }
    }

    fn refuse(&mut self, error: Error) {
        self.orders.clear();
        self.durable.send_modify(|durable| durable.refused = Some(Arc::new(error)));
    }

    fn work(&mut self, kept: &mut MemoryJournal) {
        while self.fault != Some(Fault::Slow) {
            match self.orders.pop_front() {
                None => return,
                Some(Order::Trim(base, live)) => kept.trim(base, live),
                Some(Order::Append(batch)) => {
                    let io = |kind: std::io::ErrorKind| Error::io("memory".as_ref(), kind.into());
                    match self.fault.take() {
                        Some(Fault::Error) => return self.refuse(io(std::io::ErrorKind::PermissionDenied)),
                        Some(Fault::Full) => return self.refuse(io(std::io::ErrorKind::StorageFull)),
                        Some(Fault::Unanswered) => {
                            kept.append(batch);
                            return self.refuse(io(std::io::ErrorKind::TimedOut));
                        }
                        _ => {
                            let seq = kept.append(batch);
                            self.durable.send_modify(|durable| durable.seq = seq);
                        }
                    }
                }
            }
        }
    }
}

fn held(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryStore {
    type Journal = Delayed;

    const FAULTS: &'static [Fault] = &[Fault::Slow, Fault::Slow, Fault::Error, Fault::Unanswered, Fault::Full];

    fn new(_: Outline) -> Self {
        Self { kept: MemoryJournal::default(), line: Arc::new(Mutex::new(Line::new(0))), may_refuse: None }
    }

    fn open(&mut self) -> Delayed {
        self.may_refuse = None;
        let last = self.kept.durable().borrow().seq;
        self.line = Arc::new(Mutex::new(Line::new(last)));
        Delayed { kept: self.kept.clone(), line: self.line.clone(), last, base: self.kept.base() }
    }

    fn crash(&mut self, journal: Delayed, _: u64) {
        // What stood in line is lost with it.
        drop(journal);
    }

    fn second(&mut self) -> Second<Delayed> {
        Second::Same
    }

    fn strike(&mut self, fault: Fault, _: &mut Delayed) {
        if fault != Fault::Slow {
            self.may_refuse = Some(self.may_refuse == Some(true) || fault == Fault::Unanswered);
        }
        held(&self.line).fault = Some(fault);
    }

    fn go_on(&mut self) {
        let mut line = held(&self.line);
        line.fault = line.fault.filter(|fault| *fault != Fault::Slow);
        line.work(&mut self.kept);
    }

    fn may_refuse(&self) -> Option<bool> {
        self.may_refuse
    }
}

impl Delayed {
    fn order(&mut self, order: Order) {
        let mut line = held(&self.line);
        if line.durable.borrow().refused.is_none() {
            line.orders.push_back(order);
        }
        // Every third one finds those before it still in line.
        if !self.last.is_multiple_of(3) {
            line.work(&mut self.kept);
        }
    }
}

impl Journal for Delayed {
    fn append(&mut self, batch: Batch) -> u64 {
        self.last += 1;
        self.order(Order::Append(batch));
        self.last
    }

    fn durable(&self) -> watch::Receiver<Durable> {
        held(&self.line).durable.subscribe()
    }

    fn base(&self) -> Base {
        self.base
    }

    fn trim(&mut self, base: Base, live: Vec<RunId>) {
        self.base = base;
        self.order(Order::Trim(base, live));
    }

    fn settle(&mut self) -> Result<(), Arc<Error>> {
        held(&self.line).work(&mut self.kept);
        self.durable().borrow().refused.clone().map_or(Ok(()), Err)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        self.kept.reader()
    }

    fn snapshots(&self) -> Option<Box<dyn Snapshots>> {
        self.kept.snapshots()
    }
}
