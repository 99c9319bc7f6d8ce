//! What every kind of store promises, checked on each; and what is particular to one.

mod contract;
mod history;
mod likeness;
mod postgres;
mod sqlite;
mod world;

use super::*;
use regatta_core::Refused;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::report::{Counts, RunOutcome};
use regatta_domain::result::TestResult;
use regatta_domain::{
    Cause, Exit, FileKey, Micros, Nuance, Outcome, RunId, TestIx, TestKey, Time, Token, Verdict, WorkerId,
};
use world::World;

fn run(n: u64) -> RunId {
    RunId::from_bits(n.into())
}

fn begun(n: u64) -> Row {
    Row::Run { run: run(n), project: "shop".into(), submitted: Time(n), listing: false, scope: Scope::default() }
}

fn verdict(n: u64, name: &str, verdict: Verdict) -> Row {
    Row::Verdict {
        run: run(n),
        project: "shop".into(),
        suite: "api".into(),
        path: "a.py".into(),
        name: name.into(),
        test: TestIx(0),
        key: TestKey([7; 16]),
        verdict,
        cause: None,
        attempts: 1,
        duration: Some(Micros(1_000)),
        speed: 1.0,
        observed: None,
        queried: None,
        at: Time(n),
    }
}

/// A run of one test, from beginning to end.
fn whole_run(n: u64) -> Vec<Row> {
    let mut counts = Counts::default();
    counts.add(Verdict::Failed);
    vec![
        begun(n),
        Row::Event { run: run(n), seq: 1, body: vec![1] },
        Row::Event { run: run(n), seq: 2, body: vec![2] },
        verdict(n, "test_a", Verdict::Failed),
        Row::Progress { run: run(n), counts, errors: 3, ended: Some((Time(n + 1), RunOutcome::Red)) },
    ]
}

/// Attempts of the test of that run that ended so, and a verdict for the cause of the last one.
fn with_causes(n: u64, ends: &[(Option<Cause>, Option<Exit>)]) -> Vec<Row> {
    let result = |(at, &(cause, exit)): (usize, &(Option<Cause>, Option<Exit>))| Row::Attempt {
        run: run(n),
        result: TestResult {
            test: TestIx(0),
            attempt: u16::try_from(at + 1).unwrap(),
            outcome: Outcome::Crashed,
            nuance: Nuance::Plain,
            cause,
            exit,
            started: Time(n),
            duration: Micros(1),
            reason: None,
            output: None,
            observation: None,
        },
    };
    let mut last = verdict(n, "test_a", Verdict::Crashed);
    let Row::Verdict { cause, .. } = &mut last else { unreachable!("it is one") };
    *cause = ends.last().and_then(|&(cause, _)| cause);
    ends.iter().enumerate().map(result).chain([last]).collect()
}

/// The ends that are written, and how they stand in the tables: cause, status, signal.
const ENDS: [(Option<Cause>, Option<Exit>); 3] =
    [(None, Some(Exit::Status(0))), (Some(Cause::Infrastructure), None), (Some(Cause::Crash), Some(Exit::Signal(11)))];
const ENDS_AS_COLUMNS: [(i64, Option<i64>, Option<i64>); 3] =
    [(0, Some(0), None), (9, None, None), (3, None, Some(11))];

/// A late result of the test of that run.
fn late(n: u64, token: u64, attempt: u16) -> Row {
    let (test, outcome, started, duration) = (TestIx(3), Outcome::Failed, Time(n + 1), Micros(5));
    let refused = Refused { test, attempt, outcome, started, duration };
    Row::Refused { run: run(n), at: Time(n + 9), token: Token(token), worker: WorkerId::from_bits(0xAA), refused }
}

/// How those of run 1 stand in the tables: test, token, attempt, outcome, at, started, duration.
const LATE_AS_COLUMNS: [[i64; 7]; 2] = [[3, 7, 2, 2, 10, 2, 5], [3, 8, 1, 2, 10, 2, 5]];

/// What is known of the tests of `a.py`, on the main line.
fn known(reader: &Reader) -> Vec<Remembered> {
    let mut known = reader.histories("shop", "api", &Scope::default(), ["a.py"].into_iter()).unwrap();
    known.remove("a.py").unwrap_or_default()
}

/// Makes a test of each promise on each kind of store: a promise takes the place where one stands.
macro_rules! promises {
    ($($promise:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $promise() { super::$promise(&super::World::sqlite()); })+
        }

        mod on_postgresql {
            $(#[test] fn $promise() { super::$promise(&super::World::postgres()); })+
        }
    };
}
use promises;
