//! Why an attempt of a test did not pass, or a test was not run: a closed set, so that every report says the same.
//!
//! An [`crate::Outcome`] is what was seen of the test; a cause is who or what is behind it, and decides whether another
//! attempt is worth it: see [`crate::policy::Budgets`].

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why an attempt did not pass, or a test was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The test itself: it failed, its teardown failed, or it is not there any more.
    Test,
    /// It exceeded its own limit, and was stopped.
    Timeout,
    /// Its process ended under it.
    Crash,
    /// The system ended its process for want of memory.
    OutOfMemory,
    /// Its worker went away, or was not heard of for longer than a lease lasts.
    WorkerLost,
    /// Its worker was asked to leave, and did not wait for it.
    Drained,
    /// A resource or a database that it held was not well, or was taken from it.
    Resource,
    /// What it is built on could not be set up: a fixture, a file, a suite.
    SetUp,
    /// Regatta, or the machine it ran on, could not run it.
    Infrastructure,
    /// The run was ended before it.
    Cancelled,
}

impl Cause {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// Every cause.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Test,
        Self::Timeout,
        Self::Crash,
        Self::OutOfMemory,
        Self::WorkerLost,
        Self::Drained,
        Self::Resource,
        Self::SetUp,
        Self::Infrastructure,
        Self::Cancelled,
    ];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn at(self) -> usize {
        self as usize
    }

    /// Its words in reports for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Timeout => "timeout",
            Self::Crash => "crash",
            Self::OutOfMemory => "out of memory",
            Self::WorkerLost => "worker lost",
            Self::Drained => "drained",
            Self::Resource => "resource",
            Self::SetUp => "set-up",
            Self::Infrastructure => "infrastructure",
            Self::Cancelled => "cancelled",
        }
    }

    /// Its name in configuration, and in reports for machines.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::OutOfMemory => "out-of-memory",
            Self::WorkerLost => "worker-lost",
            _ => self.name(),
        }
    }

    /// Whether it lies outside the test, so that another attempt, elsewhere or later, may well pass. What is permanent is
    /// expected to happen again, until somebody changes something.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        match self {
            Self::OutOfMemory | Self::WorkerLost | Self::Drained | Self::Resource | Self::Infrastructure => true,
            Self::Test | Self::Timeout | Self::Crash | Self::SetUp | Self::Cancelled => false,
        }
    }

    /// Whether a run that is gone on with owes the test another attempt: nothing was learnt of the test.
    #[must_use]
    pub const fn is_owed(self) -> bool {
        self.is_transient() || matches!(self, Self::Cancelled)
    }

    /// Whether it is told by the way in which an attempt ended, and not by what the coordinator knows.
    #[must_use]
    pub const fn is_seen_by_workers(self) -> bool {
        !matches!(self, Self::WorkerLost | Self::Drained | Self::Cancelled)
    }

    /// What it means and what to do, in a sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Test => "the test says that something is wrong: read its output",
            Self::Timeout => "it ran longer than its limit: find what it waited for, or raise `timeout`",
            Self::Crash => "its process ended under it: its exit status or signal and the end of its output say how",
            Self::OutOfMemory => {
                "the system ended it for want of memory: let it use less, give the worker more, or run fewer slots"
            }
            Self::WorkerLost => {
                "its worker died or could not be reached: if it is always the same test, it may take its worker down"
            }
            Self::Drained => "its worker was asked to leave and could not wait for it: give workers more time to end",
            Self::Resource => "a resource or database that it held was not well: see `regatta resources`",
            Self::SetUp => "what it is built on could not be set up: the first error of its fixture or suite says why",
            Self::Infrastructure => {
                "the machine or Regatta could not run it: look for limits of processes, files, memory or disk there"
            }
            Self::Cancelled => "the run was ended before it: run it again",
        }
    }

    /// The cause with this key.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.key() == key)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the process of an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this status.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// The name of the signal that ended it, as Linux numbers them.
    #[must_use]
    pub fn signal_name(self) -> Option<&'static str> {
        const NAMES: [&str; 31] = [
            "SIGHUP",
            "SIGINT",
            "SIGQUIT",
            "SIGILL",
            "SIGTRAP",
            "SIGABRT",
            "SIGBUS",
            "SIGFPE",
            "SIGKILL",
            "SIGUSR1",
            "SIGSEGV",
            "SIGUSR2",
            "SIGPIPE",
            "SIGALRM",
            "SIGTERM",
            "SIGSTKFLT",
            "SIGCHLD",
            "SIGCONT",
            "SIGSTOP",
            "SIGTSTP",
            "SIGTTIN",
            "SIGTTOU",
            "SIGURG",
            "SIGXCPU",
            "SIGXFSZ",
            "SIGVTALRM",
            "SIGPROF",
            "SIGWINCH",
            "SIGIO",
            "SIGPWR",
            "SIGSYS",
        ];
        let Self::Signal(number) = self else { return None };
        usize::try_from(number).ok()?.checked_sub(1).and_then(|at| NAMES.get(at)).copied()
    }
}

impl fmt::Display for Exit {
    /// `exit status 3`, `SIGSEGV (11)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(number) => match self.signal_name() {
                Some(name) => write!(f, "{name} ({number})"),
                None => write!(f, "signal {number}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_place_a_key_and_words_of_its_own() {
        for (at, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause.at(), at);
            assert_eq!(Cause::of_key(cause.key()), Some(cause));
            assert!(!cause.meaning().is_empty());
        }
        assert_eq!(Cause::of_key("out of memory"), None);
    }

    #[test]
    fn a_signal_is_told_by_its_name() {
        let told = [Exit::Status(3), Exit::Signal(11), Exit::Signal(31), Exit::Signal(34)].map(|exit| exit.to_string());
        assert_eq!(told, ["exit status 3", "SIGSEGV (11)", "SIGSYS (31)", "signal 34"]);
    }
}
