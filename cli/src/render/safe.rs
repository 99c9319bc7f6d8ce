//! Text of others, made safe to print: captured output, names, reasons.
//!
//! Its invariant: what comes out moves no cursor, sets no title, hides no character and rings no bell. Nothing is lost
//! silently but escape sequences: bytes that are not UTF-8 and control characters are shown as `\xNN` and `\u{NN}`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What becomes of escape sequences that colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    /// They stay.
    Keep,
    /// They go, like all others.
    Strip,
}

/// The longest string that an escape sequence may carry; one that does not end by then is text.
const ESCAPE_BYTES: usize = 4_096;

/// The most that is remembered of the colours in force, so that the next line can begin in them.
const ACTIVE_BYTES: usize = 256;

/// A name or a reason on one line.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '\n' => safe.push_str("\\n"),
            '\t' => safe.push_str("\\t"),
            '\r' => safe.push_str("\\r"),
            _ => push(&mut safe, char),
        }
    }
    Cow::Owned(safe)
}

/// Captured output as lines without their ends. Every line ends in the colours in which it began.
pub(crate) fn lines(bytes: &[u8], colours: Colours) -> Vec<String> {
    let mut lines = Lines { done: Vec::new(), line: String::new(), active: String::new(), returned: false };
    let mut rest = bytes;
    while !rest.is_empty() {
        let escape = rest.iter().position(|byte| *byte == 0x1b).unwrap_or(rest.len());
        lines.text(&rest[..escape]);
        rest = &rest[escape..];
        match escape_sequence(rest) {
            Some(length) => {
                if colours == Colours::Keep {
                    lines.colour(&rest[..length]);
                }
                rest = &rest[length..];
            }
            None if rest.is_empty() => {}
            None => {
                lines.char('\u{1b}');
                rest = &rest[1..];
            }
        }
    }
    lines.finish()
}

/// Captured output as one text without escape sequences, for reports.
pub(crate) fn text(bytes: &[u8]) -> String {
    lines(bytes, Colours::Strip).join("\n")
}

struct Lines {
    done: Vec<String>,
    line: String,
    /// The colours in force.
    active: String,
    /// The last character was a carriage return.
    returned: bool,
}

impl Lines {
    fn text(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            chunk.valid().chars().for_each(|char| self.char(char));
            for byte in chunk.invalid() {
                self.returned = false;
                // Writing to a string cannot fail.
                let _ = write!(self.line, "\\x{byte:02x}");
            }
        }
    }

    fn char(&mut self, char: char) {
        match char {
            '\n' if self.returned => {}
            // A carriage return alone would print over what was printed before.
            '\n' | '\r' => self.end(),
            '\t' => self.line.push('\t'),
            _ => push(&mut self.line, char),
        }
        self.returned = char == '\r';
    }

    fn colour(&mut self, sequence: &[u8]) {
        let Some(codes) = sequence.strip_prefix(b"\x1b[").and_then(|rest| rest.strip_suffix(b"m")) else { return };
        let codes = str::from_utf8(codes).unwrap_or_default();
        if !codes.bytes().all(|byte| byte.is_ascii_digit() || byte == b';' || byte == b':') {
            return;
        }
        if codes.bytes().all(|byte| byte == b'0' || byte == b';') {
            self.active.clear();
        } else if self.active.len() + sequence.len() <= ACTIVE_BYTES {
            let _ = write!(self.active, "\x1b[{codes}m");
        }
        let _ = write!(self.line, "\x1b[{codes}m");
    }

    fn end(&mut self) {
        if !self.active.is_empty() {
            self.line.push_str("\x1b[0m");
        }
        self.done.push(std::mem::replace(&mut self.line, self.active.clone()));
    }

    fn finish(mut self) -> Vec<String> {
        if self.line != self.active {
            self.end();
        }
        self.done
    }
}

