//! What is written to the terminal, or to whatever standard error is: lines that stay, and below them, where the cursor may
//! be moved, a frame that is drawn anew.
//!
//! Its invariant: a line that was said is never erased. Only rows that the last frame took are, counted at the width that
//! the terminal has by then. A writer that is gone is no reason to end a run: what cannot be written is dropped.

use super::line::Line;
use super::options::Size;
use regatta_domain::{Micros, Time};
use std::fmt::Write as _;
use std::io::Write;

/// A frame is drawn at most so often: 15 times a second.
const EVERY: Micros = Micros::from_ms(66);

/// Lines wait for the next frame, but not more of them than this.
const WAITING_BYTES: usize = 64 * 1024;

/// Terminals that know these two draw what is between them at once; the others ignore them.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// A place to write to.
#[derive(Debug)]
pub(super) struct Canvas<W> {
    writer: W,
    size: Option<Size>,
    /// Lines that were said and are not written yet.
    waiting: String,
    /// The widths of the lines of the frame that stands.
    drawn: Vec<usize>,
    /// The text of it.
    frame: String,
    drawn_at: Time,
    broken: bool,
}

impl<W: Write> Canvas<W> {
    /// Nothing is written yet. With a size, frames are drawn.
    pub(super) fn new(writer: W, size: Option<Size>) -> Self {
        let (drawn, drawn_at) = (Vec::new(), Time(0));
        Self { writer, size, waiting: String::new(), drawn, frame: String::new(), drawn_at, broken: false }
    }

    /// The size, where frames are drawn.
    pub(super) const fn size(&self) -> Option<Size> {
        self.size
    }

    /// The terminal has another size from now on.
    pub(super) const fn resize(&mut self, size: Size) {
        if self.size.is_some() {
            self.size = Some(size);
        }
    }

    /// Says a line, given without its end. It is written with the next frame, or by `flush`.
    pub(super) fn say(&mut self, line: &str) {
        self.waiting.push_str(line);
        self.waiting.push('\n');
        if self.waiting.len() > WAITING_BYTES {
            self.flush();
        }
    }

    /// Whether a frame may be drawn again by now.
    pub(super) const fn is_due(&self, now: Time) -> bool {
        now.since(self.drawn_at).0 >= EVERY.0
    }

    /// Writes what was said, and the frame below it.
    pub(super) fn draw(&mut self, now: Time, lines: &[Line]) {
        let mut frame = String::new();
        for line in lines {
            frame.push_str(&line.text());
            frame.push('\n');
        }
        if self.waiting.is_empty() && frame == self.frame {
            return;
        }
        let mut text = BEGIN.to_owned();
        self.erase(&mut text);
        text.push_str(&std::mem::take(&mut self.waiting));
        text.push_str(&frame);
        text.push_str(END);
        self.frame = frame;
        self.drawn = lines.iter().map(Line::width).collect();
        self.drawn_at = now;
        self.write(&text);
    }

    /// Writes what was said. A frame that stands is erased, and comes back with the next drawing.
    pub(super) fn flush(&mut self) {
        if self.waiting.is_empty() && self.drawn.is_empty() {
            return;
        }
        let mut text = String::new();
        self.erase(&mut text);
        text.push_str(&std::mem::take(&mut self.waiting));
        self.frame.clear();
        self.write(&text);
    }

    /// Writes an escape sequence that shows nothing.
    pub(super) fn signal(&mut self, sequence: &str) {
        self.write(sequence);
    }

    /// Goes up to the first row of the frame, and erases from there.
    fn erase(&mut self, text: &mut String) {
        let Some(size) = self.size else { return };
        // A terminal that became narrower has broken the lines of the frame over several rows.
        let rows: usize = self.drawn.drain(..).map(|width| width.div_ceil(size.columns.max(1)).max(1)).sum();
        if rows > 0 {
            // What scrolled out of the terminal cannot be reached.
            let rows = rows.min(size.rows.saturating_sub(1));
            let _ = write!(text, "\r\x1b[{rows}A\x1b[J");
        }
    }

    fn write(&mut self, text: &str) {
        if !self.broken {
            let written = self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush());
            self.broken = written.is_err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::paint::Paint;
    use super::*;

    const PAINT: Paint = Paint { colour: false, unicode: true };

    fn line(text: &str) -> Line {
        let mut line = Line::new(PAINT, 100);
        line.plain(text);
        line
    }

    fn written(size: Option<Size>, act: impl FnOnce(&mut Canvas<&mut Vec<u8>>)) -> String {
        let mut bytes = Vec::new();
        act(&mut Canvas::new(&mut bytes, size));
        String::from_utf8(bytes).expect("text").replace(BEGIN, "<").replace(END, ">").replace('\x1b', "^")
    }

    const SIZE: Option<Size> = Some(Size { columns: 20, rows: 10 });

    #[test]
    fn a_frame_is_replaced_by_the_next_one_below_what_was_said() {
        let text = written(SIZE, |canvas| {
            canvas.draw(Time(1), &[line("bar"), line("test")]);
            canvas.say("PASS");
            canvas.draw(Time(2), &[line("bar")]);
            canvas.draw(Time(3), &[line("bar")]);
            canvas.say("done");
            canvas.flush();
        });
        assert_eq!(text, "<bar\ntest\n><\r^[2A^[JPASS\nbar\n>\r^[1A^[Jdone\n");
    }

    #[test]
    fn a_frame_that_was_broken_by_a_narrower_terminal_is_erased_whole() {
        let text = written(SIZE, |canvas| {
            canvas.draw(Time(1), &[line(&"x".repeat(19)), line("short")]);
            canvas.resize(Size { columns: 7, rows: 10 });
            canvas.flush();
        });
        assert!(text.ends_with("\r^[4A^[J"), "{text}");
    }

    #[test]
    fn without_a_terminal_there_is_no_escape_sequence() {
        let text = written(None, |canvas| {
            canvas.say("PASS");
            canvas.flush();
            canvas.flush();
        });
        assert_eq!(text, "PASS\n");
    }

    #[test]
    fn a_closed_writer_ends_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut canvas = Canvas::new(Closed, None);
        canvas.say("PASS");
        canvas.flush();
        canvas.say("PASS");
        canvas.flush();
    }
}
