//! `run`, `rerun` and `report`: what to run, under which rules, where, and what to show of it.

use super::complete;
use super::heading;
use super::value::{
    FailureOutput, Fallback, LimitArg, NoTests, Progress, ReportArg, RunRef, ServerUrl, StatusLevel, StreamFormat,
    fail_fast, order, priority, shuffle,
};
use crate::config::value::{FailFast, Shuffle};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use regatta_domain::policy::{Order, Priority};

/// The long description of `run`.
pub(crate) const ABOUT_RUN: &str = "\
Run tests.

Without arguments, the suites of the profile are run. Name suites to run just those, and tests to run just those: a file, \
a directory, or an id as Regatta prints it. With both, the tests are looked for in those suites. Filters narrow the \
selection further; several filters add up.

Without a regatta.toml, Regatta looks for pytest, cargo and test commands, says what it assumed, and runs that.";

/// Run tests
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  regatta run                                   the suites of the profile
  regatta run api                               the suite `api`
  regatta run tests/test_cart.py                one file
  regatta run 'tests/test_cart.py::test_total'  one test, as printed with a failure
  regatta run -E 'tag(db) & failed()'           tests by filter (see docs/filters.md)
  regatta run --profile ci --report junit=junit.xml
  regatta run --shuffle=42 --fail-fast          in a fixed random order, up to the first failure
  regatta run --order risk                      what is likely to fail first
  regatta run --on http://build:7420 --fallback local
  regatta run --on http://build:7420 --target 5m --priority interactive")]
pub(crate) struct RunArgs {
    /// Which tests.
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Under which rules.
    #[command(flatten)]
    pub(crate) rules: Rules,
    /// Where.
    #[command(flatten)]
    pub(crate) place: Where,
    /// What is shown.
    #[command(flatten)]
    pub(crate) display: Display,
}

/// Run what failed, did not run, or is new since a run
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  regatta rerun                  what is left of the latest run
  regatta rerun 4f1c --slots 1   what is left of the run whose id begins with 4f1c, one test at a time")]
pub(crate) struct RerunArgs {
    /// Which run, and how.
    #[command(flatten)]
    pub(crate) after: After,
    /// The tests of the run that are looked at: a filter expression
    #[arg(short = 'E', long = "filter", value_name = "FILTER", env = "REGATTA_FILTER", help_heading = heading::SELECTION)]
    pub(crate) filter: Vec<String>,
}

/// Go on with a run that was ended before all of it was done
#[derive(Debug, Args)]
#[command(after_help = "\
What the run found out stands, failures included. What it did not get to is run, and what came to
nothing for a cause outside of the test: a worker that was lost, a resource that was not well. The
result is that of both together. A run that has not ended is followed: it goes on by itself.

Examples:
  regatta resume                            the latest run, after Ctrl-C or a power failure
  regatta resume 4f1c --on http://build:7420")]
pub(crate) struct ResumeArgs {
    /// Which run, and how.
    #[command(flatten)]
    pub(crate) after: After,
}

/// The run that is followed up by another one, and how that one runs.
#[derive(Debug, Args)]
pub(crate) struct After {
    /// The run: `latest`, or how its id begins
    #[arg(value_name = "RUN", env = "REGATTA_RUN", default_value = "latest")]
    pub(crate) run: RunRef,
    /// The profile whose rules hold
    #[arg(long, value_name = "NAME", env = "REGATTA_PROFILE", help_heading = heading::SELECTION)]
    #[arg(add = ArgValueCandidates::new(complete::profiles))]
    pub(crate) profile: Option<String>,
    /// Under which rules.
    #[command(flatten)]
    pub(crate) rules: Rules,
    /// Where.
    #[command(flatten)]
    pub(crate) place: Where,
    /// What is shown.
    #[command(flatten)]
    pub(crate) display: Display,
}

/// Show a run that has ended, and write reports of it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  regatta report latest
  regatta report 4f1c --report junit=junit.xml --report ctrf=ctrf.json")]
pub(crate) struct ReportArgs {
    /// The run: `latest`, or how its id begins
    #[arg(value_name = "RUN", env = "REGATTA_RUN", default_value = "latest")]
    pub(crate) run: RunRef,
    /// The coordinator that knows the run; this machine's own runs when left out
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: Option<ServerUrl>,
    /// What is shown.
    #[command(flatten)]
    pub(crate) display: Display,
}

