//! The feed of a live run: its latest events, for whoever watches.
//!
//! A bounded stretch of the record is kept in memory, in order, with the fleeting events between; what is older has been
//! written to the projection before it leaves. A watcher that lags reads it there, and misses only what is fleeting.

use regatta_domain::RunId;
use regatta_wire::v1;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Bytes of a run's record that stay in memory: about 30,000 results. A hundred live runs hold 400 MB at most.
const FEED_BYTES: usize = 4 * 1024 * 1024;

/// Events that are handed to a watcher at once.
const AT_ONCE: usize = 256;

/// What every event counts beside its bytes.
const OVERHEAD: usize = 128;

/// The feeds of all live runs. Clones are the same feeds.
#[derive(Clone, Debug, Default)]
pub struct Feeds(Arc<Mutex<BTreeMap<RunId, Arc<Feed>>>>);

impl Feeds {
    /// The feed of a live run.
    #[must_use]
    pub fn of(&self, run: RunId) -> Option<Arc<Feed>> {
        self.lock().get(&run).cloned()
    }

    pub(super) fn open(&self, run: RunId) -> Arc<Feed> {
        Arc::clone(self.lock().entry(run).or_default())
    }

    /// Closes the feed of a run that ended.
    pub(super) fn close(&self, run: RunId) {
        let closed = self.lock().remove(&run);
        if let Some(feed) = closed {
            feed.end(End::Over);
        }
    }

    /// Ends every feed: there is nobody any more who would fill it.
    pub(super) fn close_all(&self) {
        for feed in std::mem::take(&mut *self.lock()).into_values() {
            feed.end(End::Broken);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, Arc<Feed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest events of a live run.
#[derive(Debug)]
pub struct Feed {
    ring: Mutex<Ring>,
    news: watch::Sender<u64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { ring: Mutex::default(), news: watch::Sender::new(0) }
    }
}

#[derive(Debug, Default)]
struct Ring {
    /// In order, each with its position (fleeting ones included) and its weight.
    events: VecDeque<(u64, Arc<v1::RunEvent>, usize)>,
    next_position: u64,
    bytes: usize,
    /// The last event that left the ring.
    dropped: u64,
    /// The last event that is in the projection.
    written: u64,
    end: Option<End>,
}

/// How a feed came to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The run ended.
    Over,
    /// The coordinator stops.
    Broken,
}

/// How far a watcher is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The last event of the record that it has seen.
    pub seq: u64,
    /// Where it stands among the events in memory; 0 where it has seen none of them.
    position: u64,
}

impl Mark {
    /// A watcher that has seen the record up to and including `seq`.
    #[must_use]
    pub const fn after(seq: u64) -> Self {
        Self { seq, position: 0 }
    }
}

/// What comes next for a watcher.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// These events.
    Events(Vec<Arc<v1::RunEvent>>),
    /// Events that are in the projection only.
    Older,
    /// Nothing yet.
    Nothing,
    /// Nothing any more: the run ended.
    Over,
    /// Nothing any more: the coordinator stops.
    Closed,
}

impl Feed {
    /// Wakes when there is more than before.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// What comes next after `mark`, which moves with it.
    #[must_use]
    pub fn next(&self, mark: &mut Mark) -> Next {
        let ring = self.lock();
        if mark.seq < ring.dropped {
            return Next::Older;
        }
        let from = ring.after(*mark);
        let fresh: Vec<_> = ring.events.range(from..).take(AT_ONCE).collect();
        let Some((last, ..)) = fresh.last() else {
            return match ring.end {
                None => Next::Nothing,
                Some(End::Over) => Next::Over,
                Some(End::Broken) => Next::Closed,
            };
        };
        mark.position = last + 1;
        mark.seq = fresh.iter().map(|(_, event, _)| event.seq).max().unwrap_or(0).max(mark.seq);
        Next::Events(fresh.into_iter().map(|(_, event, _)| Arc::clone(event)).collect())
    }

    fn end(&self, end: End) {
        self.lock().end = Some(end);
        self.tell();
    }

