//! What leases owed that were taken from their workers: so that a result that comes late is known for one, and recorded once.
//!
//! It asks nothing of the plan of its run, which may have ended meanwhile. What is beyond the bounds is not remembered: a late
//! result of it is refused all the same, and only not recorded.

use crate::mutant::{self, Mutant};
use regatta_domain::limits::{FENCED_TESTS, REFUSED_PER_RUN};
use regatta_domain::{RunId, TestIx, Token, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The leases that were taken from their workers with tests unfinished, of runs that are not forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fenced {
    leases: BTreeMap<Token, Owed>,
    tests: usize,
    /// How many tests were ever remembered for each run.
    remembered: BTreeMap<RunId, usize>,
}

/// What one of them owed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owed {
    /// The run.
    pub run: RunId,
    /// Who had held it.
    pub worker: WorkerId,
    /// The tests of which it has told nothing since.
    pub tests: BTreeSet<TestIx>,
}

impl Fenced {
    /// What a worker owes under a lease that was taken from it.
    #[must_use]
    pub fn of(&self, worker: WorkerId, token: Token) -> Option<&Owed> {
        self.leases.get(&token).filter(|owed| owed.worker == worker)
    }

    /// Every lease that is remembered, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (Token, &Owed)> {
        self.leases.iter().map(|(&token, owed)| (token, owed))
    }

    /// How many tests are owed, all in all.
    #[must_use]
    pub const fn tests(&self) -> usize {
        self.tests
    }

    /// How many tests were ever remembered for the run: so many results of it can be on record as refused.
    #[must_use]
    pub fn remembered(&self, run: RunId) -> usize {
        self.remembered.get(&run).copied().unwrap_or(0)
    }

    /// A lease was taken from its worker, and these tests were unfinished.
    pub(super) fn fence(
        &mut self,
        token: Token,
        (run, worker): (RunId, WorkerId),
        tests: impl Iterator<Item = TestIx>,
    ) {
        let room = REFUSED_PER_RUN - self.remembered(run);
        let tests: BTreeSet<TestIx> = tests.take(room).collect();
        if tests.is_empty() {
            return;
        }
        *self.remembered.entry(run).or_default() += tests.len();
        self.tests += tests.len();
        self.leases.insert(token, Owed { run, worker, tests });
        while self.tests > FENCED_TESTS
            && let Some((_, oldest)) = self.leases.pop_first()
        {
            self.tests -= oldest.tests.len();
        }
    }

    /// Results of these tests came, and were refused.
    pub(super) fn refuse(&mut self, token: Token, tests: impl Iterator<Item = TestIx>) {
        let Some(owed) = self.leases.get_mut(&token).filter(|_| !mutant::is(Mutant::RefusedAgain)) else { return };
        for test in tests {
            self.tests -= usize::from(owed.tests.remove(&test));
        }
        if owed.tests.is_empty() {
            self.leases.remove(&token);
        }
    }

    /// The run is forgotten.
    pub(super) fn forget(&mut self, run: RunId) {
        if self.remembered.remove(&run).is_none() {
            return;
        }
        let Self { leases, tests, .. } = self;
        leases.retain(|_, owed| {
            let stays = owed.run != run;
            *tests -= if stays { 0 } else { owed.tests.len() };
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: WorkerId = WorkerId::from_bits(1);

    fn tests(of: std::ops::Range<usize>) -> impl Iterator<Item = TestIx> {
        of.map(TestIx::nth)
    }

    #[test]
    fn a_run_is_remembered_up_to_its_bound() {
        let (mut fenced, run) = (Fenced::default(), RunId::from_bits(1));
        fenced.fence(Token(1), (run, WORKER), tests(0..REFUSED_PER_RUN - 1));
        fenced.fence(Token(2), (run, WORKER), tests(0..3));
        fenced.refuse(Token(2), tests(0..1));
        fenced.fence(Token(3), (run, WORKER), tests(0..3));
        assert_eq!(fenced.iter().map(|(token, _)| token).collect::<Vec<_>>(), [Token(1)]);
        assert_eq!((fenced.tests(), fenced.remembered(run)), (REFUSED_PER_RUN - 1, REFUSED_PER_RUN));
        fenced.forget(run);
        assert_eq!(fenced, Fenced::default());
    }

    #[test]
    fn beyond_all_that_is_remembered_the_oldest_is_forgotten() {
        let mut fenced = Fenced::default();
        let runs = FENCED_TESTS / REFUSED_PER_RUN + 1;
        for nth in 1..=runs {
            let run = RunId::from_bits(nth as u128);
            fenced.fence(Token(nth as u64), (run, WORKER), tests(0..REFUSED_PER_RUN));
        }
        assert_eq!(fenced.tests(), FENCED_TESTS);
        assert_eq!((fenced.of(WORKER, Token(1)), fenced.of(WORKER, Token(2)).is_some()), (None, true));
    }
}
