//! Colours and signs: what stands for what, and whether it is written at all.
//!
//! A colour never carries meaning alone: there is always a word beside it.

use anstyle::{AnsiColor, Style};

/// How to write: with colours or without, with signs beyond ASCII or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    /// Whether escape sequences for colours are written.
    pub(crate) colour: bool,
    /// Whether signs beyond ASCII are.
    pub(crate) unicode: bool,
}

/// Green: it is well.
pub(crate) const PASS: Style = AnsiColor::Green.on_default().bold();
/// Red: it is not.
pub(crate) const FAIL: Style = AnsiColor::Red.on_default().bold();
/// Yellow: look at it when there is time.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Magenta: once more.
pub(crate) const RETRY: Style = AnsiColor::Magenta.on_default().bold();
/// A suite's name.
pub(crate) const SUITE: Style = AnsiColor::Magenta.on_default();
/// A file's path.
pub(crate) const PATH: Style = AnsiColor::Cyan.on_default();
/// What stands out.
pub(crate) const STRONG: Style = Style::new().bold();
/// What stands back.
pub(crate) const WEAK: Style = Style::new().dimmed();
/// Everything else.
pub(crate) const PLAIN: Style = Style::new();

impl Paint {
    /// The text in this style.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        let mut painted = String::with_capacity(text.len() + 16);
        self.push(&mut painted, style, text);
        painted
    }

    /// Adds the text in this style.
    pub(crate) fn push(self, to: &mut String, style: Style, text: &str) {
        use std::fmt::Write as _;
        if self.colour && !style.is_plain() {
            // Writing to a string cannot fail.
            let _ = write!(to, "{style}{text}{style:#}");
        } else {
            to.push_str(text);
        }
    }

    /// The rule that output of others is written behind. It also keeps them from speaking to a CI system that reads commands
    /// off the beginning of lines.
    pub(crate) const fn gutter(self) -> &'static str {
        if self.unicode { "  │ " } else { "  | " }
    }

    /// What stands for text that was left out.
    pub(crate) const fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_written_only_when_asked_for() {
        let paint = Paint { colour: true, unicode: true };
        assert_eq!(paint.paint(FAIL, "FAIL"), "\u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m");
        assert_eq!(paint.paint(PLAIN, "FAIL"), "FAIL");
        assert_eq!(Paint { colour: false, ..paint }.paint(FAIL, "FAIL"), "FAIL");
    }
}
