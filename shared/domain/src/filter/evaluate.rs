//! Evaluation: of a test, and of a file whose tests are not known yet.

use super::predicate::is_under;
use super::{Filter, Predicate, Subject};
use crate::RunnerKind;

impl Filter {
    /// Whether it selects the test.
    #[must_use]
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Is(predicate) => predicate.holds(subject),
            Self::Not(inner) => !inner.matches(subject),
            Self::And(parts) => parts.iter().all(|part| part.matches(subject)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(subject)),
        }
    }

    /// Whether it may select any test of the suite. "No" is certain, and spares the suite its discovery.
    #[must_use]
    pub fn may_match_suite(&self, suite: &str, runner: RunnerKind) -> bool {
        self.of(&Known { suite, runner, file: None }) != Some(false)
    }

    /// Whether it may select any test of the file. "No" is certain, and spares the file its listing.
    #[must_use]
    pub fn may_match_file(&self, suite: &str, runner: RunnerKind, file: &str) -> bool {
        self.of(&Known { suite, runner, file: Some(file) }) != Some(false)
    }

    /// The answer for everything that `known` fits, or `None` where it depends on the test.
    fn of(&self, known: &Known<'_>) -> Option<bool> {
        match self {
            Self::All => Some(true),
            Self::None => Some(false),
            Self::Is(predicate) => known.holds(predicate),
            Self::Not(inner) => inner.of(known).map(|answer| !answer),
            Self::And(parts) => decided(parts, known, false),
            Self::Or(parts) => decided(parts, known, true),
        }
    }
}

/// One part that answers `deciding` answers for all of them; all have to answer the opposite for that to be certain.
fn decided(parts: &[Filter], known: &Known<'_>, deciding: bool) -> Option<bool> {
    let mut certain = true;
    for part in parts {
        match part.of(known) {
            Some(answer) if answer == deciding => return Some(deciding),
            Some(_) => {}
            None => certain = false,
        }
    }
    certain.then_some(!deciding)
}

/// What is known before any test is.
struct Known<'a> {
    suite: &'a str,
    runner: RunnerKind,
    file: Option<&'a str>,
}

impl Known<'_> {
    fn holds(&self, predicate: &Predicate) -> Option<bool> {
        match predicate {
            Predicate::Suite(matcher) => Some(matcher.fits(self.suite)),
            Predicate::Runner(kind) => Some(*kind == self.runner),
            Predicate::File(matcher) => self.file.map(|file| matcher.fits(file)),
            // An id begins with its file: a test of another file is not meant.
            Predicate::Id(super::Matcher::Equals(id)) => {
                if is_under(id, self.file?, &["::"]) {
                    None
                } else {
                    Some(false)
                }
            }
            Predicate::Under(path) => {
                let file = self.file?;
                if is_under(file, path, &["/", "::", "["]) {
                    Some(true)
                } else if is_under(path, file, &["::", "["]) {
                    None
                } else {
                    Some(false)
                }
            }
            _ => None,
        }
    }
}
