//! Which adapter runs a suite.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The adapter for a test framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunnerKind {
    /// pytest, as a warm in-process host.
    Pytest,
    /// libtest binaries built by cargo.
    Rust,
    /// Any command, by template.
    Exec,
}

impl RunnerKind {
    /// Every runner there is, in the order in which they are listed to people.
    pub const ALL: [Self; 3] = [Self::Pytest, Self::Rust, Self::Exec];

    /// The name in configuration, on the wire and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::Rust => "rust",
            Self::Exec => "exec",
        }
    }

    /// The runner called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for RunnerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
