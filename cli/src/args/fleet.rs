//! The commands around a coordinator: `watch`, `runs`, `workers`, `cancel`, `coordinator`, `worker`.

use super::heading;
use super::run::Display;
use super::value::{LimitArg, ResourceArg, RunRef, ServerUrl, ShareArg, TableFormat, label, store};
use crate::config::value::Memory;
use clap::{Args, Subcommand, ValueHint};
use regatta_coordinator::blobs::Place;
use regatta_coordinator::store::postgres::Server;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Follow a run on a coordinator
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  regatta watch latest --on http://build:7420")]
pub(crate) struct WatchArgs {
    /// The run: `latest`, or how its id begins
    #[arg(value_name = "RUN", env = "REGATTA_RUN", default_value = "latest")]
    pub(crate) run: RunRef,
    /// The coordinator
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: ServerUrl,
    /// What is shown.
    #[command(flatten)]
    pub(crate) display: Display,
}

/// List the runs that are known
#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// The coordinator; this machine's own runs when left out
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: Option<ServerUrl>,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human")]
    pub(crate) format: TableFormat,
    /// How many of the latest runs
    #[arg(long, value_name = "N", env = "REGATTA_LIMIT", default_value = "20")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
}

/// List the workers of a coordinator
#[derive(Debug, Args)]
pub(crate) struct WorkersArgs {
    /// The coordinator
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: ServerUrl,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human")]
    pub(crate) format: TableFormat,
}

/// Stop a run
#[derive(Debug, Args)]
#[command(after_help = "\
Running tests may end; with --kill they are stopped, too.

Example:
  regatta cancel 4f1c --on http://build:7420")]
pub(crate) struct CancelArgs {
    /// The run: `latest`, or how its id begins
    #[arg(value_name = "RUN", env = "REGATTA_RUN")]
    pub(crate) run: RunRef,
    /// The coordinator
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: ServerUrl,
    /// Stop the running tests, too
    #[arg(long, env = "REGATTA_KILL")]
    pub(crate) kill: bool,
}

/// Serve as the coordinator of a fleet
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
The data directory holds all that the coordinator must not forget. A coordinator that is killed and started again with the
same directory goes on where it was, and so do its workers.

Examples:
  regatta coordinator
  regatta coordinator --listen 0.0.0.0:7420 --data /var/lib/regatta
  regatta coordinator --blobs s3://build-outputs/regatta
  regatta coordinator --store postgres://ci@db/regatta --listen 0.0.0.0:7420 --advertise http://one:7420
  regatta coordinator --resources lab.toml
  regatta coordinator --resource db=1 --resource licence=4 --share shop=3 --share lab=1:16")]
pub(crate) struct CoordinatorArgs {
    /// What is asked of one that serves; to serve where that is left out.
    #[command(subcommand)]
    pub(crate) command: Option<CoordinatorCommand>,
    /// The address to listen on
    #[arg(long, value_name = "ADDR", env = "REGATTA_LISTEN", default_value = "127.0.0.1:7420")]
    pub(crate) listen: SocketAddr,
    /// Where runs and history are kept
    #[arg(long, value_name = "DIR", env = "REGATTA_DATA", default_value = ".regatta/coordinator")]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) data: PathBuf,
    /// The PostgreSQL database in which several coordinators keep everything together: one leads, the others stand by; the password
    /// may be in PGPASSWORD [default: files in the data directory]
    #[arg(long, value_name = "URL", env = "REGATTA_STORE", hide_env_values = true, value_parser = store)]
    pub(crate) store: Option<Server>,
    /// Where workers and clients reach this coordinator, for the others to tell them [default: http:// and the address that it
    /// listens on]
    #[arg(long, value_name = "URL", env = "REGATTA_ADVERTISE", requires = "store")]
    pub(crate) advertise: Option<String>,
    /// Where the output of tests is kept: s3://BUCKET/PREFIX, reached as the AWS_* variables say, or file:///DIRECTORY
    /// [default: in the data directory]
    #[arg(long, value_name = "URL", env = "REGATTA_BLOBS")]
    pub(crate) blobs: Option<Place>,
    /// How many runs that ended are kept
    #[arg(long, value_name = "N", env = "REGATTA_KEEP_RUNS", default_value = "1000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..), help_heading = heading::KEPT)]
    pub(crate) keep_runs: u32,
    /// How many tests these have together at most, at about half a kilobyte each
    #[arg(long, value_name = "N", env = "REGATTA_KEEP_TESTS", default_value = "10000000", help_heading = heading::KEPT)]
    pub(crate) keep_tests: u64,
    /// How long they are kept, such as 720h [default: as long as there are not too many]
    #[arg(long, value_name = "DURATION", env = "REGATTA_KEEP_FOR", help_heading = heading::KEPT)]
    pub(crate) keep_for: Option<LimitArg>,
    /// A resource that the fleet shares, and how many seats it has; may be given several times
    #[arg(long, value_name = "NAME=SEATS", env = "REGATTA_RESOURCE", value_delimiter = ',')]
    pub(crate) resource: Vec<ResourceArg>,
    /// A file with the resources that the fleet shares (TOML): `[resources]`, as in regatta.toml
    #[arg(long, value_name = "FILE", env = "REGATTA_RESOURCES", value_hint = ValueHint::FilePath)]
    pub(crate) resources: Option<PathBuf>,
    /// A project's weight against others (1 when left out), and the most slots that it may hold; may be given several times
    #[arg(long, value_name = "PROJECT=WEIGHT[:QUOTA]", env = "REGATTA_SHARE", value_delimiter = ',')]
    pub(crate) share: Vec<ShareArg>,
}

