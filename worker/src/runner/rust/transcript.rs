//! What a test binary prints while it runs many tests on one thread, read as it comes.
//!
//! libtest writes a test's name before the test runs and the result after it, on one line, so that the last name without
//! a result is the test that was running when the process died. Tests may write between the two (C code, child
//! processes: what libtest captures does not appear there). A line that is not exactly what libtest writes accounts for
//! no test: whoever reads this runs such a test again, alone.

use crate::process::Captured;
use std::collections::BTreeMap;

/// The longest line that is kept while it has no end. Test names are far shorter.
const LINE_BYTES: usize = 256 * 1024;

/// What a test binary has printed so far.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    line: Vec<u8>,
    part: Part,
    /// The test whose name stands at the start of the unfinished line.
    began: Option<String>,
    sections: BTreeMap<String, Captured>,
    section: Option<String>,
}

/// Which part of it is being printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// Before the first test.
    #[default]
    Head,
    /// One line a test.
    Tests,
    /// What the failed tests printed.
    Failures,
}

/// What can be read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Tests are about to run.
    Running,
    /// A test began.
    Began(String),
    /// A test ended.
    Ended(String, Verdict),
    /// All tests ended.
    Summary,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    Failed,
    Ignored,
}

impl Transcript {
    /// Reads what was printed next.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            said.extend(self.whole(&line));
        }
        let room = LINE_BYTES - self.line.len();
        self.line.extend_from_slice(&rest[..rest.len().min(room)]);
        said.extend(self.unfinished());
        said
    }

    /// What `test` printed, and libtest's account of its failure.
    pub(super) fn take_section(&mut self, test: &str) -> Vec<u8> {
        self.sections.remove(test).map(Captured::into_bytes).unwrap_or_default()
    }

    fn whole(&mut self, line: &[u8]) -> Option<Said> {
        let text = String::from_utf8_lossy(line);
        match self.part {
            _ if is_header(&text) => {
                self.part = Part::Tests;
                Some(Said::Running)
            }
            Part::Head => None,
            _ if text.starts_with("test result: ") => {
                (self.part, self.section) = (Part::Head, None);
                Some(Said::Summary)
            }
            Part::Tests if text == "failures:" => {
                self.part = Part::Failures;
                None
            }
            Part::Tests => {
                self.began = None;
                result(&text).map(|(name, result)| Said::Ended(name.to_owned(), result))
            }
            Part::Failures => {
                self.failure(line, &text);
                None
            }
        }
    }

    fn failure(&mut self, line: &[u8], text: &str) {
        let opens = text.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = opens.filter(|name| !self.sections.contains_key(*name)) {
            self.sections.insert(name.to_owned(), Captured::default());
            self.section = Some(name.to_owned());
        } else if text == "failures:" {
            // The list of names follows, which says nothing new.
            self.section = None;
        } else if let Some(section) = self.section.as_ref().and_then(|name| self.sections.get_mut(name)) {
            section.push(line);
            section.push(b"\n");
        }
    }

    fn unfinished(&mut self) -> Option<Said> {
        if self.part != Part::Tests || self.began.is_some() {
            return None;
        }
        let text = std::str::from_utf8(&self.line).ok()?;
        let (name, _) = text.strip_prefix("test ")?.split_once(" ... ")?;
        let name = plain(name).to_owned();
        self.began = Some(name.clone());
        Some(Said::Began(name))
    }
}

/// `running 12 tests`.
fn is_header(line: &str) -> bool {
    let count =
        line.strip_prefix("running ").and_then(|rest| rest.strip_suffix(" tests").or(rest.strip_suffix(" test")));
    count.is_some_and(|count| count.parse::<u32>().is_ok())
}

/// `test NAME ... ok`, and nothing else.
fn result(line: &str) -> Option<(&str, Verdict)> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let result = match result {
        "ok" => Verdict::Ok,
        "FAILED" => Verdict::Failed,
        "ignored" => Verdict::Ignored,
        _ if result.starts_with("ignored, ") => Verdict::Ignored,
        _ => return None,
    };
    Some((plain(name), result))
}

