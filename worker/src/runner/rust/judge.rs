//! What became of a test that had a process of its own: from the way it ended, and from what it printed.
//!
//! The exit code alone is not believed: a name that matches no test exits with 0, and so does a test that calls
//! `exit(0)`. libtest says at its start how many tests it runs and at its end how they went; a custom harness that says
//! neither is judged by its exit code, as is the convention.

use crate::process::{Ending, Exit};
use crate::runner::reason::one_line;
use regatta_domain::{Micros, Outcome};

/// The exit code of libtest when tests failed.
const FAILED: i32 = 101;

/// How far from an end of the output libtest's own words are looked for.
const REACH: usize = 64 * 1024;

/// What became of a test.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    /// What the test itself printed.
    pub(super) output: Vec<u8>,
}

/// Judges the test `name`, of which `output` is everything that its process printed. `limit` is the time limit that it
/// exceeded, if it did.
pub(super) fn judge(name: &str, exit: &Exit, limit: Option<Micros>, output: Vec<u8>) -> Judged {
    let frame = Frame::of(&output, name);
    let (outcome, reason) = match (limit, exit.ending) {
        (Some(limit), _) => (Outcome::TimedOut, Some(format!("timed out after {limit}"))),
        (None, Ending::Exited(0)) => passed(&frame),
        (None, Ending::Exited(FAILED)) => (Outcome::Failed, Some(failure(&output))),
        (None, _) => (Outcome::Crashed, Some(crash(exit, &output))),
    };
    let output = frame.body(output);
    Judged { outcome, reason, output }
}

