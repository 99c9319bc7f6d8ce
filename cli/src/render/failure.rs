//! What did not pass, as it is told at the end: a block for each with its output and the command that runs it again, then one
//! line for each that pastes back.

use super::excerpt::{Excerpt, Room};
use super::paint::{FAIL, Paint, RETRY, STRONG, WEAK};
use super::safe::{self, Colours};
use super::status::{self, Status, VERB_COLUMNS};
use super::{reproduce, statements, words};
use crate::view::{Attempt, ErrorAt, Outputs, Test, View};
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{Cause, Nuance, Outcome, TestIx, Verdict};
use std::collections::BTreeMap;

/// So many blocks are written of each kind; a person reads no more, and reports have the rest.
const BLOCKS: usize = 50;
/// So many lines are written of each kind; the rest is counted.
const LINES: usize = 500;
/// So many tests that were not run are named: they have one cause.
const NOT_RUN_LINES: usize = 5;
/// What is shown of the output of a failure.
const ROOM: Room = Room { bytes: 32 * 1024, lines: 250 };
/// What is shown of the output of a test that passed in the end.
const FLAKY_ROOM: Room = Room { bytes: 4 * 1024, lines: 30 };

/// What the blocks are written with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling<'a> {
    /// Colours and signs.
    pub(super) paint: Paint,
    /// The flags of the run that a command has to repeat.
    pub(super) flags: &'a [String],
    /// Outputs; `None` where they are not to be shown.
    pub(super) outputs: Option<&'a Outputs>,
}

/// The blocks of everything that did not pass, at most `BLOCKS` of each kind: flaky tests, failures, errors beside tests.
pub(super) fn blocks(view: &View, telling: Telling<'_>) -> Vec<String> {
    let flaky = view.planned().filter(|(_, test)| test.verdict == Some(Verdict::Flaky)).take(BLOCKS);
    let mut lines: Vec<String> = flaky.flat_map(|(ix, _)| flaky_block(view, ix, telling)).collect();
    let failed = view.planned().filter(|(_, test)| has_block(test)).take(BLOCKS);
    lines.extend(failed.flat_map(|(ix, _)| {
        let output =
            telling.outputs.and_then(|outputs| deciding(view.test(ix)).and_then(|attempt| outputs.of(attempt)));
        block(view, ix, telling, output)
    }));
    lines.extend(
        errors(view).into_iter().take(BLOCKS).flat_map(|(at, times)| error_block(&at.error, times, telling.paint)),
    );
    lines
}

/// The block of a failed test: its line, why, its attempts, its output, how to run it again.
pub(super) fn block(view: &View, ix: TestIx, telling: Telling<'_>, output: Option<&[u8]>) -> Vec<String> {
    let test = view.test(ix);
    let Some(verdict) = test.verdict else { return Vec::new() };
    let time = test.last().map(|last| last.duration);
    let mut lines = vec![String::new(), Status::of_verdict(view, ix, verdict).line(telling.paint, view, ix, time, "")];
    let attempts = attempt_lines(view, test);
    // The line of the attempt that decided says why, too.
    let reason = status::reason(test).filter(|reason| attempts.iter().all(|line| !line.ends_with(reason.as_str())));
    lines.extend(reason.map(|reason| indented(&telling.paint.paint(FAIL, &reason))));
    lines.extend(attempts);
    lines.extend(because(test).map(|because| indented(&because)));
    let seen = test.last().and_then(|last| last.observation.as_deref());
    lines.extend(
        seen.iter().flat_map(|seen| &seen.notes).map(|note| indented(&format!("database: {}", one_line(note)))),
    );
    let asked = seen.and_then(|seen| seen.asked.as_ref()).map(statements::asked);
    lines.extend(asked.map(|asked| indented(&format!("database: {asked}"))));
    if telling.outputs.is_some() {
        lines.extend(output_lines(test, output, ROOM, telling.paint));
    }
    lines.push(reproduce_line(view, ix, telling));
    lines
}

fn flaky_block(view: &View, ix: TestIx, telling: Telling<'_>) -> Vec<String> {
    let test = view.test(ix);
    let time = test.last().map(|last| last.duration);
    let mut lines = vec![String::new(), Status::of_flaky(view, ix).line(telling.paint, view, ix, time, "")];
    lines.extend(attempt_lines(view, test));
    if let Some(outputs) = telling.outputs {
        let output = deciding(test).and_then(|attempt| outputs.of(attempt));
        lines.extend(output_lines(test, output, FLAKY_ROOM, telling.paint));
    }
    lines.push(reproduce_line(view, ix, telling));
    lines
}

fn error_block(error: &RunError, times: usize, paint: Paint) -> Vec<String> {
    let mut head = String::new();
    Status::error().push_verb(paint, &mut head);
    head.push(' ');
    paint.push(&mut head, STRONG, &safe::one_line(&error.place));
    head.push_str(&format!(" ({})", kind_word(error.kind)));
    if times > 1 {
        head.push_str(&format!(", {} times", words::count(times)));
    }
    let mut lines = vec![String::new(), head];
    lines.extend(excerpt_lines(error.message.as_bytes(), ROOM, paint));
    lines
}

