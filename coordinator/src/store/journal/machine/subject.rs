//! A journal on the stage: what is done to it, and the comparison of what it gives with what is known of it.

use super::book::Book;
use super::{Outline, PATIENCE, RUNTIME, Second, Store, Transition};
use crate::store::Error;
use crate::store::journal::{Base, Batch, Commit, Durable, Journal, Reader};
use crate::store::snapshot::Snapshot;
use regatta_core::Event;
use regatta_domain::report::{CancelCause, RunOutcome};
use regatta_domain::{RunId, Time, Token};

/// A journal, and what is known of it.
pub(super) struct Subject<S: Store> {
    store: S,
    /// There, but for the moments in which it is opened again.
    journal: Option<S::Journal>,
    reader: Option<Box<dyn Reader>>,
    book: Book,
    /// How many batches there were.
    batches: u64,
    trims: u64,
}

impl<S: Store> Subject<S> {
    pub(super) fn new(outline: Outline) -> Self {
        let store = S::new(outline);
        let mut subject = Self { store, journal: None, reader: None, book: Book::default(), batches: 0, trims: 0 };
        subject.open();
        subject
    }

    fn journal(&mut self) -> &mut S::Journal {
        self.journal.as_mut().expect("it is open")
    }

    fn reader(&mut self) -> &mut dyn Reader {
        let journal = self.journal.as_ref().expect("it is open");
        &mut **self.reader.get_or_insert_with(|| journal.reader().unwrap())
    }

    fn open(&mut self) {
        self.journal = Some(self.store.open());
        self.look();
    }

    /// What is there is known from now on.
    fn look(&mut self) {
        self.reader = None;
        let base = self.journal().base();
        let found = self.reader().read(0, usize::MAX).unwrap();
        self.book.reopened(base, &found);
        let durable = self.journal().durable().borrow().clone();
        assert_eq!(durable.seq, self.book.kept.last(), "what is read again is durable");
        assert!(durable.refused.is_none(), "{durable:?}");
        self.compare_snapshots();
    }

    fn batch(&mut self, events: u64, request: Option<usize>) -> Batch {
        self.batches += 1;
        let (at, run) = (Time(self.batches), RunId::from_bits(u128::from(self.batches)));
        let made = (0..events).map(|n| match n % 2 {
            0 => Event::RunCancelled { at, run, cause: CancelCause::Asked, kill: n % 4 == 0 },
            _ => Event::RunEnded { at, run, outcome: RunOutcome::Cancelled },
        });
        let body = |bytes| (0..bytes).map(|n| (n as u64 * self.batches % 251) as u8).collect();
        Batch { at, events: made.collect(), requests: request.map(|bytes| (run, body(bytes))).into_iter().collect() }
    }

    fn append(&mut self, events: u64, request: Option<usize>) {
        let batch = self.batch(events, request);
        let seq = self.journal().append(batch.clone());
        self.book.append(seq, batch);
    }

    /// Hears how far it is durable.
    fn hear(&mut self) -> Durable {
        let durable = self.journal().durable().borrow().clone();
        match self.book.refused {
            true => assert_eq!(durable.seq, self.book.kept.last(), "one that refuses goes on"),
            false => self.book.told(durable.seq),
        }
        self.store.told();
        if let Some(error) = &durable.refused {
            self.refused(error);
        }
        durable
    }

    fn refused(&mut self, error: &Error) {
        let doubt = self.store.may_refuse().unwrap_or_else(|| panic!("it has no reason to refuse: {error:?}"));
        if !self.book.refused {
            self.book.refused(doubt);
        }
    }

    fn wait(&mut self, seq: u64) {
        let mut durable = self.journal().durable();
        let done = |durable: &Durable| durable.seq >= seq || durable.refused.is_some();
        let waiting = async { tokio::time::timeout(PATIENCE, durable.wait_for(done)).await.map(drop) };
        RUNTIME.block_on(waiting).expect("it becomes durable, or is refused");
    }

    fn settle(&mut self) {
        self.store.go_on();
        let settled = self.journal().settle();
        self.hear();
        match settled {
            Ok(()) => self.book.settled(),
            Err(error) => self.refused(&error),
        }
    }

    /// A store that is away cannot be read.
    fn readable<T>(&self, read: Result<T, Error>) -> Option<T> {
        match read {
            Err(error) if error.may_pass() && self.store.may_refuse().is_some() => None,
            read => Some(read.unwrap()),
        }
    }

