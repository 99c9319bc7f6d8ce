//! What was typed: the commands and their flags, as clap reads them.
//!
//! Low arguments: each says only what stands on the command line or in the environment. What it means together with the
//! configuration is `intent`'s to say. Every flag has a variable `REGATTA_<FLAG>`.

mod complete;
mod fleet;
mod history;
mod levels;
mod look;
mod plan;
mod resources;
mod run;
mod store;
mod value;

pub(crate) use fleet::{
    CancelArgs, CoordinatorArgs, CoordinatorCommand, HandoverArgs, RunsArgs, StatusArgs, WatchArgs, WorkerArgs,
    WorkersArgs,
};
pub(crate) use history::{
    ExportArgs, ExportFormat, HistoryArgs, HistoryCommand, ImportArgs, ShowArgs, TimingFormat, Whose,
};
pub(crate) use levels::{CheckArgs, InferArgs, LevelsArgs, LevelsCommand, Write};
pub(crate) use look::{ConfigArgs, ConfigCommand, DoctorArgs, ExplainArgs, InitArgs, ListArgs, SchemaArgs};
pub(crate) use plan::{PlanArgs, SplitArgs, SplitFormat};
pub(crate) use resources::{ReserveArgs, ResourcesArgs, ResourcesCommand, Target};
pub(crate) use run::{After, Display, ReportArgs, RerunArgs, ResumeArgs, Rules, RunArgs, Selection, Where};
pub(crate) use store::{BackupArgs, CheckStoreArgs, MigrateArgs, RestoreArgs, StoreArgs, StoreCommand};
pub(crate) use value::{
    FailureOutput, Fallback, NoTests, Progress, ReportArg, ResourceArg, RunRef, ServerUrl, ShareArg, StatusLevel,
    StreamFormat, TableFormat,
};

use crate::colour::When;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueHint};
use std::path::PathBuf;

/// The headings that flags stand under in the help.
pub(crate) mod heading {
    /// Which tests.
    pub(crate) const SELECTION: &str = "Selection";
    /// Under which rules.
    pub(crate) const RULES: &str = "Rules";
    /// Where they run.
    pub(crate) const WHERE: &str = "Where";
    /// What stays.
    pub(crate) const KEPT: &str = "Kept";
    /// What is shown.
    pub(crate) const OUTPUT: &str = "Output";
    /// For every command.
    pub(crate) const GLOBAL: &str = "Global";
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  regatta run                              everything, with or without a regatta.toml
  regatta run -E 'file(tests/api/*) - tag(slow)'
  regatta plan --target 5m                 how long it takes, and how many slots reach five minutes
  regatta rerun                            what failed, did not run, or is new since
  regatta coordinator --listen 0.0.0.0:7420
  regatta worker --on http://build:7420
  regatta run --on http://build:7420 --fallback local
  regatta history import .test_durations   the first run is balanced already

Every flag can be set in the environment, too: --slots is REGATTA_SLOTS.
Exit codes are explained by `regatta explain CODE`.";

/// Runs test suites: alone on this machine, or over a fleet of workers.
#[derive(Debug, Parser)]
#[command(name = "regatta", version, after_help = EXAMPLES, styles = STYLES, infer_subcommands = true)]
#[command(max_term_width = 110, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: Global,
}

/// What holds for every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = heading::GLOBAL)]
pub(crate) struct Global {
    /// The configuration file, instead of the nearest regatta.toml
    #[arg(long, env = "REGATTA_CONFIG", value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// When to use colour; NO_COLOR, FORCE_COLOR and CLICOLOR are heard, too
    #[arg(long, env = "REGATTA_COLOR", value_name = "WHEN", global = true)]
    pub(crate) color: Option<When>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run tests
    #[command(long_about = run::ABOUT_RUN)]
    Run(RunArgs),
    /// Show which tests a selection holds
    List(ListArgs),
    /// Predict how long a run takes, and what it takes to make it shorter
    Plan(PlanArgs),
    /// Print one part of a suite, for CI jobs that share nothing
    Split(SplitArgs),
    /// Run what failed, did not run, or is new since a run
    Rerun(RerunArgs),
    /// Go on with a run that was ended before all of it was done
    Resume(ResumeArgs),
    /// Follow a run on a coordinator
    Watch(WatchArgs),
    /// Show a run that has ended, and write reports of it
    Report(ReportArgs),
    /// List the runs that are known
    Runs(RunsArgs),
    /// Stop a run
    Cancel(CancelArgs),
    /// Show, import and export what is remembered of tests
    History(HistoryArgs),
    /// Infer the database levels of tests, or check them
    Levels(LevelsArgs),
    /// List the workers of a coordinator
    Workers(WorkersArgs),
    /// Show what the fleet shares, and look after it
    Resources(ResourcesArgs),
    /// Serve as the coordinator of a fleet
    Coordinator(CoordinatorArgs),
    /// Offer slots to a coordinator
    Worker(WorkerArgs),
    /// Check, migrate, back up and restore what a coordinator keeps
    Store(StoreArgs),
    /// Write a regatta.toml for what is found here
    Init(InitArgs),
    /// Check everything that a run needs
    Doctor(DoctorArgs),
    /// Show the configuration
    Config(ConfigArgs),
    /// Explain an exit code, a filter, a test or a run
    Explain(ExplainArgs),
    /// Print the JSON Schema of regatta.toml, or of the event stream
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bash   echo 'source <(regatta completions bash)' >> ~/.bashrc
  zsh    echo 'source <(regatta completions zsh)' >> ~/.zshrc
  fish   regatta completions fish > ~/.config/fish/completions/regatta.fish

Profiles and suites are completed from the regatta.toml at hand.")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    pub(crate) shell: String,
}

#[cfg(test)]
mod tests;
