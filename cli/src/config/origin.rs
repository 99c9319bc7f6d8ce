//! Where a value comes from.

use std::fmt;
use std::sync::Arc;

/// A value, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody said anything.
    BuiltIn,
    /// There is no configuration file; it was concluded from what is there.
    Assumed,
    /// A line of the configuration file.
    Line {
        /// The file, as people know it.
        file: Arc<str>,
        /// The line, from 1.
        line: usize,
        /// The section, like `profile.ci`.
        section: String,
    },
    /// A variable of the environment.
    Env(String),
    /// A flag, or another argument.
    Flag(String),
}

impl Origin {
    /// Whether it was said for this one invocation: then overrides of the same key are not asked.
    pub(crate) const fn is_invocation(&self) -> bool {
        matches!(self, Self::Env(_) | Self::Flag(_))
    }
}

impl<T> Set<T> {
    /// A value that nobody said anything about.
    pub(crate) const fn built_in(value: T) -> Self {
        Self { value, origin: Origin::BuiltIn }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::Assumed => f.write_str("assumed"),
            Self::Line { file, line, section } => write!(f, "{file}:{line} [{section}]"),
            Self::Env(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}
