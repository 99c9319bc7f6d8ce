//! What a run cost its slots beside its tests, as its events tell.
//!
//! Within a lease, and from one lease to the next that waited behind it, what lies between two tests is overhead, by the clock
//! of their worker alone. Only the start of a suite on a slot is seen from here: the lease took so long, and its tests with
//! all between them so long. Leases that listed files are left out, since collecting is no overhead of running. Medians, so
//! that a machine that slept or a clock that was set changes nothing.

use crate::store::projection::Learnt;
use regatta_domain::result::TestResult;
use regatta_domain::{Costs, FileIx, Micros, Outcome, SlotIx, SuiteIx, Time, Token, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Fewer gaps than these say nothing.
const GAPS: usize = 5;

/// Gaps that are kept of a suite, of each kind; of more, every second one, every fourth one, ….
const KEPT: usize = 512;

type Slot = (WorkerId, SlotIx);

/// Measures a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Meter {
    leases: BTreeMap<Token, Lease>,
    slots: BTreeMap<Slot, At>,
    suites: BTreeMap<SuiteIx, Gaps>,
}

/// A lease that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lease {
    slot: Slot,
    suite: SuiteIx,
    granted: Time,
    /// Whether it runs tests that were known; one that lists them measures nothing.
    runs: bool,
    /// Whether it is the first of its suite on its slot, and nothing went before that it waited for.
    starts: bool,
    /// Whether it waited behind another one, so that its slot went from that to this.
    queued: bool,
    /// When its first test began, by the worker's clock.
    began: Option<Time>,
}

/// Where a slot is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct At {
    open: BTreeSet<Token>,
    served: BTreeSet<SuiteIx>,
    /// Its last test: the lease, the file, and when it ended, by the worker's clock.
    last: Option<(Token, SuiteIx, FileIx, Time)>,
}

/// What lay between tests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Gaps {
    starts: Kept,
    /// In a lease, within a file.
    tests: Kept,
    /// In a lease, from one file to another.
    files: Kept,
    /// Between leases, within a file and from one to another.
    batches: [Kept; 2],
}

impl Meter {
    /// A shard was granted; `runs` says that its tests were known.
    pub(super) fn leased(&mut self, at: Time, token: Token, slot: Slot, suite: SuiteIx, runs: bool) {
        let place = self.slots.entry(slot).or_default();
        let queued = !place.open.is_empty();
        let starts = place.served.insert(suite) && !queued;
        place.open.insert(token);
        self.leases.insert(token, Lease { slot, suite, granted: at, runs, starts, queued, began: None });
    }

    /// A test of a file ended.
    pub(super) fn result(&mut self, token: Token, file: FileIx, result: &TestResult) {
        let Some(lease) = self.leases.get_mut(&token) else { return };
        if result.outcome == Outcome::Missing {
            return;
        }
        let (began, ended) = (result.started, result.started + result.duration);
        lease.began.get_or_insert(began);
        let Some(place) = self.slots.get_mut(&lease.slot) else { return };
        let last = place.last.replace((token, lease.suite, file, ended));
        let Some((of, suite, last_file, last_ended)) = last else { return };
        // A clock that was set back, or tests side by side.
        if began < last_ended || suite != lease.suite || !lease.runs {
            return;
        }
        let gaps = self.suites.entry(suite).or_default();
        let kept = match (of == token, last_file == file) {
            (true, true) => &mut gaps.tests,
            (true, false) => &mut gaps.files,
            (false, same) if lease.queued => &mut gaps.batches[usize::from(!same)],
            (false, _) => return,
        };
        kept.push(began.since(last_ended));
    }

    /// A lease ended; `released` says that its worker ended it in order.
    pub(super) fn ended(&mut self, at: Time, token: Token, released: bool) {
        let Some(lease) = self.leases.remove(&token) else { return };
        let Some(place) = self.slots.get_mut(&lease.slot) else { return };
        place.open.remove(&token);
        if let (true, true, true, Some(began)) = (lease.runs, lease.starts, released, lease.began)
            && let Some((of, _, _, ended)) = place.last
            && of == token
        {
            let start = at.since(lease.granted).saturating_sub(ended.since(began));
            self.suites.entry(lease.suite).or_default().starts.push(start);
        }
    }

    /// What was measured of each suite. `assumed` is what was assumed of it, for parts that were not measured.
    pub(super) fn measured(&self, assumed: impl Fn(SuiteIx) -> Costs) -> impl Iterator<Item = (SuiteIx, Learnt)> {
        self.suites.iter().map(move |(suite, gaps)| (*suite, gaps.measured(assumed(*suite))))
    }
}

impl Gaps {
    fn measured(&self, assumed: Costs) -> Learnt {
        let test = self.tests.median(GAPS);
        let before = test.unwrap_or(assumed.test);
        let file = self.files.median(GAPS).map(|gap| gap.saturating_sub(before));
        let at_file = before + file.unwrap_or(assumed.file);
        let [same, other] = &self.batches;
        // Whichever is known from more: the one holds a file's take-up, too.
        let batch = if same.0.len() >= other.0.len() {
            same.median(GAPS).map(|gap| gap.saturating_sub(before))
        } else {
            other.median(GAPS).map(|gap| gap.saturating_sub(at_file))
        };
        let start = self.starts.median(1).map(|start| start.saturating_sub(at_file));
        Learnt { start, batch, file, test }
    }
}

/// Some of many spans, evenly chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept(Vec<Micros>, u32, u32);