/// The name without what libtest and rustdoc add to it.
fn plain(name: &str) -> &str {
    let notes = [" - should panic", " - compile fail", " - compile"];
    notes.iter().find_map(|note| name.strip_suffix(note)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began(name: &str) -> Said {
        Said::Began(name.to_owned())
    }

    fn ended(name: &str, result: Verdict) -> Said {
        Said::Ended(name.to_owned(), result)
    }

    /// Reads `printed` at once, and byte by byte: the latter also tells when tests began.
    fn check(printed: &str, expected: &[Said]) -> Transcript {
        let mut at_once = Transcript::default();
        assert_eq!(at_once.read(printed.as_bytes()), expected, "at once: {printed:?}");
        let mut stepwise = Transcript::default();
        let said: Vec<Said> = printed.bytes().flat_map(|byte| stepwise.read(&[byte])).collect();
        let without: Vec<Said> = said.into_iter().filter(|said| !matches!(said, Said::Began(_))).collect();
        let unfinished = |said: &&Said| !matches!(said, Said::Began(_));
        assert_eq!(without, expected.iter().filter(unfinished).cloned().collect::<Vec<_>>(), "stepwise: {printed:?}");
        at_once
    }

    #[test]
    fn results_are_read_with_their_outputs() {
        let mut transcript = check(
            "\nrunning 5 tests\ntest a::bad ... FAILED\ntest a::ign ... ignored, why not\ntest a::ok ... ok\n\
             test a::sp - should panic ... ok\ntest src/lib.rs - h (line 12) - compile ... ok\n\nfailures:\n\n\
             ---- a::bad stdout ----\nbefore\n---- a::fake stdout ----\nafter\n\n\nfailures:\n    a::bad\n\n\
             test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.07s\n\n",
            &[
                Said::Running,
                ended("a::bad", Verdict::Failed),
                ended("a::ign", Verdict::Ignored),
                ended("a::ok", Verdict::Ok),
                ended("a::sp", Verdict::Ok),
                ended("src/lib.rs - h (line 12)", Verdict::Ok),
                Said::Summary,
            ],
        );
        assert_eq!(transcript.take_section("a::bad"), b"before\n");
        assert_eq!(transcript.take_section("a::ok"), b"");
    }

    #[test]
    fn the_test_that_was_running_is_the_last_that_began() {
        check("running 2 tests\ntest a ... ok\ntest b ... ", &[Said::Running, ended("a", Verdict::Ok), began("b")]);
    }

    #[test]
    fn a_test_that_prints_within_its_line_is_not_accounted_for() {
        check("running 2 tests\ntest a ... noiseok\ntest b ... ok\n", &[Said::Running, ended("b", Verdict::Ok)]);
        check(
            "running 2 tests\ntest a ... noise\nmore\nok\ntest b ... ok\n",
            &[Said::Running, ended("b", Verdict::Ok)],
        );
    }

    #[test]
    fn what_comes_before_the_tests_says_nothing() {
        check("test a ... ok\nrunning fast\nrunning 1 test\n", &[Said::Running]);
    }

    #[test]
    fn two_blocks_follow_each_other() {
        check(
            "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed\nnoise\nrunning 1 test\ntest b ... FAILED\n",
            &[Said::Running, ended("a", Verdict::Ok), Said::Summary, Said::Running, ended("b", Verdict::Failed)],
        );
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut transcript = Transcript::default();
        for _ in 0..100 {
            transcript.read(&[b'x'; 10_000]);
        }
        assert!(transcript.line.len() <= LINE_BYTES);
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let mut transcript = Transcript::default();
        let said = transcript.read(b"running 1 test\ntest a ... \xff\x00\ntest b ... ok\n");
        assert_eq!(said, [Said::Running, ended("b", Verdict::Ok)]);
    }
}
