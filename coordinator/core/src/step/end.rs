//! Runs move on: from running, to closing, to their end, and out of memory.

use super::Turn;
use crate::agenda::Deadline;
use crate::effect::ToWorker;
use crate::event::Event;
use crate::state::Phase;
use regatta_domain::result::RunError;
use regatta_domain::{RunId, WorkerId};

impl Turn<'_> {
    /// Moves every run on that can be moved on.
    pub(super) fn end_runs(&mut self) {
        let ready: Vec<RunId> = self
            .core
            .state
            .runs
            .values()
            .filter(|run| match &run.phase {
                Phase::Running => run.is_settled(),
                Phase::Closing(waiting) => waiting.is_empty(),
                Phase::Ended(_) => false,
            })
            .map(|run| run.id)
            .collect();
        for run in ready {
            if self.core.state.runs[&run].phase == Phase::Running {
                self.close(run);
            }
            if matches!(&self.core.state.runs[&run].phase, Phase::Closing(waiting) if waiting.is_empty()) {
                self.end(run);
            }
        }
    }

    /// Asks the workers that served the run to tear down what they keep warm for it.
    fn close(&mut self, run: RunId) {
        self.record(Event::RunClosing { run });
        self.forget_waits(run);
        self.core.agenda.clear(Deadline::RunLimit(run));
        self.core.agenda.clear(Deadline::RetryDue(run));
        self.core.agenda.clear(Deadline::Patience(run));
        self.core.agenda.set(Deadline::CloseOverdue(run), self.now + self.core.setup.tuning.close);
        let served: Vec<WorkerId> = self.core.state.runs[&run].served.iter().copied().collect();
        for worker in served {
            if self.is_expected(worker) {
                self.send(worker, ToWorker::Close { run });
            } else {
                self.record(Event::WorkerClosed { run, worker });
            }
        }
    }

    /// Whether the worker is there, or may come back.
    fn is_expected(&self, worker: WorkerId) -> bool {
        self.core.presence.session(worker).is_some() || self.core.agenda.has(Deadline::WorkerSilent(worker))
    }

    pub(super) fn closed(&mut self, worker: WorkerId, run: RunId, errors: Vec<RunError>) {
        let closing = self.run(run).map(|run| &run.phase);
        if !matches!(closing, Some(Phase::Closing(waiting)) if waiting.contains(&worker)) {
            return;
        }
        for error in errors {
            self.record(Event::RunErred { run, suite: None, error });
        }
        self.record(Event::WorkerClosed { run, worker });
    }

    /// What was only of use while the run had something to do.
    fn forget_waits(&mut self, run: RunId) {
        self.core.presence.bypassed.forget(run);
        self.core.presence.hopeless.retain(|&(of, ..), _| of != run);
        self.core.ledger.leave(run);
    }

    /// No run waits for the worker any more.
    pub(super) fn stop_waiting_for(&mut self, worker: WorkerId) {
        let waiting: Vec<RunId> = self
            .core
            .state
            .runs
            .values()
            .filter(|run| matches!(&run.phase, Phase::Closing(waiting) if waiting.contains(&worker)))
            .map(|run| run.id)
            .collect();
        for run in waiting {
            self.record(Event::WorkerClosed { run, worker });
        }
    }

    /// Ends a run, whoever has not closed it yet.
    pub(super) fn end(&mut self, run: RunId) {
        let outcome = self.core.state.runs[&run].outcome();
        self.record(Event::RunEnded { at: self.now, run, outcome });
        self.core.agenda.clear(Deadline::CloseOverdue(run));
        self.core.agenda.set(Deadline::Forget(run), self.now + self.core.setup.tuning.keep);
    }
}
