//! A virtual clock: what is to happen, by when, in the order in which it was said where that is the same moment.

use regatta_domain::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub(super) struct Clock<T> {
    now: Time,
    said: u64,
    heap: BinaryHeap<Reverse<Due<T>>>,
}

struct Due<T> {
    at: Time,
    order: u64,
    what: T,
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<T> Clock<T> {
    pub(super) const fn new(now: Time) -> Self {
        Self { now, said: 0, heap: BinaryHeap::new() }
    }

    pub(super) const fn now(&self) -> Time {
        self.now
    }

    /// Something is to happen, at once where that moment has passed.
    pub(super) fn at(&mut self, at: Time, what: T) {
        self.said += 1;
        self.heap.push(Reverse(Due { at: at.max(self.now), order: self.said, what }));
    }

    /// The next thing happens.
    pub(super) fn pass(&mut self) -> Option<T> {
        let Reverse(due) = self.heap.pop()?;
        self.now = due.at;
        Some(due.what)
    }
}
