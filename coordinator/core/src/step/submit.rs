//! A client hands in a run, or ends one.

use super::Turn;
use crate::Refusal;
use crate::agenda::Deadline;
use crate::command::{ReplyTo, refuse};
use crate::effect::ToWorker;
use crate::event::Event;
use crate::state::Phase;
use regatta_domain::RunId;
use regatta_domain::report::CancelCause;
use regatta_domain::submission::Submission;

impl Turn<'_> {
    pub(super) fn submit(&mut self, submission: Box<Submission>, reply: ReplyTo) {
        if let Some(run) = self.run(submission.run) {
            let same = run.project == submission.project && run.suites.len() == submission.suites.len();
            return self.reply(reply, if same { Ok(()) } else { Err(Refusal::Exists) });
        }
        if let Some(refusal) = refuse(&submission, &self.core.setup) {
            return self.reply(reply, Err(refusal));
        }
        if let Some(limit) = submission.policy.timeout {
            self.core.agenda.set(Deadline::RunLimit(submission.run), self.now + limit);
        }
        let run = submission.run;
        self.core.agenda.set(Deadline::Patience(run), self.now + self.core.setup.tuning.patience);
        self.record(Event::RunSubmitted { at: self.now, submission });
        self.core.ledger.enter(&self.core.state.runs[&run]);
        self.reply(reply, Ok(()));
    }

    /// Ends a run before its time. A second call may turn a gentle end into a hard one; anything else is a repeat.
    pub(super) fn cancel(&mut self, run: RunId, cause: CancelCause, kill: bool) {
        let Some(found) = self.run(run) else { return };
        if found.phase != Phase::Running || (found.cancelled.is_some() && (found.kill || !kill)) {
            return;
        }
        let leases: Vec<_> = found.leases.iter().copied().collect();
        self.record(Event::RunCancelled { at: self.now, run, cause, kill });
        if kill {
            // A gentle end waits for what runs, and the run's own limit still bounds that.
            self.core.agenda.clear(Deadline::RunLimit(run));
        }
        self.core.agenda.clear(Deadline::RetryDue(run));
        for token in leases {
            let worker = self.core.state.leases[&token].worker;
            self.send(worker, ToWorker::Stop { token, kill });
        }
    }
}
