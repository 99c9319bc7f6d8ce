//! What single arguments may be.

use crate::config::value::{FailFast, Label, MAX_SEATS, Name, Shuffle};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use regatta_coordinator::store::postgres::Server;
use regatta_domain::policy::{Order, Priority};
use regatta_domain::{Micros, duration};
use regatta_runtime::dial::{Addresses, Malformed};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A run, as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunRef {
    /// The latest one.
    Latest,
    /// The one whose id begins so.
    Prefix(String),
}

impl FromStr for RunRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let is_id = (1..=36).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        if is_id {
            Ok(Self::Prefix(text.to_ascii_lowercase()))
        } else {
            Err("a run is `latest`, or how its id begins".to_owned())
        }
    }
}

/// The database that coordinators share. Its password may come from where PostgreSQL's own programs take it.
pub(crate) fn store(text: &str) -> Result<Server, String> {
    let server = Server::parse(text).map_err(|error| error.to_string())?;
    Ok(match std::env::var("PGPASSWORD") {
        Ok(password) => server.with_password(&password),
        Err(_) => server,
    })
}

/// The address of a coordinator, or those of several of which one leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUrl(Addresses);

impl ServerUrl {
    /// All of them.
    pub(crate) const fn addresses(&self) -> &Addresses {
        &self.0
    }
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|malformed: Malformed| malformed.to_string())
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A duration that limits something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitArg(pub(crate) Micros);

impl FromStr for LimitArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match duration::parse(text) {
            Ok(Micros::ZERO) => Err("the limit must be longer than nothing".to_owned()),
            Ok(limit) => Ok(Self(limit)),
            Err(error) => Err(format!("{error}; for example 30s or 1h30m")),
        }
    }
}

/// `FORMAT=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportArg {
    /// The word for the format.
    pub(crate) format: String,
    /// The file.
    pub(crate) path: PathBuf,
}

impl FromStr for ReportArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((format, path)) if !format.is_empty() && !path.is_empty() => {
                Ok(Self { format: format.to_owned(), path: path.into() })
            }
            _ => Err("a report is FORMAT=PATH, for example junit=target/junit.xml".to_owned()),
        }
    }
}

/// Reads `--fail-fast`: a number of failures, or `never`.
pub(super) fn fail_fast(text: &str) -> Result<FailFast, String> {
    match text {
        "never" | "false" => Ok(FailFast(None)),
        "true" => Ok(FailFast(Some(1))),
        _ => match text.parse() {
            Ok(0) | Err(_) => Err("write a number of failures, or `never`".to_owned()),
            Ok(failures) => Ok(FailFast(Some(failures))),
        },
    }
}

/// Reads `--shuffle`: a seed, `random`, or `off`.
pub(super) fn shuffle(text: &str) -> Result<Shuffle, String> {
    match text {
        "random" | "true" => Ok(Shuffle::Drawn),
        "off" | "false" => Ok(Shuffle::Off),
        _ => text.parse().map(Shuffle::Seed).map_err(|_| "write a seed, `random`, or `off`".to_owned()),
    }
}

/// Reads `--order`.
pub(super) fn order() -> impl TypedValueParser<Value = Order> {
    let named = |word: String| Order::ALL.into_iter().find(|order| order.name() == word);
    PossibleValuesParser::new(Order::ALL.map(Order::name)).map(move |word| named(word).expect("the words are names"))
}

/// Reads `--priority`.
pub(super) fn priority() -> impl TypedValueParser<Value = Priority> {
    let named = |word: String| Priority::ALL.into_iter().find(|class| class.name() == word);
    PossibleValuesParser::new(Priority::ALL.map(Priority::name))
        .map(move |word| named(word).expect("the words are names"))
}

/// `NAME=SEATS`: a resource of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResourceArg {
    /// Its name.
    pub(crate) name: String,
    /// How many seats it has.
    pub(crate) seats: u32,
}

impl FromStr for ResourceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("a resource is NAME=SEATS with 1 to {MAX_SEATS} seats, for example db=1");
        let (name, seats) = text.split_once('=').ok_or_else(wrong)?;
        Name::check("a resource", name).map_err(|_| wrong())?;
        let seats = seats.parse().ok().filter(|seats| (1..=MAX_SEATS).contains(seats)).ok_or_else(wrong)?;
        Ok(Self { name: name.to_owned(), seats })
    }
}

/// `PROJECT=WEIGHT[:QUOTA]`: what a project may have of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShareArg {
    /// The project.
    pub(crate) project: String,
    /// Its part of the fleet against that of others.
    pub(crate) weight: u32,
    /// The most slots that its runs may hold together.
    pub(crate) quota: Option<u32>,
}

impl FromStr for ShareArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "a share is PROJECT=WEIGHT or PROJECT=WEIGHT:QUOTA, both from 1 to 1000000, for example shop=3 or shop=1:16"
                .to_owned()
        };
        let number = |text: &str| text.parse().ok().filter(|number| (1..=1_000_000).contains(number)).ok_or_else(wrong);
        // Names of projects may hold an equals sign, where they are those of directories.
        let (project, share) = text.rsplit_once('=').filter(|(project, _)| !project.is_empty()).ok_or_else(wrong)?;
        let (weight, quota) = share.split_once(':').map_or((share, None), |(weight, quota)| (weight, Some(quota)));
        Ok(Self { project: project.to_owned(), weight: number(weight)?, quota: quota.map(number).transpose()? })
    }
}

/// Reads `--label`.
pub(super) fn label(text: &str) -> Result<String, String> {
    let wrong = "a label is made of letters, digits, `_`, `-`, `.` and `:`, such as gpu or os:windows";
    Label::check(text).map(|()| text.to_owned()).map_err(|_| wrong.to_owned())
}

/// What to do when the coordinator cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fallback {
    /// Run on this machine.
    Local,
}

/// What a run writes to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamFormat {
    /// Nothing; people read standard error.
    #[default]
    Human,
    /// Events, one JSON object per line.
    Ndjson,
}

/// What a listing writes to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// Lines for people.
    #[default]
    Human,
    /// One JSON document.
    Json,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// A bar on a terminal, a counter elsewhere.
    #[default]
    Auto,
    /// A bar, and the running tests.
    Bar,
    /// A counter in front of each line.
    Counter,
    /// A bar, and no lines for single tests.
    Only,
    /// No progress.
    None,
}

/// Which tests get a line: each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum StatusLevel {
    /// No lines.
    None,
    /// Tests that did not pass.
    Fail,
    /// And attempts that are retried.
    Retry,
    /// And slow tests.
    Slow,
    /// And tests that passed.
    Pass,
    /// And skipped tests.
    Skip,
    /// Everything.
    All,
}

/// When the output of failed tests is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailureOutput {
    /// When they fail.
    Immediate,
    /// At the end of the run.
    #[default]
    Final,
    /// Both.
    ImmediateFinal,
    /// Never.
    Never,
}

/// What an empty selection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum NoTests {
    /// An error (exit code 4).
    #[default]
    Fail,
    /// A success, with a warning.
    Warn,
    /// A success.
    Pass,
}