/// The lines at the end that paste back as arguments.
pub(super) fn list(view: &View, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let flaky = view.planned().filter(|(_, test)| test.verdict == Some(Verdict::Flaky));
    push_list(&mut lines, paint, LINES, flaky.map(|(ix, test)| ("FLAKY", status::id(view, ix), flaky_reason(test))));
    let failed = view.planned().filter(|(_, test)| has_block(test));
    push_list(
        &mut lines,
        paint,
        LINES,
        failed.map(|(ix, test)| (word(test), status::id(view, ix), status::reason(test))),
    );
    let not_run = view.planned().filter(|(_, test)| matches!(test.verdict, Some(Verdict::NotRun) | None));
    push_list(&mut lines, paint, NOT_RUN_LINES, not_run.map(|(ix, _)| ("NOT RUN", status::id(view, ix), None)));
    let errors = errors(view).into_iter();
    push_list(
        &mut lines,
        paint,
        LINES,
        errors.map(|(at, _)| ("ERROR", one_line(&at.error.place), Some(last_line(&at.error)))),
    );
    lines
}

fn push_list(
    lines: &mut Vec<String>,
    paint: Paint,
    most: usize,
    all: impl Iterator<Item = (&'static str, String, Option<String>)>,
) {
    let mut left_out = 0_usize;
    let mut last = "";
    for (at, (word, id, reason)) in all.enumerate() {
        last = word;
        if at >= most {
            left_out += 1;
            continue;
        }
        let mut line = String::new();
        let style = if word == "FLAKY" { RETRY } else { FAIL };
        paint.push(&mut line, style, word);
        line.push_str(&format!(" {id}"));
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            line.push_str(&format!(" - {reason}"));
        }
        lines.push(line);
    }
    if left_out > 0 {
        lines.push(format!("{last} {} and {} more", paint.ellipsis(), words::count(left_out)));
    }
}

/// Whether the test is told in a block of its own: it is red, and it ran.
fn has_block(test: &Test) -> bool {
    matches!(test.verdict, Some(Verdict::Failed | Verdict::TimedOut | Verdict::Crashed))
}

/// The attempt whose output tells most: the last one that did not pass.
pub(crate) fn deciding(test: &Test) -> Option<&Attempt> {
    test.attempts.iter().rev().find(|attempt| !attempt.outcome.is_ok())
}

/// What went wrong beside the tests, each told once, with how often it happened.
pub(crate) fn errors(view: &View) -> Vec<(&ErrorAt, usize)> {
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut errors: Vec<(&ErrorAt, usize)> = Vec::new();
    for at in &view.errors {
        let place = *places.entry((&at.error.place, &at.error.message)).or_insert(errors.len());
        match errors.get_mut(place) {
            Some((_, times)) => *times += 1,
            None => errors.push((at, 1)),
        }
    }
    errors
}

/// What kind of error it is, in words.
pub(crate) const fn kind_word(kind: RunErrorKind) -> &'static str {
    match kind {
        RunErrorKind::Collection => "could not be collected",
        RunErrorKind::Build => "could not be built",
        RunErrorKind::Runner => "the runner",
        RunErrorKind::Teardown => "in a teardown",
        RunErrorKind::Infrastructure => "infrastructure",
    }
}

/// The last line of an error's text: where frameworks say what it was.
pub(crate) fn last_line(error: &RunError) -> String {
    let last = error.message.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    // pytest marks the lines that matter.
    one_line(last.strip_prefix("E  ").map_or(last, str::trim_start))
}

fn word(test: &Test) -> &'static str {
    match (test.verdict, test.last().map(|last| (last.outcome, last.nuance))) {
        (Some(Verdict::TimedOut), _) => "TIMED OUT",
        (Some(Verdict::Crashed), _) => "CRASHED",
        (_, Some((Outcome::Failed, Nuance::SetupError | Nuance::TeardownError))) => "ERROR",
        _ => "FAILED",
    }
}

fn flaky_reason(test: &Test) -> Option<String> {
    let last = test.last()?;
    let first = deciding(test).and_then(|attempt| attempt.reason.as_deref()).map_or_else(String::new, one_line);
    let passed = format!("passed at attempt {}", last.number);
    Some(if first.is_empty() { passed } else { format!("{passed}, before: {first}") })
}

