//! What the earlier versions of a trace teach of a test, as the coordinator's history would have learnt it.

use super::Known;

/// The weight of the newest duration.
const ALPHA: f64 = 0.3;

/// A duration further than this many standard deviations from the mean counts as if it were that far.
const CLIP: f64 = 3.0;

/// The standard deviation below which clipping does not go.
const LEAST_DEVIATION: f64 = 0.5;

/// What is known of a test after some runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Estimate {
    runs: u32,
    mean: f64,
    variance: f64,
}

impl Estimate {
    /// Takes in a duration, in seconds.
    pub(super) fn learn(&mut self, seconds: f64) {
        let value = (seconds * 1e6).round().max(1.0).ln();
        if self.runs == 0 {
            (self.mean, self.variance) = (value, 0.0);
        } else {
            let most = CLIP * self.variance.sqrt().max(LEAST_DEVIATION);
            let off = (value - self.mean).clamp(-most, most);
            self.mean += ALPHA * off;
            self.variance = (1.0 - ALPHA) * (self.variance + ALPHA * off * off);
        }
        self.runs += 1;
    }

    /// What is known, if anything is.
    pub(super) fn known(&self) -> Option<Known> {
        (self.runs > 0).then(|| Known { mean: self.mean.exp() / 1e6, spread: self.variance.sqrt() })
    }
}
