//! What is shown, and what it is shown on: decided once, before the run begins.

use super::paint::Paint;
use crate::args::{FailureOutput, Progress, StatusLevel};
use std::ffi::OsString;
use std::io::IsTerminal as _;

/// What is shown.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Colours and signs.
    pub(crate) paint: Paint,
    /// The terminal, where what is written to is one on which the cursor may be moved.
    pub(crate) terminal: Option<Size>,
    /// How progress is shown.
    pub(crate) progress: Progress,
    /// Which tests get a line; what suits the kind of progress when left out.
    pub(crate) status_level: Option<StatusLevel>,
    /// Which tests get a line at the end.
    pub(crate) final_status_level: StatusLevel,
    /// When the output of failed tests is shown.
    pub(crate) failure_output: FailureOutput,
    /// Whether the terminal's task bar takes progress (OSC 9;4).
    pub(crate) taskbar: bool,
    /// Whether GitHub reads commands off standard error.
    pub(crate) annotations: bool,
    /// The slots that are asked for; 0 where the fleet decides.
    pub(crate) slots: u32,
    /// The profile, where it is not the default.
    pub(crate) profile: Option<String>,
    /// The coordinator, where there is one.
    pub(crate) on: Option<String>,
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// In characters.
    pub(crate) columns: usize,
    /// In lines.
    pub(crate) rows: usize,
}

/// How progress is shown, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// A bar that is drawn anew.
    Bar,
    /// A count in front of each line.
    Counter,
    /// A line now and then.
    Lines,
    /// Not at all.
    Nothing,
}

impl Options {
    /// How progress is shown: a bar only where the cursor may be moved.
    pub(super) const fn shown(&self) -> Shown {
        match self.progress {
            Progress::None => Shown::Nothing,
            Progress::Counter => Shown::Counter,
            Progress::Auto | Progress::Bar | Progress::Only if self.terminal.is_some() => Shown::Bar,
            Progress::Auto | Progress::Bar | Progress::Only => Shown::Lines,
        }
    }

    /// Which tests get a line. A line for each pass of ten thousand hides what matters: without being asked, only a counter
    /// brings them.
    pub(super) fn level(&self) -> StatusLevel {
        let suits = match self.progress {
            Progress::Only => StatusLevel::None,
            Progress::Counter => StatusLevel::Pass,
            Progress::Auto | Progress::Bar | Progress::None => StatusLevel::Slow,
        };
        self.status_level.unwrap_or(suits)
    }

    /// Whether output is shown as soon as a test failed.
    pub(super) const fn immediate(&self) -> bool {
        matches!(self.failure_output, FailureOutput::Immediate | FailureOutput::ImmediateFinal)
    }

    /// Whether output is shown at the end.
    pub(super) const fn at_the_end(&self) -> bool {
        matches!(self.failure_output, FailureOutput::Final | FailureOutput::ImmediateFinal)
    }
}

/// The terminal that standard error is, where the cursor may be moved on it: not in CI, whose logs keep every escape
/// sequence, and not where the terminal says that it is dumb.
pub(crate) fn terminal(env: impl Fn(&str) -> Option<OsString>) -> Option<Size> {
    let stderr = std::io::stderr();
    if !stderr.is_terminal() || !may_move(env) {
        return None;
    }
    size()
}

/// The size of the terminal that standard error is, as it is now.
pub(crate) fn size() -> Option<Size> {
    let (terminal_size::Width(columns), terminal_size::Height(rows)) =
        terminal_size::terminal_size_of(std::io::stderr())?;
    // A terminal that does not know its size says zero.
    let known = |size: u16, usual: usize| if size == 0 { usual } else { usize::from(size) };
    Some(Size { columns: known(columns, 80), rows: known(rows, 24) })
}

/// Whether the terminal that standard error is shows progress in its task bar.
pub(crate) fn taskbar() -> bool {
    anstyle_progress::supports_term_progress(std::io::stderr().is_terminal())
}

fn may_move(env: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_dumb = env("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    !is_dumb && !in_ci(&env)
}

/// Whether this runs in a CI system.
fn in_ci(env: &impl Fn(&str) -> Option<OsString>) -> bool {
    env("CI").is_some_and(|value| !value.is_empty() && value != "0" && value != "false")
}

/// Whether GitHub reads what is written: its runner takes commands off standard output and standard error alike.
pub(crate) fn in_github(env: &impl Fn(&str) -> Option<OsString>) -> bool {
    env("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Whether signs beyond ASCII are shown as what they are: unless the locale or the terminal says otherwise.
pub(crate) fn unicode(env: &impl Fn(&str) -> Option<OsString>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env).find(|value| !value.is_empty());
    let utf8 = locale.is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    utf8 && env("TERM").is_none_or(|term| term != "linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    }

    #[test]
    fn the_cursor_stays_where_it_may_not_be_moved() {
        let cases: [(&[(&str, &str)], bool); 6] = [
            (&[("TERM", "xterm-256color")], true),
            (&[("TERM", "dumb")], false),
            (&[], false),
            (&[("TERM", "xterm"), ("CI", "true")], false),
            (&[("TERM", "xterm"), ("CI", "false")], true),
            (&[("TERM", "xterm"), ("CI", "")], true),
        ];
        for (variables, wanted) in cases {
            assert_eq!(may_move(env(variables)), wanted, "{variables:?}");
        }
    }

    #[test]
    fn signs_follow_the_locale() {
        let cases: [(&[(&str, &str)], bool); 6] = [
            (&[], true),
            (&[("LANG", "en_GB.UTF-8")], true),
            (&[("LANG", "en_GB.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LC_ALL", "C.utf8")], true),
            (&[("LANG", "POSIX")], false),
            (&[("TERM", "linux")], false),
        ];
        for (variables, wanted) in cases {
            assert_eq!(unicode(&env(variables)), wanted, "{variables:?}");
        }
    }
}
