//! What a large history costs: `cargo bench -p regatta-coordinator --bench history [TESTS]`.
//!
//! A million tests in 20,000 files, which a run brings, the next run reads, and nobody sees again.

use regatta_coordinator::Keep;
use regatta_coordinator::store::projection::{self, Row, Scope};
use regatta_domain::history::{Estimator, Sample};
use regatta_domain::{Micros, RunId, TestIx, TestKey, Time, Verdict};
use std::sync::Arc;
use std::time::Instant;

const PER_FILE: usize = 50;

/// Rows in one transaction, as the projector has them.
const ROWS: usize = 20_000;

const DAY: Micros = Micros::from_secs(24 * 3600);

fn main() {
    let tests = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000_usize);
    let directory = tempfile::tempdir().expect("a directory for the store");
    let file = directory.path().join("projection.db");
    let (mut writer, reader) = projection::open(Some(&file), Keep::CLUSTER).expect("a store");
    let paths: Vec<Arc<str>> =
        (0..tests / PER_FILE).map(|at| format!("tests/p{}/test_{at}.py", at / 100).into()).collect();
    let (project, suite): (Arc<str>, Arc<str>) = ("shop".into(), "api".into());
    let mut now = Time(20_000 * DAY.0);

    for what in ["first run", "second run"] {
        let run = RunId::from_bits(now.0.into());
        let begun = Row::Run { run, project: project.clone(), submitted: now, listing: false, scope: Scope::default() };
        writer.write(&[begun], 0).expect("a run");
        let begin = Instant::now();
        let indexes: Vec<usize> = (0..tests).collect();
        for part in indexes.chunks(ROWS) {
            let rows: Vec<Row> = part.iter().map(|&at| verdict(run, &project, &suite, &paths, at, now)).collect();
            writer.write(&rows, 0).expect("verdicts");
        }
        let took = begin.elapsed();
        println!("{what:<28}{took:>12.2?}  {:>10.0} verdicts/s", tests as f64 / took.as_secs_f64());
        now = now + DAY;
        writer.prune(now).expect("nothing to prune");
    }

    let begin = Instant::now();
    let scope = Scope::default();
    let known = reader.histories("shop", "api", &scope, paths.iter().map(|path| &**path)).expect("histories");
    println!("{:<28}{:>12.2?}", "histories read", begin.elapsed());
    let begin = Instant::now();
    let samples = paths.iter().flat_map(|path| known[&**path].iter().map(move |test| (path, test)));
    let estimator = Estimator::of(samples.map(|(path, test)| Sample {
        file: path,
        group: None,
        name: &test.name,
        known: &test.history,
    }));
    println!("{:<28}{:>12.2?}", "estimator built", begin.elapsed());
    assert!(estimator.file("tests/p0/test_0.py").whole() > Micros::ZERO);
    drop(known);

    for _ in 0..91 {
        now = now + DAY;
        writer.prune(now).expect("nothing is old enough");
    }
    let mut times = Vec::new();
    while !reader.paths("shop", "api").expect("paths").is_empty() {
        now = now + DAY;
        let begin = Instant::now();
        writer.prune(now).expect("obsolete rows");
        times.push(begin.elapsed());
    }
    let longest = times.iter().max().expect("there was something to prune");
    println!(
        "{:<28}{:>12.2?}  in {} parts, the longest {longest:.2?}",
        "pruned",
        times.iter().sum::<std::time::Duration>(),
        times.len()
    );
    let bytes = std::fs::metadata(&file).expect("the file is there").len();
    println!("{:<28}{:>9} MB  ({} bytes a test)", "on disk", bytes / 1_000_000, bytes as usize / tests);
}

fn verdict(run: RunId, project: &Arc<str>, suite: &Arc<str>, paths: &[Arc<str>], at: usize, now: Time) -> Row {
    let name = format!("TestSomething::test_case_{}[{}]", at % PER_FILE / 5, at % 5);
    let mut key = TestKey::default();
    key.0[..8].copy_from_slice(&(at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    Row::Verdict {
        run,
        project: Arc::clone(project),
        suite: Arc::clone(suite),
        path: Arc::clone(&paths[(at / PER_FILE).min(paths.len() - 1)]),
        name: name.into(),
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
