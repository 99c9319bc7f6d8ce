//! The line of a test: a verb, how long it took, which test.

use super::paint::{FAIL, PASS, PATH, Paint, RETRY, STRONG, SUITE, WARN, WEAK};
use super::{safe, words};
use crate::args::StatusLevel;
use crate::view::{Attempt, Loss, Test, View};
use anstyle::Style;
use regatta_domain::{Cause, Micros, Nuance, Outcome, TestIx, Verdict};
use std::borrow::Cow;

/// The column that verbs end at.
pub(super) const VERB_COLUMNS: usize = 12;

/// What is said of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// One or two words.
    pub(crate) verb: Cow<'static, str>,
    /// Their colour.
    pub(crate) style: Style,
    /// The first level at which it is said.
    pub(crate) level: StatusLevel,
}

impl Status {
    fn new(verb: impl Into<Cow<'static, str>>, style: Style, level: StatusLevel) -> Self {
        Self { verb: verb.into(), style, level }
    }

    /// What is said of a test that has its verdict.
    pub(crate) fn of_verdict(view: &View, ix: TestIx, verdict: Verdict) -> Self {
        let test = view.test(ix);
        match (verdict, test.last()) {
            (Verdict::NotRun, _) => Self::new("NOT RUN", FAIL, StatusLevel::Fail),
            (Verdict::Skipped, None) => Self::new("SKIP", WARN, StatusLevel::Skip),
            // Lost with its worker: whatever earlier attempts said is not what decided.
            (Verdict::Crashed, _) if test.decided_by_loss().is_some() => Self::new("CRASH", FAIL, StatusLevel::Fail),
            (Verdict::TimedOut, _) if test.decided_by_loss().is_some() => Self::new("TIMEOUT", FAIL, StatusLevel::Fail),
            (_, None) => Self::new(verdict.name().to_uppercase(), FAIL, StatusLevel::Fail),
            (Verdict::Flaky, Some(last)) => {
                Self::new(format!("TRY {} {}", last.number, attempt_verb(last, true)), PASS, StatusLevel::Retry)
            }
            (_, Some(last)) => {
                let verb = tried(last, last.number > 1);
                match verdict {
                    Verdict::Passed if is_slow(view, ix, last.duration) => Self::new(verb, PASS, StatusLevel::Slow),
                    Verdict::Passed => Self::new(verb, PASS, StatusLevel::Pass),
                    Verdict::Skipped => Self::new(verb, WARN, StatusLevel::Skip),
                    _ => Self::new(verb, FAIL, StatusLevel::Fail),
                }
            }
        }
    }

    /// What is said of an attempt that is not the last one.
    pub(crate) fn of_attempt(attempt: &Attempt) -> Self {
        Self::new(tried(attempt, true), RETRY, StatusLevel::Retry)
    }

    /// What is said at the end of a test that passed at last: which attempt it was, of how many it might have had.
    pub(crate) fn of_flaky(view: &View, ix: TestIx) -> Self {
        let number = view.test(ix).last().map_or(1, |last| last.number);
        let most = view.policy_of(ix).map_or(number, |policy| policy.retries.saturating_add(1).max(number));
        Self::new(format!("FLAKY {number}/{most}"), RETRY, StatusLevel::Fail)
    }

    /// It runs longer than it should.
    pub(crate) fn slow() -> Self {
        Self::new("SLOW", WARN, StatusLevel::Slow)
    }

    /// Its worker is gone, and it is run again.
    pub(crate) fn lost() -> Self {
        Self::new("LOST", RETRY, StatusLevel::Retry)
    }

    /// Something went wrong beside the tests.
    pub(crate) fn error() -> Self {
        Self::new("ERROR", FAIL, StatusLevel::Fail)
    }

    /// The verb at its column.
    pub(crate) fn push_verb(&self, paint: Paint, line: &mut String) {
        push_verb(paint, line, self.style, &self.verb);
    }

    /// The line of a test without its end; `count` stands between the time and the test.
    pub(crate) fn line(&self, paint: Paint, view: &View, ix: TestIx, time: Option<Micros>, count: &str) -> String {
        let mut line = String::with_capacity(96);
        self.push_verb(paint, &mut line);
        match time {
            Some(time) => line.push_str(&format!(" [{:>8.3}s] {count}", time.as_secs_f64())),
            None => line.push_str(&format!(" [{:9}] {count}", "")),
        }
        push_test(paint, &mut line, view, ix);
        line
    }
}

/// A verb at its column.
pub(super) fn push_verb(paint: Paint, line: &mut String, style: Style, verb: &str) {
    for _ in verb.len()..VERB_COLUMNS {
        line.push(' ');
    }
    paint.push(line, style, verb);
}

/// A test's suite and id.
pub(super) fn push_test(paint: Paint, line: &mut String, view: &View, ix: TestIx) {
    paint.push(line, SUITE, &safe::one_line(&view.suite_of(ix).name));
    line.push(' ');
    let (path, name) = (&view.file_of(ix).path, &view.test(ix).name);
    if name.is_empty() {
        paint.push(line, STRONG, &safe::one_line(path));
    } else {
        paint.push(line, PATH, &safe::one_line(path));
        paint.push(line, WEAK, "::");
        paint.push(line, STRONG, &safe::one_line(name));
    }
}

