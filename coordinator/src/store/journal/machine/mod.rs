//! The promises of a journal as a state machine: whatever whoever appends does, in whatever order, and whatever happens to the
//! store meanwhile, what was told durable is there, in order, whole, and nothing that was refused.
//!
//! What may be relied on is kept by a [`Book`]; the stores, and how each of them fails beneath the journal's own code, in files of
//! their own. See `docs/testing.md` for longer runs.

mod book;
mod memory;
mod postgres;
mod sqlite;
mod wire;

use super::{Base, Batch, Commit, Durable, Journal, Reader};
use crate::store::Error;
use crate::store::snapshot::Snapshot;
use book::Book;
use memory::MemoryStore;
use postgres::PostgresStore;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, FileFailurePersistence};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use regatta_core::Event;
use regatta_domain::report::{CancelCause, RunOutcome};
use regatta_domain::{RunId, Time, Token};
use sqlite::SqliteStore;
use std::marker::PhantomData;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::runtime::Runtime;
use wire::When;

/// Whoever waits for a journal longer than this waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// For what the tests themselves wait for.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

/// What goes wrong beneath a journal, once it writes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It fails for a reason that does not pass, and nothing is written.
    Error,
    /// It takes its time.
    Slow,
    /// The way to the store breaks before anything is written.
    Cut,
    /// It is written, and the way breaks before anybody hears of it.
    Unanswered,
    /// The way breaks, and what was under way comes later.
    Late(When),
    /// Nothing is heard any more of what was asked; it is written, or not.
    Silence(bool),
    /// Other transactions are in the way.
    Conflict,
    /// There is no room.
    Full,
    /// The store's process is killed, and comes back.
    Kill,
    /// The store goes away for longer than anybody waits; what was under way is written, or not.
    Away(bool),
}

/// What somebody who appends does, and what happens to them.
#[derive(Clone, Debug)]
enum Transition {
    /// Appends batches: events and bytes of a request of each.
    Append(Vec<(u64, Option<usize>)>),
    /// Waits until all of it is durable.
    Await,
    Settle,
    /// Reads pages of so many commits, from a place in thousandths.
    Read(u64, usize),
    /// Asks for the requests of some runs.
    Ask(u64),
    /// Drops what is durable up to a place in thousandths; every n-th run lives.
    Trim(u64, u64),
    /// Keeps a snapshot of so many bytes; with `true`, its writer comes to grief.
    Snapshot(usize, bool),
    /// Leaves, and comes back.
    Reopen,
    /// Dies, and comes back. Of what the system had not put on the disk yet, so many thousandths are there.
    Crash(u64),
    /// Another one opens it while this one is there.
    Second,
    Strike(Fault),
}

/// What the world is like, where it can be one way or another.
#[derive(Clone, Copy, Debug)]
struct Outline {
    /// Whether a store that is away is waited for until it is back.
    patient: bool,
    /// Whether transactions are as strict as they can be.
    strict: bool,
}

/// What came of another one that opens the same.
enum Second<J> {
    /// In this store it cannot be told from the first.
    Same,
    /// It was refused.
    Refused,
    /// It has what the first one had.
    Takes(J),
}

/// A store with faults.
trait Store: Sized + 'static {
    type Journal: Journal + 'static;

    /// What can happen to it.
    const FAULTS: &'static [Fault];

    fn new(outline: Outline) -> Self;

    /// Opens the journal, for the first time or again. What was wrong is over.
    fn open(&mut self) -> Self::Journal;

    /// Whoever had it open dies at this moment.
    fn crash(&mut self, journal: Self::Journal, kept: u64);

    /// Another one opens it.
    fn second(&mut self) -> Second<Self::Journal>;

    /// Something is to go wrong.
    fn strike(&mut self, fault: Fault, journal: &mut Self::Journal);

    /// What was held up goes on.
    fn go_on(&mut self);

    /// Somebody heard how far it is durable.
    fn told(&mut self) {}

    /// Whether it may refuse since it was opened; `None` for not at all, `Some(true)` when what it refused may be there.
    fn may_refuse(&self) -> Option<bool>;
}

/// The order of what happens to a journal.
struct Story<S>(PhantomData<S>);

impl<S: Store> ReferenceStateMachine for Story<S> {
    type State = Outline;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Outline> {
        (prop::bool::weighted(0.8), any::<bool>()).prop_map(|(patient, strict)| Outline { patient, strict }).boxed()
    }

    fn transitions(_: &Outline) -> BoxedStrategy<Transition> {
        let bytes = prop_oneof![12 => 1..100_usize, 4 => 1_000..20_000_usize, 1 => 200_000..400_000_usize];
        prop_oneof![
            10 => vec((1..20_u64, option::of(bytes)), 1..8).prop_map(Transition::Append),
            3 => Just(Transition::Await),
            2 => Just(Transition::Settle),
            4 => (0..1_100_u64, 1..40_usize).prop_map(|(from, page)| Transition::Read(from, page)),
            2 => any::<u64>().prop_map(Transition::Ask),
            2 => (prop_oneof![Just(1_000), 0..1_000_u64], 1..5_u64).prop_map(|(upto, live)| Transition::Trim(upto, live)),
            2 => (0..3_000_usize, prop::bool::weighted(0.3)).prop_map(|(bytes, fails)| Transition::Snapshot(bytes, fails)),
            2 => Just(Transition::Reopen),
            2 => (0..1_001_u64).prop_map(Transition::Crash),
            1 => Just(Transition::Second),
            6 => select(S::FAULTS).prop_map(Transition::Strike),
        ]
        .boxed()
    }