/// What is asked of a coordinator that serves.
#[derive(Debug, Subcommand)]
pub(crate) enum CoordinatorCommand {
    /// Ask the coordinator that leads to let another one lead, as before its machine is taken down
    #[command(after_help = "\
What runs goes on, and nothing is lost: workers and clients go to the one that leads then, whose
address is printed. The one that led stands by.

Example:
  regatta coordinator handover --on http://one:7420,http://two:7420")]
    Handover(HandoverArgs),
    /// Tell how coordinators stand: which one leads, and how it finds the database that they share
    #[command(after_help = "\
Each address is asked by itself, and answers also while the database is away. The exit code is 3 where none leads,
or the database of the one that leads is away.

Example:
  regatta coordinator status --on http://one:7420,http://two:7420")]
    Status(StatusArgs),
}

/// Ask how coordinators stand.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The coordinators, or one of them
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: ServerUrl,
    /// What standard output carries
    #[arg(long, value_name = "FORMAT", env = "REGATTA_FORMAT", default_value = "human")]
    pub(crate) format: TableFormat,
}

/// Ask for another leader.
#[derive(Debug, Args)]
pub(crate) struct HandoverArgs {
    /// The coordinators, or one of them
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: ServerUrl,
}

/// Offer slots to a coordinator
#[derive(Debug, Args)]
#[command(after_help = "\
A worker can be stopped or killed at any time, and its unfinished tests run elsewhere; what it had not told yet is told by the next one
on the machine. On SIGTERM it takes nothing new, lets running tests end, and leaves.

Example:
  regatta worker --on http://build:7420 --slots 8")]
pub(crate) struct WorkerArgs {
    /// The coordinator
    #[arg(long, value_name = "URL", env = "REGATTA_ON", help_heading = heading::WHERE)]
    pub(crate) on: ServerUrl,
    /// How many tests run at once [default: one per processor]
    #[arg(short = 'j', long, value_name = "N", env = "REGATTA_SLOTS")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) slots: Option<u16>,
    /// What it offers, such as gpu or os:windows: suites may require it; may be given several times
    #[arg(long, value_name = "LABEL", env = "REGATTA_LABEL", value_delimiter = ',', value_parser = label)]
    pub(crate) label: Vec<String>,
    /// What it has of its own to divide among its shards; tests need it as `worker.NAME`; may be given several times [default:
    /// cpu and memory, in processors and GiB]
    #[arg(long, value_name = "NAME=N", env = "REGATTA_OFFER", value_delimiter = ',')]
    pub(crate) offer: Vec<ResourceArg>,
    /// Where it keeps results that are not acknowledged yet, so that they survive its process; `none` for nowhere [default: below the
    /// directory for temporary files]
    #[arg(long, value_name = "DIR", env = "REGATTA_SPOOL", value_hint = ValueHint::DirPath)]
    pub(crate) spool: Option<PathBuf>,
    /// How much may be there; beyond it slots wait
    #[arg(long, value_name = "SIZE", env = "REGATTA_SPOOL_SIZE", default_value = "1GB")]
    pub(crate) spool_size: Memory,
    /// How people know the worker [default: the name of the machine]
    #[arg(long, value_name = "NAME", env = "REGATTA_NAME")]
    pub(crate) name: Option<String>,
}
