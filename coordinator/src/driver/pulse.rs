//! Signs of life that were answered ahead of the driver: its store may be slow, and its queue long, while a worker must know whether
//! what it holds is still its own.
//!
//! Its invariant: a worker whose sign of life was answered keeps its leases for a whole lease from then on. So the driver looks here
//! before it takes anybody for silent, and nobody is answered meanwhile, nor after it has given that session up.

use regatta_core::SessionId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sessions that may be answered, and whether one was since the driver looked last. Clones look at the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<Mutex<BTreeMap<SessionId, bool>>>);

/// A look of the driver, during which nobody is answered.
pub(super) struct Look<'a>(MutexGuard<'a, BTreeMap<SessionId, bool>>);

impl Pulse {
    /// Answers a sign of life by `answer`, if the session counts.
    pub(crate) fn answer(&self, session: SessionId, answer: impl FnOnce()) {
        if let Some(answered) = self.sessions().get_mut(&session) {
            *answered = true;
            answer();
        }
    }

    pub(super) fn open(&self, session: SessionId) {
        self.sessions().insert(session, false);
    }

    pub(super) fn close(&self, session: SessionId) {
        self.sessions().remove(&session);
    }

    pub(super) fn look(&self) -> Look<'_> {
        Look(self.sessions())
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<SessionId, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look<'_> {
    /// The sessions that were answered since the last look.
    pub(super) fn answered(&mut self) -> Vec<SessionId> {
        let answered = self.0.iter_mut().filter_map(|(session, answered)| std::mem::take(answered).then_some(*session));
        answered.collect()
    }

    /// Nobody else is answered any more.
    pub(super) fn keep(&mut self, counts: impl Fn(SessionId) -> bool) {
        self.0.retain(|session, _| counts(*session));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_was_given_up_is_not_answered() {
        let pulse = Pulse::default();
        let (kept, given_up) = (SessionId(1), SessionId(2));
        let answered = |session| {
            let mut said = false;
            pulse.answer(session, || said = true);
            said
        };
        pulse.open(kept);
        pulse.open(given_up);
        assert!(answered(kept) && answered(given_up) && !answered(SessionId(3)));
        let mut look = pulse.look();
        assert_eq!(look.answered(), [kept, given_up]);
        assert_eq!(look.answered(), [], "each is told once");
        look.keep(|session| session == kept);
        drop(look);
        assert!(answered(kept) && !answered(given_up));
    }
}
