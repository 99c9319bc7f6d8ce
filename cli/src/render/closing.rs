//! The last lines of a run: what it came to, how the process ends, and how near the run came to what was possible.

use super::paint::{FAIL, PASS, Paint, RETRY, STRONG, WARN};
use super::status::push_verb;
use super::{Ending, failure, foreseen, safe, status, words};
use crate::exit::Exit;
use crate::view::{HeldBack, Tally, Test, View};
use anstyle::Style;
use regatta_domain::Verdict;
use regatta_domain::database::Observation;
use regatta_domain::report::{CancelCause, RunOutcome};

/// The lines.
pub(super) fn closing(view: &View, paint: Paint, ending: &Ending<'_>) -> Vec<String> {
    let mut lines: Vec<String> = ending.reports.iter().map(|path| report_line(paint, path)).collect();
    lines.push(counts_line(view, paint, ending));
    if ending.exit != Exit::Ok {
        lines.push(exit_line(view, paint, ending.exit));
    }
    lines.extend(resumed_line(view, paint));
    lines.extend(causes_line(view, paint));
    lines.push(time_line(view, paint, ending.slots));
    lines.extend(revoked_line(view, paint));
    lines.extend(databases_line(view, paint));
    lines.extend(prediction_line(view, paint, ending));
    lines
}

/// Why a run ends before its time.
pub(super) const fn cancelled_because(cause: CancelCause) -> &'static str {
    match cause {
        CancelCause::Asked => "because somebody asked for it",
        CancelCause::FailFast => "after as many failures as --fail-fast allows",
        CancelCause::TimeLimit => "because the run exceeded its time limit",
        CancelCause::Abandoned => "because the client that owned it went away",
    }
}

fn report_line(paint: Paint, path: &str) -> String {
    let mut line = String::new();
    push_verb(paint, &mut line, PASS, "Report");
    format!("{line} {path}")
}

fn counts_line(view: &View, paint: Paint, ending: &Ending<'_>) -> String {
    let mut line = String::new();
    let style = match ending.exit {
        Exit::Ok => PASS,
        Exit::Flaky | Exit::NoTests | Exit::Outstanding => WARN,
        _ => FAIL,
    };
    push_verb(paint, &mut line, style, "Summary");
    let tally = view.tally();
    let parts = counts(view, tally);
    if parts.is_empty() {
        line.push_str(match view.outcome {
            Some(RunOutcome::Empty) => " no tests were selected",
            _ => " no tests were run",
        });
        if let (Some(RunOutcome::Empty), Some(selection)) = (view.outcome, ending.selection) {
            line.push_str(&format!(" by `{}`", safe::one_line(selection)));
        }
    }
    for (at, (style, number, text)) in parts.into_iter().enumerate() {
        line.push_str(if at == 0 { " " } else { ", " });
        paint.push(&mut line, STRONG, &words::count(number));
        line.push(' ');
        paint.push(&mut line, style, &text);
    }
    line
}

