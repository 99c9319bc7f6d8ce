//! A screen whose writer can be looked at.

use crate::args::{FailureOutput, Progress, StatusLevel};
use crate::exit::Exit;
use crate::render::options::Size;
use crate::render::{Ending, Options, Paint, Screen};
use crate::view::script::Script;
use regatta_domain::Time;
use std::cell::RefCell;

/// A log: no terminal, no colours.
pub(super) fn log() -> Options {
    Options {
        paint: Paint { colour: false, unicode: true },
        terminal: None,
        progress: Progress::Auto,
        status_level: None,
        final_status_level: StatusLevel::Fail,
        failure_output: FailureOutput::Final,
        taskbar: false,
        annotations: false,
        slots: 4,
        profile: None,
        on: None,
    }
}

/// A terminal of this size, without colours.
pub(super) fn terminal(columns: usize, rows: usize) -> Options {
    Options { terminal: Some(Size { columns, rows }), ..log() }
}

/// A terminal as small programs understand it: what was written, applied to rows of text.
pub(super) struct Shown {
    /// Everything that was written.
    pub(super) raw: String,
    /// What stands on the rows in the end, the scrolled ones included.
    pub(super) rows: Vec<String>,
}

/// What a story looks like, up to and with its end.
pub(super) fn shown(options: Options, exit: Exit, story: impl FnOnce(&mut Script<'_>, &dyn Fn(&Script<'_>))) -> Shown {
    let flags = ["--profile".to_owned(), "ci".to_owned()];
    let ending =
        Ending { exit, slots: 4, fleet: None, selection: Some("tag(none)"), flags: &flags, usual: None, reports: &[] };
    played(options, story, Some(&ending))
}

/// What a story looks like while it goes on.
pub(super) fn so_far(options: Options, story: impl FnOnce(&mut Script<'_>, &dyn Fn(&Script<'_>))) -> Shown {
    played(options, story, None)
}

fn played(
    options: Options,
    story: impl FnOnce(&mut Script<'_>, &dyn Fn(&Script<'_>)),
    ending: Option<&Ending<'_>>,
) -> Shown {
    let columns = options.terminal.map_or(usize::MAX, |size| size.columns);
    let written = RefCell::new(Vec::new());
    let raw = {
        let screen = RefCell::new(Screen::new(options, Tap(&written)));
        let mut script = Script::new(&[("api", "pytest"), ("core", "rust")], |view, news, now| {
            screen.borrow_mut().news(Time(now), view, news);
        });
        let tick = |script: &Script<'_>| screen.borrow_mut().tick(Time(script.now()), &script.view);
        story(&mut script, &tick);
        if let Some(ending) = ending {
            screen.borrow_mut().finish(&script.view, &script.outputs, ending);
        }
        String::from_utf8(written.borrow().clone()).expect("text")
    };
    Shown { rows: rows(&raw, columns), raw }
}

struct Tap<'a>(&'a RefCell<Vec<u8>>);

impl std::io::Write for Tap<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Applies line ends, going up, erasing below and wrapping; everything else that escapes is skipped.
fn rows(raw: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let (mut row, mut column) = (0, 0);
    let mut chars = raw.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\n' => {
                row += 1;
                column = 0;
                if row == rows.len() {
                    rows.push(String::new());
                }
            }
            '\r' => column = 0,
            '\u{1b}' if chars.peek() == Some(&']') => while chars.next().is_some_and(|char| char != '\\') {},
            '\u{1b}' => {
                chars.next();
                let mut codes = String::new();
                let last = loop {
                    match chars.next() {
                        Some(code) if code.is_ascii_digit() || ";?".contains(code) => codes.push(code),
                        other => break other,
                    }
                };
                match last {
                    Some('A') => row -= codes.parse::<usize>().expect("a number of rows"),
                    Some('J') => {
                        assert_eq!(column, 0, "erased from the middle of a row");
                        rows.truncate(row + 1);
                        rows[row].clear();
                    }
                    _ => {}
                }
            }
            _ => {
                if column == columns {
                    row += 1;
                    column = 0;
                    if row == rows.len() {
                        rows.push(String::new());
                    }
                }
                rows[row].push(char);
                column += 1;
            }
        }
    }
    rows.pop_if(|last| last.is_empty());
    rows
}
