//! What happens between candidates, the database and workers, and what must hold after each of it. When it can happen is in `moves`.

use super::candidate::{Candidate, Leader};
use super::store::{Entry, Store};
use super::worker::{Beat, Worker};
use super::{LEASE, Wrong};
use crate::model::World;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A candidate stands still.
    Stop(usize),
    /// A candidate cannot reach the database any more.
    Cut(usize),
    /// A candidate dies, and starts again.
    Die(usize),
    /// A candidate resigns, which is no fault, but makes another one lead.
    Resign(usize),
    /// A worker's stream breaks.
    HangUp(usize),
    /// A candidate asks to lead, and that is late.
    LateTake,
    /// A leader asks for its term, and that is late.
    LateRenewal(usize),
    /// A candidate resigns, and that is late.
    LateResignation(usize),
    /// What a leader appends is late.
    LateAppend(usize, Entry),
}

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A tick passes.
    Tick,
    /// A candidate asks to lead.
    Take(usize),
    /// A leader asks for its term.
    Renew(usize),
    /// A leader appends.
    Append(usize, Entry),
    /// A leader looks up what became of what it appended, and appends it again if it is not there.
    LookUp(usize),
    /// A worker dials a candidate.
    Attach(usize, usize),
    /// A worker tells a candidate the result that it has.
    Report(usize, usize),
    /// A worker gives a sign of life.
    Beat(usize),
    /// It arrives.
    BeatArrives(usize),
    /// Its answer arrives.
    Heard(usize),
    /// A lease arrives at a worker.
    Told(usize),
    /// A worker is done.
    Done(usize),
    /// Something late is carried out.
    Arrives(usize),
    /// A candidate continues.
    Continue(usize),
    /// A candidate reaches the database again.
    Mend(usize),
    /// Something goes wrong.
    Goes(Fault),
}

/// What was asked of the database and is late: nobody waits for it any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Late {
    Take,
    Renew(u8),
    Resign(u8),
    Append(u8, usize, Entry),
}

/// Candidates, the database, and workers.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Leaders {
    pub(super) store: Store,
    pub(super) candidates: Vec<Candidate>,
    pub(super) workers: [Worker; 2],
    pub(super) late: Vec<Late>,
    /// The tokens whose results a worker was told to be recorded, a bit each.
    acknowledged: u8,
    pub(super) faults: u8,
    pub(super) wrong: Option<Wrong>,
}

impl Leaders {
    pub(super) fn new(candidates: usize, faults: u8, wrong: Option<Wrong>) -> Self {
        let candidates = vec![Candidate::new(); candidates];
        let store = Store { epoch: 0, until: 0, journal: Vec::new() };
        Self { store, candidates, workers: Default::default(), late: Vec::new(), acknowledged: 0, faults, wrong }
    }

    pub(super) fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    fn leader(&mut self, at: usize) -> &mut Leader {
        self.candidates[at].leads.as_mut().expect("it leads")
    }

    /// A leader puts an entry in line. What it believes has changed with that, but nothing is told of it.
    fn put(&mut self, at: usize, entry: Entry) {
        let lost = self.leader(at).patience == 0;
        let leader = self.candidates[at].leads.as_mut().expect("it leads");
        leader.pending = Some(entry);
        let open = leader.open_grant(&self.store);
        match (entry, open) {
            // Whoever asks has dialled, and is heard with that.
            (Entry::Granted(worker), _) => {
                leader.patience = LEASE;
                self.workers[worker].dials(at);
            }
            (Entry::Result, Some((holder, _))) if !self.is(Wrong::AcknowledgesAhead) => self.workers[holder].dials(at),
            (Entry::Ended, Some((holder, _))) if lost => {
                self.hang_up(holder, at);
            }
            (Entry::Result, Some((holder, token))) => self.acknowledge(holder, token),
            _ => {}
        }
    }

    /// Asks the database to append what is in line.
    fn write(&mut self, at: usize) {
        let wrong = self.wrong;
        let leader = self.candidates[at].leads.as_ref().expect("it leads");
        let entry = leader.pending.expect("something is in line");
        match self.store.append(leader.epoch, leader.seen, entry, wrong) {
            true => self.written(at),
            false => self.deposed(at),
        }
    }

    /// What was in line is there, and is told.
    fn written(&mut self, at: usize) {
        let leader = self.candidates[at].leads.as_mut().expect("it leads");
        let before = leader.open_grant(&self.store);
        let entry = leader.pending.take().expect("something was in line");
        leader.seen += 1;
        let (token, untold) = (leader.granted(&self.store), std::mem::take(&mut leader.untold));
        match (entry, before) {
            (Entry::Granted(worker), _) if !untold => self.workers[worker].lease = Some(token),
            (Entry::Result, Some((holder, token))) if self.workers[holder].session == Some(at) => {
                self.acknowledge(holder, token);
            }
            _ => {}
        }
    }