/// The counts that are not zero, with their words.
fn counts(view: &View, tally: Tally) -> Vec<(Style, u32, String)> {
    let verdict = |wanted: Verdict| view.planned().filter(|(_, test)| test.verdict == Some(wanted)).count();
    let within = |what: &[(usize, &str)]| {
        let parts: Vec<String> =
            what.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", words::count(*n))).collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    };
    let failed = within(&[(verdict(Verdict::TimedOut), "timed out"), (verdict(Verdict::Crashed), "crashed")]);
    let errors = if tally.errors == 1 { "error" } else { "errors" };
    let all = [
        (PASS, tally.passed, "passed".to_owned()),
        (FAIL, tally.failed, format!("failed{failed}")),
        (FAIL, tally.errors, errors.to_owned()),
        (FAIL, tally.not_run, "not run".to_owned()),
        (RETRY, tally.flaky, "flaky".to_owned()),
        (WARN, tally.skipped, "skipped".to_owned()),
        (WARN, tally.xfailed, "xfailed".to_owned()),
        (WARN, tally.xpassed, "xpassed".to_owned()),
    ];
    all.into_iter().filter(|(_, number, _)| *number > 0).collect()
}

/// What stands of the run that this one goes on with.
fn resumed_line(view: &View, paint: Paint) -> Option<String> {
    let resumed = view.resumes?;
    let mut line = String::new();
    push_verb(paint, &mut line, STRONG, "Resumed");
    let part = |verdict: Verdict| (resumed.stand.get(verdict), verdict);
    let parts = Verdict::ALL.into_iter().map(part).filter(|(tests, _)| *tests > 0);
    let mut parts: Vec<String> = parts.map(|(tests, verdict)| format!("{} {verdict}", words::count(tests))).collect();
    if resumed.errors > 0 {
        parts.push(words::count_of(resumed.errors as usize, "error"));
    }
    let stood = if parts.is_empty() { "nothing stands".to_owned() } else { format!("{} before", parts.join(", ")) };
    Some(format!("{line} run {}: {stood}", resumed.run))
}

/// Why tests are red, where not all of it lies in them.
fn causes_line(view: &View, paint: Paint) -> Option<String> {
    let causes = failure::causes(view)?;
    let mut line = String::new();
    push_verb(paint, &mut line, FAIL, "Causes");
    Some(format!("{line} {causes}"))
}

fn exit_line(view: &View, paint: Paint, exit: Exit) -> String {
    let mut line = String::new();
    let (code, name) = (exit.code(), exit.name());
    push_verb(paint, &mut line, FAIL, &format!("exit {code}:"));
    line.push(' ');
    paint.push(&mut line, FAIL, name);
    let hint = match exit {
        Exit::TestsFailed => "; `regatta rerun` runs what is left".to_owned(),
        Exit::Interrupted | Exit::Terminated => "; `regatta resume` goes on with it".to_owned(),
        _ => format!("; see `regatta explain {code}`"),
    };
    let why = view.cancelled.map_or_else(String::new, |cause| format!("; cancelled {}", cancelled_because(cause)));
    format!("{line}{why}{hint}")
}

fn time_line(view: &View, paint: Paint, slots: u32) -> String {
    let summary = view.summary(slots);
    let mut line = String::new();
    let Some(ended) = view.ended else {
        push_verb(paint, &mut line, FAIL, "Stopped");
        let after = words::span(view.at.since(view.submitted));
        return format!("{line} after {after}; how the run ended was not seen");
    };
    push_verb(paint, &mut line, STRONG, "Done");
    line.push_str(&format!(" in {}", words::span(ended.since(view.submitted))));
    if summary.work.0 == 0 {
        return line;
    }
    let slots = summary.slots as usize;
    let (bound, work) = (words::span(summary.bound), words::span(summary.work));
    line.push_str(&format!(" on {}; bound {bound} ", words::count_of(slots, "slot")));
    let by_work = summary.work / u64::from(summary.slots) >= summary.bound;
    if let HeldBack::Resource(name, _) = &summary.held_back {
        let name = safe::one_line(name);
        line.push_str(&format!("(resource {name}; work {work} / {})", words::count_of(slots, "slot")));
    } else if by_work {
        line.push_str(&format!("(work {work} / {})", words::count_of(slots, "slot")));
    } else {
        line.push_str(&format!("(longest group; work {work} / {})", words::count_of(slots, "slot")));
    }
    line.push_str(&format!(", ratio {:.2}", summary.ratio()));
    if let Some(held) = held_back(view, &summary.held_back) {
        line.push_str(&format!("; held back by {held}"));
    }
    line
}

/// That somebody took resources back by force: why some tests began twice.
fn revoked_line(view: &View, paint: Paint) -> Option<String> {
    let revoked = (view.revoked > 0).then(|| words::count_of(view.revoked as usize, "lease"))?;
    let mut line = String::new();
    push_verb(paint, &mut line, WARN, "Released");
    Some(format!("{line} {revoked}, whose resources somebody took back by force; what ran under them ran again"))
}

/// That tests did more with their databases than they were leased for, or left something behind.
fn databases_line(view: &View, paint: Paint) -> Option<String> {
    let seen = |asked: fn(&Observation) -> bool| {
        let is = |test: &Test| test.attempts.iter().filter_map(|attempt| attempt.observation.as_deref()).any(asked);
        view.planned().filter(|(_, test)| is(test)).count()
    };
    let (exceed, left) = (seen(Observation::exceeds), seen(Observation::left_something));
    let mut parts = Vec::new();
    if exceed > 0 {
        parts.push(format!(
            "{} did more than their level says (`regatta levels check`)",
            words::count_of(exceed, "test")
        ));
    }
    if left > 0 {
        parts.push(format!("{} left something behind", words::count_of(left, "test")));
    }
    if parts.is_empty() {
        return None;
    }
    let mut line = String::new();
    push_verb(paint, &mut line, WARN, "Databases");
    Some(format!("{line} {}", parts.join("; ")))
}

/// What was predicted, where all tests were known before the start.
fn prediction_line(view: &View, paint: Paint, ending: &Ending<'_>) -> Option<String> {
    let slots = view.summary(ending.slots).slots;
    let outlook = foreseen::foreseen(view, ending.fleet?, slots)?;
    let mut line = String::new();
    push_verb(paint, &mut line, STRONG, "Predicted");
    Some(format!("{line} {}", foreseen::words(view, &outlook)))
}

/// What held the run back, in words.
fn held_back(view: &View, held: &HeldBack) -> Option<String> {
    Some(match held {
        HeldBack::Nothing => return None,
        HeldBack::LongestGroup(test, time) => {
            format!("its longest group ({}), with {}", words::span(*time), status::id(view, *test))
        }
        HeldBack::Resource(name, time) => {
            format!("the resource {}, busy for {}", safe::one_line(name), words::span(*time))
        }
        HeldBack::Wait(Some(name), time) => {
            format!("waiting for the resource {} ({})", safe::one_line(name), words::span(*time))
        }
        HeldBack::Wait(None, time) => format!("waiting for a slot ({})", words::span(*time)),
        HeldBack::Start(time) => format!("its start (the first test began after {})", words::span(*time)),
        HeldBack::Losses(leases) => format!("lost workers ({})", words::count_of(*leases as usize, "lease")),
        HeldBack::Retries(time) => format!("retries ({})", words::span(*time)),
        HeldBack::Overhead(time) => {
            let had_databases = |test: &Test| test.attempts.iter().any(|attempt| attempt.observation.is_some());
            let what = match view.tests.iter().any(had_databases) {
                true => "starting frameworks and fixtures, and getting databases ready",
                false => "starting frameworks and fixtures",
            };
            format!("{what} ({})", words::span(*time))
        }
    })
}
