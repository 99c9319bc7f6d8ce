//! Lists the runs that are known, newest first.

use super::place::{Answering, newest};
use super::{block_on, print};
use crate::args::{RunsArgs, TableFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use regatta_domain::report::{Counts, RunOutcome};
use regatta_domain::{Micros, Time};
use regatta_wire::v1;
use regatta_wire::verdict::Closed as _;
use std::fmt::Write as _;

/// Lists the runs that are known.
pub(crate) fn runs(args: RunsArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let runs = block_on(async {
        let answering = Answering::at(args.on.as_ref(), context).await?;
        let runs = newest(&mut answering.runs(), args.limit.into()).await;
        answering.end().await?;
        runs
    })??;
    print(&match args.format {
        TableFormat::Human => table(&runs, Time(regatta_runtime::clock::now_us())),
        TableFormat::Json => format!("{}\n", serde_json::Value::from_iter(runs.iter().map(object))),
    })?;
    Ok(Exit::Ok)
}

fn table(runs: &[v1::RunSummary], now: Time) -> String {
    let mut table = String::new();
    for run in runs {
        let short = run.run.get(..8).unwrap_or(&run.run);
        let ago = words(now.since(Time(run.submitted)));
        let took = run.ended.map_or_else(String::new, |ended| words(Time(ended).since(Time(run.submitted))));
        let counts = Counts::from(run);
        let _infallible = writeln!(
            table,
            "{short}  {:<9}  {ago:>7} ago  {took:>7}  {:>7} tests  {} passed, {} red  {}",
            outcome(run),
            counts.total(),
            counts.passed + counts.flaky,
            counts.red() + run.errors,
            run.project,
        );
    }
    table
}

fn object(run: &v1::RunSummary) -> serde_json::Value {
    let seconds = |micros: u64| Micros(micros).as_secs_f64();
    serde_json::json!({
        "run": run.run,
        "project": run.project,
        "outcome": outcome(run),
        "submitted": seconds(run.submitted),
        "ended": run.ended.map(seconds),
        "tests": run.tests,
        "passed": run.passed,
        "flaky": run.flaky,
        "failed": run.failed,
        "timed_out": run.timed_out,
        "crashed": run.crashed,
        "not_run": run.not_run,
        "skipped": run.skipped,
        "errors": run.errors,
    })
}

fn outcome(run: &v1::RunSummary) -> &'static str {
    match RunOutcome::read(run.outcome) {
        Some(RunOutcome::Green) => "green",
        Some(RunOutcome::Red) => "red",
        Some(RunOutcome::Cancelled) => "cancelled",
        Some(RunOutcome::Empty) => "empty",
        None => "running",
    }
}

/// A span in its largest unit, as people say it.
fn words(span: Micros) -> String {
    let seconds = span.0 / 1_000_000;
    match seconds {
        0..60 => format!("{:.1}s", span.as_secs_f64()),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}
