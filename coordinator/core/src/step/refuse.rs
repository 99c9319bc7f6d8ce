//! What is told of tests under a lease that was taken from its worker is late: it is refused, and that is recorded.
//!
//! A worker tells a result until it is acknowledged, so each is recorded once. One that was accepted before, and whose
//! acknowledgement was lost, is no late one: its lease did not owe it any more.

use super::Turn;
use crate::event::{Event, Refused};
use crate::mutant::{self, Mutant};
use regatta_domain::result::TestResult;
use regatta_domain::{Token, WorkerId};
use std::collections::BTreeSet;

impl Turn<'_> {
    /// Records that results came too late, which the worker owed under the lease.
    pub(super) fn refuse(&mut self, worker: WorkerId, token: Token, results: &[TestResult]) {
        let Some(owed) = self.core.state.fenced.of(worker, token) else { return };
        if mutant::is(Mutant::RefusalUnrecorded) {
            return;
        }
        let mut seen = BTreeSet::new();
        let late = results.iter().filter(|result| owed.tests.contains(&result.test) && seen.insert(result.test));
        let results: Vec<Refused> = late.map(Refused::from).collect();
        let (at, run) = (self.now, owed.run);
        if !results.is_empty() {
            self.record(Event::ResultsRefused { at, run, token, worker, results });
        }
    }
}
