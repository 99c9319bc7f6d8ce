//! Which history a test without one takes over: that of a test which vanished and was most likely the same.
//!
//! Only estimates follow from it. A false guess costs a little balance, once: after its first run a test has its own history.

use super::TestHistory;
use crate::{Estimate, Source};
use std::collections::HashMap;

/// The name of a test without its parameters, and those with their brackets: `test_total[eur-2]`.
pub(super) fn split(name: &str) -> (&str, &str) {
    if !name.ends_with(']') {
        return (name, "");
    }
    name.find('[').filter(|at| *at > 0).map_or((name, ""), |at| name.split_at(at))
}

/// The class or module that a test stands in.
fn class(base: &str) -> &str {
    base.rfind("::").map_or("", |at| &base[..at])
}

/// The estimate of a test that took over a history.
fn taken(known: &TestHistory) -> Option<Estimate> {
    let own = known.estimate()?;
    Some(Estimate { spread: own.spread.max(Estimate::SPREAD), source: Source::Renamed, ..own })
}

/// Tests of files that are gone: a test of the same name elsewhere was moved with its file.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    by_file: HashMap<(Box<str>, Box<str>), Option<Estimate>>,
    by_name: HashMap<Box<str>, Option<Estimate>>,
}

impl Moves {
    /// Takes in the tests of vanished files: path, name, history.
    #[must_use]
    pub fn of<'a>(vanished: impl IntoIterator<Item = (&'a str, &'a str, &'a TestHistory)>) -> Self {
        let mut moves = Self::default();
        for (path, name, known) in vanished {
            let Some(estimate) = taken(known) else { continue };
            // Two that could be meant are none.
            let meant = |found: &mut Option<Estimate>| *found = None;
            let by_file = moves.by_file.entry((file_name(path).into(), name.into()));
            by_file.and_modify(meant).or_insert(Some(estimate));
            moves.by_name.entry(name.into()).and_modify(meant).or_insert(Some(estimate));
        }
        moves
    }

    /// What a new test takes over: the history of the only vanished test of its name, class and parameters in a file that
    /// was called alike, else in any.
    #[must_use]
    pub fn find(&self, path: &str, name: &str) -> Option<Estimate> {
        if self.by_name.is_empty() {
            return None;
        }
        match self.by_file.get(&(file_name(path).into(), name.into())) {
            Some(found) => *found,
            None => self.by_name.get(name).copied().flatten(),
        }
    }

    /// Whether there is nothing to take over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What the new tests of a file take over from those that vanished from it: where in a class exactly one of each has the
/// same parameters, it was renamed.
#[must_use]
pub fn renamed<'a, 'b>(
    new: impl IntoIterator<Item = &'a str>,
    vanished: impl IntoIterator<Item = (&'b str, &'b TestHistory)>,
) -> HashMap<&'a str, Estimate> {
    let mut gone: HashMap<(&str, &str), Option<Estimate>> = HashMap::new();
    for (name, known) in vanished {
        gone.entry(place(name)).and_modify(|found| *found = None).or_insert_with(|| taken(known));
    }
    let mut came: HashMap<(&str, &str), Option<&'a str>> = HashMap::new();
    for name in new {
        came.entry(place(name)).and_modify(|found| *found = None).or_insert(Some(name));
    }
    came.into_iter().filter_map(|(place, name)| Some((name?, (*gone.get(&place)?)?))).collect()
}

/// What stays of a test's name when its function is renamed: its class and its parameters.
fn place(name: &str) -> (&str, &str) {
    let (base, parameters) = split(name);
    (class(base), parameters)
}
