//! What every kind of store promises, checked on each; and what is particular to one.

mod contract;
mod history;
mod likeness;
mod postgres;
mod sqlite;
mod world;

use super::*;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::report::{Counts, RunOutcome};
use regatta_domain::{FileKey, Micros, RunId, TestIx, TestKey, Time, Verdict};
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
