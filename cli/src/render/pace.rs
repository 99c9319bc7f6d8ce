//! How often progress is told where nothing can be drawn anew: at most every ten seconds, or every five per cent.

use regatta_domain::{Micros, Time};

/// A line is due after so long.
const EVERY: Micros = Micros::from_secs(10);
/// A line is due earlier after so many per cent, but not before `LEAST`.
const PER_CENT: usize = 5;
/// Two lines are at least so far apart.
const LEAST: Micros = Micros::from_secs(2);
/// Where nothing moves, a sign of life is enough; CI systems end what is silent for minutes.
const STILL: Micros = Micros::from_secs(60);

/// When the last line was written, and what it said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    at: Time,
    done: usize,
}

impl Pace {
    /// Nothing has been said since this moment.
    pub(super) const fn new(at: Time) -> Self {
        Self { at, done: 0 }
    }

    /// Whether a line is due, with so many tests done of those that are planned; if so, it counts as written.
    pub(super) fn is_due(&mut self, now: Time, done: usize, planned: usize) -> bool {
        let quiet = now.since(self.at);
        let moved = done.saturating_sub(self.done);
        let far = moved * 100 >= planned.max(1) * PER_CENT;
        let due = quiet >= STILL || (moved > 0 && quiet >= EVERY) || (moved > 0 && far && quiet >= LEAST);
        if due {
            *self = Self { at: now, done };
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(seconds: u64, done_at: impl Fn(u64) -> usize, planned: usize) -> Vec<u64> {
        let mut pace = Pace::new(Time(0));
        let due = |second: &u64| pace.is_due(Time(second * 1_000_000), done_at(*second), planned);
        (0..=seconds).filter(due).collect()
    }

    #[test]
    fn a_slow_run_speaks_every_ten_seconds() {
        assert_eq!(lines(40, |second| second as usize, 10_000), [10, 20, 30, 40]);
    }

    #[test]
    fn a_fast_run_speaks_every_five_per_cent() {
        assert_eq!(lines(12, |second| second as usize * 2, 100), [3, 6, 9, 12]);
        assert_eq!(lines(5, |second| second as usize * 20, 100), [2, 4]);
    }

    #[test]
    fn a_run_that_hangs_gives_a_sign_of_life() {
        assert_eq!(lines(130, |_| 0, 100), [60, 120]);
    }
}