    /// Adds an event.
    pub(super) fn add(&self, event: v1::RunEvent, bytes: usize) {
        let mut ring = self.lock();
        let position = ring.next_position.max(1);
        ring.next_position = position + 1;
        ring.bytes += bytes + OVERHEAD;
        ring.events.push_back((position, Arc::new(event), bytes + OVERHEAD));
        ring.shrink();
    }

    /// Goes on after a restart: the record up to and including `seq` is in the projection, and there only.
    pub(super) fn resume(&self, seq: u64) {
        let mut ring = self.lock();
        ring.dropped = ring.dropped.max(seq);
        ring.written = ring.written.max(seq);
        ring.events.clear();
        ring.bytes = 0;
    }

    /// Tells watchers that events were added: once for many.
    pub(super) fn tell(&self) {
        self.news.send_modify(|news| *news += 1);
    }

    /// The record up to and including `seq` is in the projection.
    pub(super) fn written(&self, seq: u64) {
        let mut ring = self.lock();
        ring.written = ring.written.max(seq);
        ring.shrink();
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// Drops the oldest events that are in the projection too, as far as there is too much.
    fn shrink(&mut self) {
        while self.bytes > FEED_BYTES
            && self.events.front().is_some_and(|(_, event, _)| event.seq <= self.written)
            && let Some((_, event, weight)) = self.events.pop_front()
        {
            self.bytes -= weight;
            self.dropped = self.dropped.max(event.seq);
        }
    }

    /// Where a watcher goes on: behind what it has seen, fleeting events included where it was there for them.
    fn after(&self, mark: Mark) -> usize {
        if mark.position > 0 {
            return self.events.partition_point(|(position, ..)| *position < mark.position);
        }
        let seen = |(_, event, _): &(u64, Arc<v1::RunEvent>, usize)| event.seq > 0 && event.seq <= mark.seq;
        self.events.iter().rposition(seen).map_or(0, |last| last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::Time;
    use v1::run_event::Event;

    fn note(text: &str) -> v1::RunEvent {
        v1::RunEvent::fleeting(Time(1), Event::Note(v1::Note { text: text.to_owned() }))
    }

    fn recorded(seq: u64) -> v1::RunEvent {
        v1::RunEvent::recorded(seq, Time(1), Event::RunClosing(v1::RunClosing {}))
    }

    fn seqs(next: Next) -> Vec<u64> {
        let Next::Events(events) = next else { panic!("events, and not {next:?}") };
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn every_event_arrives_once_and_in_order_with_the_fleeting_between() {
        let feed = Feed::default();
        for event in [recorded(1), note("a"), recorded(2)] {
            feed.add(event, 10);
        }
        let mut mark = Mark::default();
        assert_eq!(seqs(feed.next(&mut mark)), [1, 0, 2]);
        assert_eq!(feed.next(&mut mark), Next::Nothing);
        feed.add(note("b"), 10);
        feed.add(recorded(3), 10);
        assert_eq!(seqs(feed.next(&mut mark)), [0, 3]);

        let mut late = Mark::after(1);
        assert_eq!(seqs(feed.next(&mut late)), [0, 2, 0, 3]);
        let mut at_the_end = Mark::after(3);
        assert_eq!(feed.next(&mut at_the_end), Next::Nothing);
    }

    #[test]
    fn what_is_not_in_the_projection_stays_and_what_is_may_leave() {
        let feed = Feed::default();
        for seq in 1..=10 {
            feed.add(recorded(seq), FEED_BYTES / 4);
        }
        assert_eq!(seqs(feed.next(&mut Mark::default())).len(), 10);
        feed.written(9);
        assert_eq!(feed.next(&mut Mark::default()), Next::Older);
        let mut caught_up = Mark::after(8);
        assert_eq!(seqs(feed.next(&mut caught_up)), [9, 10]);
    }

    #[test]
    fn a_feed_that_nobody_fills_any_more_says_so_after_its_last_event() {
        let feeds = Feeds::default();
        let feed = feeds.open(RunId::from_bits(1));
        feed.add(recorded(1), 1);
        feeds.close_all();
        let mut mark = Mark::default();
        assert_eq!(seqs(feed.next(&mut mark)), [1]);
        assert_eq!(feed.next(&mut mark), Next::Closed);
    }
}
