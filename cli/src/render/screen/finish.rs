//! What a run tells when it has ended: blocks, lists, annotations, and the last lines.

use super::super::failure::{self, Telling};
use super::super::status::Status;
use super::super::{Ending, closing, statements};
use super::Screen;
use crate::args::{FailureOutput, StatusLevel};
use crate::report::{Sources, annotation};
use crate::view::{Outputs, View};
use std::io::Write;

impl<W: Write> Screen<W> {
    /// Says how the run ended.
    pub(crate) fn finish(&mut self, view: &View, outputs: &Outputs, ending: &Ending<'_>) {
        self.head(view);
        self.clear();
        let paint = self.options.paint;
        let output = match self.options.failure_output {
            FailureOutput::Immediate => None,
            FailureOutput::Never => Some(Telling { paint, flags: ending.flags, outputs: None }),
            FailureOutput::Final | FailureOutput::ImmediateFinal => {
                Some(Telling { paint, flags: ending.flags, outputs: self.options.at_the_end().then_some(outputs) })
            }
        };
        let mut lines = output.map_or_else(Vec::new, |telling| failure::blocks(view, telling));
        lines.extend(self.final_lines(view));
        if self.options.final_status_level >= StatusLevel::Fail {
            let list = failure::list(view, paint);
            if !list.is_empty() {
                lines.push(String::new());
            }
            lines.extend(list);
        }
        if self.options.annotations {
            lines.extend(annotation::annotations(view, outputs, &Sources::in_repository()));
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let columns = self.options.terminal.map(|size| size.columns);
        lines.extend(statements::section(view, paint, columns, ending));
        lines.extend(closing::closing(view, paint, ending));
        for line in lines {
            self.canvas.say(&line);
        }
        self.canvas.flush();
    }

    /// Status lines at the end, beyond failures and flaky tests, which are listed anyway.
    fn final_lines(&self, view: &View) -> Vec<String> {
        let level = self.options.final_status_level;
        if level < StatusLevel::Slow {
            return Vec::new();
        }
        let mut lines = vec![String::new()];
        for (ix, test) in view.planned() {
            let Some(verdict) = test.verdict else { continue };
            let status = Status::of_verdict(view, ix, verdict);
            if status.level > StatusLevel::Retry && status.level <= level {
                lines.push(status.line(self.options.paint, view, ix, test.last().map(|last| last.duration), ""));
            }
        }
        lines
    }
}
