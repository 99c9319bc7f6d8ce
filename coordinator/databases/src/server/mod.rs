//! Servers: throw-away ones that are started here, or an external one that is only used.
//!
//! [`Server`] is what the rest sees of either: lanes for statements of ours, the address for tests, what it allows. `process`
//! starts and ends, `home` keeps the directories, `copy` makes one from an image, `base` the first of all. What lives in a
//! server (templates, clones, leases) is left to the neighbours.

pub(crate) mod account;
pub(crate) mod base;
pub(crate) mod breaker;
pub(crate) mod copy;
pub(crate) mod home;
mod kept;
pub(crate) mod lane;
pub(crate) mod local;
pub(crate) mod process;
pub(crate) mod refusals;
pub(crate) mod settings;

use crate::watch::Watch;
use crate::{binaries, limits};
use breaker::Breaker;
use lane::Lane;
use process::Process;
use refusals::Refusals;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

/// A server that can be used.
#[derive(Debug)]
pub(crate) struct Server {
    /// How we connect, as admin to the admin database.
    pub(crate) admin: tokio_postgres::Config,
    /// Where tests connect.
    pub(crate) host: String,
    /// Where tests connect.
    pub(crate) port: u16,
    pub(crate) facts: Facts,
    pub(crate) breaker: Arc<Breaker>,
    /// For what may take long: one per maker.
    pub(crate) makers: Vec<Lane>,
    /// For drops, one at a time.
    pub(crate) dropper: Lane,
    releases: Vec<Lane>,
    turn: AtomicUsize,
    /// What follows it, with a number that changes when it begins anew: what was marked before is then unknown.
    watch: Mutex<(u64, Arc<Watch>)>,
    private: bool,
    /// Leases that are out.
    pub(crate) leased: AtomicU32,
    /// The most sessions that leases had at once, counted by how many (the last place: that many or more).
    peaks: Mutex<[u32; 64]>,
    pub(crate) refusals: Option<Refusals>,
    /// The process, where it is ours.
    process: Mutex<Option<Process>>,
}

/// How often it is looked whether a probe is due.
const LOOK: Duration = Duration::from_millis(50);

/// Every how many looks an idle server is asked whether it is there: five seconds.
const HEARTBEAT: u32 = 100;

/// What a server says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The major version.
    pub(crate) major: u32,
    pub(crate) max_connections: u32,
    /// Connections that only superusers (and their like) may take.
    pub(crate) reserved: u32,
    /// Whether it flushes to disk: then clones go through the WAL, else file by file.
    pub(crate) fsync: bool,
    pub(crate) superuser: bool,
}

/// What can go wrong with a server, by what can be done.
#[derive(Debug)]
pub enum Error {
    /// Something on this machine.
    Io(io::Error),
    /// No server can be started here.
    Binaries(binaries::Error),
    /// `initdb` failed.
    Initdb {
        /// The program.
        program: PathBuf,
        /// What it said.
        said: String,
    },
    /// A server did not come up.
    Start {
        /// Its directory.
        directory: PathBuf,
        /// The end of its log.
        log: String,
    },
    /// A server did not stop cleanly.
    Stop {
        /// Its directory.
        directory: PathBuf,
        /// The end of its log.
        log: String,
    },
    /// The server cannot be reached, or was lost.
    Down {
        /// What was said.
        why: String,
    },
    /// The server has no room: connections, disk or memory.
    Full {
        /// What it said.
        why: String,
    },
    /// The server refused a statement.
    Statement {
        /// The statement (its begin).
        sql: String,
        /// Its SQLSTATE.
        state: String,
        /// What it said.
        why: String,
    },
    /// It cannot be watched.
    Watch(crate::watch::Error),
    /// The server is not one that can be used.
    Unfit {
        /// Why, and what to do.
        why: String,
    },
}

impl Server {
    /// Looks at a server, and begins to watch it. `private`: one lease has it for itself.
    pub(crate) async fn look(
        admin: tokio_postgres::Config,
        (host, port): (String, u16),
        private: bool,
    ) -> Result<Self, Error> {
        let breaker = Arc::new(Breaker::new());
        let lane = || Lane::new(admin.clone(), breaker.clone());
        let dropper = lane();
        let facts = facts(&dropper).await?;
        let watch = Watch::start(watching(&admin), private).await.map_err(Error::Watch)?;
        Ok(Self {
            host,
            port,
            facts,
            makers: (0..limits::MAKERS).map(|_| lane()).collect(),
            dropper,
            // On a private server what connects is evidence, so there is one lane, made before the lease begins.
            releases: (0..if private { 1 } else { 2 }).map(|_| lane()).collect(),
            turn: AtomicUsize::new(0),
            watch: Mutex::new((1, Arc::new(watch))),
            private,
            leased: AtomicU32::new(0),
            peaks: Mutex::new([0; 64]),
            refusals: None,
            process: Mutex::new(None),
            breaker,
            admin,
        })
    }

