//! The commands that look and do not run: `list`, `init`, `doctor`, `config`, `explain`, `schema`.

use super::heading;
use super::run::Selection;
use super::value::{RunRef, ServerUrl, TableFormat};
use clap::{Args, Subcommand};

/// Show which tests a selection holds
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  regatta list
  regatta list api -E 'tag(db) - level(none)'
  regatta list --format json | jq -r '.tests[].id'")]
pub(crate) struct ListArgs {
    /// Which tests.
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human", help_heading = heading::OUTPUT)]
    pub(crate) format: TableFormat,
}

/// Write a regatta.toml for what is found here
#[derive(Debug, Args)]
#[command(after_help = "An existing file is never overwritten; `regatta config show` prints what would be written.")]
pub(crate) struct InitArgs {}

/// Check everything that a run needs
#[derive(Debug, Args)]
#[command(after_help = "\
Every line is ✓ or ✗; a ✗ says how to fix it. The exit code is 3 if there is one.

Examples:
  regatta doctor
  regatta doctor --on http://build:7420 --json")]
pub(crate) struct DoctorArgs {
    /// The coordinator to reach
    #[arg(long, value_name = "URL", env = "REGATTA_ON")]
    pub(crate) on: Option<ServerUrl>,
    /// Write one JSON document instead of lines
    #[arg(long, env = "REGATTA_JSON")]
    pub(crate) json: bool,
}

/// Show the configuration
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every value that counts
    #[command(after_help = "\
Flags and variables of `run` count, too: what is shown is what such a run would use.

Examples:
  regatta config show --origin
  REGATTA_SLOTS=2 regatta config show --profile ci --origin")]
    Show {
        /// Say where each value comes from
        #[arg(long, env = "REGATTA_ORIGIN")]
        origin: bool,
        /// What standard output carries
        #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human")]
        format: TableFormat,
        /// The profile to resolve, as `run` would.
        #[command(flatten)]
        selection: Selection,
        /// Rules, as given to `run`.
        #[command(flatten)]
        rules: super::Rules,
    },
}

/// Explain an exit code, a filter, a test or a run
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  regatta explain 4
  regatta explain no-tests
  regatta explain tests/test_cart.py::test_total   where it ran in the latest run, and why there
  regatta explain test_total --run 4f1c --on http://build:7420
  regatta explain latest                           what a run came to, and what held it back
  regatta explain filter 'suite(api) & tag(db) - test(#*[sqlite*])'")]
pub(crate) struct ExplainArgs {
    /// An exit code or its name; how the id of a test ends; a run (`latest`, or how its id begins); or the word `filter`
    #[arg(value_name = "CODE|TEST|RUN|filter")]
    pub(crate) what: String,
    /// The filter
    #[arg(value_name = "FILTER", required_if_eq("what", "filter"))]
    pub(crate) filter: Option<String>,
    /// The run in which the test is looked at [default: latest]
    #[arg(long, value_name = "RUN", env = "REGATTA_RUN")]
    pub(crate) run: Option<RunRef>,
    /// The coordinator that knows the run; this machine's own runs when left out
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: Option<ServerUrl>,
}

/// Print the JSON Schema of regatta.toml, or of the event stream
#[derive(Debug, Args)]
#[command(after_help = "\
Editors check and complete regatta.toml with it. Write it to a file, and name that in the first line of regatta.toml:
  regatta schema > regatta.schema.json
  #:schema ./regatta.schema.json")]
pub(crate) struct SchemaArgs {
    /// Of what: `config` is regatta.toml, `events` the stream of `--format ndjson`
    #[arg(value_name = "WHAT", default_value = "config", value_parser = ["config", "events"])]
    pub(crate) what: String,
}
