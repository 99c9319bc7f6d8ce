//! Deadlines pass.

use super::Turn;
use crate::agenda::Deadline;
use crate::command::Tuning;
use crate::effect::ToWorker;
use crate::event::{Event, LeaseEnd};
use crate::mutant::{self, Mutant};
use crate::state::Phase;
use regatta_domain::report::CancelCause;

impl Turn<'_> {
    pub(super) fn tick(&mut self) {
        while let Some(deadline) = self.core.agenda.passed(self.now) {
            self.pass(deadline);
        }
    }

    /// Nobody could be heard: neither is a worker silent, nor a test overdue, nor the end of a run.
    pub(super) fn held_up(&mut self) {
        if mutant::is(Mutant::HeldUpUnnoticed) {
            return;
        }
        let Tuning { lease, overdue, close, .. } = self.core.setup.tuning;
        let agenda = &mut self.core.agenda;
        agenda.postpone(|deadline| matches!(deadline, Deadline::WorkerSilent(_)), self.now + lease);
        agenda.postpone(|deadline| matches!(deadline, Deadline::TestOverdue(_)), self.now + overdue);
        agenda.postpone(|deadline| matches!(deadline, Deadline::CloseOverdue(_)), self.now + close);
    }

    fn pass(&mut self, deadline: Deadline) {
        match deadline {
            Deadline::WorkerSilent(worker) => self.lose(worker),
            Deadline::TestOverdue(token) => {
                if let Some(lease) = self.core.state.leases.get(&token) {
                    let worker = lease.worker;
                    self.send(worker, ToWorker::Stop { token, kill: true });
                    self.end_lease(token, LeaseEnd::Overdue);
                }
            }
            Deadline::RunLimit(run) => self.cancel(run, CancelCause::TimeLimit, true),
            Deadline::CloseOverdue(run) => {
                if self.run(run).is_some_and(|run| matches!(run.phase, Phase::Closing(_))) {
                    self.end(run);
                }
            }
            Deadline::Forget(run) => {
                if self.run(run).is_some_and(crate::state::Run::has_ended) {
                    self.record(Event::RunForgotten { run });
                }
            }
            Deadline::RetryDue(run) => self.await_retry(run),
            Deadline::Patience(run) => self.lose_patience(run),
            Deadline::Unkept => {
                self.core.ledger.count(&self.core.state, self.now);
                self.core.await_unkept(self.now);
            }
            // Whatever became possible is found when the step settles.
            Deadline::Rebalance => {}
        }
    }
}
