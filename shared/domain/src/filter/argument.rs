//! What stands between a predicate's parentheses, read into the predicate.
//!
//! Arguments arrive trimmed and delimited by the parser; spans of mistakes count from the argument's first byte.

use super::error::Problem;
use super::matcher::{self, Matcher};
use super::nearest;
use super::predicate::{Comparison, LEVEL_VALUES, LEVELS, Predicate, takes_nothing};
use crate::{RunnerKind, duration};
use std::ops::Range;

const RUNNERS: [&str; 3] = [RunnerKind::Pytest.name(), RunnerKind::Rust.name(), RunnerKind::Exec.name()];

/// What is wrong with an argument, and which bytes of it.
pub(super) type Misread = (Problem, Range<usize>);

impl Predicate {
    /// The predicate called `name` of the argument as it was written (trimmed), or what is wrong with that. A span
    /// within the argument comes with mistakes that have one.
    pub(super) fn new(name: &'static str, raw: &str) -> Result<Self, Misread> {
        use matcher::Default::{Contains, Equals, Glob};
        let whole = 0..raw.len();
        if takes_nothing(name) {
            return if raw.is_empty() {
                Ok(match name {
                    "failed" => Self::Failed,
                    "flaky" => Self::Flaky,
                    "changed" => Self::Changed,
                    _ => Self::New,
                })
            } else {
                Err((Problem::UnexpectedArgument { predicate: name }, whole))
            };
        }
        if raw.is_empty() {
            return Err((Problem::MissingArgument { predicate: name }, whole));
        }
        let matched = |default| read_matcher(name, raw, default);
        Ok(match name {
            "test" => Self::Test(matched(Contains)?),
            "id" => Self::Id(matched(Equals)?),
            "under" => {
                let path = matcher::unescape(raw).map_err(|span| (Problem::Escape, span))?;
                let path = path.strip_suffix('/').unwrap_or(&path).to_owned();
                if path.is_empty() {
                    return Err((Problem::MissingArgument { predicate: name }, whole));
                }
                Self::Under(path)
            }
            "file" => Self::File(matched(Glob)?),
            "suite" => Self::Suite(matched(Glob)?),
            "tag" => Self::Tag(matched(Glob)?),
            "marker" => read_marker(raw)?,
            "owner" => Self::Owner(matched(Glob)?),
            "group" => Self::Group(matched(Glob)?),
            "runner" => {
                let at = word(raw, &RUNNERS).map_err(|problem| (problem, whole))?;
                Self::Runner(RunnerKind::ALL[at])
            }
            "level" => {
                let (comparison, rest) = Comparison::read(raw, Comparison::Equal);
                let at = word(rest, &LEVELS).map_err(|problem| (problem, raw.len() - rest.len()..raw.len()))?;
                Self::Level(comparison, LEVEL_VALUES[at])
            }
            _ => {
                let (comparison, rest) = Comparison::read(raw, Comparison::Greater);
                let span = duration::parse(rest)
                    .map_err(|error| (Problem::Duration(error), raw.len() - rest.len()..raw.len()))?;
                Self::Slow(comparison, span)
            }
        })
    }
}

fn read_matcher(name: &'static str, raw: &str, default: matcher::Default) -> Result<Matcher, Misread> {
    let whole = 0..raw.len();
    let (sign, rest) = match raw.chars().next() {
        Some(sign @ ('=' | '~' | '#')) => (Some(sign), raw[1..].trim_start()),
        Some('/') => return read_regex(raw),
        _ => (None, raw),
    };
    let base = raw.len() - rest.len();
    let text = matcher::unescape(rest).map_err(|span| (Problem::Escape, base + span.start..base + span.end))?;
    if text.is_empty() && sign != Some('=') {
        return Err((Problem::MissingArgument { predicate: name }, whole));
    }
    match sign {
        Some('=') => Ok(Matcher::Equals(text)),
        Some('~') => Ok(Matcher::Contains(text)),
        Some(_) => matcher::Glob::new(text).map(Matcher::Glob),
        None => Matcher::implicit(default, text),
    }
    .map_err(|problem| (problem, base..raw.len()))
}

/// `/…/`, as the parser has delimited it.
fn read_regex(raw: &str) -> Result<Matcher, Misread> {
    let inner = raw[1..].strip_suffix('/').expect("the parser has found the second slash");
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        // `\/` is a slash; every other escape is left to the expression.
        match (c, (c == '\\').then(|| chars.next()).flatten()) {
            ('\\', Some('/')) => text.push('/'),
            (c, next) => {
                text.push(c);
                text.extend(next);
            }
        }
    }
    matcher::Pattern::new(text).map(Matcher::Regex).map_err(|problem| (problem, 1..raw.len() - 1))
}

fn read_marker(raw: &str) -> Result<Predicate, Misread> {
    let (name, value) = match raw.split_once('=') {
        None => (raw, None),
        Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
    };
    if name.is_empty() || value == Some("") {
        return Err((Problem::MissingArgument { predicate: "marker" }, 0..raw.len()));
    }
    let name = matcher::unescape(name).ok().filter(|text| !text.contains('='));
    let name = name.ok_or((Problem::Escape, 0..raw.find('=').unwrap_or(raw.len())))?;
    let value = value.map(|value| {
        let base = raw.len() - value.len();
        read_matcher("marker", value, matcher::Default::Glob)
            .map_err(|(problem, span)| (problem, base + span.start..base + span.end))
    });
    Ok(Predicate::Marker { name, value: value.transpose()? })
}

fn word(given: &str, known: &'static [&'static str]) -> Result<usize, Problem> {
    known.iter().position(|name| *name == given).ok_or_else(|| Problem::UnknownValue {
        given: given.to_owned(),
        known,
        nearest: nearest(given, known.iter().copied()),
    })
}

impl Comparison {
    /// The comparison at the start of `raw`, or `default`, and what follows it.
    fn read(raw: &str, default: Self) -> (Self, &str) {
        let signs =
            [("<=", Self::AtMost), (">=", Self::AtLeast), ("<", Self::Less), (">", Self::Greater), ("=", Self::Equal)];
        signs
            .into_iter()
            .find_map(|(sign, comparison)| raw.strip_prefix(sign).map(|rest| (comparison, rest.trim_start())))
            .unwrap_or((default, raw))
    }
}
