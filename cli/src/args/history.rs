//! `history`: what is remembered of tests, and timings of other tools.

use super::heading;
use super::value::{ServerUrl, TableFormat};
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

/// Show, import and export what is remembered of tests
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub(crate) command: HistoryCommand,
}

/// What to do with what is remembered.
#[derive(Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// Take the timings of other tools, so that the first run is balanced already
    #[command(after_help = "\
What Regatta measured itself is never overridden: a timing counts until the test has run here. Times that are negative or
no number are left out, and zero and more than a week are taken for the nearest that is believed; both are counted.

Examples:
  regatta history import .test_durations
  regatta history import build/test-results/*.xml --suite api
  regatta history import timings.json --format circleci --on http://build:7420")]
    Import(ImportArgs),
    /// Write what is known to standard output
    #[command(after_help = "\
Examples:
  regatta history export > history.jsonl
  regatta history export --suite api --format pytest-split > .test_durations")]
    Export(ExportArgs),
    /// Show what is known of tests
    #[command(after_help = "\
The last runs are told oldest first: `.` passed, `~` flaky, `x` did not pass. Markers and groups are not remembered, so
filters that ask for them select nothing.

Examples:
  regatta history show
  regatta history show tests/api/test_cart.py
  regatta history show -E 'slow(>5s) | failed()' --format json")]
    Show(ShowArgs),
}

/// Whose history.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::WHERE)]
pub(crate) struct Whose {
    /// The coordinator; what this machine remembers when left out
    #[arg(long, value_name = "URL", env = "REGATTA_ON")]
    pub(crate) on: Option<ServerUrl>,
    /// The project [default: that of the configuration]
    #[arg(long, value_name = "NAME", env = "REGATTA_PROJECT")]
    pub(crate) project: Option<String>,
}

/// Take the timings of other tools.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files of timings; `-` is standard input
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// The suite that the tests belong to [default: the one that knows most of them]
    #[arg(long, value_name = "NAME", env = "REGATTA_SUITE")]
    pub(crate) suite: Option<String>,
    /// What the files are
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "auto")]
    pub(crate) format: TimingFormat,
    /// Whose history.
    #[command(flatten)]
    pub(crate) whose: Whose,
}

/// Write what is known.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Only this suite
    #[arg(long, value_name = "NAME", env = "REGATTA_SUITE")]
    pub(crate) suite: Option<String>,
    /// What is written: a JSON object a line for each test, or one of seconds by test
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "regatta")]
    pub(crate) format: ExportFormat,
    /// Whose history.
    #[command(flatten)]
    pub(crate) whose: Whose,
}

/// Show what is known of tests.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Tests by file, directory or id
    #[arg(value_name = "TEST")]
    pub(crate) tests: Vec<String>,
    /// The tests that this filter selects; given more than once, those that any of them does
    #[arg(short = 'E', long = "filter", value_name = "FILTER", env = "REGATTA_FILTER")]
    pub(crate) filter: Vec<String>,
    /// Only this suite
    #[arg(long, value_name = "NAME", env = "REGATTA_SUITE")]
    pub(crate) suite: Option<String>,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human")]
    pub(crate) format: TableFormat,
    /// Whose history.
    #[command(flatten)]
    pub(crate) whose: Whose,
}

/// What a file of timings is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimingFormat {
    /// What it looks like.
    #[default]
    Auto,
    /// JUnit XML, in any dialect.
    Junit,
    /// The `.test_durations` of pytest-split: seconds by test.
    PytestSplit,
    /// A list of test cases with `run_time`.
    Circleci,
    /// Seconds by file.
    Knapsack,
    /// What `regatta history export` writes.
    Regatta,
}

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A JSON object a line for each test, which `history import` reads.
    #[default]
    Regatta,
    /// Seconds by test, which pytest-split reads.
    PytestSplit,
}
