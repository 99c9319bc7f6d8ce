//! Which tests of a run are to run: what all filters select, and of a rerun, what did not come to a good end.

use crate::store::projection::TestHistory;
use regatta_domain::filter::{Filter, Subject};
use regatta_domain::listing::{ListedTest, test_id};
use regatta_domain::{RunnerKind, TestKey, Verdict};
use regatta_wire::{Invalid, Why};
use std::collections::HashMap;
use std::sync::Arc;

/// Which tests are to run.
#[derive(Debug)]
pub(super) struct Selection {
    filter: Filter,
    rerun_of: Option<HashMap<TestKey, Verdict>>,
}

/// A test, and what is known of it, as filters are asked about it.
pub(super) struct Asks<'a> {
    pub(super) suite: &'a str,
    pub(super) runner: RunnerKind,
    pub(super) path: &'a Arc<str>,
    pub(super) test: &'a ListedTest,
    pub(super) known: Option<&'a TestHistory>,
    pub(super) changed: bool,
}

impl<'a> Asks<'a> {
    pub(super) fn id(&self) -> String {
        test_id(self.path, &self.test.name)
    }

    pub(super) fn subject(&self, id: &'a str) -> Subject<'a> {
        Subject {
            suite: self.suite,
            runner: self.runner,
            file: self.path,
            name: &self.test.name,
            id,
            tags: &self.test.tags,
            group: self.test.group.as_deref(),
            level: self.test.level,
            last: self.known.and_then(|known| known.last),
            mean: self.known.filter(|known| known.is_measured()).map(TestHistory::typical),
            // What is only known from a file of timings has never run here.
            is_new: self.known.is_none_or(|known| known.last.is_none()),
            changed: self.changed,
        }
    }
}

impl Selection {
    pub(super) fn new(filters: &[String], rerun_of: Option<HashMap<TestKey, Verdict>>) -> Result<Self, Invalid> {
        let parsed: Result<Vec<Filter>, Invalid> =
            filters.iter().enumerate().map(|(at, text)| parse(&format!("filters[{at}]"), text)).collect();
        Ok(Self { filter: Filter::every(parsed?), rerun_of })
    }

    /// Whether filters are asked at all, and a subject needs its id.
    pub(super) fn asks(&self) -> bool {
        self.filter != Filter::All
    }

    pub(super) fn may_select_suite(&self, suite: &str, runner: RunnerKind) -> bool {
        self.filter.may_match_suite(suite, runner)
    }

    pub(super) fn may_select_file(&self, suite: &str, runner: RunnerKind, path: &str) -> bool {
        self.filter.may_match_file(suite, runner, path)
    }

    pub(super) fn selects(&self, subject: &Subject<'_>, key: &TestKey) -> bool {
        let again = match &self.rerun_of {
            None => true,
            // Without a verdict there, a test that history knows was not meant then, and is not now.
            Some(verdicts) => verdicts.get(key).map_or(subject.is_new, |verdict| !verdict.is_ok()),
        };
        again && (!self.asks() || self.filter.matches(subject))
    }
}

/// Reads a filter of the field called `field`.
pub(super) fn parse(field: &str, text: &str) -> Result<Filter, Invalid> {
    let invalid = |error| Invalid { field: field.to_owned(), why: Why::Other(format!("is not a filter: {error}")) };
    Filter::parse(text).map_err(invalid)
}