    fn acknowledge(&mut self, worker: usize, token: u8) {
        self.acknowledged |= 1 << token;
        self.workers[worker].settled();
    }

    /// A candidate closes the stream of a worker.
    fn hang_up(&mut self, worker: usize, at: usize) {
        if self.workers[worker].session == Some(at) {
            self.lose(worker);
        }
    }

    /// A worker's stream is gone, and what would have been told over it is not.
    fn lose(&mut self, worker: usize) {
        if let Some(leader) = self.workers[worker].session.and_then(|to| self.candidates[to].leads.as_mut()) {
            leader.untold |= leader.pending == Some(Entry::Granted(worker));
        }
        self.workers[worker].hung_up();
    }

    /// A candidate leads no more, and knows it.
    fn deposed(&mut self, at: usize) {
        (0..self.workers.len()).for_each(|worker| self.hang_up(worker, at));
        self.candidates[at].leads = None;
    }

    fn renew(&mut self, at: usize) {
        let (epoch, wrong) = (self.leader(at).epoch, self.wrong);
        if self.store.renew(epoch, wrong) {
            self.leader(at).renewed();
        } else {
            self.deposed(at);
        }
    }

    fn look_up(&mut self, at: usize) {
        let leader = self.candidates[at].leads.as_ref().expect("it leads");
        let ours = (leader.epoch, leader.pending.expect("something is in line"));
        match self.store.journal.get(leader.seen) {
            Some(found) if *found == ours => self.written(at),
            Some(_) => self.deposed(at),
            None if self.is(Wrong::TakesForWritten) => self.written(at),
            None => self.write(at),
        }
    }

    /// A worker says who it is and what it has.
    fn attach(&mut self, at: usize, to: usize) {
        let open = self.candidates[to].leads.as_ref().and_then(|leader| leader.believed_grant(&self.store));
        let ours = open.filter(|(holder, _)| *holder == at).map(|(_, token)| token);
        self.workers[at].attached(to, ours);
        if ours.is_some() {
            self.leader(to).patience = LEASE;
        }
    }

    /// A worker tells the result that it has.
    fn report(&mut self, at: usize, to: usize) {
        let leader = self.candidates[to].leads.as_ref().expect("it leads");
        let token = self.workers[at].result.expect("it has a result");
        if leader.open_grant(&self.store) == Some((at, token)) {
            self.put(to, Entry::Result);
            self.write(to);
        } else if leader.recorded(&self.store, token) {
            self.acknowledge(at, token);
        } else {
            // It is refused.
            self.workers[at].settled();
        }
    }

    fn beat_arrives(&mut self, at: usize) {
        let Some(to) = self.workers[at].session else { return };
        let Some(Beat::Sent(age)) = self.workers[at].beat else { return };
        let answers = self.is(Wrong::AnswersUnvouched);
        let open = self.candidates[to].leads.as_ref().and_then(|leader| leader.believed_grant(&self.store));
        let leader = self.leader(to);
        if open.is_some_and(|(holder, _)| holder == at) {
            leader.patience = LEASE;
        }
        let answered = leader.vouched > 0 || answers;
        self.workers[at].beat = answered.then_some(Beat::Answered(age));
    }

    fn arrives(&mut self, late: usize) {
        let wrong = self.wrong;
        match self.late.remove(late) {
            Late::Take => drop(self.store.take(wrong)),
            Late::Renew(epoch) => drop(self.store.renew(epoch, wrong)),
            Late::Resign(epoch) => self.store.resign(epoch, wrong),
            Late::Append(epoch, at, entry) => drop(self.store.append(epoch, at, entry, wrong)),
        }
    }

    fn goes(&mut self, fault: Fault) {
        self.faults -= 1;
        self.go_wrong(fault);
        // The order in which they were asked does not matter.
        self.late.sort_unstable();
    }

