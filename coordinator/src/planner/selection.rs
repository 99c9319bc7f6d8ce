//! Which tests of a run are to run: what all filters select; of a rerun, what did not come to a good end; and of a run that is gone
//! on with, what is owed.

use super::earlier::Earlier;
use crate::store::projection::TestHistory;
use regatta_domain::filter::{Filter, Subject};
use regatta_domain::listing::{ListedTest, test_id};
use regatta_domain::{RunnerKind, TestKey};
use regatta_wire::{Invalid, Why};
use std::sync::Arc;

/// Which tests are to run.
#[derive(Debug)]
pub(super) struct Selection {
    filter: Filter,
    earlier: Option<Earlier>,
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
    pub(super) fn new(filters: &[String], earlier: Option<Earlier>) -> Result<Self, Invalid> {
        let parsed: Result<Vec<Filter>, Invalid> =
            filters.iter().enumerate().map(|(at, text)| parse(&format!("filters[{at}]"), text)).collect();
        Ok(Self { filter: Filter::every(parsed?), earlier })
    }

    /// Whether filters are asked at all, and a subject needs its id.
    pub(super) fn asks(&self) -> bool {
        self.filter != Filter::All
    }

    pub(super) fn may_select_suite(&self, suite: &str, runner: RunnerKind) -> bool {
        self.resumes() || self.filter.may_match_suite(suite, runner)
    }

    pub(super) fn may_select_file(&self, suite: &str, runner: RunnerKind, path: &str) -> bool {
        self.resumes() || self.filter.may_match_file(suite, runner, path)
    }

    /// Whether what an earlier run owes is to be run, whatever filters say of it now.
    fn resumes(&self) -> bool {
        self.earlier.as_ref().is_some_and(|earlier| earlier.resume)
    }

    pub(super) fn selects(&self, subject: &Subject<'_>, key: &TestKey) -> bool {
        let matches = || !self.asks() || self.filter.matches(subject);
        let Some(earlier) = &self.earlier else { return matches() };
        match earlier.verdicts.get(key) {
            Some(known) => earlier.leaves(*known) && (earlier.resume || matches()),
            // Without a verdict there, a test of a file that was listed was not meant then, and is not now, unless it is new.
            None => {
                let new = subject.is_new && !earlier.resume;
                (new || earlier.never_saw(subject.suite, subject.file)) && matches()
            }
        }
    }
}

/// Reads a filter of the field called `field`.
pub(super) fn parse(field: &str, text: &str) -> Result<Filter, Invalid> {
    let invalid = |error| Invalid { field: field.to_owned(), why: Why::Other(format!("is not a filter: {error}")) };
    Filter::parse(text).map_err(invalid)
}
