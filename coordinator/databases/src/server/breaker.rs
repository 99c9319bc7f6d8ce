//! Whether a server may be asked: a circuit breaker, so that one that is down is probed by one, not by all.
//!
//! *Closed*: all may ask. *Open*: nobody may until the back-off has passed. *Half open*: one probe is out; it closes or opens again.

use crate::{limits, names};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The state of a server as those see it who use it.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

/// How a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Up,
    /// It does not.
    Down {
        /// Since when.
        since: SystemTime,
        /// What the last try said.
        why: String,
        /// When it is tried again, from now.
        next: Duration,
    },
    /// It is being tried again.
    Probing {
        /// Down since when.
        since: SystemTime,
    },
}

#[derive(Debug)]
enum State {
    Closed,
    Open { since: SystemTime, until: Instant, failures: u32, why: String },
    HalfOpen { since: SystemTime, failures: u32 },
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Closed) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something worked: all may ask again. Says whether that is news.
    pub(crate) fn worked(&self) -> bool {
        !matches!(std::mem::replace(&mut *self.state(), State::Closed), State::Closed)
    }

    /// The server could not be reached.
    pub(crate) fn failed(&self, why: &str) {
        let mut state = self.state();
        let (since, failures) = match &*state {
            State::Closed => (SystemTime::now(), 0),
            // Those that were under way when it went down say nothing new.
            State::Open { .. } => return,
            State::HalfOpen { since, failures } => (*since, failures + 1),
        };
        let until = Instant::now() + backoff(failures, u32::from_le_bytes(names::random()));
        *state = State::Open { since, until, failures, why: why.to_owned() };
    }

    /// Whether everybody may ask.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.state(), State::Closed)
    }

    /// Takes the one probe, if it is time for it.
    pub(crate) fn probe(&self) -> bool {
        let mut state = self.state();
        match &*state {
            State::Open { since, until, failures, .. } if *until <= Instant::now() => {
                *state = State::HalfOpen { since: *since, failures: *failures };
                true
            }
            _ => false,
        }
    }

    /// How the server is.
    pub(crate) fn health(&self) -> Health {
        match &*self.state() {
            State::Closed => Health::Up,
            State::Open { since, until, why, .. } => {
                Health::Down { since: *since, why: why.clone(), next: until.saturating_duration_since(Instant::now()) }
            }
            State::HalfOpen { since, .. } => Health::Probing { since: *since },
        }
    }
}

/// Doubles with each failure up to the bound, and takes between half and all of that, so that several do not come at once.
fn backoff(failures: u32, chance: u32) -> Duration {
    let (least, most) = limits::BACKOFF;
    let whole = least.saturating_mul(1 << failures.min(16)).min(most);
    whole / 2 + (whole / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_down_is_probed_by_one_at_a_time() {
        let breaker = Breaker::new();
        assert!(breaker.is_closed() && !breaker.probe());
        breaker.failed("refused");
        assert!(!breaker.is_closed() && !breaker.probe(), "the back-off has only begun");
        if let State::Open { until, .. } = &mut *breaker.state() {
            *until = Instant::now();
        }
        assert!(breaker.probe() && !breaker.probe(), "one probe, not two");
        let Health::Probing { since } = breaker.health() else { panic!("{:?}", breaker.health()) };
        breaker.failed("refused again");
        let Health::Down { since: still, .. } = breaker.health() else { panic!("{:?}", breaker.health()) };
        assert_eq!(since, still, "down since the first failure");
        assert!(breaker.worked() && !breaker.worked());
        assert_eq!(breaker.health(), Health::Up);
    }

    #[test]
    fn the_back_off_grows_to_a_bound_and_differs_between_two() {
        assert!(backoff(0, u32::MAX) <= limits::BACKOFF.0);
        assert!(backoff(0, 0) >= limits::BACKOFF.0 / 2);
        assert_eq!(backoff(40, u32::MAX), limits::BACKOFF.1);
        assert_ne!(backoff(3, 0), backoff(3, u32::MAX));
    }
}
