//! Cases become suites, suites become reports, none of them too large.

use super::Most;
use super::case::Case;
use crate::view::View;
use chrono::{DateTime, Utc};
use quick_junit::{Report, TestSuite};
use std::time::Duration;

/// A report under construction, and those that come after it.
pub(super) struct Parts<'a> {
    view: &'a View,
    most: Most,
    report: Option<Report>,
    suite: Option<TestSuite>,
    cases: usize,
    bytes: usize,
    any: bool,
}

/// The tags around a report, and around a suite, at most.
const FRAME_BYTES: usize = 2_000;

impl<'a> Parts<'a> {
    /// Reports that are no larger than this.
    pub(super) fn new(view: &'a View, most: Most) -> Self {
        Self { view, most, report: None, suite: None, cases: 0, bytes: 0, any: false }
    }

    /// Adds a case. Where the report at hand has no room for it, that is full, and given back.
    pub(super) fn add(&mut self, suite: &str, case: Case) -> Option<Report> {
        let has_room = self.cases < self.most.cases && self.bytes + case.bytes + FRAME_BYTES <= self.most.bytes;
        let full = if self.cases > 0 && !has_room { self.finish_part() } else { None };
        if self.suite.as_ref().is_none_or(|open| open.name.as_str() != suite) {
            self.end_suite();
            self.suite = Some(TestSuite::new(suite));
            self.bytes += FRAME_BYTES;
        }
        self.cases += 1;
        self.bytes += case.bytes;
        self.suite.get_or_insert_with(|| TestSuite::new(suite)).add_test_case(case.case);
        full
    }

    /// The last report. Without any case it is an empty one: a system that looks for the file finds it.
    pub(super) fn finish(mut self) -> Option<Report> {
        if self.cases == 0 && !self.any { Some(self.empty()) } else { self.finish_part() }
    }

    fn finish_part(&mut self) -> Option<Report> {
        self.end_suite();
        (self.cases, self.bytes, self.any) = (0, 0, true);
        self.report.take()
    }

    fn end_suite(&mut self) {
        if let Some(mut suite) = self.suite.take() {
            suite.time = Some(suite.test_cases.iter().filter_map(|case| case.time).sum());
            if let Some(submitted) = moment(self.view.submitted) {
                suite.set_timestamp(submitted);
            }
            let empty = self.empty();
            self.report.get_or_insert(empty).add_test_suite(suite);
        }
    }

    fn empty(&self) -> Report {
        let mut report = Report::new(if self.view.project.is_empty() { "regatta" } else { &self.view.project });
        report.set_uuid(self.view.run.0);
        if let Some(submitted) = moment(self.view.submitted) {
            report.set_timestamp(submitted);
        }
        if let Some(ended) = self.view.ended {
            report.set_time(Duration::from(ended.since(self.view.submitted)));
        }
        report
    }
}

/// A moment as a date.
pub(super) fn moment(time: regatta_domain::Time) -> Option<DateTime<Utc>> {
    i64::try_from(time.0).ok().and_then(DateTime::from_timestamp_micros)
}
