//! Why a test ran where and when it did; or why it still waits, and what would help.

use super::record::{Record, Shard, slot_of};
use super::stand;
use crate::render::status::{self, outcome_word};
use crate::render::{safe, statements, words};
use crate::view::{Attempt, Late, Loss};
use regatta_domain::database::Observation;
use regatta_domain::{Estimate, Level, Need, Nuance, Source, TestIx, Verdict};
use regatta_wire::v1;

/// Statements of an attempt that are told.
const STATEMENTS: usize = 10;

/// Other tests of a shard that are named.
const NAMED: usize = 3;

/// The lines.
pub(super) fn text(
    record: &Record,
    test: TestIx,
    fleet: Option<&v1::WorkersResponse>,
    resources: &[v1::ResourceStatus],
) -> String {
    let mut lines = vec![head(record, test), estimate(record, test), kind(record, test)];
    lines.extend(ran(record, test));
    if record.view.test(test).verdict.is_none() {
        lines.extend(waits(record, test, fleet, resources));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn head(record: &Record, test: TestIx) -> String {
    let view = &record.view;
    let (id, suite) = (view.id(test), &view.suite_of(test).name);
    let cause = view.test(test).cause;
    let verdict = match (view.test(test).verdict, cause) {
        (Some(Verdict::NotRun), Some(cause)) => format!("was not run ({cause}: {})", cause.meaning()),
        (Some(Verdict::NotRun), None) => "was not run".to_owned(),
        (Some(verdict), _) => verdict.name().to_owned(),
        (None, _) => "has no verdict yet".to_owned(),
    };
    let run = &view.run.to_string()[..8];
    format!("{} of suite {}, in run {run}: {verdict}", safe::one_line(&id), safe::one_line(suite))
}

fn estimate(record: &Record, test: TestIx) -> String {
    let found = record.view.test(test);
    let estimate = Estimate { mean: found.estimate, spread: found.spread, source: found.source };
    let range = if found.spread == 0 {
        String::new()
    } else {
        let (least, most) = (words::span(estimate.upper(-1.0)), words::span(estimate.upper(1.0)));
        format!(", {least} to {most} in two of three cases")
    };
    format!("  estimate  {}, from {}{range}", words::span(found.estimate), own_words(found.source))
}

/// Where the estimate of one test comes from, in words.
const fn own_words(source: Source) -> &'static str {
    match source {
        Source::Own => "its own history",
        Source::Renamed => "the history of the test whose place it took",
        Source::Imported => "imported timings",
        Source::Group => "others of its group, or with other parameters",
        Source::File => "others of its file",
        Source::Suite => "others of its suite",
        Source::Default => "nothing (a guess)",
    }
}

fn kind(record: &Record, test: TestIx) -> String {
    let found = record.view.test(test);
    let mut parts = vec![format!("{:.1}% likely not to pass", f64::from(found.risk) / 10.0)];
    if found.level != Level::None {
        parts.push(format!("level {}", crate::config::settings::word(found.level)));
    }
    let needs: Vec<String> = record.view.needs_of(test).iter().map(need).collect();
    if !needs.is_empty() {
        parts.push(format!("needs {}", needs.join(", ")));
    }
    let requires = &record.view.suite_of(test).requires;
    if !requires.is_empty() {
        parts.push(format!("its suite requires {}", requires.join(", ")));
    }
    let mates = record.view.planned().filter(|(ix, other)| *ix != test && other.group == found.group).count();
    if mates > 0 {
        parts.push(format!("in a group with {}", words::count_of(mates, "other test")));
    }
    format!("  known     {}", parts.join("; "))
}

fn need(need: &Need) -> String {
    let Need { resource, seats, wants } = need;
    let resource = safe::one_line(resource);
    match *seats {
        _ if !wants.is_empty() => safe::one_line(&need.to_string()).into_owned(),
        Need::ALL => format!("all of {resource}"),
        1 => resource.into_owned(),
        seats => format!("{seats} seats of {resource}"),
    }
}

/// Where it ran, and why there.
fn ran(record: &Record, test: TestIx) -> Vec<String> {
    let view = &record.view;
    let found = view.test(test);
    let mut lines = Vec::new();
    let ended_in = record.ended_in.get(&test).map_or(&[][..], |places| places);
    for place in record.held(test) {
        let shard = &record.shards[place];
        if let Some((_, at)) = shard.given_back.iter().find(|(given, _)| *given == test) {
            lines.push(format!(
                "  taken     from shard {} on {} at {}, where it had not begun: another slot had nothing to do",
                place + 1,
                slot_of(view, &shard.worker, shard.slot),
                words::span(record.since(*at))
            ));
        } else if shard.end == Some(v1::LeaseEnd::WorkerLost) && !ended_in.contains(&place) {
            let slot = slot_of(view, &shard.worker, shard.slot);
            lines.push(format!("  lost      with shard {} on {slot}: its worker was lost", place + 1));
        }
    }
    lines.extend(found.lost.iter().filter(|loss| loss.number > 0).flat_map(lost));
    for (attempt, &place) in found.attempts.iter().zip(ended_in) {
        let shard = &record.shards[place];
        lines.push(format!(
            "  attempt {} {} on {}, from {} on, for {}",
            attempt.number,
            outcome_word(attempt),
            slot_of(view, &shard.worker, shard.slot),
            words::span(record.since(attempt.started)),
            words::span(attempt.duration)
        ));
        lines.push(format!("  why       {}", why(record, shard, place, test)));
        lines.extend(ended(attempt));
        lines.extend(attempt.observation.as_deref().map_or_else(Vec::new, asked));
    }
    lines.extend(found.refused.iter().map(|late| self::late(record, test, late)));
    lines
}

/// A result that came too late, and what stands in its place.
fn late(record: &Record, test: TestIx, late: &Late) -> String {
    let (view, found) = (&record.view, record.view.test(test));
    let slot = record.shards.iter().find(|shard| shard.token == late.token);
    let slot = slot.map_or_else(String::new, |shard| format!(" on {}", slot_of(view, &shard.worker, shard.slot)));
    let stands = match (found.verdict, found.attempts.last()) {
        (None, _) => "the test runs once more".to_owned(),
        (Some(_), Some(last)) if found.decided_by_loss().is_none() => {
            let (number, on) = (last.number, last.slot.as_ref());
            let on = on.map_or_else(String::new, |(worker, slot)| format!(" on {}", slot_of(view, worker, *slot)));
            format!("attempt {number}{on} stands")
        }
        (Some(verdict), _) => format!("that it is {} stands", verdict.name()),
    };
    format!(
        "  late      attempt {}{slot} {} after {}, and told so at {}, when its lease had ended: refused; {stands}",
        late.number,
        status::word(late.outcome, Nuance::Plain),
        words::span(late.duration),
        words::span(record.since(late.at))
    )
}

/// How the process of an attempt that did not pass ended, and why it did, with what to do.
fn ended(attempt: &Attempt) -> Vec<String> {
    let Some(cause) = attempt.cause else { return Vec::new() };
    let kind = if cause.is_transient() { "transient" } else { "permanent" };
    let exit = attempt.exit.map(|exit| format!("  exit      {exit}"));
    let reason = attempt.reason.as_deref().map(|reason| format!("  reason    {}", safe::one_line(reason)));
    reason.into_iter().chain(exit).chain([format!("  cause     {cause} ({kind}): {}", cause.meaning())]).collect()
}

/// An attempt that ended without a result, with what is known of it.
fn lost(loss: &Loss) -> Vec<String> {
    let kind = if loss.cause.is_transient() { "transient" } else { "permanent" };
    let because = status::lost_because(loss);
    vec![
        format!("  attempt {} had no result: {because}", loss.number),
        format!("  cause     {} ({kind}): {}", loss.cause, loss.cause.meaning()),
    ]
}

/// What an attempt asked of its databases, where that was counted: all of it, and its slowest statements.
fn asked(seen: &Observation) -> Vec<String> {
    let Some(asked) = &seen.asked else { return Vec::new() };
    let least = if seen.asked_in_all().is_none() { "at least " } else { "" };
    let mut lines = vec![format!("  asked     {least}{}", statements::asked(asked))];
    lines.extend(asked.top.iter().take(STATEMENTS).map(|one| {
        let (times, time) = (format!("{}x", words::count(one.calls)), words::fine(one.time));
        format!("            {time:>8} {times:>6}  {}", statements::one_line(&one.text))
    }));
    lines
}

/// Why it was in that shard, from what is recorded of it.
fn why(record: &Record, shard: &Shard, place: usize, test: TestIx) -> String {
    let view = &record.view;
    let kept: Vec<TestIx> =
        shard.tests.iter().copied().filter(|of| shard.given_back.iter().all(|(given, _)| given != of)).collect();
    let size = shard.tests.iter().map(|&test| view.test(test).estimate).sum();
    let at = kept.iter().position(|&of| of == test).map_or(0, |at| at + 1);
    let asked = words::span(record.since(shard.at));
    let mut why = format!(
        "that slot asked at {asked} and was granted shard {} of {}: {}, {} by estimate, of {} that waited",
        place + 1,
        record.shards.len(),
        words::count_of(shard.tests.len(), "test"),
        words::span(size),
        words::span(shard.of)
    );
    let others: Vec<String> = kept
        .iter()
        .filter(|&&of| of != test)
        .take(NAMED)
        .map(|&of| safe::one_line(&view.id(of)).into_owned())
        .collect();
    if others.is_empty() {
        why.push_str("; it ran there alone");
        return why;
    }
    let more = kept.len().saturating_sub(1 + others.len());
    let more = if more > 0 { format!(" and {} more", words::count(more)) } else { String::new() };
    why.push_str(&format!("; it was number {at} there, with {}{more}", others.join(", ")));
    why
}

/// Why it still waits, and what would help.
fn waits(
    record: &Record,
    test: TestIx,
    fleet: Option<&v1::WorkersResponse>,
    resources: &[v1::ResourceStatus],
) -> Vec<String> {
    let view = &record.view;
    if view.ended.is_some() {
        return vec!["  waits     no more: its run has ended".to_owned()];
    }
    if let Some(running) = view.running.get(&test) {
        let slot = slot_of(view, &running.worker, running.slot);
        return vec![format!("  runs      on {slot}, since {}", words::span(record.since(running.since)))];
    }
    if let Some(shard) = record
        .live()
        .find(|shard| shard.tests.contains(&test) && shard.given_back.iter().all(|(given, _)| *given != test))
    {
        let before =
            shard.tests.iter().take_while(|&&of| of != test).filter(|&&of| view.test(of).verdict.is_none()).count();
        let slot = slot_of(view, &shard.worker, shard.slot);
        return vec![format!(
            "  waits     at {slot}, which holds it, behind {}; a slot with nothing to do would take it back",
            words::count_of(before, "test")
        )];
    }
    let mut lines = Vec::new();
    let (reason, help) = reason(record, test, fleet, resources);
    lines.push(format!("  waits     {reason}"));
    lines.push(format!("  helps     {help}"));
    lines
}

fn reason(
    record: &Record,
    test: TestIx,
    fleet: Option<&v1::WorkersResponse>,
    resources: &[v1::ResourceStatus],
) -> (String, String) {
    let view = &record.view;
    let found = view.test(test);
    let requires = &view.suite_of(test).requires;
    let workers = fleet.map_or(&[][..], |fleet| &fleet.workers);
    let fit: Vec<&v1::WorkerInfo> = workers
        .iter()
        .filter(|worker| !worker.draining && requires.iter().all(|label| worker.labels.contains(label)))
        .collect();
    if fleet.is_some() && fit.is_empty() {
        if requires.is_empty() {
            return ("no worker takes work".to_owned(), "`regatta worker --on URL`".to_owned());
        }
        let labels: Vec<String> = requires.iter().map(|label| format!("--label {label}")).collect();
        let reason = format!("its suite requires {}, and no worker carries that", requires.join(", "));
        return (reason, format!("`regatta worker {}`", labels.join(" ")));
    }
    let now = regatta_runtime::clock::now_us();
    if let Some(obstacle) = view.needs_of(test).iter().find_map(|need| stand::obstacle(need, resources, view, now)) {
        return obstacle;
    }
    for need in view.needs_of(test) {
        let holders: Vec<String> = record
            .live()
            .filter(|shard| {
                shard.tests.iter().any(|&of| view.needs_of(of).iter().any(|other| other.resource == need.resource))
            })
            .map(|shard| slot_of(view, &shard.worker, shard.slot))
            .collect();
        let seats = fleet.and_then(|fleet| fleet.resources.iter().find(|of| of.resource == *need.resource));
        if !holders.is_empty() {
            let resource = safe::one_line(&need.resource).into_owned();
            let of = seats.map_or_else(String::new, |seats| {
                format!(" ({} in all)", words::count_of(seats.seats as usize, "seat"))
            });
            let reason = format!("it needs {resource}{of}, which {} holds", holders.join(", "));
            return (reason, format!("more seats of {resource}: `regatta coordinator --resource {resource}=N`"));
        }
    }
    if !found.attempts.is_empty() {
        return (
            "it did not pass, and waits for its next attempt".to_owned(),
            "a shorter `delay` of `retries`".to_owned(),
        );
    }
    let before = view.planned().filter(|&(ix, other)| record.waits(ix) && other.estimate > found.estimate).count();
    let free: u32 = fit.iter().map(|worker| worker.slots.saturating_sub(worker.busy)).sum();
    let behind = format!("{} that take longer", words::count_of(before, "waiting test"));
    if free == 0 {
        return (
            format!("no slot is free; it is behind {behind}"),
            "more slots: `regatta plan` says how many".to_owned(),
        );
    }
    (format!("it is behind {behind}"), "nothing: slots are about to ask".to_owned())
}
