//! What a run adds up to: counts as frameworks give them, and how near it came to what was possible.

use super::View;
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Cause, Micros, Nuance, TestIx, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counts in the words of the frameworks, beside the verdicts: what people compare with the framework's own summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Passed, flaky ones included, unexpected passes apart.
    pub(crate) passed: u32,
    /// Failed, timed out or crashed in the test itself.
    pub(crate) failed: u32,
    /// Skipped, expected failures apart.
    pub(crate) skipped: u32,
    /// Failed as expected.
    pub(crate) xfailed: u32,
    /// Passed although a failure was expected.
    pub(crate) xpassed: u32,
    /// Set-ups, teardowns and files that failed.
    pub(crate) errors: u32,
    /// Passed after attempts that did not.
    pub(crate) flaky: u32,
    /// Never run to an end.
    pub(crate) not_run: u32,
}

/// How near a run came to what was possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// From the submission to the end.
    pub(crate) wall: Micros,
    /// No schedule on these slots could have been shorter: max(total work / slots, longest group, work behind a resource /
    /// its seats).
    pub(crate) bound: Micros,
    /// The time of all attempts together.
    pub(crate) work: Micros,
    /// The slots that took part.
    pub(crate) slots: u32,
    /// What held the run back most.
    pub(crate) held_back: HeldBack,
}

/// What held a run back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeldBack {
    /// Nothing worth a word: it came close to the bound.
    Nothing,
    /// One group took as long as everything else together: its longest test.
    LongestGroup(TestIx, Micros),
    /// A resource was busy for that long.
    Resource(String, Micros),
    /// Nothing of it ran for that long: it waited for a resource that others held, or for a slot.
    Wait(Option<Arc<str>>, Micros),
    /// Time passed before the first shard was leased, or while files were collected and built.
    Start(Micros),
    /// Workers were lost, and what they ran was run again.
    Losses(u32),
    /// Attempts that did not pass were repeated.
    Retries(Micros),
    /// Starting frameworks, collecting files, set-up and teardown outside the tests.
    Overhead(Micros),
}

impl Summary {
    /// The ratio of the wall time to the bound; 1 where there was nothing to do.
    pub(crate) fn ratio(&self) -> f64 {
        if self.bound == Micros::ZERO { 1.0 } else { self.wall.as_secs_f64() / self.bound.as_secs_f64() }
    }
}