    fn apply(outline: Outline, _: &Transition) -> Outline {
        outline
    }
}

/// A journal, and what is known of it.
struct Subject<S: Store> {
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
    fn new(outline: Outline) -> Self {
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

    fn take(&mut self, transition: Transition) {
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
    fn compare(&mut self) {
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

/// A journal under the machine.
struct Machine<S>(PhantomData<S>);

impl<S: Store> StateMachineTest for Machine<S> {
    type SystemUnderTest = Subject<S>;
    type Reference = Story<S>;

    fn init_test(outline: &Outline) -> Subject<S> {
        Subject::new(*outline)
    }

    fn apply(mut subject: Subject<S>, _: &Outline, transition: Transition) -> Subject<S> {
        subject.take(transition);
        subject
    }

    fn teardown(mut subject: Subject<S>, _: Outline) {
        subject.compare();
    }
}

/// So many cases, unless `PROPTEST_CASES` says otherwise. Seeds that broke are kept beside the test's program, and tried first.
fn config(store: &str, cases: u32) -> Config {
    let program = std::env::current_exe().unwrap();
    let file = program.with_file_name(format!("journal-in-{store}.seeds"));
    let file: &'static str = Box::leak(file.to_str().unwrap().into());
    let asked = std::env::var("PROPTEST_CASES").ok().map(|asked| asked.parse().expect("PROPTEST_CASES is a number"));
    Config {
        cases: asked.unwrap_or(cases),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(file))),
        max_shrink_time: 120_000,
        ..Config::default()
    }
}

prop_state_machine! {
    #![proptest_config(config("memory", 256))]
    #[test]
    fn whatever_happens_the_journal_in_memory_keeps_its_promises(sequential 1..60 => Machine<MemoryStore>);
}

prop_state_machine! {
    #![proptest_config(config("sqlite", 64))]
    #[test]
    fn whatever_happens_the_journal_on_disk_keeps_its_promises(sequential 1..40 => Machine<SqliteStore>);
}

prop_state_machine! {
    #![proptest_config(config("postgresql", 8))]
    #[test]
    fn whatever_happens_the_journal_in_postgresql_keeps_its_promises(sequential 1..30 => Machine<PostgresStore>);
}

/// A story that was found once, or thought of.
fn plays<S: Store>(story: Vec<Transition>) {
    let mut subject = Subject::<S>::new(Outline { patient: true, strict: false });
    story.into_iter().for_each(|transition| subject.take(transition));
    subject.compare();
}

fn append_one() -> Transition {
    Transition::Append(vec![(1, Some(1))])
}

/// Each fault strikes at least once, whatever is drawn.
fn outlives_each_fault<S: Store>() {
    let one = |fault: &Fault| {
        let struck = [append_one(), Transition::Await, Transition::Strike(*fault), append_one(), append_one()];
        let after = [Transition::Settle, Transition::Read(0, 100), Transition::Reopen];
        // When everything was dropped, numbers go on all the same.
        let dropped = [Transition::Trim(1_000, 2), Transition::Settle, Transition::Reopen];
        struck.into_iter().chain(after).chain(dropped)
    };
    plays::<S>(S::FAULTS.iter().flat_map(one).collect());
}

#[test]
fn the_journal_in_memory_outlives_each_fault() {
    outlives_each_fault::<MemoryStore>();
}

#[test]
fn the_journal_on_disk_outlives_each_fault() {
    outlives_each_fault::<SqliteStore>();
}

#[test]
fn the_journal_in_postgresql_outlives_each_fault() {
    outlives_each_fault::<PostgresStore>();
}

/// The second try met the first one as a duplicate, and the journal refused.
#[test]
fn a_commit_that_is_still_under_way_when_it_is_looked_up_is_known_as_ours_when_it_is_there() {
    let late = Transition::Strike(Fault::Late(When::Behind(0)));
    plays::<PostgresStore>(vec![
        append_one(),
        Transition::Settle,
        late,
        append_one(),
        append_one(),
        Transition::Settle,
    ]);
}

/// It stood below the base, and the journal could not be read from its beginning any more.
#[test]
fn a_commit_that_comes_after_it_was_written_again_and_dropped_is_not_there() {
    let late = Transition::Strike(Fault::Late(When::Behind(2)));
    let dropped = Transition::Trim(1_000, 1);
    let story = [append_one(), late, append_one(), Transition::Settle, dropped, append_one(), Transition::Settle];
    plays::<PostgresStore>(story.into_iter().chain([Transition::Read(0, 10), Transition::Reopen]).collect());
}

/// It moved the base back to where nothing was any more.
#[test]
fn a_base_that_comes_late_does_not_count() {
    let late = Transition::Strike(Fault::Late(When::Behind(2)));
    let begun = [append_one(), append_one(), append_one(), Transition::Settle];
    let moved = [late, Transition::Trim(400, 1), Transition::Settle, Transition::Trim(1_000, 1), append_one()];
    let story = begun.into_iter().chain(moved).chain([Transition::Settle, append_one(), Transition::Settle]);
    plays::<PostgresStore>(story.chain([Transition::Read(0, 10), Transition::Reopen]).collect());
}
