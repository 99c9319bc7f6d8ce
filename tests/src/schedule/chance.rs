//! Chance in the shapes that durations have, from the core's own seeded source.

use regatta_core::Entropy;
use regatta_core::entropy::mix;

/// A seeded source of numbers.
pub(super) struct Chance(Entropy);

impl Chance {
    pub(super) const fn from_seed(seed: u64) -> Self {
        Self(Entropy::from_seed(seed))
    }

    /// A source for one purpose: two purposes of one seed have nothing to do with each other.
    pub(super) fn of(seed: u64, purpose: &str) -> Self {
        Self::from_seed(mix(seed ^ hash(purpose)))
    }

    /// A number in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(super) fn uniform(&mut self) -> f64 {
        (self.0.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `bound`; 0 where that is 0.
    #[expect(clippy::cast_possible_truncation, reason = "below the bound, which is a usize")]
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    /// A number whose logarithm has this mean and this standard deviation.
    pub(super) fn log_normal(&mut self, mean: f64, deviation: f64) -> f64 {
        (mean + deviation * self.normal()).exp()
    }

    /// A number above `least` whose tail falls with the power `shape`.
    pub(super) fn pareto(&mut self, least: f64, shape: f64) -> f64 {
        least / (1.0 - self.uniform()).powf(1.0 / shape)
    }

    /// Box and Muller; the second number is thrown away, so that each draw stands alone.
    fn normal(&mut self) -> f64 {
        let (radius, turn) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    }

    /// All numbers below `count`, in random order.
    pub(super) fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for at in (1..count).rev() {
            order.swap(at, self.below(at + 1));
        }
        order
    }
}

/// FNV-1a, then mixed: what a name is worth as a number, everywhere the same.
pub(super) fn hash(name: &str) -> u64 {
    mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_have_the_moments_that_they_should() {
        let mut chance = Chance::from_seed(7);
        let logs: Vec<f64> = (0..20_000).map(|_| chance.log_normal(1.0, 0.5).ln()).collect();
        let mean = logs.iter().sum::<f64>() / 20_000.0;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!((mean - 1.0).abs() < 0.02 && (variance.sqrt() - 0.5).abs() < 0.02, "{mean} {variance}");
        let above = (0..20_000).filter(|_| chance.pareto(1.0, 2.0) > 10.0).count();
        assert!((150..250).contains(&above), "one in a hundred: {above}");
    }

    #[test]
    fn an_order_holds_everything_once() {
        let mut order = Chance::of(3, "order").order(100);
        assert_ne!(order, Chance::of(3, "other").order(100));
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
