//! A worker: what it holds, and until when that is certainly its own. One that has nothing to lose has no stream here: it dials whom it
//! asks or tells something, at that moment.

use super::{LEASE, Wrong};

/// A worker, and what is under way between it and a leader.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Worker {
    /// The candidate to which its connection leads.
    pub(super) session: Option<usize>,
    /// Ticks that are left to it: from when the last sign of life that was answered was sent.
    pub(super) until: u8,
    /// The token under which it uses the thing.
    pub(super) holds: Option<u8>,
    /// The token of a lease that is under way to it.
    pub(super) lease: Option<u8>,
    /// The token of a result of which it does not know that it is recorded.
    pub(super) result: Option<u8>,
    /// Its sign of life.
    pub(super) beat: Option<Beat>,
}

/// A sign of life, and how long ago it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Beat {
    /// It is under way.
    Sent(u8),
    /// Its answer is.
    Answered(u8),
}

impl Worker {
    /// Whether it has something to lose.
    pub(super) const fn is_at_it(&self) -> bool {
        self.holds.is_some() || self.lease.is_some()
    }

    /// Time passes. Whether it lets go of whatever only one may use, and of its leader, because nothing was answered for so long.
    pub(super) fn tick(&mut self) -> bool {
        let over = self.until == 1;
        self.until = self.until.saturating_sub(1);
        if over {
            (self.holds, self.lease) = (None, None);
        }
        self.beat = match self.beat {
            // What is older than a lease says nothing any more.
            Some(Beat::Sent(age)) => Some(Beat::Sent(age + 1)).filter(|_| age + 1 < LEASE),
            Some(Beat::Answered(age)) => Some(Beat::Answered(age + 1)).filter(|_| age + 1 < LEASE),
            None => None,
        };
        over
    }

    /// A leader has taken it in.
    pub(super) fn dials(&mut self, leader: usize) {
        (self.session, self.until) = (Some(leader), LEASE);
    }

    /// A leader has taken it in to which `ours` is its own, and nothing else.
    pub(super) fn attached(&mut self, leader: usize, ours: Option<u8>) {
        (self.lease, self.beat) = (None, None);
        self.holds = self.holds.filter(|&token| ours == Some(token));
        self.dials(leader);
        self.rests();
    }

    /// It is done.
    pub(super) fn done(&mut self) {
        self.result = self.holds.take();
        self.rests();
    }

    /// Its result is recorded, or refused.
    pub(super) fn settled(&mut self) {
        self.result = None;
        self.rests();
    }

    /// Without something to lose nothing else matters.
    fn rests(&mut self) {
        if !self.is_at_it() {
            (self.session, self.until, self.beat) = (None, 0, None);
        }
    }

    /// The answer to its sign of life arrives.
    pub(super) fn heard(&mut self, wrong: Option<Wrong>) {
        if let Some(Beat::Answered(age)) = self.beat.take() {
            let since = if wrong == Some(Wrong::CountsFromAnswer) { 0 } else { age };
            self.until = self.until.max(LEASE.saturating_sub(since));
        }
    }

    /// Its lease arrives.
    pub(super) fn told(&mut self) {
        let token = self.lease.take();
        self.holds = token.filter(|_| self.until > 0);
        self.rests();
    }

    /// The connection is gone. What was under way to it may be read all the same.
    pub(super) fn hung_up(&mut self) {
        self.session = None;
        self.beat = self.beat.filter(|beat| matches!(beat, Beat::Answered(_)));
        self.rests();
    }
}