    fn read(&mut self, after: u64, most: usize) -> Option<Vec<Commit>> {
        let read = self.reader().read(after, most);
        self.readable(read)
    }

    fn ask(&mut self, run: RunId) {
        let found = self.reader().request(run);
        if let Some(found) = self.readable(found) {
            self.book.answered(run, found.as_deref());
        }
    }

    fn trim(&mut self, upto: u64, live: u64) {
        self.hear();
        let kept = &self.book.kept;
        self.trims += 1;
        let begin = self.book.base().seq;
        let seq = begin + (kept.last().saturating_sub(begin)) * upto / 1_000;
        let base = Base { seq, token: Token(self.trims) };
        let live: Vec<RunId> =
            kept.requests.keys().copied().filter(|run| (run.0.as_u128() as u64).is_multiple_of(live)).collect();
        self.journal().trim(base, live.clone());
        assert_eq!(self.journal().base(), base);
        self.book.trim(base, live);
    }

    fn keep_snapshot(&mut self, bytes: usize, fails: bool) {
        let Some(mut snapshots) = self.journal().snapshots() else { return };
        let seq = self.book.kept.last();
        let body = vec![seq as u8; bytes];
        let kept = snapshots.keep(seq, &mut |to| {
            to.write_all(&body)?;
            if fails { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        });
        match kept {
            Ok(written) => assert_eq!((fails, written), (false, bytes as u64)),
            Err(error) => assert!(fails && matches!(error, Error::Full { .. }), "{error:?}"),
        }
        if !fails {
            self.book.snapshot = Some(Snapshot { seq, body });
        }
        self.compare_snapshots();
    }

    fn compare_snapshots(&mut self) {
        if let Some(mut snapshots) = self.journal().snapshots() {
            assert_eq!(snapshots.latest().unwrap(), self.book.snapshot);
        }
    }

    /// Another one opens it while this one is there. One that it was taken from writes nothing more, and hears of it.
    fn second(&mut self) {
        self.store.go_on();
        if let Second::Takes(second) = self.store.second() {
            let mut first = self.journal.replace(second).expect("it is open");
            self.look();
            if self.batches.is_multiple_of(2) {
                first.trim(Base { seq: self.book.kept.last(), token: Token(u64::MAX) }, Vec::new());
            }
            for n in 0..3 {
                let batch = self.batch(n + 1, Some(10));
                first.append(batch);
            }
            first.settle().expect_err("it was taken from this one");
            let told = first.durable().borrow().seq;
            assert!(told <= self.book.kept.last(), "the first one tells of {told}, and the second one begins before");
            self.look();
        }
    }

    pub(super) fn take(&mut self, transition: Transition) {
        match transition {
            Transition::Append(batches) => {
                // The line is bounded, and whoever appends would wait.
                if self.book.in_line() > 40 {
                    self.store.go_on();
                }
                batches.into_iter().for_each(|(events, request)| self.append(events, request));
            }
            Transition::Await => {
                self.store.go_on();
                let last = self.book.last();
                self.wait(last);
            }
            Transition::Settle => self.settle(),
            Transition::Read(from, page) => {
                let after = self.book.kept.last() * from / 1_000;
                if let Some(found) = self.read(after, page) {
                    self.book.read(after, page, &found);
                }
            }
            Transition::Ask(run) => self.ask(RunId::from_bits(u128::from(run % (self.batches + 2)))),
            Transition::Trim(upto, live) => self.trim(upto, live),
            Transition::Snapshot(bytes, fails) => self.keep_snapshot(bytes, fails),
            Transition::Reopen => {
                self.store.go_on();
                (self.reader, self.journal) = (None, None);
                self.open();
            }
            Transition::Crash(kept) => {
                self.hear();
                self.reader = None;
                let journal = self.journal.take().expect("it is open");
                self.store.crash(journal, kept);
                self.open();
            }
            Transition::Second => self.second(),
            Transition::Strike(fault) => {
                let journal = self.journal.as_mut().expect("it is open");
                self.store.strike(fault, journal);
            }
        }
        self.hear();
    }

    /// At the end all that is known is compared.
    pub(super) fn compare(&mut self) {
        self.settle();
        (self.reader, self.journal) = (None, None);
        self.open();
        (0..=self.batches).for_each(|run| self.ask(RunId::from_bits(u128::from(run))));
        // And it goes on.
        self.append(1, Some(1));
        self.settle();
        assert!(!self.book.refused);
    }
}
