//! TAP, versions 13 and 14, as it is found in the wild.
//!
//! A test is a line `ok` or `not ok`; the plan says how many there are, before or after them. Comments and YAML blocks
//! belong to the test above them. Subtests are indented, and their parent's line sums them up.

use super::found::{Found, Report};
use crate::runner::reason::one_line;
use regatta_domain::{Nuance, Outcome};
use std::time::Duration;

/// The most text kept of one test.
const TEXT_BYTES: usize = 64 * 1024;

/// Reads `text`. Lines that are not TAP say nothing.
pub(super) fn parse(text: &str) -> Report {
    let mut reader = Reader::default();
    for line in text.lines() {
        reader.line(line.trim_end_matches('\r'));
    }
    reader.report()
}

#[derive(Default)]
struct Reader {
    report: Report,
    plan: Option<usize>,
    bailed: Option<String>,
    in_yaml: bool,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let text = line.trim();
        if self.in_yaml {
            self.in_yaml = text != "...";
            self.yaml(text);
            self.keep(line);
        } else if line.starts_with("  ") && text == "---" {
            self.in_yaml = true;
        } else if line.starts_with([' ', '\t']) {
            // A subtest, or something printed: neither is a result of its own.
            self.keep(line);
        } else if let Some(reason) = text.strip_prefix("Bail out!") {
            self.bailed = Some(one_line(reason));
        } else if let Some(comment) = text.strip_prefix('#') {
            self.comment(comment.trim());
        } else if let Some(found) = point(text, self.report.found.len() + 1) {
            self.report.found.push(found);
        } else if let Some((planned, skipped)) = plan(text) {
            self.plan = Some(planned);
            self.report.skipped = self.report.skipped.take().or(skipped);
        }
    }

    /// The last test, if it still has something to say about its failure.
    fn last(&mut self) -> Option<&mut Found> {
        self.report.found.last_mut()
    }

    fn keep(&mut self, line: &str) {
        if let Some(found) = self.last().filter(|found| found.text.len() + line.len() < TEXT_BYTES) {
            found.text.push_str(line);
            found.text.push('\n');
        }
    }

    fn comment(&mut self, comment: &str) {
        if let Some(found) = self.last().filter(|found| found.outcome == Outcome::Failed && found.reason.is_none())
            && !comment.is_empty()
        {
            found.reason = Some(one_line(comment));
        }
        self.keep(comment);
    }

    fn yaml(&mut self, line: &str) {
        let Some((key, value)) = line.split_once(':') else { return };
        let value = value.trim().trim_matches(['"', '\'']);
        let Some(found) = self.last() else { return };
        match key.trim() {
            "message" if found.outcome == Outcome::Failed && !value.is_empty() => found.reason = Some(one_line(value)),
            "duration_ms" => {
                let seconds = value.parse::<f64>().map(|ms| ms / 1e3);
                found.duration = seconds.ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            }
            _ => {}
        }
    }

    fn report(mut self) -> Report {
        let ran = self.report.found.len();
        self.report.fault = match (self.bailed, self.plan) {
            (Some(reason), _) if reason.is_empty() => Some("it bailed out".to_owned()),
            (Some(reason), _) => Some(format!("it bailed out: {reason}")),
            (None, None) if ran == 0 => Some("it printed no TAP".to_owned()),
            (None, None) => Some("its TAP has no plan (`1..N`), so that it may be cut off".to_owned()),
            (None, Some(planned)) if planned != ran => Some(format!("its plan says {planned} tests, and it ran {ran}")),
            _ => None,
        };
        self.report
    }
}

