//! What a run tells while it goes on, as lines: each piece of news, slow tests, progress.

use super::super::options::Shown;
use super::super::paint::{FAIL, PASS};
use super::super::status::{self, Status};
use super::super::{closing, failure, frame, safe, words};
use super::Screen;
use crate::args::StatusLevel;
use crate::view::{News, View};
use regatta_domain::report::CancelCause;
use regatta_domain::{Micros, TestIx, Verdict};
use std::io::Write;

/// Off a terminal, notes are written at most so often.
const NOTE_EVERY: Micros = Micros::from_secs(5);

impl<W: Write> Screen<W> {
    /// The lines that one piece of news becomes.
    pub(super) fn show(&mut self, view: &View, news: &News) {
        match news {
            News::Started(test) => {
                self.note = None;
                self.slow.remove(test);
            }
            News::Retried(test) => self.retried(view, *test),
            News::Verdict(test, verdict) => self.verdict(view, *test, *verdict),
            News::Lost(test) => {
                self.slow.remove(test);
                let told = view.test(*test).lost.last().filter(|loss| loss.number > 0);
                let why = told.map_or_else(|| "its worker was lost".to_owned(), status::lost_because);
                self.say_test(view, *test, &Status::lost(), None, Some(format!("{why}; it runs again")));
            }
            News::Erred(at) => self.erred(view, *at),
            News::Note(text) => self.noted(text),
            News::Cancelled(cause) => self.cancelled(view, *cause),
            // What counts for nothing is kept for those who look for it.
            News::Refused(..) => {}
            News::Submitted | News::Planned | News::Gone(_) | News::Leased(_) | News::Closing | News::Ended(_) => {}
        }
    }

    fn retried(&mut self, view: &View, test: TestIx) {
        self.slow.remove(&test);
        if let Some(attempt) = view.test(test).last() {
            let reason = attempt.reason.as_deref().map(|reason| safe::one_line(reason).into_owned());
            self.say_test(view, test, &Status::of_attempt(attempt), Some(attempt.duration), reason);
        }
    }

    fn verdict(&mut self, view: &View, test: TestIx, verdict: Verdict) {
        self.slow.remove(&test);
        // What was not run has one cause, which is told, and is counted at the end.
        if verdict == Verdict::NotRun && self.level < StatusLevel::All {
            return;
        }
        // Its block follows as soon as its output is here, and begins with the same line.
        if self.wants(view, test).is_some() {
            return;
        }
        let status = Status::of_verdict(view, test, verdict);
        let time = view.test(test).last().map(|last| last.duration);
        let reason = (!verdict.is_ok()).then(|| status::reason(view.test(test))).flatten();
        self.say_test(view, test, &status, time, reason);
    }

    fn say_test(&mut self, view: &View, test: TestIx, status: &Status, time: Option<Micros>, reason: Option<String>) {
        if status.level > self.level {
            return;
        }
        let count = if self.shown == Shown::Counter { format!("({}) ", frame::tally_of(view)) } else { String::new() };
        let line = status.line(self.options.paint, view, test, time, &count);
        if !self.headed {
            self.early.push(line);
            return;
        }
        self.canvas.say(&line);
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            self.say_verb(FAIL, "", &reason);
        }
    }

    fn erred(&mut self, view: &View, at: usize) {
        let error = &view.errors[at].error;
        let is_new = view.errors[..at].iter().all(|said| said.error != *error);
        if self.level >= StatusLevel::Fail && is_new {
            let place = safe::one_line(&error.place);
            let text = format!("{place}: {}", failure::last_line(error));
            self.say_verb(FAIL, "ERROR", &text);
        }
    }

    fn noted(&mut self, text: &str) {
        let since = self.now.since(self.noted_at);
        if self.shown == Shown::Lines && since >= NOTE_EVERY {
            self.noted_at = self.now;
            self.say_verb(PASS, "Note", &safe::one_line(text));
        }
        self.note = Some(text.to_owned());
    }

    fn cancelled(&mut self, view: &View, cause: CancelCause) {
        let why = closing::cancelled_because(cause);
        let running = match view.running.len() {
            0 => String::new(),
            tests => format!("; {} may end", words::count_of(tests, "running test")),
        };
        self.say_verb(FAIL, "Cancelling", &format!("{why}{running}; no other test begins"));
    }

    /// Tests that run longer than usual are named, again each time the time has doubled.
    pub(super) fn say_slow(&mut self, view: &View) {
        let mut late = Vec::new();
        for (test, running) in &view.running {
            let elapsed = self.now.since(running.since);
            let usual = view.policy_of(*test).map_or(Micros::ZERO, |policy| policy.slow);
            let next = *self.slow.get(test).unwrap_or(&usual);
            if usual > Micros::ZERO && elapsed >= next {
                late.push((*test, next));
            }
        }
        for (test, limit) in late {
            self.slow.insert(test, limit * 2);
            if self.level >= StatusLevel::Slow {
                let mut line = String::new();
                Status::slow().push_verb(self.options.paint, &mut line);
                line.push_str(&format!(" [>{:>7.3}s] ", limit.as_secs_f64()));
                status::push_test(self.options.paint, &mut line, view, test);
                self.canvas.say(&line);
            }
        }
    }

    /// A line about progress, where one is due.
    pub(super) fn say_progress(&mut self, view: &View) {
        let (done, planned) = frame::progress(view);
        let now = self.now;
        if !self.pace.as_mut().is_some_and(|pace| pace.is_due(now, done, planned)) {
            return;
        }
        let scene = self.scene();
        let percent = (done * 100).checked_div(planned).map_or_else(String::new, |percent| format!(" ({percent}%)"));
        let mut text = format!("{} {}{percent}", words::clock(now.since(view.submitted)), frame::tally_of(view));
        text.push_str(&frame::left_of(view, scene));
        for (at, (_, part)) in frame::parts(view).into_iter().enumerate() {
            text.push_str(if at == 0 { ": " } else { ", " });
            text.push_str(&part);
        }
        let longest = view.running.iter().min_by_key(|(_, running)| running.since);
        if let Some((test, running)) = longest.filter(|(_, running)| now.since(running.since) >= Micros::from_secs(5)) {
            let elapsed = words::span(now.since(running.since));
            text.push_str(&format!("; longest for {elapsed}: {}", status::id(view, *test)));
        }
        self.say_verb(PASS, "Progress", &text);
    }
}
