//! One test, or one error beside the tests, as a case.

use super::Sources;
use super::part::moment;
use crate::render::{failure, safe, status};
use crate::view::{Attempt, ErrorAt, Loss, Outputs, Test, View};
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestRerun, XmlString};
use regatta_domain::{Nuance, Outcome, TestIx, Verdict};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// What is kept of the outputs of one case: one whole output, and three more.
const OUTPUT_BYTES: usize = 1024 * 1024;

/// What stands in the text of a failure, where systems show it without a click: the end of its output.
const EXCERPT_BYTES: usize = 4 * 1024;

/// A case, and how many bytes it takes at most.
pub(super) struct Case {
    pub(super) case: TestCase,
    pub(super) bytes: usize,
}

/// The pairs of classname and name that were given away, as hashes: a million of them are a few megabytes, and the worst of a
/// collision is a number behind a name.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<u64>,
}

impl Names {
    /// A pair of classname and name that no other case has.
    fn unique(&mut self, class: &str, name: &str, suite: &str) -> (XmlString, XmlString) {
        let (plain, name) = (XmlString::new(class), XmlString::new(name));
        if self.take(&plain, &name) {
            return (plain, name);
        }
        let class = XmlString::new(format!("{class} [{suite}]"));
        let mut number = 1;
        let mut numbered = name.clone();
        while !self.take(&class, &numbered) {
            number += 1;
            numbered = XmlString::new(format!("{} ({number})", name.as_str()));
        }
        (class, numbered)
    }

    fn take(&mut self, class: &str, name: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (class, name).hash(&mut hasher);
        self.taken.insert(hasher.finish())
    }
}

/// The case of a test.
pub(super) fn of_test(view: &View, ix: TestIx, outputs: &Outputs, sources: &Sources, names: &mut Names) -> Case {
    let test = view.test(ix);
    let (path, suite) = (&*view.file_of(ix).path, &*view.suite_of(ix).name);
    let name = if test.name.is_empty() { path } else { &*test.name };
    let (class, name) = names.unique(path, name, suite);
    let verdict = test.verdict.unwrap_or(Verdict::NotRun);
    let mut room = OUTPUT_BYTES;
    let mut case = TestCase::new(name, status(test, verdict, outputs, &mut room));
    case.classname = Some(class);
    case.time = Some(Duration::from(test.duration()));
    case.timestamp = test.attempts.first().and_then(|first| moment(first.started)).map(Into::into);
    if let Some(file) = sources.of(view, test.file) {
        case.extra.insert("file".into(), file.into());
        if test.line > 0 {
            case.extra.insert("line".into(), test.line.to_string().into());
        }
    }
    case.properties = properties(test, suite);
    // What decided is told last, and is what a person looks for first.
    let shown = if verdict.is_ok() { None } else { test.attempts.first() };
    case.system_out = shown.and_then(|attempt| output(attempt, outputs, &mut room)).map(Into::into);
    Case { bytes: size(&case), case }
}

/// The case of an error beside the tests.
pub(super) fn of_error(view: &View, at: &ErrorAt, times: usize, sources: &Sources, names: &mut Names) -> Case {
    let error = &at.error;
    let kind = failure::kind_word(error.kind);
    let (class, name) = names.unique(&error.place, kind, "regatta");
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
    status.set_message(format!("{}{times}", failure::last_line(error))).set_type(kind);
    status.set_description(safe::text(error.message.as_bytes()));
    let mut case = TestCase::new(name, status);
    case.classname = Some(class);
    case.time = Some(Duration::ZERO);
    if let Some(file) = at.file.and_then(|file| sources.of(view, file)) {
        case.extra.insert("file".into(), file.into());
    }
    Case { bytes: size(&case), case }
}

/// As Surefire has it: of a test that passed at last, the attempts before are flaky failures; of one that did not, the first
/// attempt is the failure, and the others are failures of reruns.
fn status(test: &Test, verdict: Verdict, outputs: &Outputs, room: &mut usize) -> TestCaseStatus {
    match verdict {
        Verdict::Passed | Verdict::Flaky => {
            let mut status = TestCaseStatus::success();
            let before = test.attempts.iter().filter(|attempt| !attempt.outcome.is_ok());
            status.add_reruns(before.map(|attempt| rerun(attempt, outputs, room)));
            status
        }
        Verdict::Skipped => {
            let mut status = TestCaseStatus::skipped();
            let nuance = test.last().map_or(Nuance::Plain, |last| last.nuance);
            status.set_type(if nuance == Nuance::ExpectedFailure { "xfailed" } else { "skipped" });
            if let Some(reason) = status::reason(test) {
                status.set_message(reason);
            }
            status
        }
        Verdict::Failed | Verdict::TimedOut | Verdict::Crashed | Verdict::NotRun => {
            let Some(first) = test.attempts.first() else { return without_attempt(test, verdict) };
            let (kind, ty) = kind_of(first);
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(&ty).set_message(message(first));
            if let Some(text) = excerpt(first, outputs) {
                status.set_description(text);
            }
            status.add_reruns(test.attempts[1..].iter().map(|attempt| rerun(attempt, outputs, room)));
            status.add_reruns(test.lost.iter().map(lost));
            status
        }
    }
}

/// A test that is red without a result: it never ran to an end.
fn without_attempt(test: &Test, verdict: Verdict) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(test.cause.map_or_else(|| verdict.name().to_owned(), |cause| format!("{verdict}: {cause}")));
    status.set_message(status::reason(test).unwrap_or_else(|| "planned, and never run to an end".to_owned()));
    status
}