/// libtest's own words around what the test printed.
#[derive(Debug, Default)]
struct Frame {
    /// How many tests it said it would run, and where that ends.
    head: Option<(u32, usize)>,
    /// What it said in the end, and where its words begin.
    tail: Option<(Summary, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summary {
    passed: u32,
    ignored: u32,
}

impl Frame {
    fn of(output: &[u8], name: &str) -> Self {
        let head_text = String::from_utf8_lossy(&output[..output.len().min(REACH)]);
        let head = head_text.find("running ").and_then(|at| {
            // Only a linker's or a preloaded library's words can come before it, and they end with their line.
            let line = head_text[at..].lines().next()?;
            let count = line.strip_prefix("running ")?;
            let count = count.strip_suffix(" tests").or(count.strip_suffix(" test"))?.parse().ok()?;
            let is_start = head_text[..at].trim().is_empty();
            Some((count, if is_start { at + line.len() + 1 } else { 0 }))
        });
        Self { head, tail: Self::tail(output, name) }
    }

    fn tail(output: &[u8], name: &str) -> Option<(Summary, usize)> {
        let from = output.len().saturating_sub(REACH);
        let at = from + rfind(&output[from..], b"\ntest result: ")?;
        let summary = String::from_utf8_lossy(&output[at + 1..]);
        let summary = summary.lines().next()?;
        let count = |what: &str| {
            let before = summary.split(what).next().filter(|before| before.len() < summary.len())?;
            before.rsplit(|char: char| !char.is_ascii_digit()).find(|number| !number.is_empty())?.parse().ok()
        };
        let summary = Summary { passed: count(" passed")?, ignored: count(" ignored")? };
        let own = format!("test {name}");
        let begin = rfind(&output[from..at], own.as_bytes()).map_or(at + 1, |own| from + own);
        Some((summary, begin))
    }

    /// The output without libtest's words. Its account of a failure stays, where it holds more than the name.
    fn body(&self, mut output: Vec<u8>) -> Vec<u8> {
        if let Some((_, begin)) = self.tail {
            let account = account(&output[begin..]);
            output.truncate(begin);
            output.extend_from_slice(&account);
        }
        if let Some((_, end)) = self.head {
            output.drain(..end.min(output.len()));
        }
        if output.iter().all(u8::is_ascii_whitespace) { Vec::new() } else { output }
    }
}

/// What stands in libtest's closing words below `---- NAME stdout ----`.
fn account(closing: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(closing);
    let Some((_, section)) = text.split_once(" stdout ----\n") else { return Vec::new() };
    let section = section.split("\nfailures:\n").next().unwrap_or_default();
    section.trim_end().bytes().chain([b'\n']).collect()
}

fn passed(frame: &Frame) -> (Outcome, Option<String>) {
    match (frame.head, frame.tail) {
        (Some((0, _)), _) => (Outcome::Missing, Some("the binary has no test of this name".to_owned())),
        (None, _) => (Outcome::Passed, None),
        (Some(_), Some((Summary { passed: 0, ignored }, _))) if ignored > 0 => {
            (Outcome::Skipped, Some("it is marked #[ignore]".to_owned()))
        }
        (Some(_), Some((Summary { passed: 1.., .. }, _))) => (Outcome::Passed, None),
        (Some(_), _) => (Outcome::Crashed, Some("the process exited with code 0 before the test had ended".to_owned())),
    }
}

/// The line that says why a test failed: of its first panic, of the error it returned, or of libtest.
pub(super) fn failure(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(place) = panic_place(line) {
            // Before Rust 1.73, the message stood on the same line, in front of the place.
            let message = lines.next().unwrap_or_default();
            return one_line(&format!("panicked at {place} {message}"));
        }
    }
    let told = |line: &&str| line.starts_with("Error: ") || line.starts_with("note: test did not panic");
    match text.lines().find(told) {
        Some(line) => one_line(line.trim_start_matches("note: ")),
        None => format!("exit code {FAILED}, without a panic message"),
    }
}

/// `thread 'name' (123) panicked at src/lib.rs:1:2:` gives `src/lib.rs:1:2:`.
fn panic_place(line: &str) -> Option<&str> {
    let (thread, place) = line.split_once(" panicked at ")?;
    thread.contains("thread '").then_some(place)
}

/// The line that says why a process died.
pub(super) fn crash(exit: &Exit, output: &[u8]) -> String {
    let ending = exit.ending;
    let text = String::from_utf8_lossy(output);
    let told = |line: &&str| line.ends_with("has overflowed its stack") || line.starts_with("memory allocation of ");
    let cause = text.lines().rev().take(100).find(told).map(str::trim);
    match cause.or(exit.guess()) {
        Some(cause) => one_line(&format!("{ending}: {cause}")),
        None => ending.to_string(),
    }
}

fn rfind(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).rposition(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn exit(ending: Ending) -> Exit {
        Exit { ending, duration: Duration::ZERO, leaked: 0, max_rss: 0, starved: false }
    }

    fn check(ending: Ending, printed: &str, outcome: Outcome, reason: &str, output: &str) {
        let judged = judge("a::b", &exit(ending), None, printed.as_bytes().to_vec());
        assert_eq!(judged.outcome, outcome, "{printed:?}");
        assert_eq!(judged.reason.as_deref().unwrap_or_default(), reason, "{printed:?}");
        assert_eq!(String::from_utf8_lossy(&judged.output), output, "{printed:?}");
    }

    const OK: &str =
        "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s\n\n";
    const BAD: &str =
        "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.07s\n\n";

    #[test]
    fn a_pass_keeps_only_what_the_test_printed() {
        let code = Ending::Exited(0);
        check(code, &format!("\nrunning 1 test\ntest a::b ... ok\n\n{OK}"), Outcome::Passed, "", "");
        check(code, &format!("\nrunning 1 test\nout\ntest a::b ... ok\n\n{OK}"), Outcome::Passed, "", "out\n");
        check(code, &format!("\nrunning 1 test\nouttest a::b ... ok\n\n{OK}"), Outcome::Passed, "", "out");
        check(code, &format!("\nrunning 1 test\ntest a::b - should panic ... ok\n\n{OK}"), Outcome::Passed, "", "");
    }

    #[test]
    fn zero_is_not_a_pass_when_libtest_does_not_say_so() {
        let code = Ending::Exited(0);
        let none = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s\n\n";
        let printed = format!("\nrunning 0 tests\n\n{none}");
        check(code, &printed, Outcome::Missing, "the binary has no test of this name", "");
        let early = "the process exited with code 0 before the test had ended";
        check(code, "\nrunning 1 test\n", Outcome::Crashed, early, "");
        let ignored =
            "test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.00s\n\n";
        let printed = format!("\nrunning 1 test\ntest a::b ... ignored, why not\n\n{ignored}");
        check(code, &printed, Outcome::Skipped, "it is marked #[ignore]", "");
    }

    #[test]
    fn a_custom_harness_is_judged_by_its_exit_code() {
        check(Ending::Exited(0), "fine\n", Outcome::Passed, "", "fine\n");
        check(Ending::Exited(1), "bad\n", Outcome::Crashed, "exit code 1", "bad\n");
    }

    #[test]
    fn a_failure_is_told_by_its_first_panic() {
        let panic = "before\n\nthread 'a::b' (3241) panicked at src/lib.rs:18:41:\nassertion failed: x\nsecond\n";
        let printed =
            format!("\nrunning 1 test\n{panic}test a::b ... FAILED\n\nfailures:\n\nfailures:\n    a::b\n\n{BAD}");
        let reason = "panicked at src/lib.rs:18:41: assertion failed: x";
        check(Ending::Exited(101), &printed, Outcome::Failed, reason, panic);
    }

    #[test]
    fn a_failure_without_panic_is_told_in_the_words_of_libtest() {
        let printed = format!(
            "\nrunning 1 test\nError: \"nope\"\ntest a::b ... FAILED\n\nfailures:\n\nfailures:\n    a::b\n\n{BAD}"
        );
        check(Ending::Exited(101), &printed, Outcome::Failed, "Error: \"nope\"", "Error: \"nope\"\n");
        let section = "---- a::b stdout ----\nnote: test did not panic as expected at src/lib.rs:21:29\n";
        let printed = format!(
            "\nrunning 1 test\ntest a::b - should panic ... FAILED\n\nfailures:\n\n{section}\nfailures:\n    a::b\n\n{BAD}"
        );
        let reason = "test did not panic as expected at src/lib.rs:21:29";
        check(Ending::Exited(101), &printed, Outcome::Failed, reason, &format!("note: {reason}\n"));
    }

    #[test]
    fn a_crash_is_told_with_its_signal_and_its_cause() {
        let printed = "\nrunning 1 test\nout\n";
        check(Ending::Signalled(11), printed, Outcome::Crashed, "signal 11 (SIGSEGV)", "out\n");
        let said = "\nthread 'a::b' (3) has overflowed its stack\nfatal runtime error: stack overflow, aborting\n";
        let reason = "signal 6 (SIGABRT): thread 'a::b' (3) has overflowed its stack";
        check(Ending::Signalled(6), &format!("\nrunning 1 test\n{said}"), Outcome::Crashed, reason, said);
        let reason = "signal 9 (SIGKILL): killed from outside, not by Regatta; out of memory?";
        check(Ending::Signalled(9), "", Outcome::Crashed, reason, "");
    }

    #[test]
    fn a_test_out_of_time_says_its_limit() {
        let judged = judge("a", &exit(Ending::Signalled(15)), Some(Micros::from_secs(2)), Vec::new());
        assert_eq!(judged.outcome, Outcome::TimedOut);
        assert_eq!(judged.reason.as_deref(), Some("timed out after 2.000s"));
    }
}
