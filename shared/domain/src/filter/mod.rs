//! The language that selects tests: `suite(api) & tag(db) - test(#*[sqlite*])`.
//!
//! The grammar is nextest's, with predicates of our own. A [`Filter`] is an expression tree that is evaluated over a
//! borrowed [`Subject`]; its display is read back as the same tree. It leaves to others where the answers come from: what
//! history knows, what has changed, which files there are.

mod argument;
mod error;
mod evaluate;
mod matcher;
mod nearest;
mod parse;
mod predicate;
mod subject;
#[cfg(test)]
mod tests;

pub use error::{Error, Problem};
pub use matcher::{Glob, Matcher, Pattern};
pub use nearest::nearest;
pub use predicate::{Comparison, Predicate, SIGNATURES};
pub use subject::Subject;

use std::fmt;
use std::str::FromStr;

/// The longest filter: pasting a thousand test ids is a list of arguments, not a filter.
pub const MAX_BYTES: usize = 64 * 1024;

/// How deep parentheses and negations may nest: evaluation and display recurse that deep, on any thread's stack.
pub const MAX_DEPTH: usize = 64;

/// An expression that selects tests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Every test.
    All,
    /// No test.
    None,
    /// The tests for which a predicate holds.
    Is(Predicate),
    /// The tests that the inner one does not select.
    Not(Box<Self>),
    /// The tests that all of these select. `a - b` is written as `a & !b`.
    And(Vec<Self>),
    /// The tests that any of these selects.
    Or(Vec<Self>),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// When `text` is not one.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse::parse(text)
    }

    /// The tests that any of `filters` selects.
    #[must_use]
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(filters, Self::None, Self::Or)
    }

    /// The tests that all of `filters` select.
    #[must_use]
    pub fn every(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(filters, Self::All, Self::And)
    }

    /// The test with exactly this id.
    #[must_use]
    pub fn id(id: &str) -> Self {
        Self::Is(Predicate::Id(Matcher::Equals(id.to_owned())))
    }

    /// The tests whose id is this path, or lies below it.
    #[must_use]
    pub fn under(path: &str) -> Self {
        Self::Is(Predicate::Under(path.strip_suffix('/').unwrap_or(path).to_owned()))
    }

    /// The suite with exactly this name.
    #[must_use]
    pub fn suite(name: &str) -> Self {
        Self::Is(Predicate::Suite(Matcher::Equals(name.to_owned())))
    }

    fn joined(filters: impl IntoIterator<Item = Self>, empty: Self, join: fn(Vec<Self>) -> Self) -> Self {
        let mut filters: Vec<Self> = filters.into_iter().collect();
        match filters.len() {
            0 => empty,
            1 => filters.swap_remove(0),
            _ => join(filters),
        }
    }

    /// Whether answers depend on what earlier runs left behind.
    #[must_use]
    pub fn needs_history(&self) -> bool {
        self.asks(&|predicate| {
            matches!(predicate, Predicate::Failed | Predicate::Flaky | Predicate::Slow(..) | Predicate::New)
        })
    }

    /// Whether answers depend on what has changed in the workspace.
    #[must_use]
    pub fn needs_changes(&self) -> bool {
        self.asks(&|predicate| *predicate == Predicate::Changed)
    }

    /// Whether any predicate of it is of a kind.
    fn asks(&self, kind: &dyn Fn(&Predicate) -> bool) -> bool {
        match self {
            Self::All | Self::None => false,
            Self::Is(predicate) => kind(predicate),
            Self::Not(inner) => inner.asks(kind),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.asks(kind)),
        }
    }

    /// The expression and all parts of it, each with how deep it lies, in the order in which they are written.
    #[must_use]
    pub fn branches(&self) -> Vec<(usize, &Self)> {
        let mut found = Vec::new();
        self.collect(0, &mut found);
        found
    }

    fn collect<'a>(&'a self, depth: usize, into: &mut Vec<(usize, &'a Self)>) {
        into.push((depth, self));
        match self {
            Self::All | Self::None | Self::Is(_) => {}
            Self::Not(inner) => inner.collect(depth + 1, into),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.collect(depth + 1, into)),
        }
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all()"),
            Self::None => f.write_str("none()"),
            Self::Is(predicate) => predicate.fmt(f),
            Self::Not(inner) => {
                f.write_str("!")?;
                inner.write_part(f, false)
            }
            Self::And(parts) => write_joined(f, parts, " & ", false),
            Self::Or(parts) => write_joined(f, parts, " | ", true),
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, parts: &[Filter], operator: &str, and_is_tighter: bool) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(operator)?;
        }
        part.write_part(f, and_is_tighter)?;
    }
    Ok(())
}

impl Filter {
    /// Writes it as a part of something, in parentheses where it would be read otherwise.
    fn write_part(&self, f: &mut fmt::Formatter<'_>, and_is_tighter: bool) -> fmt::Result {
        match self {
            Self::And(_) if and_is_tighter => fmt::Display::fmt(self, f),
            Self::And(_) | Self::Or(_) => write!(f, "({self})"),
            _ => fmt::Display::fmt(self, f),
        }
    }
}
