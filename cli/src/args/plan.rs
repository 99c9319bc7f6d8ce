//! `plan` and `split`: what would be run, when and where, without running it.

use super::heading;
use super::run::Selection;
use super::value::{LimitArg, ServerUrl, TableFormat};
use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

/// Predict how long a run takes, and what it takes to make it shorter
#[derive(Debug, Args)]
#[command(after_help = "\
The scheduler itself rehearses the run on a virtual clock, every test as long as history lets expect. Nothing is run.

Examples:
  regatta plan
  regatta plan api --slots 32
  regatta plan --target 5m                 how many slots that takes
  regatta plan --on http://build:7420 --out plan.json")]
pub(crate) struct PlanArgs {
    /// Which tests.
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// On how many slots [default: those of this machine, or of the coordinator's workers]
    #[arg(short = 'j', long, value_name = "N", env = "REGATTA_SLOTS", help_heading = heading::RULES)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) slots: Option<u32>,
    /// When the run should have ended, like 5m
    #[arg(long, value_name = "DUR", env = "REGATTA_TARGET", help_heading = heading::RULES)]
    pub(crate) target: Option<LimitArg>,
    /// Plan for the workers of this coordinator, by what it remembers
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: Option<ServerUrl>,
    /// Write the whole schedule to this file, as JSON
    #[arg(long, value_name = "FILE", env = "REGATTA_OUT", help_heading = heading::OUTPUT)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human", help_heading = heading::OUTPUT)]
    pub(crate) format: TableFormat,
}

/// Print one part of a suite, for CI jobs that share nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Every job lists the same tests and cuts them the same way, so that together they run all of them, each once. Groups that share
a fixture stay whole. The jobs must agree on the tests, the file of timings and the version of Regatta: the digest on standard
error is the same for all jobs that do.

Examples:
  regatta split --index 0 --total 4
  regatta split api --index $CI_NODE_INDEX --total $CI_NODE_TOTAL --history .test_durations | xargs pytest
  regatta split --index 1 --total 4 --format json")]
pub(crate) struct SplitArgs {
    /// Which tests.
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Which part, from 0
    #[arg(long, value_name = "I", env = "REGATTA_INDEX")]
    pub(crate) index: u32,
    /// How many parts there are
    #[arg(long, value_name = "N", env = "REGATTA_TOTAL", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) total: u32,
    /// Timings that every job has, as `regatta history import` takes them; without them, parts have the same number of tests
    #[arg(long, value_name = "FILE", env = "REGATTA_HISTORY", value_hint = ValueHint::FilePath)]
    pub(crate) history: Option<PathBuf>,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "ids", help_heading = heading::OUTPUT)]
    pub(crate) format: SplitFormat,
}

/// What `split` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitFormat {
    /// An id a line.
    #[default]
    Ids,
    /// A file a line; files are not divided.
    Files,
    /// One JSON document.
    Json,
}
