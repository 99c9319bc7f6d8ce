//! The screen: what happens in a run becomes lines, and on a terminal a frame below them.
//!
//! It is driven with news, with the time, and at the end with the outcome; it waits for nothing and reads no clock. It
//! leaves the words to its siblings and the cursor to the canvas.

mod finish;
mod tell;

use super::canvas::Canvas;
use super::failure::{self, Telling};
use super::frame::{self, Scene, WAITING_AFTER};
use super::options::{Options, Shown, Size};
use super::pace::Pace;
use super::paint::{STRONG, WARN};
use super::status::push_verb;
use super::{header, words};
use crate::args::StatusLevel;
use crate::view::{News, Outputs, View};
use anstyle_progress::TermProgress;
use regatta_domain::result::OutputRef;
use regatta_domain::{Micros, TestIx, Time};
use std::collections::BTreeMap;
use std::io::Write;

/// The header waits so long for what is known of the run.
const HEADER_AFTER: Micros = Micros::from_ms(300);

/// The fewest rows of a terminal on which a frame is drawn.
const LEAST_ROWS: usize = 3;

/// So many running tests are named when somebody asks for them.
const RUNNING_NAMED: usize = 100;

/// Where a run is shown.
#[derive(Debug)]
pub(crate) struct Screen<W: Write> {
    options: Options,
    shown: Shown,
    level: StatusLevel,
    canvas: Canvas<W>,
    /// How far this machine's clock is ahead of the coordinator's, as far as events tell.
    ahead: Option<i128>,
    /// The coordinator's time.
    now: Time,
    headed: bool,
    /// Lines about tests that were skipped before the header was written.
    early: Vec<String>,
    said_waiting: bool,
    pace: Option<Pace>,
    note: Option<String>,
    noted_at: Time,
    /// Running tests that were called slow, and when they are next.
    slow: BTreeMap<TestIx, Micros>,
    /// What the task bar shows: per cent, and whether something is red.
    taskbar: Option<(u8, bool)>,
}

impl<W: Write> Screen<W> {
    /// A screen on which nothing has happened.
    pub(crate) fn new(options: Options, writer: W) -> Self {
        let shown = options.shown();
        let canvas = Canvas::new(writer, options.terminal.filter(|_| shown == Shown::Bar));
        Self {
            level: options.level(),
            shown,
            canvas,
            options,
            ahead: None,
            now: Time(0),
            headed: false,
            early: Vec::new(),
            said_waiting: false,
            pace: None,
            note: None,
            noted_at: Time(0),
            slow: BTreeMap::new(),
            taskbar: None,
        }
    }

    /// Shows what is new. `clock` is this machine's time.
    pub(crate) fn news(&mut self, clock: Time, view: &View, news: &[News]) {
        self.read_clock(clock, view);
        for news in news {
            // Verdicts that come with the plan are no sign that it is complete.
            let plans = match news {
                News::Submitted | News::Planned | News::Gone(_) => true,
                News::Verdict(test, _) => view.test(*test).attempts.is_empty() && view.first_lease.is_none(),
                _ => false,
            };
            if !plans {
                self.head(view);
            }
            self.show(view, news);
        }
        if self.canvas.size().is_none() {
            self.canvas.flush();
        } else if self.canvas.is_due(self.now) {
            self.draw(view);
        }
    }

    /// Shows that time has passed; called several times a second. `clock` is this machine's time.
    pub(crate) fn tick(&mut self, clock: Time, view: &View) {
        self.read_clock(clock, view);
        if view.submitted == Time::default() {
            return;
        }
        let waits = self.now.since(view.submitted);
        if waits >= HEADER_AFTER {
            self.head(view);
        }
        if view.first_lease.is_none() && waits >= WAITING_AFTER && !self.said_waiting && self.shown == Shown::Lines {
            self.said_waiting = true;
            self.say_verb(WARN, "Waiting", "no worker has taken work yet");
        }
        self.say_slow(view);
        if self.shown == Shown::Lines {
            self.say_progress(view);
        }
        if self.canvas.size().is_none() {
            self.canvas.flush();
        } else if self.canvas.is_due(self.now) {
            self.draw(view);
        }
    }

    /// The terminal has another size from now on.
    pub(crate) fn resize(&mut self, size: Size) {
        self.canvas.resize(size);
    }

    /// Writes a line of somebody else, given without its end, where it disturbs nothing.
    pub(crate) fn say(&mut self, line: &str) {
        self.canvas.say(line);
        self.canvas.flush();
    }

