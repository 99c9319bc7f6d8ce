//! What can happen at a moment, and what can go wrong.

use super::candidate::{Candidate, Leader};
use super::store::Entry;
use super::worker::{Beat, Worker};
use super::world::{Action, Fault, Leaders};
use super::{GRANTS, Wrong};

impl Leaders {
    pub(super) fn moves(&self) -> Vec<Action> {
        let mut moves = Vec::new();
        if !self.candidates.iter().any(Candidate::is_due) {
            moves.push(Action::Tick);
        }
        for (at, candidate) in self.candidates.iter().enumerate() {
            self.moves_of_candidate(at, candidate, &mut moves);
        }
        for (at, worker) in self.workers.iter().enumerate() {
            self.moves_of_worker(at, worker, &mut moves);
        }
        moves.extend((0..self.late.len()).map(Action::Arrives));
        if self.faults > 0 {
            moves.extend(self.faults().into_iter().map(Action::Goes));
        }
        moves
    }

    fn moves_of_candidate(&self, at: usize, candidate: &Candidate, moves: &mut Vec<Action>) {
        if candidate.stopped {
            moves.push(Action::Continue(at));
        }
        if candidate.cut {
            moves.push(Action::Mend(at));
        }
        if !candidate.acts() {
            return;
        }
        match &candidate.leads {
            // The candidates are alike: let it be the first that leads first.
            None if self.store.epoch == 0 && at > 0 => {}
            None if self.store.until == 0 || self.is(Wrong::TakesEarly) => moves.push(Action::Take(at)),
            None => {}
            Some(leader) => {
                if !leader.asked {
                    moves.push(Action::Renew(at));
                }
                match leader.pending {
                    Some(_) => moves.push(Action::LookUp(at)),
                    None => moves.extend(self.wanted(leader).into_iter().map(|entry| Action::Append(at, entry))),
                }
            }
        }
    }

    fn moves_of_worker(&self, at: usize, worker: &Worker, moves: &mut Vec<Action>) {
        for (to, candidate) in self.candidates.iter().enumerate() {
            let Some(leader) = candidate.leads.as_ref().filter(|_| worker.session.is_none()) else { continue };
            if worker.is_at_it() && !candidate.stopped && self.takes_in(leader) {
                moves.push(Action::Attach(at, to));
            }
            // One that has dialled before may tell it also where it would not be taken in any more.
            if worker.result.is_some() && candidate.acts() && leader.pending.is_none() {
                moves.push(Action::Report(at, to));
            }
        }
        if let Some(to) = worker.session {
            if worker.beat.is_none() && worker.is_at_it() {
                moves.push(Action::Beat(at));
            }
            if matches!(worker.beat, Some(Beat::Sent(_))) && !self.candidates[to].stopped {
                moves.push(Action::BeatArrives(at));
            }
        }
        if matches!(worker.beat, Some(Beat::Answered(_))) {
            moves.push(Action::Heard(at));
        }
        if worker.lease.is_some() {
            moves.push(Action::Told(at));
        }
        if worker.holds.is_some() {
            moves.push(Action::Done(at));
        }
    }

    /// Whether a leader takes workers in.
    fn takes_in(&self, leader: &Leader) -> bool {
        leader.vouched > 0 || self.is(Wrong::AttachesUnvouched)
    }

    /// What a leader that waits for nothing may append: a grant, or the end of one whose holder is lost, or dials and never had it.
    fn wanted(&self, leader: &Leader) -> Vec<Entry> {
        match leader.open_grant(&self.store) {
            None if leader.granted(&self.store) < GRANTS && self.takes_in(leader) => {
                let asks = |worker: &Worker| !worker.is_at_it() && worker.session.is_none() && worker.result.is_none();
                // The workers are alike: let it be the first that is granted something first.
                let among = if self.store.journal.is_empty() { 0..1 } else { 0..self.workers.len() };
                among.filter(|&of| asks(&self.workers[of])).map(Entry::Granted).collect()
            }
            Some((holder, token)) => {
                let holder = &self.workers[holder];
                let knows = [holder.holds, holder.lease, holder.result].contains(&Some(token));
                let never_had = holder.session.is_none() && !knows && self.takes_in(leader);
                if leader.patience == 0 || never_had { vec![Entry::Ended] } else { Vec::new() }
            }
            None => Vec::new(),
        }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            let Some(leader) = candidate.leads.as_ref() else {
                // It does not matter who asks.
                if at == 0 && candidate.acts() && self.store.until == 0 {
                    faults.push(Fault::LateTake);
                }
                continue;
            };
            if !candidate.stopped {
                faults.extend([Fault::Stop(at), Fault::Die(at)]);
            }
            if !candidate.cut {
                faults.push(Fault::Cut(at));
            }
            if !candidate.acts() {
                continue;
            }
            if !leader.asked {
                faults.push(Fault::LateRenewal(at));
            }
            if leader.pending.is_none() {
                faults.extend([Fault::Resign(at), Fault::LateResignation(at)]);
                faults.extend(self.wanted(leader).into_iter().map(|entry| Fault::LateAppend(at, entry)));
                if self.can_be_told(leader) {
                    faults.push(Fault::LateAppend(at, Entry::Result));
                }
            }
        }
        let connected = |(at, worker): (usize, &Worker)| worker.session.map(|_| Fault::HangUp(at));
        faults.extend(self.workers.iter().enumerate().filter_map(connected));
        faults
    }

    /// Whether the result of the grant that is open could be told to this leader.
    fn can_be_told(&self, leader: &Leader) -> bool {
        let has = |(holder, token): (usize, u8)| {
            self.workers[holder].session.is_none() && self.workers[holder].result == Some(token)
        };
        leader.open_grant(&self.store).is_some_and(has)
    }
}
