//! A prediction for people.

use super::Prediction;
use crate::forecast::Prospect;
use crate::render::{safe, words};
use regatta_domain::{Costs, Micros, Source};

/// The lines.
pub(super) fn text(prediction: &Prediction<'_>) -> String {
    let Prediction { prospect, outlook, table, target } = prediction;
    let view = prospect.view();
    let suites = words::count_of(view.suites.len(), "suite");
    let tests = words::count_of(prospect.count(), "test");
    if prospect.count() == 0 {
        return format!("{tests} in {suites}\n");
    }
    let mut lines = vec![format!("{tests} in {suites}: {} of work", words::span(prospect.work()))];
    let on = words::count_of(outlook.slots as usize, "slot");
    let (makespan, least) = (words::span(outlook.makespan), words::span(outlook.bound.least()));
    lines.push(format!("predicted on {on}: {makespan}, {:.2} times the bound of {least}", outlook.ratio()));
    let start = match outlook.bound.start {
        Micros::ZERO => String::new(),
        start => format!(", after a start of {}", fine(start)),
    };
    lines.push(format!("bound by {}{start}", prospect.binds(&outlook.bound.binds())));
    if outlook.stranded > 0 {
        let stranded = words::count_of(outlook.stranded as usize, "test");
        lines.push(format!("{stranded} would wait for ever: no worker carries what their suites require"));
    }
    lines.push(format!("estimates: {}", sources(prospect)));
    lines.extend(view.suites.iter().map(|suite| {
        let name = safe::one_line(&suite.name).into_owned();
        format!("beside its tests, {name} ({}) costs {}", suite.runner, costs(suite.costs))
    }));
    if let Some((target, reach)) = target {
        lines.push(reach.line(prospect, *target));
    }
    if !table.is_empty() {
        lines.push(String::new());
        lines.push("slots  predicted".to_owned());
        lines.extend(table.iter().map(|(slots, time)| format!("{slots:>5}  {:>9}", words::span(*time))));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// How much of the time is known, and how.
fn sources(prospect: &Prospect<'_>) -> String {
    let said = |(source, tests, share): (Source, usize, f64)| {
        format!("{:.0}% of the time from {} ({})", share * 100.0, of(source), words::count_of(tests, "test"))
    };
    let said: Vec<String> = prospect.sources().into_iter().map(said).collect();
    said.join(", ")
}

/// Where an estimate comes from, in words.
const fn of(source: Source) -> &'static str {
    match source {
        Source::Own => "their own history",
        Source::Renamed => "the history of the tests whose place they took",
        Source::Imported => "imported timings",
        Source::Group => "others of their group",
        Source::File => "others of their file",
        Source::Suite => "others of their suite",
        Source::Default => "nothing (a guess)",
    }
}

fn costs(costs: Costs) -> String {
    let Costs { start, batch, file, group, test } = costs;
    let parts =
        [(start, "a start"), (batch, "a further shard"), (file, "a file"), (group, "a group"), (test, "a test")];
    let said: Vec<String> = parts
        .into_iter()
        .filter(|(cost, _)| *cost > Micros::ZERO)
        .map(|(cost, what)| format!("{} {what}", fine(cost)))
        .collect();
    if said.is_empty() { "nothing".to_owned() } else { said.join(", ") }
}

/// A short span: `150us`, `20ms`, `0.40s`.
#[expect(clippy::cast_precision_loss, reason = "below a second")]
fn fine(span: Micros) -> String {
    match span.0 {
        0..1_000 => format!("{}us", span.0),
        1_000..10_000 => format!("{:.1}ms", span.0 as f64 / 1e3),
        10_000..100_000 => format!("{:.0}ms", span.0 as f64 / 1e3),
        _ => words::span(span),
    }
}
