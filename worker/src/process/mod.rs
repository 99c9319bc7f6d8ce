//! Test processes: started cheaply, bounded in time and in what they print, and gone without a trace when they end.
//!
//! Every slot has a *spawner*: a small single-threaded process (this same binary, started as `regatta spawner`) that
//! starts test processes on request. It exists because forking from a large process is slow, because it can be the
//! sub-reaper to which daemonised children fall, and because it can kill all of them when the worker itself is gone.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is to be started.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// The directory it starts in.
    pub cwd: PathBuf,
    /// Variables set on top of the worker's own environment.
    pub env: Vec<(OsString, OsString)>,
    /// Variables taken out of the worker's own environment.
    pub env_remove: Vec<OsString>,
    /// The most address space it may have, in bytes (RLIMIT_AS); `None` for no limit.
    pub memory: Option<u64>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

/// What is known of a process that ended.
#[derive(Debug)]
pub struct Exit {
    /// How it ended.
    pub ending: Ending,
    /// How long it lived.
    pub duration: Duration,
    /// Processes it left behind, which were killed.
    pub leaked: u32,
    /// Its largest resident size, in bytes.
    pub max_rss: u64,
}

/// The worker's handle on the spawner of a slot.
#[derive(Debug)]
pub struct Spawner {}

impl Spawner {
    /// Starts a spawner: `exe` is the `regatta` binary.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub async fn start(_exe: &Path) -> io::Result<Self> {
        Ok(Self {})
    }
}