fn push(to: &mut String, char: char) {
    if !is_hidden(char) {
        to.push(char);
    } else if char.is_ascii() {
        let _ = write!(to, "\\x{:02x}", u32::from(char));
    } else {
        let _ = write!(to, "\\u{{{:x}}}", u32::from(char));
    }
}

/// Control characters, and those that change the order in which others are shown.
fn is_hidden(char: char) -> bool {
    char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// How long the escape sequence is that the bytes begin with, where they do.
fn escape_sequence(bytes: &[u8]) -> Option<usize> {
    let &[0x1b, kind, ref rest @ ..] = bytes else { return None };
    let length = match kind {
        b'[' => {
            let end = rest.iter().take(ESCAPE_BYTES).position(|byte| !(0x20..=0x3f).contains(byte))?;
            (0x40..=0x7e).contains(&rest[end]).then_some(end + 1)?
        }
        b']' | b'P' | b'X' | b'^' | b'_' => {
            let part = &rest[..rest.len().min(ESCAPE_BYTES)];
            let bell = part.iter().position(|byte| *byte == 0x07).map(|at| at + 1);
            let end = part.windows(2).position(|two| two == b"\x1b\\").map(|at| at + 2);
            match (bell, end) {
                (Some(bell), Some(end)) => bell.min(end),
                (bell, end) => bell.or(end)?,
            }
        }
        0x20..=0x2f => rest.iter().take(ESCAPE_BYTES).position(|byte| (0x30..=0x7e).contains(byte))? + 1,
        0x30..=0x7e => 0,
        _ => return None,
    };
    Some(2 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_output_is_shown_and_does_nothing() {
        let cases: &[(&[u8], &str)] = &[
            (b"plain\n", "plain"),
            (b"no end", "no end"),
            (b"a\r\nb\rc\n", "a|b|c"),
            (b"a\n\n\nb", "a|||b"),
            (b"nul\0bell\x07back\x08\x7f", "nul\\x00bell\\x07back\\x08\\x7f"),
            (b"\xff\xfe caf\xc3\xa9 \xc3", "\\xff\\xfe caf\u{e9} \\xc3"),
            (b"tab\tstays", "tab\tstays"),
            (b"\x1b[31mred\x1b[0m", "red"),
            (b"\x1b[2J\x1b[1;1Hgone\x1b[?25l", "gone"),
            (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
            (b"\x1bPq...\x1b\\sixel\x1b(B\x1bc", "sixel"),
            (b"\x1b]0;never ends", "\\x1b]0;never ends"),
            (b"\x1b[12", "\\x1b[12"),
            (b"\x1b", "\\x1b"),
            (b"\x1b[\xffm", "\\x1b[\\xffm"),
            ("c1 \u{9b}31m bidi \u{202e}txet".as_bytes(), "c1 \\u{9b}31m bidi \\u{202e}txet"),
            (b"", ""),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(lines(bytes, Colours::Strip).join("|"), *wanted, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn colours_stay_where_they_may_and_end_with_their_line() {
        let bytes = b"\x1b[1m\x1b[31mred\nstill\x1b[0m not\n\x1b[2Kclean\x1b[>4m\n";
        let wanted = ["\x1b[1m\x1b[31mred\x1b[0m", "\x1b[1m\x1b[31mstill\x1b[0m not", "clean"];
        assert_eq!(lines(bytes, Colours::Keep), wanted);
    }

    #[test]
    fn an_endless_escape_sequence_is_text() {
        let mut bytes = b"\x1b]0;".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', 10_000));
        bytes.push(7);
        let lines = lines(&bytes, Colours::Keep);
        assert!(lines[0].starts_with("\\x1b]0;xxx") && lines[0].ends_with("x\\x07"));
    }

    #[test]
    fn a_name_stays_on_its_line() {
        assert_eq!(one_line("plain[é]"), "plain[é]");
        assert_eq!(one_line("a\nb\t\x1b[31m\u{202e}"), "a\\nb\\t\\x1b[31m\\u{202e}");
    }
}