    /// Looks at a server of our own.
    pub(crate) async fn of(process: Process, private: bool) -> Result<Self, Error> {
        let mut server = Self::look(process.admin(), ("127.0.0.1".to_owned(), process.port()), private).await?;
        server.refusals = Some(Refusals::new(&process.directory().join("log")));
        server.process = Mutex::new(Some(process));
        Ok(server)
    }

    /// A lane for short statements.
    pub(crate) fn quick(&self) -> &Lane {
        &self.releases[self.turn.fetch_add(1, Ordering::Relaxed) % self.releases.len()]
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.releases.iter().chain(&self.makers).chain([&self.dropper])
    }

    /// Whether it was started here.
    pub(crate) fn is_ours(&self) -> bool {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// How we connect to `database`.
    pub(crate) fn inside(&self, database: &str) -> tokio_postgres::Config {
        let mut config = self.admin.clone();
        config.dbname(database);
        config
    }

    /// What watches it now, with a number that changes when it was renewed.
    pub(crate) fn watch(&self) -> (u64, Arc<Watch>) {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Watches anew, after the server was lost.
    pub(crate) async fn watch_again(&self) -> Result<(), Error> {
        let watch = Watch::start(watching(&self.admin), self.private).await.map_err(Error::Watch)?;
        let mut held = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        *held = (held.0 + 1, Arc::new(watch));
        Ok(())
    }

    /// A lease ended that had at most `peak` sessions at once, as far as was seen.
    pub(crate) fn saw_peak(&self, peak: u16) {
        let mut peaks = self.peaks.lock().unwrap_or_else(PoisonError::into_inner);
        let place = usize::from(peak).min(peaks.len() - 1);
        peaks[place] = peaks[place].saturating_add(1);
    }

    /// Leases that may be out at once.
    pub(crate) fn capacity(&self) -> u32 {
        let peaks = *self.peaks.lock().unwrap_or_else(PoisonError::into_inner);
        capacity(self.usable(), &peaks)
    }

    /// Probes the server while it counts as down, one probe at a time, and begins to watch anew when it is back. Never ends.
    pub(crate) async fn watch_over(self: Arc<Self>) {
        let mut turns: u32 = 0;
        loop {
            tokio::time::sleep(LOOK).await;
            turns = turns.wrapping_add(1);
            if self.breaker.is_closed() {
                // A connection that broke may be all that broke, or the first of all: tests that begin before this is known fail.
                let lost = self.lanes().find(|lane| lane.is_lost());
                // A server that nobody asks may be down unnoticed.
                let Some(lane) = lost.or_else(|| turns.is_multiple_of(HEARTBEAT).then(|| self.quick())) else {
                    continue;
                };
                if tokio::time::timeout(limits::SILENT, lane.run("SELECT 1")).await.is_err() {
                    self.breaker.failed(&format!("no answer within {} s", limits::SILENT.as_secs()));
                }
            } else if self.breaker.probe() {
                let back = async {
                    let client = lane::connect(&self.admin).await?;
                    lane::run(&client, "SELECT 1").await?;
                    self.watch_again().await
                };
                match back.await {
                    Ok(()) => {
                        self.breaker.worked();
                        tracing::info!(host = self.host, port = self.port, "the database server is back");
                    }
                    Err(error) => self.breaker.failed(&error.to_string()),
                }
            }
        }
    }

    /// Takes the process out, to end it.
    pub(crate) fn take_process(&self) -> Option<Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Becomes true when the server has ended; nothing where it is not ours.
    pub(crate) fn ended(&self) -> Option<tokio::sync::watch::Receiver<bool>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Process::ended)
    }

    /// The process id, where it is ours.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Process::pid)
    }

    /// Connections that leases may use together: 80 % of what is allowed, less what is reserved and what we need.
    pub(crate) fn usable(&self) -> u32 {
        usable(self.facts.max_connections, self.facts.reserved)
    }
}

/// The connection budget. A small server gets fewer of ours: the lanes are made when they are needed, and the makers wait.
fn usable(max_connections: u32, reserved: u32) -> u32 {
    let share = (max_connections * 4 / 5).saturating_sub(reserved);
    share.saturating_sub(limits::ADMIN_CONNECTIONS).max(u32::from(share > 0))
}

/// Samples from which on what was seen counts more than what is expected.
const SAMPLES: u32 = 50;

/// How many leases `usable` connections carry: the 95th percentile of what leases were seen to use, and one more, because a peak
/// between two looks is missed.
fn capacity(usable: u32, peaks: &[u32; 64]) -> u32 {
    let all: u32 = peaks.iter().sum();
    let mut below = 0;
    let seen = peaks.iter().position(|count| {
        below += count;
        u64::from(below) * 100 >= u64::from(all) * 95
    });
    let each = match seen {
        Some(peak) if all >= SAMPLES => u32::try_from(peak).unwrap_or(u32::MAX).saturating_add(1).max(2),
        _ => limits::CONNECTIONS_PER_LEASE,
    };
    (usable / each).max(u32::from(usable > 0))
}

