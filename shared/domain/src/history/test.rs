//! What is known of one test over all runs.

use super::{Levels, Queries, Recent};
use crate::{Estimate, Micros, Source, Time, Verdict};

/// The weight of the newest duration, once there are enough for a mean.
const ALPHA: f64 = 0.4;

/// A duration further than this many deviations from the mean is odd. Two in a row on the same side are a step.
const ODD: f64 = 2.0;

/// An odd duration counts as if it were this many deviations away.
const CLIP: f64 = 3.0;

/// The deviation below which none is assumed when durations are judged: a factor of 1.28.
const LEAST_DEVIATION: f64 = 0.25;

/// Where between the two durations of a step the new mean lies: nearer to the second.
const STEP: f64 = 0.7;

/// The deviation of a test that was measured once: [`Estimate::SPREAD`].
const PRIOR: f64 = 0.3;

/// The weight of the newest verdict in the failure rate.
const FAILURE_ALPHA: f64 = 0.3;

/// What a flaky verdict counts for beside a red one.
const FLAKY: f64 = 0.5;

/// The longest duration that is believed: more is a clock that jumped.
pub const LONGEST: Micros = Micros::from_secs(7 * 24 * 3600);

/// What is known of a test. Durations are those of a worker of speed 1.
///
/// They are skewed, so mean and variance are of their logarithm. Real series stand still for long, and then jump: so an odd
/// duration moves the mean little, and a second one like it begins anew there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TestHistory {
    /// How often its duration was measured here.
    pub runs: u32,
    /// The mean of the natural logarithm of its duration in microseconds.
    pub mean: f64,
    /// The variance of that.
    pub variance: f64,
    /// The logarithm of the last duration, where that was odd.
    pub odd: Option<f64>,
    /// In how many runs it passed at once.
    pub passes: u32,
    /// In how many it passed at last.
    pub flakes: u32,
    /// In how many it was red.
    pub failures: u32,
    /// In how many it was skipped.
    pub skips: u32,
    /// How much of its runs was red lately, from 0 to 1; flaky ones count half. Decays.
    pub failing: f64,
    /// How the last runs ended.
    pub recent: Recent,
    /// Its last verdict.
    pub last: Option<Verdict>,
    /// When that was.
    pub seen: Time,
    /// Nothing was measured here: mean and variance were imported, and are worth one run.
    pub imported: bool,
    /// What it was seen to do with its databases.
    pub levels: Levels,
    /// How much it asked of them.
    pub queries: Queries,
}

impl TestHistory {
    /// What a file of timings says of a test: one run, of this mean and spread, in thousandths.
    #[must_use]
    pub fn imported(mean: Micros, spread: Option<u16>, at: Time) -> Self {
        let spread = f64::from(spread.unwrap_or(Estimate::SPREAD)) / 1_000.0;
        let variance = (spread * spread - PRIOR * PRIOR).max(0.0);
        Self { mean: log(mean), variance, seen: at, imported: true, ..Self::default() }
    }

    /// Takes in what a file of timings says of it, unless something was measured here: whether it did.
    pub fn import(&mut self, mean: Micros, spread: Option<u16>, at: Time) -> bool {
        if self.is_measured() && !self.imported {
            return false;
        }
        let Self { mean, variance, seen, imported, .. } = Self::imported(mean, spread, at);
        *self = Self { mean, variance, seen, imported, ..*self };
        true
    }

