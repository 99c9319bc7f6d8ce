//! What is known of a test over all runs: how long it takes, how it last ended.
//!
//! Durations are skewed, so mean and variance are of their logarithm; older ones fade, and a single odd one moves little.

use regatta_domain::{Micros, TestKey, Time, Verdict};
use std::collections::HashMap;

/// The weight of the newest duration.
const ALPHA: f64 = 0.3;

/// A duration further than this many standard deviations from the mean counts as if it were that far.
const CLIP: f64 = 3.0;

/// The standard deviation below which clipping does not go: a factor of 1.6, what one busy neighbour does to a test.
const LEAST_DEVIATION: f64 = 0.5;

/// How far above the mean an estimate lies, in standard deviations: too short an estimate costs more than too long a one.
const UPPER: f64 = 0.5;

/// What is known of the tests of a file.
pub type FileHistory = HashMap<TestKey, TestHistory>;

/// What is known of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TestHistory {
    /// How often its duration was measured.
    pub runs: u32,
    /// The mean of the logarithm of its duration in microseconds.
    pub mean: f64,
    /// The variance of that.
    pub variance: f64,
    /// In how many runs it was red.
    pub failures: u32,
    /// Its last verdict.
    pub last: Option<Verdict>,
    /// When that was.
    pub seen: Time,
}

impl TestHistory {
    /// Takes in a verdict, and the duration of the attempt that brought it.
    pub fn learn(&mut self, verdict: Verdict, duration: Option<Micros>, at: Time) {
        self.last = Some(verdict);
        self.seen = at;
        self.failures = self.failures.saturating_add(u32::from(!verdict.is_ok()));
        match (verdict, duration) {
            (Verdict::Passed | Verdict::Flaky | Verdict::Failed, Some(duration)) => self.measure(duration),
            // A test that is skipped takes no time until it runs again; what it took before is kept for that day.
            (Verdict::Skipped, Some(duration)) if self.runs == 0 => self.mean = log(duration),
            _ => {}
        }
    }

    fn measure(&mut self, duration: Micros) {
        let value = log(duration);
        if self.runs == 0 {
            (self.mean, self.variance) = (value, 0.0);
        } else {
            let most = CLIP * self.variance.sqrt().max(LEAST_DEVIATION);
            let off = (value - self.mean).clamp(-most, most);
            self.mean += ALPHA * off;
            self.variance = (1.0 - ALPHA) * (self.variance + ALPHA * off * off);
        }
        self.runs = self.runs.saturating_add(1);
    }

    /// How long it takes, as people would say.
    #[must_use]
    pub fn typical(&self) -> Micros {
        exp(self.mean)
    }

    /// How long it may take: somewhat above the mean.
    #[must_use]
    pub fn estimate(&self) -> Micros {
        exp(self.mean + UPPER * self.variance.sqrt())
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 microseconds")]
fn log(duration: Micros) -> f64 {
    (duration.0.max(1) as f64).ln()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, and exp is positive")]
fn exp(log: f64) -> Micros {
    Micros(log.exp().round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(durations: &[u64]) -> TestHistory {
        let mut history = TestHistory::default();
        for &duration in durations {
            history.learn(Verdict::Passed, Some(Micros(duration)), Time(1));
        }
        history
    }

    #[test]
    fn the_first_duration_is_the_estimate() {
        assert_eq!(after(&[1_000]).estimate(), Micros(1_000));
    }

    #[test]
    fn a_steady_test_is_estimated_as_it_is_and_a_restless_one_above_its_mean() {
        assert_eq!(after(&[2_000; 20]).estimate(), Micros(2_000));
        let restless = after(&[1_000, 4_000, 1_000, 4_000, 1_000, 4_000]);
        assert!(restless.estimate() > restless.typical());
        assert!((1_000..4_000).contains(&restless.typical().0), "{:?}", restless.typical());
    }

    #[test]
    fn one_odd_duration_moves_little_and_a_lasting_change_is_learnt() {
        let mut durations = vec![1_000; 10];
        durations.push(60_000_000);
        assert!(after(&durations).estimate().0 < 3_000);
        durations.extend([10_000; 15]);
        let learnt = after(&durations).typical().0;
        assert!((8_000..12_000).contains(&learnt), "{learnt}");
    }

    #[test]
    fn a_skip_does_not_make_a_slow_test_quick() {
        let mut history = after(&[5_000_000]);
        history.learn(Verdict::Skipped, Some(Micros(10)), Time(2));
        assert_eq!(history.typical(), Micros(5_000_000));
        assert_eq!(history.last, Some(Verdict::Skipped));
    }
}