async fn facts(lane: &Lane) -> Result<Facts, Error> {
    let rows = lane
        .run(
            "SELECT current_setting('server_version_num')::int / 10000, current_setting('max_connections'), \
             current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true), '0')::int, \
             current_setting('fsync') = 'on', rolsuper, rolsuper OR rolcreatedb AND rolcreaterole, rolname \
             FROM pg_roles WHERE rolname = current_user",
        )
        .await?;
    let row =
        rows.first().ok_or_else(|| Error::Unfit { why: "the server knows no role for this connection".into() })?;
    let text = |at| row.get(at).unwrap_or_default();
    let number = |at| text(at).parse().unwrap_or(0);
    let facts = Facts {
        major: number(0),
        max_connections: number(1),
        reserved: number(2),
        fsync: text(3) == "t",
        superuser: text(4) == "t",
    };
    if facts.major < binaries::OLDEST {
        let why = format!("PostgreSQL {} is too old; {} or newer is needed", facts.major, binaries::OLDEST);
        return Err(Error::Unfit { why });
    }
    if text(5) != "t" {
        let why = format!(
            "the role {:?} may not create databases and roles; give it SUPERUSER, or CREATEDB and CREATEROLE",
            text(6)
        );
        return Err(Error::Unfit { why });
    }
    Ok(facts)
}

impl Error {
    /// What a driver's error means here; `sql` is what was asked.
    pub(crate) fn of(error: tokio_postgres::Error, sql: &str) -> Self {
        let Some(db) = error.as_db_error() else {
            return Self::Down { why: chain(&error) };
        };
        let (state, why) = (db.code().code().to_owned(), db.message().to_owned());
        match &state[..] {
            // 53: too many connections, disk full, out of memory. 55000 is not among them.
            code if code.starts_with("53") => Self::Full { why: format!("{why} ({state})") },
            // 57P01..57P05: shutting down, crashed, starting up. 08: the connection itself. 28: not let in.
            code if code.starts_with("57P") || code.starts_with("08") || code.starts_with("28") => Self::Down { why },
            _ => {
                let detail = db.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
                // Passwords are never in a statement's begin: roles are made by name first.
                Self::Statement { sql: sql.chars().take(80).collect(), state, why: format!("{why}{detail}") }
            }
        }
    }

    /// Whether the server refused with this state.
    pub(crate) fn is(&self, code: &str) -> bool {
        matches!(self, Self::Statement { state, .. } if state == code)
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the directory of the database servers: {error}"),
            Self::Binaries(error) => error.fmt(f),
            Self::Initdb { program, said } => write!(f, "{} failed: {}", program.display(), said.trim()),
            Self::Start { directory, log } => {
                write!(f, "the server in {} did not come up; its log ends: {}", directory.display(), log.trim())
            }
            Self::Stop { directory, log } => {
                write!(f, "the server in {} did not stop cleanly; its log ends: {}", directory.display(), log.trim())
            }
            Self::Down { why } => write!(f, "the server cannot be reached: {why}"),
            Self::Full { why } => write!(f, "the server has no room: {why}"),
            Self::Statement { sql, state, why } => write!(f, "the server refused {sql:?}: {why} ({state})"),
            Self::Watch(error) => write!(f, "the server cannot be watched: {error}"),
            Self::Unfit { why } => write!(f, "the server cannot be used: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Binaries(error) => Some(error),
            Self::Watch(error) => Some(error),
            _ => None,
        }
    }
}

/// How whoever watches connects: see [`process::UNTRACKED`].
fn watching(admin: &tokio_postgres::Config) -> tokio_postgres::Config {
    let mut config = admin.clone();
    if config.get_options() == Some(process::UNTRACKED) {
        config.options("");
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_budget_leaves_room_for_us_and_never_says_nothing() {
        for (max, reserved, want) in [(100, 3, 69), (300, 3, 229), (20, 3, 5), (10, 3, 1), (3, 3, 0)] {
            assert_eq!(usable(max, reserved), want, "max_connections={max}");
        }
    }

    #[test]
    fn the_capacity_follows_what_leases_use_once_enough_was_seen() {
        let mut peaks = [0; 64];
        assert_eq!(capacity(229, &peaks), 45);
        peaks[1] = 40;
        assert_eq!(capacity(229, &peaks), 45, "forty leases prove nothing yet");
        peaks[1] = 100;
        assert_eq!(capacity(229, &peaks), 114);
        peaks[19] = 10;
        assert_eq!(capacity(229, &peaks), 11);
        assert_eq!(capacity(1, &peaks), 1, "one at a time is always possible");
        assert_eq!(capacity(0, &peaks), 0);
    }
}
