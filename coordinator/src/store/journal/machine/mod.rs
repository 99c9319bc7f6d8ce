//! The promises of a journal as a state machine: whatever whoever appends does, in whatever order, and whatever happens to the
//! store meanwhile, what was told durable is there, in order, whole, and nothing that was refused.
//!
//! A [`Subject`] is a journal and the book of what may be relied on; the stores, and how each of them fails beneath the journal's
//! own code, in files of their own. See `docs/testing.md` for longer runs.

mod book;
mod memory;
mod postgres;
mod sqlite;
mod subject;
mod wire;

use super::Journal;
use memory::MemoryStore;
use postgres::PostgresStore;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, FileFailurePersistence};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use sqlite::SqliteStore;
use std::marker::PhantomData;
use std::sync::LazyLock;
use std::time::Duration;
use subject::Subject;
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
