//! At the very end, a test that takes far longer than was thought may run a second time on a slot that has nothing to do:
//! its machine may be sick. The first result counts, and the other lease is stopped.
//!
//! Only where the run asks for it, and only tests that nobody else could notice: of level `none` or `read`, which need
//! nothing. Backup tasks as in MapReduce (Dean and Ghemawat 2004), judged by time as in LATE (Zaharia et al. 2008).

use super::Turn;
use crate::agenda::Deadline;
use crate::effect::ToWorker;
use crate::event::Work;
use crate::state::{Phase, Place, Run};
use regatta_domain::{Level, Micros, NeedsIx, RunId, SlotIx, TestIx, Token, WorkerId};

/// A test is late by this at the least.
const LATE: Micros = Micros::from_secs(5);

/// Of all slots, one in so many may run a test for the second time; one always may.
const PART: usize = 20;

impl Turn<'_> {
    /// Grants a late test to an idle slot, as long as there are both.
    pub(super) fn speculate(&mut self) {
        while self.core.presence.asks.idle() > 0 {
            let Some((run, test, worker, slot)) = self.straggler() else { return };
            let plan = &self.core.state.runs[&run];
            let suite = plan.file(plan.test(test).file).suite;
            self.core.presence.asks.answer(worker, slot);
            self.lease(run, worker, slot, Work::Again(suite, test));
        }
    }

    /// The test that is late by most, and a slot for it.
    fn straggler(&self) -> Option<(RunId, TestIx, WorkerId, SlotIx)> {
        let most = (self.core.presence.slots() / PART).max(1);
        let open = |run: &&Run| {
            run.policy.speculate
                && run.phase == Phase::Running
                && run.cancelled.is_none()
                && run.twins.len() < most
                && run.suites.iter().all(|suite| suite.queues.is_empty())
        };
        let runs = self.core.state.runs.values().filter(open);
        let late = runs.flat_map(|run| run.leases.iter().filter_map(move |&token| self.late(run, token)));
        let (_, run, test, holder) = late.max_by_key(|&(by, _, test, _)| (by, std::cmp::Reverse(test)))?;
        let plan = &self.core.state.runs[&run];
        let suite = &plan.suite(plan.file(plan.test(test).file).suite).suite;
        let idle = || {
            let slots = self.core.presence.asks.idle_slots();
            slots.filter(|&(worker, _)| self.core.presence.carries(worker, &suite.requires))
        };
        // Another machine, where there is one.
        let (worker, slot) = idle().find(|&(worker, _)| worker != holder).or_else(|| idle().next())?;
        Some((run, test, worker, slot))
    }

    /// By how much the running test of a lease is late, where it may run a second time.
    fn late(&self, run: &Run, token: Token) -> Option<(Micros, RunId, TestIx, WorkerId)> {
        let (test, since) = self.core.presence.progress.get(&token)?.running?;
        let found = run.test(test);
        let alone = found.place == Place::Leased(token) && !run.twins.contains_key(&test);
        let alone = alone && !run.is_over(run.file(found.file).suite);
        let harmless = matches!(found.level, Level::None | Level::Read) && found.needs == NeedsIx(0);
        let upper = found.upper();
        let by = self.now.since(since).saturating_sub((upper * 2).max(upper + LATE));
        (alone && harmless && by > Micros::ZERO).then_some((by, run.id, test, self.core.state.leases[&token].worker))
    }

    /// One of two runs of a test has brought a result: the other one is of no use any more.
    pub(super) fn stop_other(&mut self, run: RunId, test: TestIx, token: Token) {
        let plan = &self.core.state.runs[&run];
        let Some(&twin) = plan.twins.get(&test) else { return };
        let other = match plan.test(test).place {
            Place::Leased(holder) if holder != token => holder,
            _ => twin,
        };
        self.stop_for_good(other);
    }

    /// The lease ends, and so does every second run beside it.
    pub(super) fn stop_twins(&mut self, token: Token) {
        let Some(lease) = self.core.state.leases.get(&token) else { return };
        let run = &self.core.state.runs[&lease.run];
        let twins = lease.tests.iter().filter_map(|test| run.twins.get(test)).filter(|&&twin| twin != token);
        for twin in twins.copied().collect::<Vec<_>>() {
            self.stop_for_good(twin);
        }
    }

    /// Whether a lease is a second run that is of no use any more.
    pub(super) fn is_idle_twin(&self, token: Token) -> bool {
        self.core.state.leases.get(&token).is_some_and(|lease| match lease.work {
            Work::Again(_, test) => self.core.state.runs[&lease.run].twins.get(&test) != Some(&token),
            _ => false,
        })
    }

    /// Stops what a lease runs, and gives the lease up if its worker does not.
    pub(super) fn stop_for_good(&mut self, token: Token) {
        let Some(lease) = self.core.state.leases.get(&token) else { return };
        let (worker, run) = (lease.worker, &self.core.state.runs[&lease.run]);
        let grace = lease.tests.iter().map(|&test| run.policy_of(test).grace).max().unwrap_or_default();
        let overdue = self.now + grace + self.core.setup.tuning.overdue;
        self.core.agenda.set(Deadline::TestOverdue(token), overdue);
        self.progress(token).stopped = true;
        self.send(worker, ToWorker::Stop { token, kill: true });
    }
}
