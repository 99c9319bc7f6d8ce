//! What a run came to, what it could have been, and what its slots and resources did.

use super::record::{Record, slot_of};
use crate::forecast::{Binds, Fleet, Prospect};
use crate::render::{foreseen, safe, words};
use regatta_domain::{Micros, report::RunOutcome};
use regatta_wire::v1;
use std::collections::BTreeMap;

/// So many slots are told one by one.
const SLOTS: usize = 64;

/// The lines.
pub(super) fn text(record: &Record, fleet: Option<Fleet>, told: Option<&v1::WorkersResponse>) -> String {
    let view = &record.view;
    let mut lines = vec![head(record)];
    let took_part = u32::try_from(view.slots.len()).unwrap_or(u32::MAX);
    let summary = view.summary(took_part);
    let from = view.first_lease.unwrap_or(view.submitted);
    let wall = view.ended.unwrap_or(view.at).since(from);
    if view.ended.is_some() && summary.work > Micros::ZERO {
        lines.push(format!(
            "  took      {} on {}, {:.2} times the bound of {}",
            words::span(summary.wall),
            words::count_of(summary.slots as usize, "slot"),
            summary.ratio(),
            words::span(summary.bound)
        ));
    }
    let fleet = fleet.unwrap_or_else(|| Fleet::here(took_part, &labels(record), BTreeMap::new()));
    match foreseen::foreseen(view, &fleet, summary.slots) {
        Some(outlook) => {
            lines.push(format!("  predicted {}", foreseen::words(view, &outlook)));
            let binds = outlook.bound.binds();
            let held = match binds {
                Binds::Work(_) => "",
                _ => "; more slots would not help",
            };
            lines.push(format!("  bound by  {}{held}", Prospect::new(view, fleet).binds(&binds)));
        }
        None if view.ended.is_some() => {
            lines.push("  predicted nothing: not all tests were known before the first began".to_owned());
        }
        None => {}
    }
    if let Some(told) = told.filter(|_| view.ended.is_none()) {
        lines.extend(lacking(record, told));
    }
    let late: usize = view.tests.iter().map(|test| test.refused.len()).sum();
    if late > 0 {
        let results = words::count_of(late, "result");
        lines.push(format!(
            "  refused   {results} that came when its lease had ended: `regatta explain TEST` tells which"
        ));
    }
    lines.extend(slots(record, wall));
    lines.extend(resources(record, wall));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn head(record: &Record) -> String {
    let view = &record.view;
    let outcome = match view.outcome {
        Some(RunOutcome::Green) => "green",
        Some(RunOutcome::Red) => "red",
        Some(RunOutcome::Cancelled) => "cancelled",
        Some(RunOutcome::Empty) => "empty",
        None => "still running",
    };
    let run = &view.run.to_string()[..8];
    let project = safe::one_line(&view.project);
    let (tests, shards) =
        (words::count_of(view.planned_count(), "test"), words::count_of(record.shards.len(), "shard"));
    let taken: usize = record.shards.iter().map(|shard| shard.given_back.len()).sum();
    let taken = match taken {
        0 => String::new(),
        taken => format!(", {} of which idle slots took over", words::count_of(taken, "test")),
    };
    format!("run {run} of {project}: {outcome}, {tests} in {shards}{taken}")
}

/// Suites that nobody can run, and what would help.
fn lacking(record: &Record, told: &v1::WorkersResponse) -> Vec<String> {
    let carried = |requires: &[String]| {
        let staying = told.workers.iter().filter(|worker| !worker.draining);
        staying.into_iter().any(|worker| requires.iter().all(|label| worker.labels.contains(label)))
    };
    let lacking = record.view.suites.iter().filter(|suite| !carried(&suite.requires));
    let line = |suite: &crate::view::Suite| {
        let name = safe::one_line(&suite.name);
        if suite.requires.is_empty() {
            return format!("  waits     suite {name}: no worker takes work; `regatta worker --on URL`");
        }
        let flags: String = suite.requires.iter().map(|label| format!(" --label {label}")).collect();
        let requires = suite.requires.join(", ");
        format!("  waits     suite {name} requires {requires}, and no worker carries that; `regatta worker{flags}`")
    };
    lacking.map(line).collect()
}

fn labels(record: &Record) -> Vec<String> {
    record.view.suites.iter().flat_map(|suite| suite.requires.clone()).collect()
}

fn percent(part: Micros, whole: Micros) -> f64 {
    100.0 * part.as_secs_f64() / whole.as_secs_f64().max(1e-6)
}

fn slots(record: &Record, wall: Micros) -> Vec<String> {
    let view = &record.view;
    let mut counts: BTreeMap<(&str, u32), (usize, usize)> = BTreeMap::new();
    for shard in &record.shards {
        counts.entry((&shard.worker, shard.slot)).or_default().1 += 1;
    }
    for (worker, slot) in view.tests.iter().flat_map(|test| &test.attempts).filter_map(|attempt| attempt.slot.as_ref())
    {
        counts.entry((worker, *slot)).or_default().0 += 1;
    }
    let line = |((worker, slot), busy): (&(String, u32), &Micros)| {
        let (tests, shards) = counts.get(&(worker.as_str(), *slot)).copied().unwrap_or_default();
        format!(
            "  {:<9} ran tests for {:.0}% of the time: {} in {}",
            slot_of(view, worker, *slot),
            percent(*busy, wall),
            words::count_of(tests, "attempt"),
            words::count_of(shards, "shard")
        )
    };
    let mut lines: Vec<String> = view.slots.iter().take(SLOTS).map(line).collect();
    if view.slots.len() > SLOTS {
        lines.push(format!("  … and {} more", words::count_of(view.slots.len() - SLOTS, "slot")));
    }
    lines
}

fn resources(record: &Record, wall: Micros) -> Vec<String> {
    let view = &record.view;
    let mut busy: BTreeMap<&str, Micros> = BTreeMap::new();
    for (ix, test) in view.planned() {
        for need in view.needs_of(ix) {
            let seats = need.of(view.seats.get(&need.resource).copied().unwrap_or(1));
            *busy.entry(&need.resource).or_default() += test.duration() * u64::from(seats);
        }
    }
    let line = |(name, busy): (&str, Micros)| {
        let share = percent(busy, wall);
        format!(
            "  resource {}: seats of it were busy for {} together, {share:.0}% of one",
            safe::one_line(name),
            words::span(busy)
        )
    };
    busy.into_iter().map(line).collect()
}
