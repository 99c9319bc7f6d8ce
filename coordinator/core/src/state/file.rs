//! A file of a run: listed, or itself a unit of work.

use super::observed::Observed;
use crate::mutant::{self, Mutant};
use regatta_domain::submission::FileDraft;
use regatta_domain::{FileKey, GroupIx, Micros, NeedsIx, SuiteIx, TestIx, Time, Token, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A file of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct File {
    /// The suite it belongs to.
    pub suite: SuiteIx,
    /// How people know it.
    pub path: Arc<str>,
    /// Its content address.
    pub key: FileKey,
    /// What the runner needs to find it.
    pub locator: Arc<str>,
    /// How long it may take while its tests are not known.
    pub estimate: Micros,
    /// Whether its tests are known.
    pub listed: Listed,
    /// Its tests, in the order in which they joined; those that left included.
    pub tests: Vec<TestIx>,
    /// Its groups that have a key.
    pub groups: BTreeMap<(Arc<str>, NeedsIx), GroupIx>,
    /// What its tests without history took in this run.
    pub observed: Observed,
    /// The group that goes first, to find out how long the others may take.
    pub probe: Option<GroupIx>,
    /// How many workers in a row were lost on it while none of its tests ran.
    pub losses: u16,
    /// The last of them, and when: it is lost with all its slots, and that is one loss.
    pub lost: Option<(WorkerId, Time)>,
}

/// Whether the tests of a file are known, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Listed {
    /// Not known: the file waits to be listed.
    Waiting,
    /// Not known: the file is being listed under a lease.
    Leased(Token),
    /// Known from an earlier run, by a listing of this digest.
    Remembered(u64),
    /// Known from this run.
    Collected,
    /// It could not be listed.
    Failed,
    /// It left the plan.
    Gone,
}

impl File {
    /// A file that has just joined the plan.
    #[must_use]
    pub fn new(draft: &FileDraft, suite: SuiteIx) -> Self {
        Self {
            suite,
            path: Arc::clone(&draft.path),
            key: draft.key,
            locator: Arc::clone(&draft.locator),
            estimate: draft.estimate,
            listed: if draft.tests.is_some() { Listed::Remembered(draft.digest) } else { Listed::Waiting },
            tests: Vec::new(),
            groups: BTreeMap::new(),
            observed: Observed::default(),
            probe: None,
            losses: 0,
            lost: None,
        }
    }

    /// A worker was lost on it.
    pub fn lose(&mut self, worker: WorkerId, at: Time) {
        if self.lost != Some((worker, at)) || mutant::is(Mutant::LossesBySlot) {
            self.losses += 1;
            self.lost = Some((worker, at));
        }
    }

    /// What a worker compares with what it collects: see the runner contract.
    #[must_use]
    pub const fn remembered(&self) -> u64 {
        match self.listed {
            Listed::Remembered(digest) => digest,
            _ => 0,
        }
    }

    /// Whether it still has to be listed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.listed, Listed::Waiting | Listed::Leased(_))
    }
}