/// A test's id, on one line.
pub(super) fn id(view: &View, ix: TestIx) -> String {
    safe::one_line(&view.id(ix)).into_owned()
}

/// Why a test with this verdict did not pass, on one line.
pub(crate) fn reason(test: &Test) -> Option<String> {
    let said = |attempt: &Attempt| attempt.reason.as_deref().map(|reason| safe::one_line(reason).into_owned());
    if let Some(loss) = test.decided_by_loss() {
        let same = test.lost.iter().filter(|other| other.cause == loss.cause).count();
        let times = if same > 1 { format!(" ({same} times)") } else { String::new() };
        return Some(format!("{}{times}", lost_because(loss)));
    }
    match (test.verdict, test.last()) {
        (Some(Verdict::NotRun), None) if test.cause.is_some_and(|cause| cause != Cause::Test) => {
            let cause = test.cause.unwrap_or(Cause::Test);
            Some(format!("planned, and never run to an end ({cause})"))
        }
        (Some(Verdict::NotRun), None) => Some("planned, and never run to an end".to_owned()),
        (_, Some(last)) => said(last),
        (_, None) => None,
    }
}

/// Why an attempt ended without a result, with what is known of it.
pub(crate) fn lost_because(loss: &Loss) -> String {
    let worker = loss.slot.as_ref().map_or_else(
        || "its worker".to_owned(),
        |(worker, _)| format!("worker {}", safe::one_line(&worker.chars().take(8).collect::<String>())),
    );
    let what = match loss.cause {
        Cause::Timeout => format!("it exceeded its limit, and {worker} did not stop it"),
        Cause::Drained => format!("{worker} was asked to leave, and broke it off"),
        Cause::Resource => "what it held was taken from it".to_owned(),
        Cause::Infrastructure => format!("its slot of {worker} could not go on"),
        _ => format!("{worker} was lost"),
    };
    let ran =
        if loss.ran == Micros::ZERO { String::new() } else { format!("; it had run for {}", words::span(loss.ran)) };
    format!("{what}{ran}; its last output was not received")
}

/// Why an attempt did not pass, where its outcome does not say that by itself.
pub(crate) fn cause_beyond(attempt: &Attempt) -> Option<Cause> {
    attempt.cause.filter(|cause| attempt.outcome.cause(attempt.nuance) != Some(*cause))
}

/// How an attempt ended, in the words that people know from the frameworks.
pub(crate) const fn outcome_word(attempt: &Attempt) -> &'static str {
    word(attempt.outcome, attempt.nuance)
}

/// What came of it, in words.
pub(crate) const fn word(outcome: Outcome, nuance: Nuance) -> &'static str {
    match (outcome, nuance) {
        (Outcome::Passed, Nuance::UnexpectedPass) => "passed unexpectedly",
        (Outcome::Passed, _) => "passed",
        (Outcome::Skipped, Nuance::ExpectedFailure) => "failed as expected",
        (Outcome::Skipped, _) => "skipped",
        (Outcome::Failed, Nuance::SetupError) => "failed in its set-up",
        (Outcome::Failed, Nuance::TeardownError) => "failed in its teardown",
        (Outcome::Failed, Nuance::UnexpectedPass) => "passed, and was expected to fail",
        (Outcome::Failed, _) => "failed",
        (Outcome::TimedOut, _) => "timed out",
        (Outcome::Crashed, _) => "crashed",
        (Outcome::Missing, _) => "was not found",
    }
}

/// Whether this is longer than the test's rules call usual.
pub(super) fn is_slow(view: &View, ix: TestIx, duration: Micros) -> bool {
    view.policy_of(ix).is_some_and(|policy| policy.slow > Micros::ZERO && duration >= policy.slow)
}

fn tried(attempt: &Attempt, say_number: bool) -> Cow<'static, str> {
    let verb = attempt_verb(attempt, say_number);
    if say_number { format!("TRY {} {verb}", attempt.number).into() } else { verb.into() }
}

/// The verb of an attempt; a short one where a number stands beside it.
const fn attempt_verb(attempt: &Attempt, short: bool) -> &'static str {
    match (attempt.outcome, attempt.nuance) {
        (Outcome::Passed, Nuance::UnexpectedPass) => "XPASS",
        (Outcome::Passed, _) => "PASS",
        (Outcome::Skipped, Nuance::ExpectedFailure) => "XFAIL",
        (Outcome::Skipped, _) => "SKIP",
        (Outcome::Failed, Nuance::SetupError | Nuance::TeardownError) => "ERROR",
        (Outcome::Failed, _) => "FAIL",
        (Outcome::TimedOut, _) if short => "TMT",
        (Outcome::TimedOut, _) => "TIMEOUT",
        (Outcome::Crashed, _) => "CRASH",
        (Outcome::Missing, _) if short => "MISS",
        (Outcome::Missing, _) => "MISSING",
    }
}
