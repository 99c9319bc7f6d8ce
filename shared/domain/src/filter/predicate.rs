//! What can be asked of one test.

use super::matcher::{self, Matcher};
use super::subject::Subject;
use crate::{Level, Micros, RunnerKind, Verdict, duration};
use std::fmt;

/// What can be asked of one test.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Predicate {
    /// Its name within the file fits.
    Test(Matcher),
    /// Its whole id fits.
    Id(Matcher),
    /// Its id is this path, or lies below it: in that directory, file or class, or as one of its parameters.
    Under(String),
    /// Its file fits.
    File(Matcher),
    /// Its suite fits.
    Suite(Matcher),
    /// One of its tags fits.
    Tag(Matcher),
    /// It has this marker, and where a value is asked for, with a value that fits.
    Marker {
        /// The marker's name.
        name: String,
        /// The marker's value.
        value: Option<Matcher>,
    },
    /// The value of its `owner` tag fits.
    Owner(Matcher),
    /// This runner runs it.
    Runner(RunnerKind),
    /// The key of its group fits.
    Group(Matcher),
    /// Its level compares so.
    Level(Comparison, Level),
    /// Its last verdict was red.
    Failed,
    /// Its last verdict was flaky.
    Flaky,
    /// Its time, as far as it is known, compares so.
    Slow(Comparison, Micros),
    /// Its file has changed.
    Changed,
    /// History knows nothing of it.
    New,
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// The predicates as they are shown to people. The names are the words before the parentheses.
pub const SIGNATURES: [&str; 18] = [
    "test(…)",
    "id(…)",
    "under(…)",
    "file(…)",
    "suite(…)",
    "tag(…)",
    "marker(k=v)",
    "owner(…)",
    "runner(…)",
    "group(…)",
    "level(…)",
    "failed()",
    "flaky()",
    "slow(>5s)",
    "changed()",
    "new()",
    "all()",
    "none()",
];

pub(super) const LEVELS: [&str; 5] = ["none", "read", "transaction", "isolated", "exclusive"];
pub(super) const LEVEL_VALUES: [Level; 5] =
    [Level::None, Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive];

/// The names of the predicates.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SIGNATURES.into_iter().map(|signature| signature.split('(').next().unwrap_or(signature))
}

/// A use of the predicate, for hints.
pub(super) fn example(predicate: &str) -> &'static str {
    match predicate {
        "test" => "`test(login)`",
        "id" => "`id(tests/test_api.py::test_login)`",
        "under" => "`under(tests/api)` or `under(tests/test_api.py::TestLogin)`",
        "file" => "`file(tests/api/*)`",
        "suite" => "`suite(api)`",
        "tag" => "`tag(db)`",
        "marker" => "`marker(priority=high)`",
        "owner" => "`owner(payments)`",
        "runner" => "`runner(pytest)`",
        "group" => "`group(~module)`",
        "level" => "`level(transaction)` or `level(>=isolated)`",
        _ => "`slow(>5s)`",
    }
}

impl Predicate {
    /// Whether it holds for `subject`.
    #[must_use]
    pub fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Test(matcher) => matcher.fits(subject.name),
            Self::Id(matcher) => matcher.fits(subject.id),
            Self::Under(path) => is_under(subject.id, path, &["/", "::", "["]),
            Self::File(matcher) => matcher.fits(subject.file),
            Self::Suite(matcher) => matcher.fits(subject.suite),
            Self::Tag(matcher) => subject.tags.iter().any(|tag| matcher.fits(tag)),
            Self::Marker { name, value } => subject.tags.iter().any(|tag| match (tag.split_once('='), value) {
                (None, None) => **tag == **name,
                (Some((key, _)), None) => key == name,
                (Some((key, has)), Some(value)) => key == name && value.fits(has),
                (None, Some(_)) => false,
            }),
            Self::Owner(matcher) => {
                subject.tags.iter().filter_map(|tag| tag.strip_prefix("owner=")).any(|owner| matcher.fits(owner))
            }
            Self::Runner(kind) => subject.runner == *kind,
            Self::Group(matcher) => subject.group.is_some_and(|group| matcher.fits(group)),
            Self::Level(comparison, level) => comparison.holds(&subject.level, level),
            Self::Failed => subject.last.is_some_and(|verdict| !verdict.is_ok()),
            Self::Flaky => subject.last == Some(Verdict::Flaky),
            Self::Slow(comparison, span) => subject.mean.is_some_and(|mean| comparison.holds(&mean, span)),
            Self::Changed => subject.changed,
            Self::New => subject.is_new,
        }
    }
}

/// Whether `id` is `path`, or goes on behind it with one of `joints`.
pub(super) fn is_under(id: &str, path: &str, joints: &[&str]) -> bool {
    id.strip_prefix(path).is_some_and(|rest| rest.is_empty() || joints.iter().any(|joint| rest.starts_with(joint)))
}

/// Whether the predicate is written with empty parentheses.
pub(super) fn takes_nothing(name: &str) -> bool {
    matches!(name, "failed" | "flaky" | "changed" | "new" | "all" | "none")
}

impl Comparison {
    fn holds<T: Ord>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Greater => left > right,
            Self::AtLeast => left >= right,
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use matcher::Default::{Contains, Equals, Glob};
        let (name, matcher, default) = match self {
            Self::Test(matcher) => ("test", matcher, Contains),
            Self::Id(matcher) => ("id", matcher, Equals),
            Self::File(matcher) => ("file", matcher, Glob),
            Self::Suite(matcher) => ("suite", matcher, Glob),
            Self::Tag(matcher) => ("tag", matcher, Glob),
            Self::Owner(matcher) => ("owner", matcher, Glob),
            Self::Group(matcher) => ("group", matcher, Glob),
            Self::Under(path) => {
                f.write_str("under(")?;
                matcher::escape(f, path)?;
                return f.write_str(")");
            }
            Self::Marker { name, value } => {
                f.write_str("marker(")?;
                matcher::escape(f, name)?;
                if let Some(value) = value {
                    f.write_str("=")?;
                    value.write(f, Glob)?;
                }
                return f.write_str(")");
            }
            Self::Runner(kind) => return write!(f, "runner({kind})"),
            Self::Level(comparison, level) => {
                let sign = if *comparison == Comparison::Equal { "" } else { comparison.sign() };
                let at = LEVEL_VALUES.iter().position(|known| known == level).expect("every level is listed");
                return write!(f, "level({sign}{})", LEVELS[at]);
            }
            Self::Slow(comparison, span) => {
                return write!(f, "slow({}{})", comparison.sign(), duration::text(*span));
            }
            Self::Failed => return f.write_str("failed()"),
            Self::Flaky => return f.write_str("flaky()"),
            Self::Changed => return f.write_str("changed()"),
            Self::New => return f.write_str("new()"),
        };
        write!(f, "{name}(")?;
        matcher.write(f, default)?;
        f.write_str(")")
    }
}