    fn go_wrong(&mut self, fault: Fault) {
        match fault {
            Fault::Stop(at) => self.candidates[at].stopped = true,
            Fault::Cut(at) => self.candidates[at].cut = true,
            Fault::Die(at) => self.deposed(at),
            Fault::HangUp(worker) => self.lose(worker),
            Fault::LateTake => self.late.push(Late::Take),
            Fault::LateRenewal(at) => {
                let leader = self.leader(at);
                leader.asked = true;
                let epoch = leader.epoch;
                self.late.push(Late::Renew(epoch));
            }
            Fault::Resign(at) => {
                let (epoch, wrong) = (self.leader(at).epoch, self.wrong);
                self.deposed(at);
                self.store.resign(epoch, wrong);
            }
            Fault::LateResignation(at) => {
                let epoch = self.leader(at).epoch;
                self.deposed(at);
                self.late.push(Late::Resign(epoch));
            }
            Fault::LateAppend(at, entry) => {
                self.put(at, entry);
                let leader = self.leader(at);
                let late = Late::Append(leader.epoch, leader.seen, entry);
                self.late.push(late);
            }
        }
    }

    fn tick(&mut self) {
        self.store.until = self.store.until.saturating_sub(1);
        self.candidates.iter_mut().filter_map(|candidate| candidate.leads.as_mut()).for_each(Leader::tick);
        for worker in 0..self.workers.len() {
            if self.workers[worker].tick() {
                self.lose(worker);
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        self.store.check()?;
        let leaders = || self.candidates.iter().filter_map(|candidate| candidate.leads.as_ref());
        if leaders().filter(|leader| leader.vouched > 0).count() > 1 {
            return Err("two vouch for it that nobody else leads".to_owned());
        }
        for leader in leaders() {
            let (epoch, seen, length) = (leader.epoch, leader.seen, self.store.journal.len());
            if epoch > self.store.epoch {
                return Err(format!("epoch {epoch} leads, and the row knows {}", self.store.epoch));
            }
            if seen > length {
                return Err(format!("epoch {epoch} counts on {seen} entries, and there are {length}"));
            }
            // What is there is known by whoever leads, but for what it has in line itself.
            let known = seen + usize::from(leader.pending.is_some());
            if epoch == self.store.epoch && known < length {
                return Err(format!("epoch {epoch} leads and knows {seen} entries, and there are {length}"));
            }
        }
        let holders: Vec<u8> = self.workers.iter().filter_map(|worker| worker.holds).collect();
        if holders.len() > 1 {
            return Err(format!("two hold the thing at a time, under tokens {holders:?}"));
        }
        let recorded = super::store::results(&self.store.journal);
        if self.acknowledged & !recorded != 0 {
            return Err("a result was acknowledged, and is not recorded".to_owned());
        }
        Ok(())
    }
}

impl World for Leaders {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        self.moves()
    }

    fn take(&mut self, action: Action) -> Result<(), String> {
        let (before, wrong) = (self.store.epoch, self.wrong);
        match action {
            Action::Tick => self.tick(),
            Action::Take(at) => {
                if let Some(epoch) = self.store.take(wrong) {
                    let grace = !self.is(Wrong::NoGrace);
                    self.candidates[at].leads = Some(Leader::new(epoch, &self.store, grace));
                }
            }
            Action::Renew(at) => self.renew(at),
            Action::Append(at, entry) => {
                self.put(at, entry);
                self.write(at);
            }
            Action::LookUp(at) => self.look_up(at),
            Action::Attach(worker, to) => self.attach(worker, to),
            Action::Report(worker, to) => self.report(worker, to),
            Action::Beat(worker) => self.workers[worker].beat = Some(Beat::Sent(0)),
            Action::BeatArrives(worker) => self.beat_arrives(worker),
            Action::Heard(worker) => self.workers[worker].heard(wrong),
            Action::Told(worker) => self.workers[worker].told(),
            Action::Done(worker) => self.workers[worker].done(),
            Action::Arrives(late) => self.arrives(late),
            Action::Continue(at) => {
                self.candidates[at].stopped = false;
                // Whoever was to be heard meanwhile gets time to be heard again.
                if let Some(leader) = &mut self.candidates[at].leads {
                    leader.patience = LEASE;
                }
            }
            Action::Mend(at) => self.candidates[at].cut = false,
            Action::Goes(fault) => self.goes(fault),
        }
        if self.store.epoch < before || self.store.epoch > before + 1 {
            return Err(format!("epoch {} follows {before}", self.store.epoch));
        }
        self.check()
    }

    /// Somebody leads who knows it, and waits for nothing.
    fn has_ended(&self) -> bool {
        let well = |candidate: &&Candidate| {
            let leads =
                |leader: &Leader| leader.epoch == self.store.epoch && leader.vouched > 0 && leader.pending.is_none();
            candidate.acts() && candidate.leads.as_ref().is_some_and(leads)
        };
        self.candidates.iter().find(well).is_some()
    }

    fn at_the_end(&self) -> Result<(), String> {
        Ok(())
    }
}
