//! A worker connects, connects again, goes away, asks.

use super::Turn;
use crate::agenda::Deadline;
use crate::command::{OF_WORKERS, SessionId};
use crate::effect::{GrantedTest, ToWorker};
use crate::event::LeaseEnd;
use crate::mutant::{self, Mutant};
use crate::presence::Standing;
use crate::state::{Phase, Run};
use regatta_domain::limits::{LEASES_PER_SLOT, SLOTS_PER_WORKER};
use regatta_domain::{Held, Micros, ResourceKind, RunId, SlotIx, TestIx, Token, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Turn<'_> {
    /// The worker's inventory and the core's are brought together: what the worker does not hold was never received and
    /// is free again; what the core does not know is stopped; what both know goes on.
    pub(super) fn attach(
        &mut self,
        worker: WorkerId,
        session: SessionId,
        (slots, labels, capacities): (u16, Vec<Arc<str>>, BTreeMap<Arc<str>, u32>),
        holds: &[Token],
    ) {
        let slots = slots.min(u16::try_from(SLOTS_PER_WORKER).unwrap_or(u16::MAX));
        let before = self.core.presence.open(worker, session, slots, (labels, capacities));
        if let Some(before) = before.filter(|&before| before != session) {
            self.hang_up(worker, before);
        }
        self.heard(worker);
        self.send(worker, ToWorker::Attached);

        let holds: BTreeSet<Token> = holds.iter().copied().collect();
        let ours = self.core.state.leases_of(worker);
        for &token in &ours {
            if holds.contains(&token) {
                self.go_on(worker, token);
            } else if !mutant::is(Mutant::UnreceivedKept) {
                self.end_lease(token, LeaseEnd::Unreceived);
            }
        }
        for &token in holds.difference(&ours) {
            self.send(worker, ToWorker::Stop { token, kill: true });
        }
        // A worker that was away when a run closed may still keep something warm for it.
        let over = |run: &&Run| run.phase != Phase::Running && run.served.contains(&worker);
        let over: Vec<RunId> = self.core.state.runs.values().filter(over).map(|run| run.id).collect();
        for run in over {
            self.send(worker, ToWorker::Close { run });
        }
    }

    /// Repeats what a worker may have missed about a lease that it still holds. The answer to a listing is not repeated
    /// here: a worker that missed it missed the acknowledgement too, and tells the listing again. By then what it gave
    /// back in between has been heard as well, and is not handed to it a second time.
    fn go_on(&mut self, worker: WorkerId, token: Token) {
        if let Some(progress) = self.core.presence.progress.get_mut(&token) {
            progress.stealing.clear();
        }
        if self.is_idle_twin(token) {
            return self.stop_for_good(token);
        }
        let run = &self.core.state.runs[&self.core.state.leases[&token].run];
        if run.cancelled.is_some() {
            let kill = run.kill;
            self.send(worker, ToWorker::Stop { token, kill });
        }
    }

    /// The connection broke: the worker has a short while to come back before it loses its leases. That is no sign of life: one
    /// that was silent before has no longer than it had. A worker that holds what the fleet shares keeps it for as long as it may
    /// believe that it does: it may not know that its connection broke, and work on.
    pub(super) fn detach(&mut self, worker: WorkerId, session: SessionId) {
        if !self.core.presence.is_current(worker, session) {
            return;
        }
        self.core.presence.close(worker);
        if self.holds_of_fleet(worker) {
            return;
        }
        let wait = if mutant::is(Mutant::NoReconnect) { Micros::ZERO } else { self.core.setup.tuning.reconnect };
        self.core.agenda.hasten(Deadline::WorkerSilent(worker), self.now + wait);
    }

    /// Whether a worker holds something that others wait for and that nothing but its own word takes from it. A database is taken
    /// from it at its server.
    fn holds_of_fleet(&self, worker: WorkerId) -> bool {
        let of_fleet = |held: &Held| {
            let offer = self.core.setup.resources.get(&held.resource);
            !held.resource.starts_with(OF_WORKERS)
                && offer.is_none_or(|offer| offer.resource.kind != ResourceKind::Database)
        };
        let leases = self.core.state.leases_of(worker);
        leases.iter().any(|token| self.core.state.leases[token].holds.iter().any(of_fleet))
    }

    /// Any word of a worker is a sign of life.
    pub(super) fn heard(&mut self, worker: WorkerId) {
        if mutant::is(Mutant::SilenceUnnoticed) {
            return self.core.agenda.clear(Deadline::WorkerSilent(worker));
        }
        self.core.agenda.set(Deadline::WorkerSilent(worker), self.now + self.core.setup.tuning.lease);
    }

    /// The worker is given up: its leases end, and the tests that were running are charged with it. What ran under a lease
    /// that was granted before a restart is not known until the worker has told; nothing is charged with such a one.
    pub(super) fn lose(&mut self, worker: WorkerId) {
        self.core.agenda.clear(Deadline::WorkerSilent(worker));
        if let Some(session) = self.core.presence.session(worker).filter(|_| !mutant::is(Mutant::NoHangup)) {
            self.hang_up(worker, session);
        }
        let leases = self.core.state.leases_of(worker);
        let witnessed = |token| (token, self.core.presence.witnesses(worker, token));
        let leases: Vec<(Token, bool)> = leases.into_iter().map(witnessed).collect();
        self.core.presence.forget(worker);
        // In reverse, so that what waits behind another lease of its slot is known to have waited.
        for (token, witnessed) in leases.into_iter().rev() {
            let unwitnessed = !witnessed && !mutant::is(Mutant::GuessesAtRestart);
            self.end_lease(token, if unwitnessed { LeaseEnd::Unwitnessed } else { LeaseEnd::WorkerLost });
        }
        self.core.presence.leaving.remove(&worker);
        self.stop_waiting_for(worker);
    }

    pub(super) fn ask(&mut self, worker: WorkerId, session: SessionId, slot: SlotIx) {
        if !self.core.presence.is_current(worker, session) {
            if !mutant::is(Mutant::NoHangup) {
                self.hang_up(worker, session);
            }
            return;
        }
        self.heard(worker);
        // Whoever asks stays: another process may have taken the place of one that left.
        self.core.presence.leaving.remove(&worker);
        let offered = self.core.presence.workers()[&worker];
        if slot.0 < offered.slots && !offered.draining {
            let standing = Standing::holding(self.held(worker, slot), LEASES_PER_SLOT);
            self.core.presence.asks.ask(worker, slot, offered.class, standing);
        }
    }

    /// How many leases the slot holds.
    pub(super) fn held(&self, worker: WorkerId, slot: SlotIx) -> usize {
        self.core.state.slots.get(&(worker, slot)).map_or(0, BTreeSet::len)
    }

    /// Numbers tests for a worker.
    pub(super) fn granted(&self, run: RunId, tests: impl IntoIterator<Item = TestIx>) -> Vec<GrantedTest> {
        let run = &self.core.state.runs[&run];
        tests.into_iter().map(|test| GrantedTest { test, attempt: run.test(test).attempt() }).collect()
    }
}
