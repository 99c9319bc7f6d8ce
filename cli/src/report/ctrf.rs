//! The Common Test Report Format: one JSON document, strict as its schema is.
//!
//! What did not pass is `failed`, whatever the reason: a report of a red run never reads as if nothing had failed. What was
//! wrong beside the tests is told as a failed test of its own for the same reason. The words of Regatta stand in `rawStatus`.

mod document;

use super::{Sources, attempt, file::Whole};
use crate::render::{failure, safe, status};
use crate::view::{Attempt, ErrorAt, Outputs, Test, View};
use chrono::SecondsFormat;
use document::{Document, Each, Extra, Results, Retry, Status, Summary, Tool};
use regatta_domain::{Micros, TestIx, Time, Verdict};
use std::io::{self, Write as _};
use std::path::Path;

/// What is kept of the output of a failure.
const OUTPUT_BYTES: usize = 256 * 1024;

/// The attempts that are told of one test, the first ones.
const ATTEMPTS: usize = 100;

/// Writes the report.
pub(super) fn write(path: &Path, view: &View, outputs: &Outputs, sources: &Sources) -> io::Result<()> {
    let mut file = Whole::create(path)?;
    serde_json::to_writer(&mut file, &document(view, outputs, sources))?;
    file.write_all(b"\n")?;
    file.commit()
}

fn document<'a>(view: &'a View, outputs: &'a Outputs, sources: &'a Sources) -> Document<'a> {
    let errors = failure::errors(view);
    let ended = view.ended.unwrap_or(view.at);
    let summary = summary(view, errors.len(), ended);
    let tests = move |each: &mut dyn FnMut(document::Test<'_>)| {
        for (ix, _) in view.planned() {
            each(of_test(view, ix, outputs, sources));
        }
        for (at, times) in &errors {
            each(of_error(view, at, *times, sources));
        }
    };
    let timestamp = i64::try_from(ended.0).ok().and_then(chrono::DateTime::from_timestamp_micros);
    Document {
        report_format: "CTRF",
        spec_version: "0.0.0",
        report_id: view.run.to_string(),
        timestamp: timestamp.map(|timestamp| timestamp.to_rfc3339_opts(SecondsFormat::Millis, true)),
        generated_by: concat!("regatta ", env!("CARGO_PKG_VERSION")),
        results: Results {
            tool: Tool { name: "regatta", version: env!("CARGO_PKG_VERSION") },
            summary,
            tests: Each(Box::new(tests)),
        },
    }
}

fn summary(view: &View, errors: usize, ended: Time) -> Summary {
    let count = |wanted: Status| view.planned().filter(|(_, test)| status_of(test) == wanted).count();
    Summary {
        tests: view.planned_count() + errors,
        passed: count(Status::Passed),
        failed: count(Status::Failed) + errors,
        skipped: count(Status::Skipped),
        pending: 0,
        other: 0,
        flaky: view.planned().filter(|(_, test)| test.verdict == Some(Verdict::Flaky)).count(),
        suites: view.suites.len(),
        start: ms(view.submitted),
        stop: ms(ended),
        duration: ms_of(ended.since(view.submitted)),
    }
}

fn of_test<'a>(view: &'a View, ix: TestIx, outputs: &Outputs, sources: &Sources) -> document::Test<'a> {
    let test = view.test(ix);
    let last = test.last();
    let path = &*view.file_of(ix).path;
    let failed = status_of(test) == Status::Failed;
    let shown = if failed { failure::deciding(test) } else { None };
    let file_path = sources.of(view, test.file);
    document::Test {
        id: Some(uuid::Uuid::from_bytes(test.key.0).to_string()),
        name: if test.name.is_empty() { path.into() } else { safe::one_line(&test.name) },
        status: status_of(test),
        duration: ms_of(test.duration()),
        start: test.attempts.first().map(|first| ms(first.started)),
        stop: last.map(|last| ms(last.started + last.duration)),
        suite: vec![&view.suite_of(ix).name, path],
        message: status::reason(test),
        trace: shown.and_then(|attempt| outputs.of(attempt)).map(trace),
        raw_status: test.verdict.unwrap_or(Verdict::NotRun).name(),
        line: (test.line > 0 && file_path.is_some()).then_some(test.line),
        file_path,
        retries: attempt::count(test).saturating_sub(1),
        retry_attempts: if test.attempts.len() > 1 { retries(test, outputs) } else { Vec::new() },
        flaky: test.verdict == Some(Verdict::Flaky),
        stdout: shown.and_then(|attempt| outputs.of(attempt)).map(stdout).unwrap_or_default(),
        thread_id: last.and_then(attempt::thread),
        extra: test.cause.map(|cause| {
            let deciding = last.filter(|_| test.decided_by_loss().is_none());
            Extra::of(cause, deciding.and_then(|last| last.exit))
        }),
    }
}

fn of_error<'a>(view: &View, at: &'a ErrorAt, times: usize, sources: &Sources) -> document::Test<'a> {
    let error = &at.error;
    document::Test {
        id: None,
        name: format!("{} {}", safe::one_line(&error.place), failure::kind_word(error.kind)).into(),
        status: Status::Failed,
        duration: 0,
        start: None,
        stop: None,
        suite: vec!["regatta"],
        message: Some(failure::last_line(error)),
        trace: Some(safe::text(error.message.as_bytes())),
        raw_status: "error",
        file_path: at.file.and_then(|file| sources.of(view, file)),
        line: None,
        retries: 0,
        retry_attempts: Vec::new(),
        flaky: false,
        stdout: if times > 1 { vec![format!("{times} times")] } else { Vec::new() },
        thread_id: None,
        extra: None,
    }
}

fn retries(test: &Test, outputs: &Outputs) -> Vec<Retry> {
    let retry = |attempt: &Attempt| Retry {
        attempt: attempt.number.max(1),
        status: match attempt.outcome {
            regatta_domain::Outcome::Passed => Status::Passed,
            regatta_domain::Outcome::Skipped => Status::Skipped,
            _ => Status::Failed,
        },
        duration: ms_of(attempt.duration),
        message: attempt.reason.as_deref().map(|reason| safe::one_line(reason).into_owned()),
        trace: if attempt.outcome.is_ok() { None } else { outputs.of(attempt).map(trace) },
        start: ms(attempt.started),
        stop: ms(attempt.started + attempt.duration),
        extra: attempt.cause.map(|cause| Extra::of(cause, attempt.exit)),
    };
    test.attempts.iter().take(ATTEMPTS).map(retry).collect()
}

fn status_of(test: &Test) -> Status {
    match test.verdict {
        Some(Verdict::Passed | Verdict::Flaky) => Status::Passed,
        Some(Verdict::Skipped) => Status::Skipped,
        Some(Verdict::Failed | Verdict::TimedOut | Verdict::Crashed | Verdict::NotRun) | None => Status::Failed,
    }
}

/// The end of an output: where frameworks say what went wrong.
fn trace(output: &[u8]) -> String {
    const TRACE_BYTES: usize = 4 * 1024;
    safe::text(&output[output.len().saturating_sub(TRACE_BYTES)..])
}

fn stdout(output: &[u8]) -> Vec<String> {
    safe::lines(&output[output.len().saturating_sub(OUTPUT_BYTES)..], safe::Colours::Strip)
}

const fn ms(time: Time) -> u64 {
    time.0 / 1_000
}

const fn ms_of(span: Micros) -> u64 {
    (span.0 + 500) / 1_000
}