fn rerun(attempt: &Attempt, outputs: &Outputs, room: &mut usize) -> TestRerun {
    let (kind, ty) = kind_of(attempt);
    let mut rerun = TestRerun::new(kind);
    rerun.set_type(&ty).set_message(message(attempt)).set_time(Duration::from(attempt.duration));
    rerun.timestamp = moment(attempt.started).map(Into::into);
    if let Some(text) = excerpt(attempt, outputs) {
        rerun.set_stack_trace(text);
    }
    if let Some(text) = output(attempt, outputs, room) {
        rerun.set_system_out(text);
    }
    rerun
}

/// An attempt that ended without a result.
fn lost(loss: &Loss) -> TestRerun {
    let mut rerun = TestRerun::new(NonSuccessKind::Error);
    rerun.set_type(loss.cause.name()).set_message(status::lost_because(loss)).set_time(Duration::from(loss.ran));
    rerun
}

/// A failure is what a test says of what it tests; an error is everything else. Its type says how it ended, and why, where
/// that is not the same.
fn kind_of(attempt: &Attempt) -> (NonSuccessKind, String) {
    let word = status::outcome_word(attempt);
    let beyond = status::cause_beyond(attempt);
    let kind = match (attempt.outcome, attempt.nuance) {
        (Outcome::Failed, Nuance::SetupError | Nuance::TeardownError) | (Outcome::Crashed | Outcome::Missing, _) => {
            NonSuccessKind::Error
        }
        _ if beyond.is_some() => NonSuccessKind::Error,
        _ => NonSuccessKind::Failure,
    };
    (kind, beyond.map_or_else(|| word.to_owned(), |cause| format!("{word}: {cause}")))
}

fn message(attempt: &Attempt) -> String {
    attempt
        .reason
        .as_deref()
        .map_or_else(|| status::outcome_word(attempt).to_owned(), |reason| safe::one_line(reason).into_owned())
}

fn properties(test: &Test, suite: &str) -> Vec<Property> {
    let mut properties = vec![Property::new("suite", suite)];
    if let Some(last) = test.last() {
        if let Some((worker, slot)) = &last.slot {
            properties.push(Property::new("worker", worker));
            properties.push(Property::new("slot", slot.to_string()));
        }
        properties.push(Property::new("attempt", last.number.to_string()));
        if let Some(asked) = last.observation.as_deref().and_then(|seen| seen.asked.as_ref()) {
            properties.push(Property::new("database.calls", asked.calls.to_string()));
            properties.push(Property::new("database.time", format!("{:.6}", asked.time.as_secs_f64())));
        }
        if last.nuance == Nuance::UnexpectedPass {
            properties.push(Property::new("xpassed", "true"));
        }
    }
    if let Some(cause) = test.cause {
        properties.push(Property::new("cause", cause.key()));
        properties.push(Property::new("transient", cause.is_transient().to_string()));
    }
    if let Some(exit) = test.last().and_then(|last| last.exit).filter(|_| test.cause.is_some()) {
        properties.push(Property::new("exit", exit.to_string()));
    }
    if let Some(verdict) = test.verdict.filter(|verdict| *verdict != Verdict::Passed) {
        properties.push(Property::new("verdict", verdict.name()));
    }
    properties
}

/// The whole output of an attempt, while there is room.
fn output(attempt: &Attempt, outputs: &Outputs, room: &mut usize) -> Option<String> {
    let bytes = outputs.of(attempt).filter(|bytes| !bytes.is_empty())?;
    if bytes.len() > *room {
        return Some(format!("[{} bytes of output are left out: this case has too many of them]", bytes.len()));
    }
    *room -= bytes.len();
    Some(safe::text(bytes))
}

/// The reason, and the end of the output, from the beginning of a line.
fn excerpt(attempt: &Attempt, outputs: &Outputs) -> Option<String> {
    let bytes = outputs.of(attempt).filter(|bytes| !bytes.is_empty())?;
    let from = bytes.len().saturating_sub(EXCERPT_BYTES);
    let tail = &bytes[from..];
    let line = if from == 0 { 0 } else { tail.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1) };
    Some(safe::text(&tail[line..]))
}

/// At most how many bytes the case takes as XML: every text escaped, and room for the tags around it.
fn size(case: &TestCase) -> usize {
    const TAG: usize = 200;
    let some = |text: &Option<XmlString>| text.as_ref().map_or(0, |text| TAG + escaped(text));
    let rerun = |rerun: &TestRerun| {
        let texts =
            [&rerun.message, &rerun.ty, &rerun.stack_trace, &rerun.system_out, &rerun.system_err, &rerun.description];
        TAG + texts.into_iter().map(some).sum::<usize>()
    };
    let status = match &case.status {
        TestCaseStatus::Success { flaky_runs } => flaky_runs.iter().map(rerun).sum::<usize>(),
        TestCaseStatus::NonSuccess { message, ty, description, reruns, .. } => {
            some(message) + some(ty) + some(description) + reruns.runs.iter().map(rerun).sum::<usize>()
        }
        TestCaseStatus::Skipped { message, ty, description } => some(message) + some(ty) + some(description),
    };
    let properties = case.properties.iter().map(|property| TAG + escaped(&property.name) + escaped(&property.value));
    let extra = case.extra.iter().map(|(name, value)| TAG + escaped(name) + escaped(value));
    TAG + escaped(&case.name)
        + some(&case.classname)
        + some(&case.system_out)
        + some(&case.system_err)
        + status
        + properties.sum::<usize>()
        + extra.sum::<usize>()
}

fn escaped(text: &str) -> usize {
    // The longest escape is `&quot;`.
    let longer =
        text.bytes().filter(|byte| matches!(byte, b'<' | b'>' | b'&' | b'\'' | b'"' | b'\n' | b'\t' | b'\r')).count();
    text.len() + 5 * longer
}
