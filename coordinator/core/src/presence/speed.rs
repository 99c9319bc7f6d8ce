//! How fast a worker is: what its tests were estimated at, over what they took.

use regatta_domain::Micros;

/// Work that counts: older work fades once there is so much of it.
const MEMORY: Micros = Micros::from_secs(120);

/// What is believed before anything is known: so much work at the speed of the others.
const BELIEF: Micros = Micros::from_secs(5);

/// A single test that took more than so many times its estimate (or less than that part) counts as if it were that.
const CLIP: u64 = 4;

/// How fast a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Speed {
    estimated: Micros,
    took: Micros,
}

impl Default for Speed {
    fn default() -> Self {
        Self { estimated: BELIEF, took: BELIEF }
    }
}

impl Speed {
    pub(super) fn learn(&mut self, estimate: Micros, duration: Micros) {
        self.estimated += estimate;
        self.took += Micros(duration.0.clamp(estimate.0 / CLIP, estimate.0.saturating_mul(CLIP)));
        if self.took > MEMORY {
            (self.estimated, self.took) = (self.estimated / 2, self.took / 2);
        }
    }

    /// In thousandths of what estimates are made of; between a quarter and four times.
    #[must_use]
    pub fn thousandths(self) -> u64 {
        (self.estimated.0.saturating_mul(1_000) / self.took.0.max(1)).clamp(250, 4_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_takes_twice_as_long_is_half_as_fast() {
        let mut speed = Speed::default();
        assert_eq!(speed.thousandths(), 1_000);
        for _ in 0..500 {
            speed.learn(Micros::from_secs(1), Micros::from_secs(2));
        }
        assert!((490..520).contains(&speed.thousandths()), "{}", speed.thousandths());
    }

    #[test]
    fn one_test_that_hangs_says_little() {
        let mut speed = Speed::default();
        speed.learn(Micros::from_ms(100), Micros::from_secs(3_600));
        assert!(speed.thousandths() > 900, "{}", speed.thousandths());
    }
}
