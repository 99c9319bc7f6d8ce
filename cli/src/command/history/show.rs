//! Shows what is known of tests.

use super::super::{block_on, print};
use super::{known, project};
use crate::args::{ShowArgs, TableFormat};
use crate::config::Config;
use crate::error::{Error, Mistake, Place};
use crate::exit::Exit;
use crate::intent::Context;
use crate::render::{statements, words};
use regatta_domain::filter::{Filter, Subject};
use regatta_domain::history::{Queried, Recent};
use regatta_domain::listing::test_id;
use regatta_domain::{Level, Micros, RunnerKind, Source, Verdict};
use regatta_wire::history::queries;
use regatta_wire::v1;
use regatta_wire::verdict::Closed as _;
use std::fmt::Write as _;

/// Shows what is known of tests.
pub(super) fn show(args: &ShowArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let filter = selected(args)?;
    let (project, config) = project(&args.whose, context)?;
    let asked = known(args.whose.on.as_ref(), project.clone(), args.suite.clone(), config.as_ref(), context);
    let mut tests = block_on(asked)??;
    let nothing_at_all = tests.is_empty();
    tests.retain(|(suite, test)| is_selected(&filter, suite, test, config.as_ref()));
    if tests.is_empty() {
        let why = if nothing_at_all { "nothing is known yet" } else { "nothing that is known is selected" };
        eprintln!("{why}, in the project `{project}`; a run or `regatta history import` changes that");
    }
    print(&match args.format {
        TableFormat::Human => table(&tests),
        TableFormat::Json => {
            let tests: Vec<serde_json::Value> = tests.iter().map(|(suite, test)| object(suite, test)).collect();
            format!("{}\n", serde_json::json!({ "v": 1, "tests": tests }))
        }
    })?;
    Ok(if tests.is_empty() { Exit::NoTests } else { Exit::Ok })
}

/// What words and filters select: any of the words, and any of the filters.
fn selected(args: &ShowArgs) -> Result<Filter, Error> {
    let mut filters = Vec::new();
    let mut mistakes = Vec::new();
    for text in &args.filter {
        match Filter::parse(text) {
            Ok(filter) => filters.push(filter),
            Err(error) => {
                let place = Place { name: "--filter".into(), text: text.as_str().into(), span: 0..text.len() };
                mistakes.push(Mistake::in_filter(&error, place));
            }
        }
    }
    if !mistakes.is_empty() {
        return Err(Error::all(Exit::Usage, mistakes));
    }
    let mut parts = Vec::new();
    if !args.tests.is_empty() {
        parts.push(Filter::any(args.tests.iter().map(|word| Filter::under(word.trim_start_matches("./")))));
    }
    if !filters.is_empty() {
        parts.push(Filter::any(filters));
    }
    Ok(Filter::every(parts))
}

fn is_selected(filter: &Filter, suite: &str, test: &v1::Remembered, config: Option<&Config>) -> bool {
    let found = config.and_then(|config| config.suites().into_iter().find(|(name, _)| *name == suite));
    let id = test_id(&test.file, &test.name);
    filter.matches(&Subject {
        suite,
        runner: found.map_or(RunnerKind::Pytest, |(_, suite)| suite.runner()),
        file: &test.file,
        name: &test.name,
        id: &id,
        tags: &[],
        group: None,
        level: Level::default(),
        last: Verdict::read(test.last),
        mean: test.mean.map(Micros),
        is_new: Verdict::read(test.last).is_none(),
        changed: false,
    })
}

fn table(tests: &[(String, v1::Remembered)]) -> String {
    let mut table = String::new();
    let widest = tests.iter().map(|(suite, _)| suite.chars().count()).max().unwrap_or(0);
    for (suite, test) in tests {
        let (mean, factor) = match test.mean {
            Some(mean) => (Micros(mean).to_string(), format!("×÷{:.2}", (f64::from(test.spread) / 1_000.0).exp())),
            None => ("-".to_owned(), String::new()),
        };
        let runs = if test.runs == 1 { "1 run".to_owned() } else { format!("{} runs", test.runs) };
        let source = if source(test) == Some(Source::Imported) { "imported".to_owned() } else { runs };
        let _infallible = writeln!(
            table,
            "{suite:<widest$}  {mean:>10}  {factor:<7}  {source:>9}  {:<16}  {}",
            Recent(test.recent).to_string(),
            test_id(&test.file, &test.name),
        );
        if let Some((asked, before)) = queries(test).newest() {
            let said = before.slower(asked).map_or_else(
                || {
                    let calls = usize::try_from(asked.calls).unwrap_or(usize::MAX);
                    let (calls, time) = (words::count_of(calls, "statement"), words::fine(asked.time));
                    format!("sends {calls}, at which the server works for {time}")
                },
                |slower| statements::compared(&slower),
            );
            let _infallible = writeln!(table, "{:widest$}  {said}", "");
        }
    }
    table
}

/// What a test asked of its databases: in its last runs, and whether the last of them is much more than was usual.
fn asked(test: &v1::Remembered) -> (serde_json::Value, serde_json::Value) {
    let object = |one: Queried| serde_json::json!({ "calls": one.calls, "time_s": one.time.as_secs_f64() });
    let queries = queries(test);
    let slower = queries.newest().and_then(|(newest, before)| before.slower(newest)).map(|slower| {
        serde_json::json!({
            "now": object(slower.now),
            "usual": object(slower.usual),
            "more_calls": slower.more_calls,
            "more_time": slower.more_time,
        })
    });
    (queries.iter().map(object).collect(), slower.into())
}

fn object(suite: &str, test: &v1::Remembered) -> serde_json::Value {
    let (queried, asks_more) = asked(test);
    serde_json::json!({
        "suite": suite,
        "id": test_id(&test.file, &test.name),
        "file": test.file,
        "name": test.name,
        "mean_s": test.mean.map(|mean| Micros(mean).as_secs_f64()),
        "spread": test.mean.map(|_| f64::from(test.spread) / 1_000.0),
        "source": source(test).map(Source::name),
        "runs": test.runs,
        "passed": test.passes,
        "flaky": test.flakes,
        "failed": test.failures,
        "skipped": test.skips,
        "failing": f64::from(test.failing) / 1_000.0,
        "recent": Recent(test.recent).to_string(),
        "last": Verdict::read(test.last).map(Verdict::name),
        "seen": Verdict::read(test.last).map(|_| Micros(test.seen).as_secs_f64()),
        "queried": queried,
        "asks_more": asks_more,
    })
}

fn source(test: &v1::Remembered) -> Option<Source> {
    Source::read(test.source)
}
