//! Exit codes: an interface that people script on, in this one place.
//!
//! A code never changes its meaning. `regatta explain CODE` and `docs/exit-codes.md` print what stands here.

use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything is well.
    Ok,
    /// Something that ran is red.
    TestsFailed,
    /// What was asked makes no sense.
    Usage,
    /// Regatta's own machinery failed.
    Infrastructure,
    /// Nothing was selected.
    NoTests,
    /// What ran passed, but not everything has.
    Outstanding,
    /// Green but for flaky tests, which the profile counts as failures.
    Flaky,
    /// A threshold was missed.
    Threshold,
    /// Ended by Ctrl-C.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

impl Exit {
    /// Every way to end, by code.
    pub(crate) const ALL: [Self; 10] = [
        Self::Ok,
        Self::TestsFailed,
        Self::Usage,
        Self::Infrastructure,
        Self::NoTests,
        Self::Outstanding,
        Self::Flaky,
        Self::Threshold,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::TestsFailed => 1,
            Self::Usage => 2,
            Self::Infrastructure => 3,
            Self::NoTests => 4,
            Self::Outstanding => 5,
            Self::Flaky => 6,
            Self::Threshold => 7,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The name, printed beside the code.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::TestsFailed => "tests-failed",
            Self::Usage => "usage",
            Self::Infrastructure => "infrastructure",
            Self::NoTests => "no-tests",
            Self::Outstanding => "outstanding",
            Self::Flaky => "flaky",
            Self::Threshold => "threshold",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }

    /// What it means and what to do about it, in one paragraph.
    pub(crate) const fn explanation(self) -> &'static str {
        match self {
            Self::Ok => {
                "Every planned test has exactly one verdict, none of them red, and nothing else went wrong. Skipped tests \
                 and expected failures are not red; neither are flaky tests, unless the profile says `flaky = \"fail\"`."
            }
            Self::TestsFailed => {
                "At least one test failed, exceeded its limit, crashed or was never run to an end, or something beside the \
                 tests went wrong: a file that could not be collected, a build error, a teardown. The failures are listed \
                 at the end of the run, each with a command that reproduces it; `regatta rerun` runs just those again."
            }
            Self::Usage => {
                "What was asked makes no sense: an unknown flag, suite or profile, a mistake in regatta.toml or in a filter. \
                 Nothing was run. The message names the place and what to write instead; `regatta config show` prints what \
                 Regatta understood."
            }
            Self::Infrastructure => {
                "Regatta's own machinery failed, so the run says nothing about the tests: the coordinator cannot be reached \
                 or was lost, no worker took the work, the store refused to write. `regatta doctor` checks what a run \
                 needs; `--fallback local` runs here when the coordinator cannot be reached."
            }
            Self::NoTests => {
                "The selection holds no test. That is an error, because a misspelt filter must not look like success; \
                 `--no-tests pass` makes it a success, `--no-tests warn` one with a warning. `regatta list` with the same \
                 arguments shows what is selected."
            }
            Self::Outstanding => {
                "Everything that ran has passed, but tests of the run that was continued are still outstanding: `regatta \
                 rerun` was given a filter that leaves some of them out. The end of the output counts them and names the \
                 run: `regatta rerun RUN`, without a filter, runs what is left of it."
            }
            Self::Flaky => {
                "Every test passed in the end, some of them only after a retry, and the profile says `flaky = \"fail\"`. The \
                 flaky tests are listed at the end of the run."
            }
            Self::Threshold => {
                "The tests passed, but a threshold on their numbers (a failure rate, a duration) was missed. The summary \
                 shows each threshold beside the measured value."
            }
            Self::Interrupted => {
                "The run was interrupted with Ctrl-C. The first one stops handing out tests and lets running ones end, the \
                 second kills them. What has a verdict keeps it; `regatta resume` runs the rest."
            }
            Self::Terminated => {
                "The run was ended by SIGTERM, which works like Ctrl-C: the first stops handing out tests and lets running \
                 ones end, the second kills them. What has a verdict keeps it; `regatta resume` runs the rest."
            }
        }
    }

    /// The way to end that has this code or name.
    pub(crate) fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.name() == text || exit.code().to_string() == text)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_what_people_script_on() {
        let codes: Vec<(u8, &str)> = Exit::ALL.into_iter().map(|exit| (exit.code(), exit.name())).collect();
        let wanted = [
            (0, "ok"),
            (1, "tests-failed"),
            (2, "usage"),
            (3, "infrastructure"),
            (4, "no-tests"),
            (5, "outstanding"),
            (6, "flaky"),
            (7, "threshold"),
            (130, "interrupted"),
            (143, "terminated"),
        ];
        assert_eq!(codes, wanted);
        assert_eq!(Exit::named("4"), Some(Exit::NoTests));
        assert_eq!(Exit::named("flaky"), Some(Exit::Flaky));
        assert_eq!(Exit::named("8"), None);
    }

    #[test]
    fn the_page_says_what_the_code_says() {
        let page = include_str!("../../docs/exit-codes.md");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let page = words(page);
        for exit in Exit::ALL {
            let heading = format!("## {} {}", exit.code(), exit.name());
            assert!(page.contains(&heading), "{heading}");
            assert!(page.contains(&words(exit.explanation())), "{heading} is explained otherwise");
        }
    }
}
