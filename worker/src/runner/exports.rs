//! The variables by which a test can know where it runs: for ports, database names, and logs.

use super::{Brief, Place};
use std::ffi::OsString;

/// What is the same for all tests of a suite on a slot: the suite's own variables, and Regatta's.
pub(super) fn of_slot(brief: &Brief, place: &Place) -> Vec<(OsString, OsString)> {
    let own = [
        ("REGATTA", "1".to_owned()),
        ("REGATTA_RUN_ID", brief.run.to_string()),
        ("REGATTA_WORKER", place.worker.to_string()),
        ("REGATTA_SLOT", place.slot.to_string()),
        ("REGATTA_SLOTS", brief.slots.to_string()),
    ];
    let suite = brief.suite.env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let all = suite.chain(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
    all.map(|(name, value)| (name.into(), value.into())).collect()
}

/// What tells one attempt of a test from others.
pub(super) fn of_attempt(id: String, attempt: u16) -> [(OsString, OsString); 2] {
    [("REGATTA_TEST_ID".into(), id.into()), ("REGATTA_ATTEMPT".into(), attempt.to_string().into())]
}
