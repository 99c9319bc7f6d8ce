//! A worker tells what happened. Everything is checked against the fencing token under which it is told; what comes
//! under a token that is not current is late, and dropped.

use super::Turn;
use super::steal::LOOK_AGAIN;
use crate::command::{Entry, SessionId};
use crate::effect::ToWorker;
use crate::event::{Event, LeaseEnd};
use crate::mutant::{self, Mutant};
use crate::presence::Progress;
use crate::state::{Lease, Place};
use regatta_domain::{Micros, RunId, TestIx, Token, WorkerId};

impl Turn<'_> {
    pub(super) fn report(&mut self, worker: WorkerId, session: SessionId, seq: u64, entries: Vec<Entry>) {
        if !self.core.presence.is_current(worker, session) {
            if !mutant::is(Mutant::NoHangup) {
                self.hang_up(worker, session);
            }
            return;
        }
        self.heard(worker);
        self.core.presence.told.insert(worker);
        let mut entries = entries.into_iter().peekable();
        while let Some(entry) = entries.next() {
            match entry {
                Entry::Discovered { token, files } => self.discovered(worker, token, files),
                Entry::Listed { token, file, tests } => self.listed(worker, token, file, tests),
                Entry::Erred { token, file, error } => self.erred(worker, token, file, error),
                Entry::Started { token, test } => self.started(worker, token, test),
                Entry::Finished { token, result } => {
                    let mut results = vec![result];
                    while let Some(Entry::Finished { result, .. }) =
                        entries.next_if(|next| matches!(next, Entry::Finished { token: also, .. } if *also == token))
                    {
                        results.push(result);
                    }
                    self.finished(worker, token, results);
                }
                Entry::GaveBack { token, tests } => self.gave_back(worker, token, tests),
                Entry::Released { token } => {
                    if let Some(lease) = self.lease_of(worker, token) {
                        // What a leaving worker hands back untouched says nothing about the suite.
                        let leaving = self.core.presence.workers().get(&worker).is_some_and(|session| session.draining);
                        let untouched = leaving && !lease.fruitful;
                        self.end_lease(token, if untouched { LeaseEnd::Unreceived } else { LeaseEnd::Released });
                    }
                }
                Entry::Closed { run, errors } => self.closed(worker, run, errors),
                Entry::Draining => {
                    self.core.presence.drain(worker);
                }
                Entry::Lost { token } => {
                    if self.lease_of(worker, token).is_some() {
                        self.end_lease(token, LeaseEnd::WorkerLost);
                    }
                }
            }
        }
        if seq > 0 {
            self.send(worker, ToWorker::Ack { seq });
        }
    }

    /// The lease, where it is live and the worker's own: the fence that every write passes.
    pub(super) fn lease_of(&self, worker: WorkerId, token: Token) -> Option<&Lease> {
        self.core.state.leases.get(&token).filter(|lease| lease.worker == worker)
    }

    fn started(&mut self, worker: WorkerId, token: Token, test: TestIx) {
        let Some(run) = self.run_of(worker, token) else { return };
        let found = &self.core.state.runs[&run];
        let stands = |place| place == Place::Leased(token) || found.twins.get(&test) == Some(&token);
        if found.tests.get(test.at()).is_none_or(|found| !stands(found.place)) {
            return;
        }
        if self.progress(token).running.is_some_and(|(running, _)| running == test) {
            // Told once more after a reconnect: its time goes on.
            return;
        }
        let run = &self.core.state.runs[&run];
        let policy = run.policy_of(test);
        let overdue = self.now + policy.timeout + policy.grace + self.core.setup.tuning.overdue;
        self.core.agenda.set(crate::agenda::Deadline::TestOverdue(token), overdue);
        let now = self.now;
        self.progress(token).running = Some((test, now));
    }

    fn gave_back(&mut self, worker: WorkerId, token: Token, tests: Vec<TestIx>) {
        let Some(lease) = self.lease_of(worker, token) else { return };
        let run = lease.run;
        let plan = &self.core.state.runs[&run].tests;
        let in_vain = tests.is_empty();
        let tests: Vec<TestIx> = tests
            .into_iter()
            .filter(|test| plan.get(test.at()).is_some_and(|found| found.place == Place::Leased(token)))
            .collect();
        let ill = self.core.ledger.holds_ill(&lease.holds);
        let again = self.now + if in_vain { LOOK_AGAIN } else { Micros::ZERO };
        let progress = self.progress(token);
        progress.stealing.clear();
        if ill {
            // More of it was begun than is known: the next question leaves that out, and more each time.
            progress.left = if in_vain { (progress.left * 2).max(1) } else { 0 };
            progress.again = again;
        } else {
            progress.barren = in_vain;
        }
        if !tests.is_empty() {
            self.record(Event::TestsGivenBack { run, token, tests });
        }
    }

    pub(super) fn progress(&mut self, token: Token) -> &mut Progress {
        self.core.presence.progress.entry(token).or_default()
    }

    /// The run and its leases' worker, for messages that concern a file of it.
    pub(super) fn run_of(&self, worker: WorkerId, token: Token) -> Option<RunId> {
        self.lease_of(worker, token).map(|lease| lease.run)
    }
}