/// One line for each attempt, where there were several.
fn attempt_lines(view: &View, test: &Test) -> Vec<String> {
    if test.attempts.len() < 2 && test.lost.is_empty() {
        return Vec::new();
    }
    let at = |slot: &Option<(String, u32)>| {
        slot.as_ref().map_or_else(String::new, |(worker, slot)| place(view, worker, *slot))
    };
    let ended = test.attempts.iter().map(|attempt| {
        let reason = attempt.reason.as_deref().map_or_else(String::new, |reason| format!(": {}", one_line(reason)));
        let word = status::outcome_word(attempt);
        let cause = status::cause_beyond(attempt).map_or_else(String::new, |cause| format!(" ({cause})"));
        let (number, took, slot) = (attempt.number, attempt.duration, at(&attempt.slot));
        (u32::from(number), indented(&format!("attempt {number} {word}{cause} after {took}{slot}{reason}")))
    });
    let (told, untold): (Vec<_>, Vec<_>) = test.lost.iter().partition(|loss| loss.number > 0);
    let lost = told.into_iter().map(|loss| {
        let (slot, why) = (at(&loss.slot), status::lost_because(loss));
        (loss.number, indented(&format!("attempt {} was lost{slot}: {why}", loss.number)))
    });
    let mut lines: Vec<(u32, String)> = ended.chain(lost).collect();
    lines.sort_by_key(|(number, _)| *number);
    let mut lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    if !untold.is_empty() {
        let times = words::count_of(untold.len(), "attempt");
        lines.push(indented(&format!("{times} lost with the worker")));
    }
    lines
}

/// Why a test did not pass, what its process came to, and what to do; nothing where its own words say it all.
pub(crate) fn because(test: &Test) -> Option<String> {
    let cause = test.cause.filter(|cause| !matches!(cause, Cause::Test | Cause::Timeout))?;
    let exit = test.last().filter(|_| test.decided_by_loss().is_none()).and_then(|last| last.exit);
    let exit = exit.map_or_else(String::new, |exit| format!(", {exit}"));
    // What is permanent is for whoever wrote the test, who has its reason; the rest lies elsewhere, and has to be said.
    let meaning = if cause.is_transient() { format!("; {}", cause.meaning()) } else { String::new() };
    Some(format!("cause: {cause}{exit}{meaning}"))
}

/// How many tests are red for which cause, where that lies not in all of them: what is to be looked at first may be a machine.
pub(crate) fn causes(view: &View) -> Option<String> {
    let causes = view.causes();
    if causes.keys().all(|cause| matches!(cause, Cause::Test | Cause::Timeout | Cause::Crash | Cause::SetUp)) {
        return None;
    }
    let parts: Vec<String> = causes.iter().map(|(cause, tests)| format!("{} {cause}", words::count(*tests))).collect();
    Some(parts.join(", "))
}

/// Where an attempt ran: of a worker's id, as much as tells it from others; nothing where there is only one.
fn place(view: &View, worker: &str, slot: u32) -> String {
    let is_only = view.slots.keys().all(|(other, _)| other == worker);
    let short: String = worker.chars().take(8).collect();
    if is_only { format!(" on slot {slot}") } else { format!(" on {}/{slot}", one_line(&short)) }
}

fn output_lines(test: &Test, output: Option<&[u8]>, room: Room, paint: Paint) -> Vec<String> {
    let Some(attempt) = deciding(test) else { return Vec::new() };
    let Some(address) = attempt.output else { return Vec::new() };
    let mut lines = Vec::new();
    if test.attempts.len() > 1 {
        lines.push(format!("  output of attempt {}:", attempt.number));
    }
    match output {
        Some(output) => lines.extend(excerpt_lines(output, room, paint)),
        None => {
            let size = words::count_of(address.size as usize, "byte");
            lines.push(format!("  its output ({size}) could not be fetched"));
        }
    }
    lines
}

/// Text of others behind the gutter, as much as there is room for.
fn excerpt_lines(bytes: &[u8], room: Room, paint: Paint) -> Vec<String> {
    let excerpt = Excerpt::of(bytes, room);
    let colours = if paint.colour { Colours::Keep } else { Colours::Strip };
    let mut lines = safe::lines(excerpt.head, colours);
    if let Some(cut) = excerpt.cut {
        let (lines_cut, bytes_cut) = (words::count_of(cut.lines, "line"), words::count_of(cut.bytes, "byte"));
        let dots = paint.ellipsis();
        lines.push(
            paint.paint(WEAK, &format!("{dots} {lines_cut} ({bytes_cut}) left out here; reports have them {dots}")),
        );
    }
    lines.extend(safe::lines(excerpt.tail, colours));
    let gutter = paint.paint(WEAK, paint.gutter());
    lines.into_iter().map(|line| format!("{gutter}{line}").trim_end().to_owned()).collect()
}

fn reproduce_line(view: &View, ix: TestIx, telling: Telling<'_>) -> String {
    let mut line = String::new();
    telling.paint.push(&mut line, WEAK, "  run it again:");
    line.push(' ');
    telling.paint.push(&mut line, STRONG, &reproduce::command(view, ix, telling.flags));
    line
}

fn indented(text: &str) -> String {
    format!("{:VERB_COLUMNS$} {text}", "")
}

fn one_line(text: &str) -> String {
    safe::one_line(text).into_owned()
}
