//! What was said for this one invocation, with where it was said.

use crate::args::{Display, ReportArg, Rules, Selection};
use crate::config::Set;
use crate::config::decode::choose;
use crate::config::origin::Origin;
use crate::config::profile::{Report, ReportFormat};
use crate::config::resolve::Given;
use crate::error::{Error, Mistake, Place};
use crate::exit::Exit;
use clap::ArgMatches;
use clap::parser::ValueSource;
use regatta_domain::filter::Filter;

/// Reads what the arguments say about the keys of a profile; tells all mistakes in them together.
pub(super) fn read(
    selection: &Selection,
    rules: &Rules,
    display: Option<&Display>,
    matches: &ArgMatches,
) -> Result<Given, Error> {
    let mut mistakes = Vec::new();
    let filter = filter(&selection.filter, matches, &mut mistakes);
    let report = display.map_or(&[][..], |display| &display.report);
    let report = reports(report, matches, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(Error::all(Exit::Usage, mistakes));
    }
    Ok(Given {
        slots: set(rules.slots, "slots", matches),
        retries: set(rules.retries, "retries", matches),
        timeout: set(rules.timeout.map(|limit| limit.0), "timeout", matches),
        run_timeout: set(rules.run_timeout.map(|limit| limit.0), "run_timeout", matches),
        fail_fast: set(rules.fail_fast, "fail_fast", matches),
        shuffle: set(rules.shuffle, "shuffle", matches),
        order: set(rules.order, "order", matches),
        priority: set(rules.priority, "priority", matches),
        target: set(rules.target.map(|limit| limit.0), "target", matches),
        speculate: set(rules.speculate, "speculate", matches),
        statements: set(rules.statements, "statements", matches),
        filter: set(filter, "filter", matches),
        report: set(report, "report", matches),
    })
}

fn set<T>(value: Option<T>, id: &str, matches: &ArgMatches) -> Option<Set<T>> {
    value.map(|value| Set { value, origin: origin(id, matches) })
}

/// Where an argument was said: its flag, or its variable. The names follow from one another, which a test holds true.
fn origin(id: &str, matches: &ArgMatches) -> Origin {
    let is_known = matches.try_contains_id(id).unwrap_or(false);
    match is_known.then(|| matches.value_source(id)).flatten() {
        Some(ValueSource::EnvVariable) => Origin::Env(format!("REGATTA_{}", id.to_uppercase())),
        _ => Origin::Flag(format!("--{}", id.replace('_', "-"))),
    }
}

/// Several filters add up.
fn filter(texts: &[String], matches: &ArgMatches, mistakes: &mut Vec<Mistake>) -> Option<Filter> {
    let mut filters = Vec::new();
    for text in texts {
        match Filter::parse(text) {
            Ok(filter) => filters.push(filter),
            Err(error) => {
                let name = origin("filter", matches).to_string().into();
                let place = Place { name, text: text.as_str().into(), span: 0..text.len() };
                mistakes.push(Mistake::in_filter(&error, place));
            }
        }
    }
    (!texts.is_empty()).then(|| Filter::any(filters))
}

fn reports(args: &[ReportArg], matches: &ArgMatches, mistakes: &mut Vec<Mistake>) -> Option<Vec<Report>> {
    let mut reports = Vec::new();
    for arg in args {
        match choose::<ReportFormat>(&origin("report", matches).to_string(), &arg.format) {
            Ok(format) => reports.push(Report { format, path: arg.path.display().to_string() }),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    (!args.is_empty()).then_some(reports)
}
