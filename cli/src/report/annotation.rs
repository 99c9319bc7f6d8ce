//! Annotations: lines that GitHub takes off a job's log and shows beside the changed code.
//!
//! Written to standard error: standard output is data, and GitHub's runner reads commands off both. It shows ten errors of
//! a step and hides the rest without a word, so there are at most ten, the last of which says how many more there are.

use super::Sources;
use crate::render::{failure, status};
use crate::view::{Outputs, View};
use regatta_domain::{TestIx, Verdict};

/// What GitHub shows of one step.
const SHOWN: usize = 10;

/// Of an output, this much is looked through for the line that failed.
const LOOKED_THROUGH: usize = 64 * 1024;

/// Of an error's text, the end: a page shows no more.
const MESSAGE_BYTES: usize = 4 * 1024;

/// The annotations of a run.
pub(crate) fn annotations(view: &View, outputs: &Outputs, sources: &Sources) -> Vec<String> {
    let red =
        |verdict: Option<Verdict>| matches!(verdict, Some(Verdict::Failed | Verdict::TimedOut | Verdict::Crashed));
    let errors = failure::errors(view);
    let failed: Vec<TestIx> = view.planned().filter(|(_, test)| red(test.verdict)).map(|(ix, _)| ix).collect();
    let all = errors.len() + failed.len();
    let most = if all > SHOWN { SHOWN - 1 } else { SHOWN };
    let of_errors = errors.iter().map(|(at, _)| {
        let title = format!("{} {}", at.error.place, failure::kind_word(at.error.kind));
        let file = at.file.and_then(|file| sources.of(view, file));
        command(file.as_deref(), None, &title, end_of(&at.error.message))
    });
    let of_tests = failed.iter().map(|ix| of_test(view, *ix, outputs, sources));
    let mut lines: Vec<String> = of_errors.chain(of_tests).take(most).collect();
    if all > most {
        let text = format!("{} more failures and errors are listed in the log", all - most);
        lines.push(command(None, None, "and more", &text));
    }
    lines
}

fn end_of(message: &str) -> &str {
    let from = message.len().saturating_sub(MESSAGE_BYTES);
    let from = (from..message.len()).find(|at| message.is_char_boundary(*at)).unwrap_or(message.len());
    &message[from..]
}

fn of_test(view: &View, ix: TestIx, outputs: &Outputs, sources: &Sources) -> String {
    let test = view.test(ix);
    let output = failure::deciding(test).and_then(|attempt| outputs.of(attempt)).unwrap_or_default();
    let output = String::from_utf8_lossy(&output[output.len().saturating_sub(LOOKED_THROUGH)..]);
    let (file, line) = match sources.of(view, test.file) {
        Some(file) => (Some(file), line_of(&output, &view.file_of(ix).path)),
        None => match panicked_at(&output) {
            Some((path, line)) => (sources.below_root(view, test.file, path), Some(line)),
            None => (None, None),
        },
    };
    let reason = status::reason(test).unwrap_or_else(|| test.verdict.map_or("", Verdict::name).to_owned());
    command(file.as_deref(), line, &view.id(ix), &reason)
}

/// The last line of this file that the output names: `path:LINE`.
fn line_of(output: &str, path: &str) -> Option<u32> {
    output.rmatch_indices(path).find_map(|(at, _)| number(output[at + path.len()..].strip_prefix(':')?))
}

/// Where a Rust test panicked: `panicked at src/lib.rs:10:5`.
fn panicked_at(output: &str) -> Option<(&str, u32)> {
    let (_, after) = output.split_once("panicked at ")?;
    let place = after.lines().next()?;
    let (file, rest) = place.split_once(':')?;
    Some((file, number(rest)?)).filter(|(file, _)| !file.starts_with('/'))
}

fn number(text: &str) -> Option<u32> {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// A command of GitHub's, its values escaped as its runner reads them.
fn command(file: Option<&str>, line: Option<u32>, title: &str, message: &str) -> String {
    let value = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| value(text).replace(':', "%3A").replace(',', "%2C");
    let mut properties = Vec::new();
    properties.extend(file.map(|file| format!("file={}", property(file))));
    properties.extend(file.and(line).map(|line| format!("line={line}")));
    properties.push(format!("title={}", property(title)));
    format!("::error {}::{}", properties.join(","), value(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_command() {
        assert_eq!(
            command(Some("a,b:c.py"), Some(3), "x\n::y", "50% of\r\nlines"),
            "::error file=a%2Cb%3Ac.py,line=3,title=x%0A%3A%3Ay::50%25 of%0D%0Alines"
        );
        assert_eq!(command(None, Some(3), "t", "m"), "::error title=t::m");
    }

    #[test]
    fn the_line_that_failed_is_found_in_the_output() {
        let output =
            "tests/test_a.py:3: in test_x\n    helper()\nlib.py:9: in helper\ntests/test_a.py:12: AssertionError\n";
        assert_eq!(line_of(output, "tests/test_a.py"), Some(12));
        assert_eq!(line_of(output, "tests/test_b.py"), None);
        let panic = "thread 'x' (1) panicked at core/src/lib.rs:10:5:\nboom";
        assert_eq!(panicked_at(panic), Some(("core/src/lib.rs", 10)));
    }
}
