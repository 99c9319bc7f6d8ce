//! Whether something that failed is tried again: a circuit breaker. Closed while it works; open after it failed for long enough;
//! half open for one more try when the back-off has passed.
//!
//! It knows no clock and does nothing: moments come in. Whom it lets through, and what they are told whom it does not, is left to
//! those who hold one.

use crate::backoff::Backoff;
use std::time::Duration;
use tokio::time::Instant;

/// A breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    waits: Backoff,
    /// For how long something may fail before it opens.
    grace: Duration,
    /// The first failure after the last success.
    since: Option<Instant>,
}

/// How a breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All is well, or has not been ill for long.
    Closed,
    /// Nothing is tried until then.
    Open {
        /// When.
        until: Instant,
    },
    /// It is tried once more.
    HalfOpen,
}

impl Breaker {
    /// One that opens once something has failed for `grace`, without any success, and lets one try through after each of `waits`.
    #[must_use]
    pub const fn new(waits: Backoff, grace: Duration) -> Self {
        Self { state: State::Closed, waits, grace, since: None }
    }

    /// Something that was begun at `began` failed. Tells whether the breaker opens from closed.
    pub fn fail(&mut self, began: Instant, now: Instant) -> bool {
        let since = *self.since.get_or_insert(began);
        match self.state {
            State::Closed if now.duration_since(since) < self.grace => false,
            // What was under way when it opened says nothing new.
            State::Open { .. } => false,
            State::Closed | State::HalfOpen => {
                let opens = self.state == State::Closed;
                self.state = State::Open { until: now + self.waits.wait() };
                opens
            }
        }
    }

    /// Something succeeded: all is well. Gives the first failure, where it was not closed.
    pub fn succeed(&mut self) -> Option<Instant> {
        let since = self.since.take();
        self.waits.reset();
        let closed = std::mem::replace(&mut self.state, State::Closed) == State::Closed;
        since.filter(|_| !closed)
    }

    /// Time has passed: whether the one try is due that may be made while it is open. It is given once: whoever takes it makes it,
    /// and says what came of it.
    pub fn probe(&mut self, now: Instant) -> bool {
        let is_due = matches!(self.state, State::Open { until } if until <= now);
        if is_due {
            self.state = State::HalfOpen;
        }
        is_due
    }

    /// Whether it may be tried now, by one who makes one try after the other: once it is half open, all that belongs to that try.
    pub fn may_try(&mut self, now: Instant) -> bool {
        self.probe(now) || !matches!(self.state, State::Open { .. })
    }

    /// How it is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether all is well, or has not been ill for long.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// When something may be tried again, where that is not now.
    #[must_use]
    pub const fn opens_at(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            _ => None,
        }
    }

    /// The first failure after the last success.
    #[must_use]
    pub const fn since(&self) -> Option<Instant> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn alone(first: u64, most: u64) -> Backoff {
        Backoff::even(Duration::from_secs(first), Duration::from_secs(most))
    }

    #[test]
    fn it_opens_at_a_failure_and_tries_once_after_ever_longer_waits() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(alone(5, 300), Duration::ZERO);
        assert!(breaker.may_try(now));
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            breaker.fail(now, now);
            let until = now + Duration::from_secs(wait);
            assert_eq!(breaker.opens_at(), Some(until));
            assert!(!breaker.may_try(until - Duration::from_millis(1)), "{wait} s have not passed");
            now = until;
            assert!(breaker.may_try(now), "{wait} s have passed");
            assert_eq!(breaker.state(), State::HalfOpen);
            assert!(!breaker.is_closed(), "half open is not closed");
        }
        assert!(breaker.succeed().is_some());
        assert!(breaker.is_closed());
        breaker.fail(now, now);
        assert_eq!(breaker.opens_at(), Some(now + 5 * SECOND), "after a success it begins anew");
    }

    #[test]
    fn of_many_one_makes_the_try() {
        let now = Instant::now();
        let mut breaker = Breaker::new(alone(1, 1), Duration::ZERO);
        assert!(!breaker.probe(now), "there is nothing to find out");
        assert!(breaker.fail(now, now));
        assert!(!breaker.fail(now, now), "what was under way says nothing new");
        assert!(!breaker.probe(now));
        assert!(breaker.probe(now + SECOND) && !breaker.probe(now + SECOND), "one, not two");
        assert!(!breaker.fail(now, now + SECOND), "it was open before");
        assert!(breaker.probe(now + 2 * SECOND));
        assert_eq!(breaker.succeed(), Some(now), "since the first failure");
        assert_eq!(breaker.succeed(), None);
    }

    #[test]
    fn what_fails_for_a_moment_does_not_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(alone(1, 1), 5 * SECOND);
        assert!(!breaker.fail(now, now) && !breaker.fail(now, now + 4 * SECOND));
        assert_eq!(breaker.succeed(), None);
        assert!(!breaker.fail(now + 4 * SECOND, now + 6 * SECOND), "it has worked in between");
        assert!(breaker.is_closed());
        assert!(breaker.fail(now + 9 * SECOND, now + 9 * SECOND));
        assert_eq!(breaker.since(), Some(now + 4 * SECOND));
    }

    #[test]
    fn one_long_failure_opens_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(alone(1, 1), 5 * SECOND);
        assert!(breaker.fail(now, now + 10 * SECOND));
    }
}
