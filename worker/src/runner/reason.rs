//! The one line that says why a test did not pass, and the longer text of an error beside the tests: both bounded.

use regatta_domain::limits::{ERROR_BYTES, REASON_BYTES};

/// `text` as a reason: its first line that says anything, cut to its bound.
pub(super) fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let clean: String = line.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    if clean.len() <= REASON_BYTES {
        return clean;
    }
    let mark = "…";
    format!("{}{mark}", &clean[..floor(&clean, REASON_BYTES - mark.len())])
}

/// The end of `text`, which says most where a tool failed, cut to the bound of an error.
pub(super) fn end_of(text: &str) -> &str {
    let text = text.trim_end();
    &text[ceil(text, text.len().saturating_sub(ERROR_BYTES))..]
}

/// The start of `text`, which says most where it is a traceback's first line, cut to the bound of an error.
pub(super) fn start_of(text: &str) -> &str {
    &text[..floor(text, ERROR_BYTES)]
}

/// The last place at or before `at` where a character begins.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The first place at or after `at` where a character begins.
fn ceil(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_clean_line_within_its_bound() {
        assert_eq!(one_line("\n\n  a\tb \nc"), "a b");
        assert_eq!(one_line(""), "");
        let long = one_line(&"ü".repeat(1_000));
        assert!(long.len() <= REASON_BYTES && long.ends_with("ü…"), "{long}");
    }

    #[test]
    fn an_error_keeps_the_asked_end_within_its_bound() {
        let text = format!("first{}last\n", "ü".repeat(ERROR_BYTES));
        assert!(start_of(&text).starts_with("first") && start_of(&text).len() <= ERROR_BYTES);
        assert!(end_of(&text).ends_with("last") && end_of(&text).len() <= ERROR_BYTES);
    }
}
