//! A candidate: what it believes while it leads.

use super::store::{Entry, Store, last_token, open_grant, results};
use super::{LEASE, TERM};

/// A candidate.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Candidate {
    /// Whether it stands still.
    pub(super) stopped: bool,
    /// Whether it cannot reach the database.
    pub(super) cut: bool,
    /// What it believes while it leads.
    pub(super) leads: Option<Leader>,
}

/// A leader, as far as it knows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Leader {
    pub(super) epoch: u8,
    /// Ticks for which nobody else can lead, from when it last asked for its term.
    pub(super) vouched: u8,
    /// Whether it has asked for its term in this tick.
    pub(super) asked: bool,
    /// How much of the journal it has read or written.
    pub(super) seen: usize,
    /// Ticks after which the holder of the open grant is lost.
    pub(super) patience: u8,
    /// What it appends, as far as it does not know whether it is there. Nothing is told of it before.
    pub(super) pending: Option<Entry>,
    /// Whether the stream is gone over which a grant that is in line would be told.
    pub(super) untold: bool,
}

impl Leader {
    /// One that has just taken over reads everything, and gives every worker a lease of time to come back.
    pub(super) fn new(epoch: u8, store: &Store, grace: bool) -> Self {
        let patience = if grace { LEASE } else { 0 };
        Self { epoch, vouched: TERM, asked: true, seen: store.journal.len(), patience, pending: None, untold: false }
    }

    /// What it has read or written.
    fn known<'a>(&self, store: &'a Store) -> &'a [(u8, Entry)] {
        &store.journal[..self.seen.min(store.journal.len())]
    }

    /// The grant that is open, as far as it knows: entries are only added, so that its past is everybody's.
    pub(super) fn open_grant(&self, store: &Store) -> Option<(usize, u8)> {
        open_grant(self.known(store))
    }

    /// The same, as if what it has in line was there: what it takes from somebody by that does not wait until it is.
    pub(super) fn believed_grant(&self, store: &Store) -> Option<(usize, u8)> {
        match self.pending {
            Some(Entry::Granted(worker)) => Some((worker, self.granted(store) + 1)),
            Some(Entry::Ended | Entry::Result) => None,
            None => self.open_grant(store),
        }
    }

    /// Whether it knows a result under that token.
    pub(super) fn recorded(&self, store: &Store, token: u8) -> bool {
        results(self.known(store)) & 1 << token != 0
    }

    /// It has another term, from when it asked for it.
    pub(super) fn renewed(&mut self) {
        (self.vouched, self.asked) = (TERM, true);
    }

    /// The token of the last grant that it knows.
    pub(super) fn granted(&self, store: &Store) -> u8 {
        last_token(self.known(store))
    }

    pub(super) fn tick(&mut self) {
        self.vouched = self.vouched.saturating_sub(1);
        self.patience = self.patience.saturating_sub(1);
        self.asked = false;
    }
}

impl Candidate {
    pub(super) const fn new() -> Self {
        Self { stopped: false, cut: false, leads: None }
    }

    /// Whether it does anything at all, and reaches the database.
    pub(super) const fn acts(&self) -> bool {
        !self.stopped && !self.cut
    }

    /// Whether its term is due to be asked for.
    pub(super) fn is_due(&self) -> bool {
        self.acts() && self.leads.as_ref().is_some_and(|leader| !leader.asked)
    }
}