    /// Takes in a verdict, and the duration of the attempt that brought it, on a worker of speed 1. What was not run
    /// teaches nothing.
    pub fn learn(&mut self, verdict: Verdict, duration: Option<Micros>, at: Time) {
        let (count, red) = match verdict {
            Verdict::NotRun => return,
            Verdict::Passed => (&mut self.passes, Some(0.0)),
            Verdict::Flaky => (&mut self.flakes, Some(FLAKY)),
            Verdict::Failed | Verdict::TimedOut | Verdict::Crashed => (&mut self.failures, Some(1.0)),
            Verdict::Skipped => (&mut self.skips, None),
        };
        *count = count.saturating_add(1);
        if let Some(red) = red {
            self.failing += FAILURE_ALPHA * (red - self.failing);
        }
        self.recent.push(verdict);
        self.last = Some(verdict);
        self.seen = at;
        match (verdict, duration) {
            // A test that runs into its limit takes its slot that long, too.
            (Verdict::Passed | Verdict::Flaky | Verdict::Failed | Verdict::TimedOut, Some(took)) => self.measure(took),
            // A test that is skipped takes no time until it runs again; what it took before is kept for that day.
            (Verdict::Skipped, Some(took)) if self.runs == 0 => self.mean = log(took),
            _ => {}
        }
    }

    fn measure(&mut self, duration: Micros) {
        let value = log(duration);
        let off = value - self.mean;
        let deviation = self.variance.sqrt().max(LEAST_DEVIATION);
        let is_odd = off.abs() > ODD * deviation;
        // What was imported and is far off was about another machine, or another test.
        if self.runs == 0 && (is_odd || !self.imported) {
            (self.mean, self.variance) = (value, 0.0);
        } else if let Some(odd) = self.odd.filter(|odd| is_odd && (*odd > self.mean) == (off > 0.0)) {
            let half = (value - odd) / 2.0;
            self.mean = odd + STEP * (value - odd);
            // Of the new level two durations are known.
            (self.variance, self.odd) = (half * half + PRIOR * PRIOR / 2.0, None);
        } else {
            let runs = self.runs.saturating_add(u32::from(self.imported));
            let alpha = ALPHA.max(1.0 / f64::from(runs.saturating_add(1)));
            let off = off.clamp(-CLIP * deviation, CLIP * deviation);
            self.mean += alpha * off;
            // West, 1979: mean and variance with decaying weights, in one pass.
            self.variance = (1.0 - alpha) * (self.variance + alpha * off * off);
            self.odd = is_odd.then_some(value);
        }
        self.runs = self.runs.saturating_add(1);
        self.imported = false;
    }

    /// Whether anything is known of how long it takes.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.runs > 0 || self.imported || self.mean > 0.0
    }

    /// How long it takes, as people would say.
    #[must_use]
    pub fn typical(&self) -> Micros {
        exp(self.mean)
    }

    /// How sure that is: what it varied by, and what few runs leave open.
    #[must_use]
    pub fn spread(&self) -> u16 {
        thousandths((self.variance + PRIOR * PRIOR / f64::from(self.runs.max(1))).sqrt())
    }

    /// How long it may take; `None` where that was never measured.
    ///
    /// The mean is that of the logarithm, without a correction for sums: what varies in real series is the level, and with
    /// the correction sums come out too long (`docs/history.md`).
    #[must_use]
    pub fn estimate(&self) -> Option<Estimate> {
        let source = if self.imported { Source::Imported } else { Source::Own };
        self.is_measured().then(|| Estimate { mean: self.typical(), spread: self.spread(), source })
    }

    /// The same test where everything takes `factor` times as long: what was measured there is as good as one run.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        if self.is_measured() {
            self.mean = (self.mean + factor.ln()).clamp(0.0, log(LONGEST));
            (self.runs, self.odd) = (self.runs.min(1), None);
        }
        self
    }
}

/// The logarithm of a duration, within what is believed.
#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 microseconds")]
pub(super) fn log(duration: Micros) -> f64 {
    (duration.0.clamp(1, LONGEST.0) as f64).ln()
}

/// The duration of this logarithm, within what is believed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, and exp is positive")]
pub(super) fn exp(log: f64) -> Micros {
    Micros((log.exp().round() as u64).min(LONGEST.0))
}

/// A deviation as estimates carry it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and deviations are positive"
)]
pub(super) fn thousandths(deviation: f64) -> u16 {
    (deviation * 1_000.0).round() as u16
}
