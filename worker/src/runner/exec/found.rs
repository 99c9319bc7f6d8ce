//! Results as a result file tells them, and their reconciliation with what was asked: every asked name has one, or none,
//! and what was not asked for is named.

use regatta_domain::{Nuance, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The most names that an error about them lists.
const NAMED: usize = 20;

/// One result in a result file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// How people know it.
    pub(super) name: String,
    /// Names by which it may have been asked for, as a test.
    pub(super) exact: Vec<String>,
    /// Names by which it may have been asked for as a part of something larger: its class, file or suite.
    pub(super) coarse: Vec<String>,
    pub(super) outcome: Outcome,
    pub(super) nuance: Nuance,
    pub(super) reason: Option<String>,
    pub(super) duration: Option<Duration>,
    /// What the result file says of it beyond that.
    pub(super) text: String,
}

impl Found {
    /// A passed test of this name, to be changed.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            exact: vec![name.to_owned()],
            coarse: Vec::new(),
            outcome: Outcome::Passed,
            nuance: Nuance::Plain,
            reason: None,
            duration: None,
            text: String::new(),
        }
    }
}

/// All that a result file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report {
    pub(super) found: Vec<Found>,
    /// What is wrong with the file as a whole: cut off, not what its plan says, given up.
    pub(super) fault: Option<String>,
    /// Everything in it was skipped, for this reason.
    pub(super) skipped: Option<String>,
}

/// What was asked, and what came of it.
#[derive(Debug, PartialEq)]
pub(super) struct Reconciled {
    /// One for each name asked, in the same order; `None` where there is no result.
    pub(super) asked: Vec<Option<Found>>,
    /// Names of results that nobody asked for.
    pub(super) unasked: Vec<String>,
}

/// Reconciles `report` with the names asked for.
pub(super) fn reconcile(asked: &[&str], report: &Report) -> Reconciled {
    let (mut exact, mut coarse) = (BTreeMap::<&str, Vec<usize>>::new(), BTreeMap::<&str, Vec<usize>>::new());
    for (at, found) in report.found.iter().enumerate() {
        for (index, names) in [(&mut exact, &found.exact), (&mut coarse, &found.coarse)] {
            for name in names.iter().collect::<BTreeSet<_>>() {
                index.entry(name).or_default().push(at);
            }
        }
    }
    let mut taken = BTreeSet::new();
    let mut one = |name: &&str| {
        let own = exact.get(name).or_else(|| coarse.get(name))?;
        taken.extend(own.iter().copied());
        merge(name, own.iter().map(|&at| &report.found[at]))
    };
    let results = asked.iter().map(&mut one).collect();
    let unasked =
        report.found.iter().enumerate().filter(|(at, _)| !taken.contains(at)).map(|(_, found)| found.name.clone());
    Reconciled { asked: results, unasked: unasked.collect() }
}

/// Several results as that of the one test they are parts of: the worst outcome, and all that was said.
pub(super) fn merge<'a>(name: &str, parts: impl Iterator<Item = &'a Found>) -> Option<Found> {
    let parts: Vec<&Found> = parts.collect();
    let worst = *parts.iter().min_by_key(|found| rank(found.outcome))?;
    let mut merged = worst.clone();
    merged.name = name.to_owned();
    if let [_, _, ..] = parts[..] {
        let failed = parts.iter().filter(|found| !found.outcome.is_ok()).count();
        if let (1.., Some(reason)) = (failed, &worst.reason) {
            merged.reason = Some(format!("{failed} of {} failed: {}: {reason}", parts.len(), worst.name));
        }
        let times = parts.iter().map(|found| found.duration);
        merged.duration = times.sum();
        let told = parts.iter().filter(|found| !found.text.is_empty());
        merged.text = told.map(|found| format!("{}:\n{}\n", found.name, found.text.trim_end())).collect();
    }
    Some(merged)
}

/// The lower, the more it says of the whole.
fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Crashed => 0,
        Outcome::TimedOut => 1,
        Outcome::Failed => 2,
        Outcome::Missing => 3,
        Outcome::Passed => 4,
        Outcome::Skipped => 5,
    }
}

/// `names` for a message: in quotes, and not too many.
pub(super) fn quoted(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, coarse: &[&str], outcome: Outcome) -> Found {
        let reason = (outcome == Outcome::Failed).then(|| format!("{name} is wrong"));
        let coarse = coarse.iter().map(|&name| name.to_owned()).collect();
        Found { coarse, outcome, reason, duration: Some(Duration::from_secs(1)), ..Found::named(name) }
    }

    fn check(asked: &[&str], found: Vec<Found>, outcomes: &[Option<Outcome>], unasked: &[&str]) -> Reconciled {
        let reconciled = reconcile(asked, &Report { found, ..Report::default() });
        let told: Vec<_> = reconciled.asked.iter().map(|found| found.as_ref().map(|found| found.outcome)).collect();
        assert_eq!(told, outcomes);
        assert_eq!(reconciled.unasked, unasked);
        reconciled
    }

    #[test]
    fn what_has_no_result_has_none_and_what_nobody_asked_for_is_named() {
        let all = vec![found("a", &[], Outcome::Passed), found("c", &[], Outcome::Failed)];
        check(&["a", "b"], all, &[Some(Outcome::Passed), None], &["c"]);
    }

    #[test]
    fn a_file_that_was_asked_for_is_the_sum_of_its_parts() {
        let parts = vec![
            found("one", &["t.sh"], Outcome::Passed),
            found("two", &["t.sh"], Outcome::Failed),
            found("three", &["t.sh"], Outcome::Skipped),
        ];
        let reconciled = check(&["t.sh"], parts, &[Some(Outcome::Failed)], &[]);
        let whole = reconciled.asked[0].as_ref().expect("it has a result");
        assert_eq!(whole.reason.as_deref(), Some("1 of 3 failed: two: two is wrong"));
        assert_eq!(whole.duration, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_test_of_exactly_this_name_goes_before_parts_of_something_of_this_name() {
        let all = vec![found("x", &[], Outcome::Passed), found("y", &["x"], Outcome::Failed)];
        check(&["x"], all, &[Some(Outcome::Passed)], &["y"]);
    }

    #[test]
    fn skipped_parts_do_not_hide_that_something_ran() {
        let parts = vec![found("a", &["s"], Outcome::Skipped), found("b", &["s"], Outcome::Passed)];
        check(&["s"], parts, &[Some(Outcome::Passed)], &[]);
    }

    #[test]
    fn a_long_list_of_names_is_cut() {
        let names: Vec<String> = (0..25).map(|name| name.to_string()).collect();
        assert!(quoted(&names).ends_with("`19` and 5 more"));
    }
}
