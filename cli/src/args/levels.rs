//! `levels`: what tests do to their databases, learned by watching them, and checked against what they were leased.

use super::heading;
use super::run::{Selection, Where};
use super::value::{LimitArg, Progress, RunRef, ServerUrl, TableFormat};
use clap::{Args, Subcommand, ValueEnum};

/// Infer the database levels of tests, or check them
#[derive(Debug, Args)]
pub(crate) struct LevelsArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: LevelsCommand,
}

/// What to do about levels.
#[derive(Debug, Subcommand)]
pub(crate) enum LevelsCommand {
    /// Run tests alone, each on a server of its own, and tell which level each belongs to
    #[command(after_help = "\
Whatever a test does is seen, and nothing that was declared counts. A test that fails gets no level.

Examples:
  regatta levels infer                         every test; prints what could be written
  regatta levels infer api -E 'new()'          only tests that nobody has seen yet
  regatta levels infer --write config          into regatta.toml, as overrides
  regatta levels infer --write markers | git apply")]
    Infer(InferArgs),
    /// Tell which tests of a run did more than they were leased for, and which much less
    #[command(after_help = "\
The exit code is 1 where a test did more than its level says: what it did was undone, and its marker has to be corrected.

Examples:
  regatta levels check
  regatta levels check 4f1c --on http://build:7420 --format json")]
    Check(CheckArgs),
}

/// Infer levels.
#[derive(Debug, Args)]
pub(crate) struct InferArgs {
    /// Which tests.
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How many tests run at once on this machine [default: one per processor]
    #[arg(short = 'j', long, value_name = "N", env = "REGATTA_SLOTS", help_heading = heading::RULES)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) slots: Option<u16>,
    /// Stop a test that runs longer than this, like 30s or 5m
    #[arg(long, value_name = "DUR", env = "REGATTA_TIMEOUT", help_heading = heading::RULES)]
    pub(crate) timeout: Option<LimitArg>,
    /// Where.
    #[command(flatten)]
    pub(crate) place: Where,
    /// Where the levels go: `config` writes overrides into regatta.toml, `markers` prints a patch of the test files
    #[arg(long, value_name = "WHERE", env = "REGATTA_WRITE", default_value = "none", help_heading = heading::OUTPUT)]
    pub(crate) write: Write,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human", help_heading = heading::OUTPUT)]
    pub(crate) format: TableFormat,
    /// How progress is shown
    #[arg(long, value_name = "HOW", env = "REGATTA_SHOW_PROGRESS", default_value = "auto")]
    #[arg(help_heading = heading::OUTPUT)]
    pub(crate) show_progress: Progress,
}

/// Where inferred levels go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Write {
    /// Nowhere: the overrides that could be written are printed.
    #[default]
    None,
    /// Into regatta.toml.
    Config,
    /// Into a patch on standard output.
    Markers,
}

/// Check the levels of a run.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The run: `latest`, or how its id begins
    #[arg(value_name = "RUN", env = "REGATTA_RUN", default_value = "latest")]
    pub(crate) run: RunRef,
    /// The coordinator that knows the run; this machine's own runs when left out
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: Option<ServerUrl>,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human", help_heading = heading::OUTPUT)]
    pub(crate) format: TableFormat,
}
