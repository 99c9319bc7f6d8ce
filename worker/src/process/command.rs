//! What is to be started, and what is known of it once it ended.

use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What is to be started. Its standard input is empty.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// The directory it starts in; empty for the worker's own.
    pub cwd: PathBuf,
    /// Variables set on top of the worker's own environment.
    pub env: Vec<(OsString, OsString)>,
    /// Variables taken out of the worker's own environment.
    pub env_remove: Vec<OsString>,
    /// The most address space it may have, in bytes (RLIMIT_AS); `None` for no limit.
    pub memory: Option<u64>,
}

impl Command {
    /// `program` with `arguments`, in the worker's own directory and environment.
    pub fn new<A: Into<OsString>>(program: impl Into<OsString>, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut argv = vec![program.into()];
        argv.extend(arguments.into_iter().map(Into::into));
        Self { argv, ..Self::default() }
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.argv.first().map(PathBuf::from).unwrap_or_default()
    }
}

/// What becomes of what a process prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Streams {
    /// Both streams end in one pipe, in the order in which they were written.
    Merged,
    /// Each stream has a pipe of its own.
    Apart,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

impl fmt::Display for Ending {
    /// For people: `exit code 3`, `signal 11 (SIGSEGV)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signalled(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => write!(f, "signal {number} ({signal})"),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

impl From<Ending> for regatta_domain::Exit {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Exited(status) => Self::Status(status),
            Ending::Signalled(signal) => Self::Signal(signal),
        }
    }
}

/// What is known of a process that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How it ended.
    pub ending: Ending,
    /// How long it lived, as the spawner measured it.
    pub duration: Duration,
    /// Processes it left behind, which were killed.
    pub leaked: u32,
    /// Its largest resident size, in bytes.
    pub max_rss: u64,
    /// It was killed while the system ended processes for want of memory.
    pub starved: bool,
}

impl Exit {
    /// What is likely to be behind it, where the ending itself says little. It is asked of processes that nobody here killed.
    #[must_use]
    pub fn guess(&self) -> Option<&'static str> {
        match self.ending {
            Ending::Signalled(9) if self.starved => Some("the system ended it for want of memory"),
            Ending::Signalled(9) => Some("killed from outside, not by Regatta; out of memory?"),
            _ => None,
        }
    }
}