    /// The output that is to be shown as soon as it can be fetched, now that this test has its verdict.
    pub(crate) fn wants(&self, view: &View, test: TestIx) -> Option<OutputRef> {
        let test = view.test(test);
        let red = test.verdict.is_some_and(|verdict| !verdict.is_ok());
        (self.options.immediate() && red).then(|| failure::deciding(test).and_then(|attempt| attempt.output)).flatten()
    }

    /// Shows the output that was wanted; `None` where it could not be fetched.
    pub(crate) fn output(&mut self, view: &View, test: TestIx, output: Option<&[u8]>, flags: &[String]) {
        let none = Outputs::default();
        let telling = Telling { paint: self.options.paint, flags, outputs: Some(&none) };
        for line in failure::block(view, test, telling, output) {
            self.canvas.say(&line);
        }
        self.canvas.flush();
    }

    /// Names every running test, for somebody who asked.
    pub(crate) fn running(&mut self, clock: Time, view: &View) {
        self.read_clock(clock, view);
        let count = words::count_of(view.running.len(), "test");
        self.say_verb(STRONG, "Info", &format!("{count} running, {} done", frame::tally_of(view)));
        let mut running: Vec<(Time, TestIx)> =
            view.running.iter().map(|(test, running)| (running.since, *test)).collect();
        running.sort_unstable();
        let scene = self.scene();
        let mut lines = Vec::new();
        let most = self.options.terminal.map_or(usize::MAX / 2, |size| size.columns.saturating_sub(1));
        for (since, test) in running.iter().take(RUNNING_NAMED) {
            lines.push(frame::running_line(view, scene, most, *since, *test));
        }
        for line in lines {
            self.canvas.say(&line.text());
        }
        self.canvas.flush();
    }

    /// Leaves the terminal as it was found, with every line written.
    pub(crate) fn clear(&mut self) {
        self.canvas.flush();
        if self.taskbar.take().is_some() {
            self.canvas.signal(&TermProgress::remove().to_string());
        }
    }

    /// The coordinator's time, as far as its events tell: the shortest way that any of them took is taken for none.
    fn read_clock(&mut self, clock: Time, view: &View) {
        let ahead = i128::from(clock.0) - i128::from(view.at.0);
        if view.at != Time::default() && self.ahead.is_none_or(|least| ahead < least) {
            self.ahead = Some(ahead);
        }
        let now = i128::from(clock.0) - self.ahead.unwrap_or(0);
        self.now = self.now.max(Time(u64::try_from(now).unwrap_or(clock.0)));
    }

    fn scene(&self) -> Scene<'_> {
        let Self { options, now, note, .. } = self;
        Scene { paint: options.paint, now: *now, slots: options.slots, note: note.as_deref() }
    }

    fn head(&mut self, view: &View) {
        if !self.headed && !view.suites.is_empty() {
            self.headed = true;
            self.pace = Some(Pace::new(self.now));
            for line in header::header(view, &self.options) {
                self.canvas.say(&line);
            }
            for line in std::mem::take(&mut self.early) {
                self.canvas.say(&line);
            }
        }
    }

    fn say_verb(&mut self, style: anstyle::Style, verb: &str, text: &str) {
        let mut line = String::new();
        push_verb(self.options.paint, &mut line, style, verb);
        line.push(' ');
        line.push_str(text);
        self.canvas.say(&line);
    }

    fn draw(&mut self, view: &View) {
        let Some(size) = self.canvas.size() else { return };
        if view.outcome.is_some() || view.submitted == Time::default() {
            return;
        }
        // On fewer rows there is no room below what was said.
        if size.rows < LEAST_ROWS {
            self.canvas.flush();
            return;
        }
        let lines = frame::frame(view, self.scene(), size);
        self.canvas.draw(self.now, &lines);
        self.draw_taskbar(view);
    }

    fn draw_taskbar(&mut self, view: &View) {
        let (done, planned) = frame::progress(view);
        let percent = u8::try_from(done * 100 / planned.max(1)).unwrap_or(100);
        let bad = view.counts.red() > 0 || !view.errors.is_empty() || view.cancelled.is_some();
        if !self.options.taskbar || self.taskbar == Some((percent, bad)) {
            return;
        }
        self.taskbar = Some((percent, bad));
        let progress = if bad { TermProgress::error() } else { TermProgress::start() };
        self.canvas.signal(&progress.percent(percent.min(100)).to_string());
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        self.clear();
    }
}
