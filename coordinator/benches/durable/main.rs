//! How many results a coordinator makes durable: `cargo bench -p regatta-coordinator --bench durable -- [FLAGS]`.
//!
//! A coordinator in a process of its own, with its store on a disk; and workers in this one, over TCP and the real protocol,
//! whose tests take no time. What is measured: results acknowledged a second, how long a report waits for that, how far the
//! tables are behind at the end, and, between the runs, what the machine can do at all (rows into one SQLite file, in
//! commits as large as the coordinator's). With `--kill`, the coordinator is killed after so much of a run, and started again.
//!
//! - [`fleet`]: the workers; [`words`]: what they say, encoded by hand, so that they cost little.
//! - [`server`]: the coordinator's process; [`raw`]: the machine's limit; [`shape`]: what is measured, as asked for.

mod fleet;
mod raw;
mod replay;
mod server;
mod shape;
mod words;

use fleet::{Fleet, Measured};
use server::Server;
use shape::Shape;
use std::path::Path;
use std::time::Instant;

fn main() {
    let shape = Shape::asked();
    if let Some(data) = &shape.serve {
        return server::serve(data);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime
        .block_on(async { if shape.kill.is_some() { replay::measure(&shape).await } else { measure(&shape).await } });
}

/// Runs of the same tests, the first of which finds them.
async fn measure(shape: &Shape) {
    let directory = shape.directory();
    let data = directory.path();
    println!("{shape}");
    let server = Server::start(shape, data).await;
    let mut rounds = Vec::new();
    for round in 0..=shape.runs {
        let (before, commits) = (server.usage(), server::commits(data));
        let own = server::own_seconds();
        let mut fleet = Fleet::attach(shape, &server).await;
        let measured = fleet.run(round, 1.0).await;
        let tables = Instant::now();
        let told = fleet.tables().await;
        let behind = tables.elapsed();
        let recorded = (told.tests as usize, told.passed as usize);
        assert_eq!(recorded, (shape.tests, shape.tests), "every test is recorded, and passed: {told:?}");
        assert_eq!(measured.results, shape.tests, "every result is acknowledged");
        let commits = server::commits(data) - commits;
        let what = if round == 0 { "first (listing too)" } else { "run" };
        measured.print(what);
        println!(
            "  {commits} commits, {:.0} results each; the tables were {:.2} s behind; resident at most {} MB",
            measured.results as f64 / commits.max(1) as f64,
            behind.as_secs_f64(),
            server.peak_mb()
        );
        println!("  CPU, µs a result: {}", server.usage().since(&before).per(measured.results));
        println!("  workers: {:.2}", (server::own_seconds() - own) * 1e6 / measured.results as f64);
        if round > 0 {
            let batch = (measured.results / commits.max(1)).max(1);
            let limit = raw::measure(data, measured.results.min(1_000_000), batch);
            rounds.push((measured, limit));
        }
    }
    if let Some(pace) = shape.pace {
        let measured = Fleet::attach(shape, &server).await.paced(shape.runs + 1, pace).await;
        measured.print(&format!("at {pace} results/s"));
    }
    drop(server);
    summary(data, &rounds);
}

fn summary(data: &Path, rounds: &[(Measured, raw::Limit)]) {
    let rates = median(rounds.iter().map(|(measured, _)| measured.rate()));
    let plain = median(rounds.iter().map(|(_, limit)| limit.plain));
    let unique = median(rounds.iter().map(|(_, limit)| limit.unique));
    println!("\nmedians of {}:", rounds.len());
    println!("  durable acknowledged results   {rates:>10.0}/s");
    println!("  rows into one SQLite file      {plain:>10.0}/s   ratio {:.2}", rates / plain);
    println!("  the same, UNIQUE over three    {unique:>10.0}/s   ratio {:.2}", rates / unique);
    println!("  fdatasync of 4 KiB             {:>10.0} µs", raw::sync_micros(data));
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