/// `1..5`, or `1..0 # SKIP why`.
fn plan(line: &str) -> Option<(usize, Option<String>)> {
    let rest = line.strip_prefix("1..")?;
    let digits = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let planned = rest[..digits].parse().ok()?;
    let skipped = directive(rest).filter(|(word, _)| planned == 0 && *word == Directive::Skip);
    Some((planned, skipped.map(|(_, reason)| reason)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Directive {
    Skip,
    Todo,
}

/// `ok 1 - name # SKIP why`. The `nth` test has this number, if it does not say.
fn point(line: &str, nth: usize) -> Option<Found> {
    let (ok, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim_start();
    let digits = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let is_number = digits > 0 && rest[digits..].chars().next().is_none_or(|char| char.is_whitespace() || char == '-');
    let rest = if is_number { rest[digits..].trim_start() } else { rest };
    let rest = rest.strip_prefix('-').map_or(rest, str::trim_start);
    let told = directive(rest);
    let description = if told.is_some() { &rest[..mark(rest).unwrap_or(rest.len())] } else { rest };
    let name = description.trim().replace("\\#", "#").replace("\\\\", "\\");
    let name = if name.is_empty() { nth.to_string() } else { name };
    Some(judged(Found::named(&name), ok, told))
}

fn judged(mut found: Found, ok: bool, told: Option<(Directive, String)>) -> Found {
    (found.outcome, found.nuance) = match (ok, told.as_ref().map(|(word, _)| *word)) {
        (_, Some(Directive::Skip)) => (Outcome::Skipped, Nuance::Plain),
        (true, None) => (Outcome::Passed, Nuance::Plain),
        (false, None) => (Outcome::Failed, Nuance::Plain),
        (true, Some(Directive::Todo)) => (Outcome::Passed, Nuance::UnexpectedPass),
        (false, Some(Directive::Todo)) => (Outcome::Skipped, Nuance::ExpectedFailure),
    };
    found.reason = told.map(|(_, reason)| reason).filter(|reason| !reason.is_empty());
    found
}

/// Where the first `#` stands that is not escaped.
fn mark(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, char)| {
        let is_mark = char == '#' && !escaped;
        escaped = char == '\\' && !escaped;
        is_mark.then_some(at)
    })
}

/// `# SKIP why` or `# TODO why`, in any case of letters.
fn directive(text: &str) -> Option<(Directive, String)> {
    let told = text[mark(text)? + 1..].trim_start();
    let word = told.get(..4)?.to_ascii_lowercase();
    let directive = match word.as_str() {
        "skip" => Directive::Skip,
        "todo" => Directive::Todo,
        _ => return None,
    };
    // "SKIPPED:" and the like are seen, too.
    let reason = told[4..].trim_start_matches(|char: char| char.is_alphanumeric() || char == ':');
    Some((directive, one_line(reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, outcome and reason of each result, and the fault of the whole.
    fn check(text: &str, expected: &[(&str, Outcome, &str)], fault: &str) -> Report {
        let report = parse(text);
        let told: Vec<_> = report
            .found
            .iter()
            .map(|found| (found.name.as_str(), found.outcome, found.reason.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(told, expected, "{text}");
        assert_eq!(report.fault.as_deref().unwrap_or_default(), fault, "{text}");
        report
    }

    #[test]
    fn results_and_plan_are_read() {
        check(
            "TAP version 13\n1..4\nok 1 - first\nnot ok 2 second\n# it is wrong\n# and more\nok\nok 4 - a \\# b # comment\n",
            &[
                ("first", Outcome::Passed, ""),
                ("second", Outcome::Failed, "it is wrong"),
                ("3", Outcome::Passed, ""),
                ("a # b # comment", Outcome::Passed, ""),
            ],
            "",
        );
    }

    #[test]
    fn directives_change_what_a_result_means() {
        let report = check(
            "ok 1 - a # SKIP no database\nnot ok 2 - b # TODO later\nok 3 - c # todo\nok 4 - d # skipped: why\n1..4\n",
            &[
                ("a", Outcome::Skipped, "no database"),
                ("b", Outcome::Skipped, "later"),
                ("c", Outcome::Passed, ""),
                ("d", Outcome::Skipped, "why"),
            ],
            "",
        );
        let nuances: Vec<Nuance> = report.found.iter().map(|found| found.nuance).collect();
        assert_eq!(nuances, [Nuance::Plain, Nuance::ExpectedFailure, Nuance::UnexpectedPass, Nuance::Plain]);
    }

    #[test]
    fn a_yaml_block_tells_reason_and_duration() {
        let text = "1..2\nnot ok 1 - a\n  ---\n  message: 'got 1: wanted 2'\n  duration_ms: 12.5\n  ok: no result\n  ...\nok 2 - b\n";
        let report = check(text, &[("a", Outcome::Failed, "got 1: wanted 2"), ("b", Outcome::Passed, "")], "");
        assert_eq!(report.found[0].duration, Some(Duration::from_micros(12_500)));
    }

    #[test]
    fn subtests_are_summed_up_by_their_parent() {
        let text = "TAP version 14\n# Subtest: a\n    1..2\n    ok 1 - x\n    not ok 2 - y\nnot ok 1 - a\n1..1\n";
        check(text, &[("a", Outcome::Failed, "")], "");
    }

    #[test]
    fn what_is_wrong_with_the_whole_is_told() {
        check("1..3\nok 1 - a\n", &[("a", Outcome::Passed, "")], "its plan says 3 tests, and it ran 1");
        check("ok 1 - a\n", &[("a", Outcome::Passed, "")], "its TAP has no plan (`1..N`), so that it may be cut off");
        check("1..3\nBail out! no server\n", &[], "it bailed out: no server");
        check("hello\n", &[], "it printed no TAP");
    }

    #[test]
    fn a_plan_of_none_skips_all() {
        let report = check("1..0 # SKIP not on this system\n", &[], "");
        assert_eq!(report.skipped.as_deref(), Some("not on this system"));
    }

    #[test]
    fn lines_that_only_look_like_results_say_nothing() {
        check("1..1\r\nokay\nnotok 1\n  ok 1 - printed\nok 1 - a\r\n", &[("a", Outcome::Passed, "")], "");
    }
}
