//! A line that fits: built of pieces, never wider than it may be.
//!
//! Its invariant: a terminal of its width shows it on one row. Where terminals disagree about the width of a character, the
//! widest opinion counts.

use super::paint::{PLAIN, Paint};
use anstyle::Style;
use std::borrow::Cow;
use unicode_width::UnicodeWidthChar as _;

/// A line under construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    paint: Paint,
    pieces: Vec<(Style, String)>,
    width: usize,
    most: usize,
}

impl Line {
    /// An empty line that may become this wide.
    pub(crate) const fn new(paint: Paint, most: usize) -> Self {
        Self { paint, pieces: Vec::new(), width: 0, most }
    }

    /// Adds text. What does not fit will be left out, and said by an ellipsis.
    pub(crate) fn push(&mut self, style: Style, text: &str) -> &mut Self {
        if self.width <= self.most {
            self.width += width(text);
            self.pieces.push((style, text.to_owned()));
        }
        self
    }

    /// Adds text without a style.
    pub(crate) fn plain(&mut self, text: &str) -> &mut Self {
        self.push(PLAIN, text)
    }

    /// Adds text, of which the middle is left out where it does not fit: both ends of an id tell more than its middle.
    pub(crate) fn middle(&mut self, style: Style, text: &str) -> &mut Self {
        let room = self.most.saturating_sub(self.width);
        let text = shorten(text, room, self.paint.ellipsis());
        self.push(style, &text)
    }

    /// How many columns it takes at most.
    pub(crate) fn width(&self) -> usize {
        self.width.min(self.most)
    }

    /// The text, escape sequences included.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let fits = self.width <= self.most;
        let ellipsis = if width(self.paint.ellipsis()) <= self.most { self.paint.ellipsis() } else { "" };
        let mut room = if fits { self.most } else { self.most - width(ellipsis) };
        for (style, piece) in &self.pieces {
            let kept = head(piece, room);
            room -= width(kept);
            self.paint.push(&mut text, *style, kept);
            if kept.len() < piece.len() {
                text.push_str(ellipsis);
                break;
            }
        }
        text
    }
}

/// How many columns a character takes at most.
fn width_of(char: char) -> usize {
    match char {
        // Asks for the wide form of the character before it.
        '\u{fe0f}' => 1,
        _ => char.width().unwrap_or(0),
    }
}

/// How many columns the text takes at most.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// The text without so much of its middle that it fits.
pub(crate) fn shorten<'a>(text: &'a str, most: usize, ellipsis: &str) -> Cow<'a, str> {
    if fits(text, most) {
        return Cow::Borrowed(text);
    }
    let room = most.saturating_sub(width(ellipsis));
    let first = head(text, room / 3);
    let last = tail(text, room - width(first));
    Cow::Owned(format!("{first}{ellipsis}{last}"))
}

fn fits(text: &str, most: usize) -> bool {
    // A character takes at most two columns, and at least one byte: most texts need no table.
    text.len() <= most && text.is_ascii() || width(text) <= most
}

fn head(text: &str, most: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, char)| {
        taken += width_of(*char);
        taken > most
    });
    end.map_or(text, |(at, _)| &text[..at])
}

fn tail(text: &str, most: usize) -> &str {
    let mut taken = 0;
    let start = text.char_indices().rev().find(|(_, char)| {
        taken += width_of(*char);
        taken > most
    });
    start.map_or(text, |(at, char)| &text[at + char.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use super::super::paint::FAIL;
    use super::*;

    const PAINT: Paint = Paint { colour: false, unicode: true };

    #[test]
    fn a_line_never_grows_wider_than_it_may() {
        let pieces = ["ascii ", "wide 日本語 ", "combining e\u{301} ", "emoji ❤\u{fe0f} 👩\u{200d}🚀 ", "end"];
        for most in 0..60 {
            for paint in [PAINT, Paint { unicode: false, ..PAINT }] {
                let mut line = Line::new(paint, most);
                for piece in pieces {
                    line.plain(piece);
                }
                let text = line.text();
                assert!(width(&text) <= line.width() && line.width() <= most, "{most}: {text:?}");
                let mut line = Line::new(paint, most);
                line.middle(PLAIN, &pieces.concat());
                assert!(width(&line.text()) <= most, "{most}: {line:?}");
            }
        }
    }

    #[test]
    fn what_was_left_out_is_said_once() {
        let mut line = Line::new(PAINT, 8);
        line.plain("123456").plain("789012").plain("3");
        assert_eq!(line.text(), "1234567…");
        let mut narrow = Line::new(PAINT, 6);
        narrow.plain("123456").plain("7");
        assert_eq!(narrow.text(), "12345…");
        let mut exact = Line::new(PAINT, 6);
        exact.plain("123456");
        assert_eq!(exact.text(), "123456");
    }

    #[test]
    fn an_id_loses_its_middle() {
        assert_eq!(shorten("tests/unit/test_api.py::test_login", 20, "…"), "tests/…y::test_login");
        assert_eq!(shorten("日本語日本語", 7, "…"), "日…本語");
    }

    #[test]
    fn colours_take_no_room() {
        let mut line = Line::new(Paint { colour: true, unicode: true }, 6);
        line.push(FAIL, "FAIL").plain("ED");
        assert_eq!(line.width(), 6);
        assert!(line.text().ends_with("ED"));
    }
}