/// Which tests.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = heading::SELECTION)]
pub(crate) struct Selection {
    /// Suites by name; tests by file, directory or id
    #[arg(value_name = "SUITE|TEST", add = ArgValueCandidates::new(complete::suites))]
    pub(crate) what: Vec<String>,
    /// The tests that this filter selects; given more than once, those that any of them does
    #[arg(short = 'E', long = "filter", value_name = "FILTER", env = "REGATTA_FILTER")]
    pub(crate) filter: Vec<String>,
    /// The profile whose suites are run, and whose rules hold [default: default]
    #[arg(long, value_name = "NAME", env = "REGATTA_PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub(crate) profile: Option<String>,
    /// What an empty selection is
    #[arg(long, value_name = "WHAT", env = "REGATTA_NO_TESTS", default_value = "fail")]
    pub(crate) no_tests: NoTests,
}

/// Under which rules.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = heading::RULES)]
pub(crate) struct Rules {
    /// How many tests run at once on this machine [default: one per processor]
    #[arg(short = 'j', long, value_name = "N", env = "REGATTA_SLOTS")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) slots: Option<u16>,
    /// How often a test that failed, timed out or crashed is run again
    #[arg(long, value_name = "N", env = "REGATTA_RETRIES", value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(crate) retries: Option<u16>,
    /// Stop a test that runs longer than this, like 30s or 5m
    #[arg(long, value_name = "DUR", env = "REGATTA_TIMEOUT")]
    pub(crate) timeout: Option<LimitArg>,
    /// Cancel the run after this, like 1h30m
    #[arg(long, value_name = "DUR", env = "REGATTA_RUN_TIMEOUT")]
    pub(crate) run_timeout: Option<LimitArg>,
    /// Cancel the run at the first failure, or after N of them; `never` where the profile says otherwise
    #[arg(long, value_name = "N", env = "REGATTA_FAIL_FAST", value_parser = fail_fast)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub(crate) fail_fast: Option<FailFast>,
    /// Hand tests out in random order, drawn or from SEED; `off` where the profile says otherwise
    #[arg(long, value_name = "SEED", env = "REGATTA_SHUFFLE", value_parser = shuffle)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "random")]
    pub(crate) shuffle: Option<Shuffle>,
    /// What goes first: what takes longest, or what is likely to fail [default: longest]
    #[arg(long, value_name = "ORDER", env = "REGATTA_ORDER", value_parser = order())]
    pub(crate) order: Option<Order>,
    /// How the run stands against others on the same coordinator [default: ci]
    #[arg(long, value_name = "CLASS", env = "REGATTA_PRIORITY", value_parser = priority())]
    pub(crate) priority: Option<Priority>,
    /// When the run should have ended, like 5m: says before the first test what that takes
    #[arg(long, value_name = "DUR", env = "REGATTA_TARGET")]
    pub(crate) target: Option<LimitArg>,
    /// Run a harmless test that takes far longer than estimated a second time, when slots are idle
    #[arg(long, value_name = "BOOL", env = "REGATTA_SPECULATE")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) speculate: Option<bool>,
    /// Count the statements that tests send to their databases, and tell the slowest and which tests send more than they used to
    #[arg(long, value_name = "BOOL", env = "REGATTA_STATEMENTS")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) statements: Option<bool>,
}

/// Where tests run.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = heading::WHERE)]
pub(crate) struct Where {
    /// Run on the workers of this coordinator; on this machine when left out
    #[arg(long, value_name = "URL", env = "REGATTA_ON")]
    pub(crate) on: Option<ServerUrl>,
    /// What to do when the coordinator cannot be reached; an error when left out
    #[arg(long, value_name = "WHERE", env = "REGATTA_FALLBACK", requires = "on")]
    pub(crate) fallback: Option<Fallback>,
}

/// What is shown and written.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = heading::OUTPUT)]
pub(crate) struct Display {
    /// Write a report: junit, ctrf, ndjson or github; may be given more than once
    #[arg(long, value_name = "FORMAT=PATH", env = "REGATTA_REPORT", value_delimiter = ',')]
    pub(crate) report: Vec<ReportArg>,
    /// What standard output carries: nothing (people read standard error), or events, one JSON object per line
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human")]
    pub(crate) format: StreamFormat,
    /// How progress is shown
    #[arg(long, value_name = "HOW", env = "REGATTA_SHOW_PROGRESS", default_value = "auto")]
    pub(crate) show_progress: Progress,
    /// Which tests get a line while the run goes on [default: what suits the progress]
    #[arg(long, value_name = "LEVEL", env = "REGATTA_STATUS_LEVEL")]
    pub(crate) status_level: Option<StatusLevel>,
    /// Which tests get a line at the end
    #[arg(long, value_name = "LEVEL", env = "REGATTA_FINAL_STATUS_LEVEL", default_value = "fail")]
    pub(crate) final_status_level: StatusLevel,
    /// When the output of failed tests is shown
    #[arg(long, value_name = "WHEN", env = "REGATTA_FAILURE_OUTPUT", default_value = "final")]
    pub(crate) failure_output: FailureOutput,
}
