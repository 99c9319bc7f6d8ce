//! How many clones to keep warm, learned from how they are asked for.

use crate::limits;
use std::time::{Duration, Instant};

/// What was seen of the demand: averages that forget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// Leases per second, as it was at `at`.
    rate: f64,
    at: Instant,
    /// When the first was asked for: an average over ten seconds says nothing true in the first of them.
    first: Option<Instant>,
    /// Seconds that a lease is held.
    hold: f64,
    /// Seconds that making a clone takes.
    make: f64,
}

/// Seconds after which a burst is mostly forgotten. Shorter, and every pause of a run drains the shelf.
const MEMORY: f64 = 10.0;

/// Seconds that count as seen at least: the first few leases do not yet make a rate.
const LEAST_SEEN: f64 = 1.0;

/// Standard deviations kept above the mean: what is out at once varies as its own square root, and one lease of a hundred may
/// come while more than this are out.
const DEVIATIONS: f64 = 2.3;

/// The share of a new value in an average.
const NEW: f64 = 0.1;

impl Demand {
    pub(crate) fn new(now: Instant) -> Self {
        Self { rate: 0.0, at: now, first: None, hold: 0.3, make: 0.05 }
    }

    /// A clone was asked for.
    pub(crate) fn leased(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        self.rate = self.decayed(now) + 1.0 / MEMORY;
        self.at = now;
    }

    /// A clone came back after `hold`.
    pub(crate) fn held(&mut self, hold: Duration) {
        self.hold += (hold.as_secs_f64() - self.hold) * NEW;
    }

    /// A clone was made in `make`.
    pub(crate) fn made(&mut self, make: Duration) {
        self.make += (make.as_secs_f64() - self.make) * NEW;
    }

    /// Leases per second.
    pub(crate) fn rate(&self, now: Instant) -> f64 {
        let seen = self.first.map_or(0.0, |first| now.saturating_duration_since(first).as_secs_f64()).max(LEAST_SEEN);
        self.decayed(now) / (1.0 - (-seen / MEMORY).exp())
    }

    fn decayed(&self, now: Instant) -> f64 {
        self.rate * (-now.saturating_duration_since(self.at).as_secs_f64() / MEMORY).exp()
    }

    /// Clones that should be ready, in the making, or out and expected back clean.
    pub(crate) fn wanted(&self, now: Instant) -> usize {
        let mean = self.rate(now) * (self.hold + self.make * 3.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded right after")]
        let wanted = (mean + DEVIATIONS * mean.sqrt()).ceil().min(1e6) as usize;
        // What the rate asks for is out most of the time: the least is what stays on the shelf besides.
        (wanted + limits::SHELF_LEAST).min(limits::SHELF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shelf_follows_the_rate_and_forgets_it() {
        let begin = Instant::now();
        let mut demand = Demand::new(begin);
        assert_eq!(demand.wanted(begin), limits::SHELF_LEAST);
        let mut now = begin;
        for _ in 0..1_200 {
            now += Duration::from_millis(50);
            demand.leased(now);
            demand.held(Duration::from_millis(300));
            demand.made(Duration::from_millis(30));
        }
        assert!((18.0..22.0).contains(&demand.rate(now)), "{}", demand.rate(now));
        let wanted = demand.wanted(now);
        assert!((15..=18).contains(&wanted), "8 on average, 6.5 for bursts, and the least: {wanted}");
        assert_eq!(demand.wanted(now + Duration::from_secs(120)), limits::SHELF_LEAST + 1);
    }

    #[test]
    fn the_first_second_of_a_run_already_tells_its_rate() {
        let begin = Instant::now();
        let mut demand = Demand::new(begin);
        for at in 0..20 {
            demand.leased(begin + Duration::from_millis(at * 50));
        }
        let now = begin + Duration::from_secs(1);
        assert!((15.0..25.0).contains(&demand.rate(now)), "{}", demand.rate(now));
    }

    #[test]
    fn no_demand_is_so_great_that_the_shelf_has_no_bound() {
        let mut demand = Demand::new(Instant::now());
        let now = Instant::now();
        for _ in 0..1_000_000 {
            demand.leased(now);
        }
        assert_eq!(demand.wanted(now), limits::SHELF);
    }
}
