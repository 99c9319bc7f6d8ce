//! Captured outputs by address: those that failures and reports quote, as far as they could be fetched.
//!
//! It leaves fetching to others. Its invariant: it holds no more than `OUTPUTS_BYTES`, however much a run printed.

use super::{Attempt, View};
use regatta_domain::Digest;
use regatta_domain::result::OutputRef;
use std::collections::{BTreeMap, BTreeSet};

/// What a client holds of the outputs of a run: those of 256 failures at their own bound (256 KiB), of thousands at the
/// usual size.
pub(crate) const OUTPUTS_BYTES: usize = 64 * 1024 * 1024;

/// Outputs that were fetched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outputs {
    by_digest: BTreeMap<Digest, Vec<u8>>,
    bytes: usize,
}

impl Outputs {
    /// Keeps an output; drops it where there is no room left.
    pub(crate) fn insert(&mut self, digest: Digest, bytes: Vec<u8>) {
        if self.bytes + bytes.len() <= OUTPUTS_BYTES && !self.by_digest.contains_key(&digest) {
            self.bytes += bytes.len();
            self.by_digest.insert(digest, bytes);
        }
    }

    /// The output of an attempt, where there is one and it was fetched.
    pub(crate) fn of(&self, attempt: &Attempt) -> Option<&[u8]> {
        attempt.output.as_ref().and_then(|output| self.by_digest.get(&output.digest)).map(Vec::as_slice)
    }
}

impl View {
    /// The outputs worth fetching once the run has ended: those of attempts that did not pass, the deciding ones first, as
    /// many as there is room for.
    pub(crate) fn outputs_of_failures(&self) -> Vec<OutputRef> {
        let failures = || self.planned().map(|(_, test)| test).filter(|test| test.verdict.is_some());
        let deciding =
            failures().filter_map(|test| test.attempts.iter().rev().find(|attempt| !attempt.outcome.is_ok()));
        let others = failures().flat_map(|test| test.attempts.iter().filter(|attempt| !attempt.outcome.is_ok()));
        let mut seen = BTreeSet::new();
        let mut room = OUTPUTS_BYTES;
        let mut wanted = Vec::new();
        for output in deciding.chain(others).filter_map(|attempt| attempt.output) {
            let size = output.size as usize;
            if size <= room && seen.insert(output.digest) {
                room -= size;
                wanted.push(output);
            }
        }
        wanted
    }
}
