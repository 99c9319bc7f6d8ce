//! A test of a run: what is known of it, and where it stands.

use regatta_domain::submission::TestDraft;
use regatta_domain::{FileIx, GroupIx, Level, Micros, NeedsIx, PolicyIx, Source, TestKey, Time, Token, Verdict};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A test of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Test {
    /// The file it stands in.
    pub file: FileIx,
    /// The group it belongs to.
    pub group: GroupIx,
    /// Its name within the file.
    pub name: Arc<str>,
    /// The line it stands at; 0 where that is not known.
    pub line: u32,
    /// What its history hangs on.
    pub key: TestKey,
    /// How long it may take.
    pub estimate: Micros,
    /// What it sets up for others, in microseconds: the first of a file or group pays for all.
    pub setup: u32,
    /// How sure that is: see [`regatta_domain::Estimate::spread`].
    pub spread: u16,
    /// Where that comes from.
    pub source: Source,
    /// How likely it is not to pass, in thousandths.
    pub risk: u16,
    /// What it needs beside a slot.
    pub needs: NeedsIx,
    /// The rules it runs under.
    pub policy: PolicyIx,
    /// Its database dependency.
    pub level: Level,
    /// Where it stands.
    pub place: Place,
    /// Attempts that ended without a pass.
    pub failures: u16,
    /// Attempts that say nothing about the test: lost with their worker, with a resource that was not well, or never begun by
    /// a machine that could not.
    pub losses: u16,
    /// Attempts that its database refused what they needed.
    pub promotions: u16,
}

/// Where a test stands. It is in exactly one place at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// In the queue.
    Waiting,
    /// On its way back to the queue, not before this moment.
    Delayed(Time),
    /// Under a lease.
    Leased(Token),
    /// It has its verdict.
    Done(Verdict),
    /// It left the plan: it was remembered, and is not there any more.
    Gone,
}

impl Test {
    /// A test that has just joined the plan, and sets up so much for others.
    #[must_use]
    pub fn new(draft: &TestDraft, file: FileIx, group: GroupIx, place: Place, setup: Micros) -> Self {
        Self {
            file,
            group,
            name: Arc::clone(&draft.name),
            line: draft.line,
            key: draft.key,
            estimate: draft.estimate.mean,
            setup: u32::try_from(setup.0).unwrap_or(u32::MAX),
            spread: draft.estimate.spread,
            source: draft.estimate.source,
            risk: draft.risk,
            needs: draft.needs,
            policy: draft.policy,
            level: draft.level,
            place,
            failures: 0,
            losses: 0,
            promotions: 0,
        }
    }

    /// How long a slot may be busy with it: itself, and what it sets up.
    #[must_use]
    pub fn takes(&self) -> Micros {
        Micros(self.estimate.0.saturating_add(self.setup.into()))
    }

    /// The upper end of how long it may take, by which it is ordered: half a deviation above the mean of the logarithm where
    /// its own history is known; two and a half where it is a guess, since a long test that nobody knows costs most when it
    /// is found last (measured over real and drawn suites with 30 % unknown: 1.064 with three in a straight line, 1.057 so).
    ///
    /// In whole numbers, `1 + x + x²/2` for `exp(x)` and no further than `x = 8`, so that it is the same on every machine.
    #[must_use]
    pub fn upper(&self) -> Micros {
        let halves = if self.source.is_own() { 1 } else { 5 };
        let x = (u128::from(self.spread) * halves / 2).min(8_000);
        let takes = self.takes();
        let more = u128::from(takes.0) * (x * 1_000 + x * x / 2) / 1_000_000;
        Micros(takes.0.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)))
    }

    /// The number of its next (or current) attempt, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u16 {
        self.failures.saturating_add(self.losses).saturating_add(self.promotions).saturating_add(1)
    }

    /// Whether it still has to be run to an end.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.place, Place::Waiting | Place::Delayed(_) | Place::Leased(_))
    }
}
