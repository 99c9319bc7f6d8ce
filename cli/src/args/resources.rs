//! `resources`: what the fleet shares, and what people do with it.

use super::heading;
use super::value::{LimitArg, ServerUrl, TableFormat};
use crate::config::value::MAX_SEATS;
use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;
use std::str::FromStr;

/// Show what the fleet shares, and look after it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  regatta resources --on http://build:7420
  regatta resources declare lab.toml --on http://build:7420
  regatta resources drain phone/pixel-8 --on http://build:7420
  regatta resources reserve phone --for 30m --wait --on http://build:7420")]
pub(crate) struct ResourcesArgs {
    /// What is done.
    #[command(subcommand)]
    pub(crate) command: Option<ResourcesCommand>,
    /// The coordinator
    #[arg(long, value_name = "URL", env = "REGATTA_ON", global = true, help_heading = heading::WHERE)]
    pub(crate) on: Option<ServerUrl>,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human", global = true)]
    pub(crate) format: TableFormat,
    /// Who does it: it is on record [default: you, at this machine]
    #[arg(long, value_name = "WHO", env = "REGATTA_BY", global = true)]
    pub(crate) by: Option<String>,
}

/// What is done with resources.
#[derive(Debug, Subcommand)]
pub(crate) enum ResourcesCommand {
    /// List all of them: who holds them, who waits, how they are
    List,
    /// Declare resources, or declare them anew
    Declare(DeclareArgs),
    /// Take back what was declared this way
    Withdraw(WithdrawArgs),
    /// Grant nobody any more of a resource, or of one item
    Drain(DrainArgs),
    /// End the leases that hold a resource, or one item, by force
    Release(ReleaseArgs),
    /// Keep an item, or seats, for yourself for a while
    Reserve(ReserveArgs),
}

/// Declare resources, or declare them anew
#[derive(Debug, Args)]
#[command(after_help = "\
The file holds `[resources]` as regatta.toml does, or the same as JSON. What is held stays held.

Example:
  echo '{\"resources\": {\"licence\": 3}}' | regatta resources declare - --on http://build:7420")]
pub(crate) struct DeclareArgs {
    /// The file; `-` for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

/// Take back what was declared this way
#[derive(Debug, Args)]
pub(crate) struct WithdrawArgs {
    /// The resource
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Grant nobody any more of a resource, or of one item
#[derive(Debug, Args)]
#[command(after_help = "What is held stays held until its tests are done.")]
pub(crate) struct DrainArgs {
    /// The resource, or an item of it
    #[arg(value_name = "NAME[/ITEM]")]
    pub(crate) what: Target,
    /// Grant it again
    #[arg(long, env = "REGATTA_UNDO")]
    pub(crate) undo: bool,
}

/// End the leases that hold a resource, or one item, by force
#[derive(Debug, Args)]
#[command(after_help = "\
Running tests are stopped and run again elsewhere; whatever their holders say afterwards is refused.")]
pub(crate) struct ReleaseArgs {
    /// The resource, or an item of it
    #[arg(value_name = "NAME[/ITEM]")]
    pub(crate) what: Target,
    /// Really
    #[arg(long, env = "REGATTA_FORCE")]
    pub(crate) force: bool,
}

/// Keep an item, or seats, for yourself for a while
#[derive(Debug, Args)]
#[command(after_help = "\
What belongs to its holder is printed as NAME=VALUE lines, once nobody else holds it. Whoever reserves again keeps the same for
longer.

Examples:
  regatta resources reserve phone --for 30m --wait --on http://build:7420
  regatta resources reserve phone/pixel-8 --for 2h --on http://build:7420
  regatta resources reserve phone --give-back --on http://build:7420")]
pub(crate) struct ReserveArgs {
    /// The resource, or an item of it; of a pool any item when none is named
    #[arg(value_name = "NAME[/ITEM]")]
    pub(crate) what: Target,
    /// For how long, 24h at most
    #[arg(long = "for", value_name = "TIME", env = "REGATTA_FOR", required_unless_present = "give_back")]
    pub(crate) time: Option<LimitArg>,
    /// How many seats, where it is no pool
    #[arg(long, value_name = "N", env = "REGATTA_SEATS", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SEATS)))]
    pub(crate) seats: u32,
    /// Wait until nobody else holds it
    #[arg(long, env = "REGATTA_WAIT")]
    pub(crate) wait: bool,
    /// Give back what you keep of it
    #[arg(long, env = "REGATTA_GIVE_BACK", conflicts_with_all = ["time", "wait"])]
    pub(crate) give_back: bool,
}

/// `NAME[/ITEM]`: a resource, or an item of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The resource.
    pub(crate) name: String,
    /// The item.
    pub(crate) item: Option<String>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, item) = text.split_once('/').map_or((text, None), |(name, item)| (name, Some(item)));
        if name.is_empty() || item.is_some_and(str::is_empty) {
            return Err("a resource is NAME, and an item of it NAME/ITEM, such as phone/pixel-8".to_owned());
        }
        Ok(Self { name: name.to_owned(), item: item.map(str::to_owned) })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        self.item.as_ref().map_or(Ok(()), |item| write!(f, "/{item}"))
    }
}
