//! What is shown of a long output: its head and its tail, and what was left out between them.

/// The parts of an output that are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt<'a> {
    /// The beginning, up to the end of a line.
    pub(crate) head: &'a [u8],
    /// What is left out.
    pub(crate) cut: Option<Cut>,
    /// The end, from the beginning of a line.
    pub(crate) tail: &'a [u8],
}

/// How much is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// In bytes.
    pub(crate) bytes: usize,
    /// In lines.
    pub(crate) lines: usize,
}

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// At most so many bytes.
    pub(crate) bytes: usize,
    /// At most so many lines.
    pub(crate) lines: usize,
}

impl<'a> Excerpt<'a> {
    /// What is shown of the output in this much room. A quarter of the room is the head's: what was printed last usually
    /// says what went wrong.
    pub(crate) fn of(output: &'a [u8], room: Room) -> Self {
        if output.len() <= room.bytes && count_lines(output) <= room.lines {
            return Self { head: output, cut: None, tail: &[] };
        }
        let head = head(output, Room { bytes: room.bytes / 4, lines: room.lines / 4 });
        let rest = &output[head.len()..];
        let tail = tail(rest, Room { bytes: room.bytes - room.bytes / 4, lines: room.lines - room.lines / 4 });
        let middle = &rest[..rest.len() - tail.len()];
        let cut = (!middle.is_empty()).then(|| Cut { bytes: middle.len(), lines: count_lines(middle) });
        Self { head, cut, tail }
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
    ends + usize::from(bytes.last().is_some_and(|byte| *byte != b'\n'))
}

/// Whole lines from the beginning; where not even one fits, the beginning of it.
fn head(bytes: &[u8], room: Room) -> &[u8] {
    let within = &bytes[..bytes.len().min(room.bytes)];
    let ends = within.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    match ends.take(room.lines).last() {
        Some(end) => &bytes[..end],
        None if room.lines == 0 => &[],
        None => &bytes[..boundary(bytes, within.len())],
    }
}

/// Whole lines up to the end; where not even one fits, the end of it.
fn tail(bytes: &[u8], room: Room) -> &[u8] {
    let from = bytes.len() - bytes.len().min(room.bytes);
    // The last line's own end begins nothing.
    let within = &bytes[from..bytes.len().saturating_sub(1).max(from)];
    let starts = within.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| from + at + 1);
    let all = (from == 0).then_some(0);
    match starts.chain(all).take(room.lines).last() {
        Some(start) => &bytes[start..],
        None => &bytes[boundary(bytes, from)..],
    }
}

/// The nearest place, at or after `at`, that is not inside a character.
fn boundary(bytes: &[u8], at: usize) -> usize {
    let inside = bytes[at..].iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    at + inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(output: &str, bytes: usize, lines: usize) -> String {
        let excerpt = Excerpt::of(output.as_bytes(), Room { bytes, lines });
        let cut = excerpt.cut.map_or_else(String::new, |cut| format!("<{}b {}l>", cut.bytes, cut.lines));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("cut between characters");
        format!("{}{cut}{}", text(excerpt.head), text(excerpt.tail))
    }

    #[test]
    fn what_fits_is_shown_whole() {
        assert_eq!(shown("", 10, 10), "");
        assert_eq!(shown("a\nb\nc", 5, 3), "a\nb\nc");
    }

    #[test]
    fn head_and_tail_are_whole_lines() {
        assert_eq!(shown("1\n2\n3\n4\n5\n6\n7\n8\n9\n", 100, 4), "1\n<10b 5l>7\n8\n9\n");
        assert_eq!(shown("1\n2\n3\n4\n5\n6\n7\n8\n9", 8, 100), "1\n<10b 5l>7\n8\n9");
    }

    #[test]
    fn a_line_too_long_is_cut_between_characters() {
        assert_eq!(shown(&"x".repeat(100), 20, 10), format!("{}<80b 1l>{}", "x".repeat(5), "x".repeat(15)));
        for bytes in 4..40 {
            shown(&"日本".repeat(50), bytes, 8);
        }
    }

    #[test]
    fn the_room_is_never_exceeded() {
        let output = "line of text\n".repeat(1_000);
        for (bytes, lines) in [(0, 0), (1, 1), (13, 1), (100, 7), (5_000, 50), (50_000, 3)] {
            let excerpt = Excerpt::of(output.as_bytes(), Room { bytes, lines });
            assert!(excerpt.head.len() + excerpt.tail.len() <= bytes + 3);
            let cut = excerpt.cut.map_or(0, |cut| cut.bytes);
            assert_eq!(excerpt.head.len() + cut + excerpt.tail.len(), output.len());
        }
    }
}
