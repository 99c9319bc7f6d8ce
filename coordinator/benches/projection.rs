//! How fast results go into the tables: `cargo bench -p regatta-coordinator --bench projection [TESTS] [postgres://...]`.
//!
//! Runs of as many tests in files of fifty: each brings an attempt, a verdict, and what it teaches; then a rerun's questions. In
//! a file, or in an empty database of a server.

use regatta_coordinator::Keep;
use regatta_coordinator::store::postgres::Server;
use regatta_coordinator::store::projection::{self, Patience, Row, Scope};
use regatta_domain::result::{OutputRef, TestResult};
use regatta_domain::{Digest, Micros, Nuance, Outcome, RunId, TestIx, TestKey, Time, Verdict};
use std::sync::Arc;
use std::time::Instant;

const PER_FILE: usize = 50;

/// Results in one transaction: as many rows as the projector gathers.
const RESULTS: usize = 10_000;

const RUNS: u64 = 4;

fn main() {
    let tests = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(200_000_usize);
    let server = std::env::args().skip(1).find_map(|arg| Server::parse(&arg).ok());
    let directory = tempfile::tempdir().expect("a directory for the store");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let opened = match &server {
        Some(server) => {
            let handle = runtime.handle().clone();
            projection::open_postgres((server, 1), Keep::CLUSTER, Patience::default(), handle)
        }
        None => projection::open(Some(&directory.path().join("projection.db")), Keep::CLUSTER),
    };
    let (mut writer, reader) = opened.expect("a store");
    let paths: Vec<Arc<str>> =
        (0..=tests / PER_FILE).map(|at| format!("tests/p{}/test_{at}.py", at / 100).into()).collect();

    for n in 1..=RUNS {
        let (run, now) = (RunId::from_bits(n.into()), Time(n * 1_000_000));
        let begun = Row::Run { run, project: "shop".into(), submitted: now, listing: false, scope: Scope::default() };
        writer.write(&[begun], n).expect("a run");
        let indexes: Vec<usize> = (0..tests).collect();
        let batches: Vec<Vec<Row>> = indexes
            .chunks(RESULTS)
            .map(|part| part.iter().flat_map(|&at| [attempt(run, at, now), verdict(run, &paths, at, now)]).collect())
            .collect();
        let (begin, mut longest) = (Instant::now(), std::time::Duration::ZERO);
        for rows in &batches {
            let begin = Instant::now();
            writer.write(rows, n).expect("results");
            longest = longest.max(begin.elapsed());
        }
        let took = begin.elapsed();
        let each = tests as f64 / took.as_secs_f64();
        println!("run {n}{took:>22.2?}  {each:>10.0} results/s, the longest of {} writes {longest:.2?}", batches.len());
    }

    let ask = |what: &str, ask: &dyn Fn()| {
        let begin = Instant::now();
        ask();
        println!("{what:<16}{:>12.2?}", begin.elapsed());
    };
    ask("all histories", &|| {
        let known = reader.histories("shop", "api", &Scope::default(), paths.iter().map(|path| &**path));
        assert!(!known.expect("histories").is_empty());
    });
    ask("verdicts", &|| drop(reader.verdicts(RunId::from_bits(1)).expect("verdicts")));
    ask("runs", &|| drop(reader.runs(100).expect("runs")));
    let begin = Instant::now();
    writer.prune(Time(RUNS * 2_000_000)).expect("nothing to drop");
    println!("{:<16}{:>12.2?}", "look through", begin.elapsed());
}

fn attempt(run: RunId, at: usize, started: Time) -> Row {
    let result = TestResult {
        test: TestIx::nth(at),
        attempt: 1,
        outcome: Outcome::Passed,
        nuance: Nuance::Plain,
        cause: None,
        exit: None,
        started,
        duration: Micros(20_000 + at as u64 % 1_000),
        reason: None,
        output: Some(OutputRef { digest: Digest([7; 32]), size: 900 }),
        observation: None,
    };
    Row::Attempt { run, result }
}

fn verdict(run: RunId, paths: &[Arc<str>], at: usize, now: Time) -> Row {
    let mut key = TestKey::default();
    key.0[..8].copy_from_slice(&(at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    Row::Verdict {
        run,
        project: "shop".into(),
        suite: "api".into(),
        path: Arc::clone(&paths[at / PER_FILE]),
        name: format!("TestSomething::test_case_{}[{}]", at % PER_FILE / 5, at % 5).into(),
        test: TestIx::nth(at),
        key,
        verdict: Verdict::Passed,
        cause: None,
        attempts: 1,
        duration: Some(Micros(1_000 + at as u64 % 1_000_000)),
        speed: 1.0,
        observed: None,
        queried: None,
        at: now,
    }
}