impl View {
    /// Counts in the words of the frameworks.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (_, test) in self.planned() {
            let nuance = test.last().map_or(Nuance::Plain, |last| last.nuance);
            match (test.verdict, nuance) {
                (Some(Verdict::Skipped), Nuance::ExpectedFailure) => tally.xfailed += 1,
                (Some(Verdict::Skipped), _) => tally.skipped += 1,
                (Some(Verdict::Passed | Verdict::Flaky), Nuance::UnexpectedPass) => tally.xpassed += 1,
                (Some(Verdict::Passed | Verdict::Flaky), _) => tally.passed += 1,
                (Some(Verdict::Failed), Nuance::SetupError) => tally.errors += 1,
                // The test passed and its teardown did not: frameworks count both.
                (Some(Verdict::Failed), Nuance::TeardownError) => {
                    tally.passed += 1;
                    tally.errors += 1;
                }
                (Some(Verdict::Failed | Verdict::TimedOut | Verdict::Crashed), _) => tally.failed += 1,
                (Some(Verdict::NotRun) | None, _) => tally.not_run += 1,
            }
            tally.flaky += u32::from(test.verdict == Some(Verdict::Flaky));
        }
        let beside = self.errors.iter().filter(|at| at.error.kind != RunErrorKind::Infrastructure).count();
        tally.errors += u32::try_from(beside).unwrap_or(u32::MAX);
        tally
    }

    /// How many tests are red for which cause.
    pub(crate) fn causes(&self) -> BTreeMap<Cause, usize> {
        let mut causes = BTreeMap::new();
        for cause in self.planned().filter_map(|(_, test)| test.cause) {
            *causes.entry(cause).or_default() += 1;
        }
        causes
    }

    /// How near the run came to what was possible with `slots` slots (as many as took part, where that is more).
    pub(crate) fn summary(&self, slots: u32) -> Summary {
        let took_part = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let slots = slots.max(took_part).max(1);
        let wall = self.ended.map_or(Micros::ZERO, |ended| ended.since(self.submitted));
        let mut groups: BTreeMap<u32, (Micros, Micros, TestIx)> = BTreeMap::new();
        let (mut work, mut repeated) = (Micros::ZERO, Micros::ZERO);
        for (ix, test) in self.planned() {
            let duration = test.duration();
            work += duration;
            repeated += duration - test.last().map_or(Micros::ZERO, |last| last.duration);
            let (sum, longest, which) = groups.entry(test.group).or_insert((Micros::ZERO, Micros::ZERO, ix));
            *sum += duration;
            if duration > *longest {
                (*longest, *which) = (duration, ix);
            }
        }
        let longest = groups.values().max_by_key(|(sum, ..)| *sum).copied();
        let share = work / u64::from(slots);
        let bound = longest.map_or(share, |(sum, ..)| sum.max(share));
        let resource = self.busiest();
        if let Some((name, busy)) = resource.filter(|(_, busy)| *busy > bound) {
            let near = wall.0 <= busy.0 + busy.0 / 4;
            let lost = wall.saturating_sub(busy);
            let held_back = if near {
                HeldBack::Resource(name, busy)
            } else {
                self.longest_wait(lost).unwrap_or(HeldBack::Overhead(lost))
            };
            return Summary { wall, bound: busy, work, slots, held_back };
        }
        let mut summary = Summary { wall, bound, work, slots, held_back: HeldBack::Nothing };
        summary.held_back = self.held_back(&summary, longest.map(|(sum, _, which)| (sum, which)), repeated);
        summary
    }

    /// The resource that was busy longest, of those whose seats are known.
    fn busiest(&self) -> Option<(String, Micros)> {
        let busy = |(name, seats): (&Arc<str>, &u32)| {
            let behind = self.planned().map(|(ix, test)| {
                let need = self.needs_of(ix).iter().find(|need| need.resource == *name);
                need.map_or(Micros::ZERO, |need| test.duration() * u64::from(need.of((*seats).max(1))))
            });
            (name.to_string(), behind.sum::<Micros>() / u64::from((*seats).max(1)))
        };
        self.seats.iter().map(busy).max_by_key(|(_, busy)| *busy)
    }

    /// What the run waited for, where that is more than half of the time that it lost.
    fn longest_wait(&self, lost: Micros) -> Option<HeldBack> {
        let (what, &time) = self.waited.iter().max_by_key(|(_, time)| **time)?;
        (time > lost / 2).then(|| HeldBack::Wait(what.clone(), time))
    }

    fn held_back(&self, summary: &Summary, longest: Option<(Micros, TestIx)>, repeated: Micros) -> HeldBack {
        let Summary { wall, bound, work, slots, .. } = *summary;
        if let Some((sum, test)) = longest
            && sum == bound
            && sum > work / u64::from(slots)
            && wall.0 <= bound.0 + bound.0 / 4
        {
            return HeldBack::LongestGroup(test, sum);
        }
        if wall.0 <= bound.0 + bound.0 / 20 {
            return HeldBack::Nothing;
        }
        if self.lost > 0 {
            return HeldBack::Losses(self.lost);
        }
        let lost = wall - bound;
        if repeated / u64::from(slots) > lost / 2 {
            return HeldBack::Retries(repeated);
        }
        let first = self.tests.iter().flat_map(|test| &test.attempts).map(|attempt| attempt.started).min();
        let start = first.map_or(wall, |first| first.since(self.submitted));
        if start > lost / 2 {
            return HeldBack::Start(start);
        }
        if let Some(wait) = self.longest_wait(lost) {
            return wait;
        }
        HeldBack::Overhead(lost)
    }
}