impl Kept {
    fn push(&mut self, span: Micros) {
        let Self(kept, seen, shift) = self;
        if seen.trailing_zeros() >= *shift {
            kept.push(span);
        }
        *seen = seen.wrapping_add(1);
        if kept.len() == KEPT {
            let mut at = 0_u32;
            kept.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            *shift += 1;
        }
    }

    /// The median, where there are at least so many.
    fn median(&self, least: usize) -> Option<Micros> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        if sorted.len() < least { None } else { sorted.get((sorted.len().max(1) - 1) / 2).copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::{Nuance, TestIx};

    const SUITE: SuiteIx = SuiteIx(0);

    fn ms(ms: u64) -> Micros {
        Micros::from_ms(ms)
    }

    /// A slot whose worker's clock is an hour ahead, and what a run costs it.
    struct Scene {
        meter: Meter,
        now: Time,
        tokens: u64,
    }

    impl Scene {
        fn new() -> Self {
            Self { meter: Meter::default(), now: Time(1_000_000), tokens: 0 }
        }

        fn slot(slot: u16) -> Slot {
            (WorkerId::from_bits(1), SlotIx(slot))
        }

        fn lease(&mut self, slot: u16, runs: bool) -> Token {
            self.tokens += 1;
            self.meter.leased(self.now, Token(self.tokens), Self::slot(slot), SUITE, runs);
            Token(self.tokens)
        }

        /// Tests of some files, 10 ms each, after so much overhead each.
        fn tests(&mut self, token: Token, tests: &[(u32, u64)]) {
            for (file, overhead) in tests {
                self.now = self.now + ms(*overhead);
                let result = TestResult {
                    test: TestIx(0),
                    attempt: 1,
                    outcome: Outcome::Passed,
                    nuance: Nuance::Plain,
                    cause: None,
                    exit: None,
                    started: self.now + Micros::from_secs(3_600),
                    duration: ms(10),
                    reason: None,
                    output: None,
                    observation: None,
                };
                self.now = self.now + ms(10);
                self.meter.result(token, FileIx(*file), &result);
            }
        }

        fn end(&mut self, token: Token) {
            self.meter.ended(self.now, token, true);
        }

        fn measured(&self) -> Learnt {
            self.meter.measured(|_| Costs::default()).next().map(|(_, learnt)| learnt).unwrap_or_default()
        }
    }

    /// A lease that starts its suite in 400 ms, takes files in 20 and tests in 1; one test exceeds everything.
    const TESTS: [(u32, u64); 14] = [
        (0, 421),
        (0, 1),
        (0, 1),
        (1, 21),
        (1, 1),
        (1, 60_000),
        (2, 21),
        (2, 1),
        (3, 21),
        (3, 1),
        (4, 21),
        (4, 1),
        (5, 21),
        (5, 1),
    ];

    #[test]
    fn what_lies_between_tests_is_told_apart() {
        let mut scene = Scene::new();
        let first = scene.lease(0, true);
        scene.tests(first, &TESTS);
        let mut waiting = first;
        for file in 6..12 {
            let next = scene.lease(0, true);
            scene.end(waiting);
            // Each takes up a file of its own, after the 5 ms of a batch.
            scene.tests(next, &[(file, 26), (file, 1)]);
            waiting = next;
        }
        scene.end(waiting);
        let of = |ms| Some(Micros::from_ms(ms));
        assert_eq!(scene.measured(), Learnt { start: of(400), batch: of(5), file: of(20), test: of(1) });
    }

    #[test]
    fn what_is_no_overhead_is_not_taken_for_it() {
        let mut scene = Scene::new();
        let listing = scene.lease(0, false);
        scene.tests(listing, &TESTS);
        scene.end(listing);
        assert_eq!(scene.measured(), Learnt::default(), "files were collected meanwhile");

        let late = scene.lease(0, true);
        scene.tests(late, &[(7, 9_000)]);
        scene.end(late);
        assert_eq!(scene.measured(), Learnt::default(), "the slot was idle, and has started before");

        let lost = scene.lease(1, true);
        scene.tests(lost, &[(7, 9_000)]);
        scene.meter.ended(scene.now + Micros::from_secs(60), lost, false);
        assert_eq!(scene.measured(), Learnt::default(), "its worker went silent");

        let back = scene.lease(2, true);
        scene.tests(back, &[(7, 1); 7]);
        for _ in 0..9 {
            scene.now = Time(scene.now.0 - 500_000);
            scene.tests(back, &[(7, 1)]);
        }
        assert_eq!(scene.measured().test, Some(ms(1)), "a clock that was set back, again and again");

        let other = SuiteIx(1);
        let before = scene.lease(3, true);
        scene.meter.leased(scene.now, Token(99), Scene::slot(3), other, true);
        scene.tests(before, &[(7, 9_000)]);
        scene.end(before);
        scene.tests(Token(99), &[(8, 50)]);
        scene.end(Token(99));
        let of_other = scene.meter.measured(|_| Costs::default()).find(|(suite, _)| *suite == other);
        assert_eq!(of_other, None, "it waited behind a lease of another suite");
    }

    #[test]
    fn of_many_gaps_some_are_kept_from_all_over_the_run() {
        let mut kept = Kept::default();
        (0..100_000).for_each(|at| kept.push(Micros(at)));
        assert!((KEPT / 2 - 1..=KEPT).contains(&kept.0.len()), "{}", kept.0.len());
        let median = kept.median(GAPS).unwrap().0;
        assert!((48_000..52_000).contains(&median), "{median}");
        assert_eq!(Kept::default().median(1), None);
    }
}
