//! Slots that ask are served, in the order in which they asked.

use super::Turn;
use crate::agenda::Deadline;
use crate::effect::{Grant, GrantedWork, ToWorker};
use crate::event::{Event, Work};
use crate::mutant::{self, Mutant};
use crate::state::{Phase, Run};
use regatta_domain::limits::LEASES_PER_SLOT;
use regatta_domain::{Micros, RunId, SlotIx, TestIx, Token, WorkerId};

impl Turn<'_> {
    /// Serves as many of the slots that ask as there is work for. A question may overtake the word that a lease is over;
    /// it stands until that word has come, since nobody asks twice.
    pub(super) fn serve(&mut self) {
        while let Some(run) = self.next_run() {
            let mut asks = self.core.presence.asks.iter();
            let Some(at) = asks.position(|&(worker, slot)| self.held(worker, slot) < LEASES_PER_SLOT) else { break };
            let Some(work) = self.cut(run) else { break };
            let (worker, slot) = self.core.presence.asks.remove(at).expect("the position was just found");
            self.lease(run, worker, slot, work);
        }
    }

    /// The run that is served next: the one that holds the fewest slots, the oldest of those.
    fn next_run(&self) -> Option<RunId> {
        let live = self.core.state.runs.values();
        live.filter(|run| run.phase == Phase::Running && self.has_work(run))
            .min_by_key(|run| (run.leases.len(), run.submitted, run.id))
            .map(|run| run.id)
    }

    fn has_work(&self, run: &Run) -> bool {
        self.due(run).is_some() || run.suites.iter().any(|suite| !suite.queue.is_empty())
    }

    /// The retry that may be leased by now.
    pub(super) fn due(&self, run: &Run) -> Option<TestIx> {
        run.delayed.first().filter(|&&(at, _)| at <= self.now).map(|&(_, test)| test)
    }

    fn lease(&mut self, run: RunId, worker: WorkerId, slot: SlotIx, work: Work) {
        let mut token = self.core.state.last_token.next();
        if mutant::is(Mutant::TokenReused) {
            token = self.core.state.leases.last_key_value().map_or(Token::default(), |(&last, _)| last).next();
        }
        let suite = work.suite();
        let granted = match &work {
            Work::Discover(_) => GrantedWork::Discover,
            Work::List(_, files) => GrantedWork::List(files.clone()),
            Work::Run(_, tests) => GrantedWork::Run(self.granted(run, tests.iter().copied())),
        };
        self.record(Event::ShardLeased { at: self.now, run, token, worker, slot, work });
        self.await_retry(run);
        self.send(worker, ToWorker::Grant(Grant { run, token, slot, suite, work: granted }));
    }

    /// Sets the clock to the next retry that is not due yet. Those that are due wait for a slot, not for a moment.
    pub(super) fn await_retry(&mut self, run: RunId) {
        let Some(found) = self.run(run) else { return };
        let later = (self.now + Micros(1), TestIx(0));
        match found.delayed.range(later..).next() {
            Some(&(at, _)) => self.core.agenda.set(Deadline::RetryDue(run), at),
            None => self.core.agenda.clear(Deadline::RetryDue(run)),
        }
    }
}
