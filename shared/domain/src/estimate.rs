//! How long something may take, how sure that is, and where it comes from.

use crate::Micros;
use serde::{Deserialize, Serialize};

/// How long a test may take: by the mean of its logarithm, with the deviation of that.
///
/// Durations of tests are skewed, and close to log-normal: a factor says more than a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Estimate {
    /// How long it takes as a rule; of a test that was never measured, what those like it take on average.
    pub mean: Micros,
    /// The standard deviation of the natural logarithm, in thousandths: 300 is a factor of 1.35 in two cases of three.
    pub spread: u16,
    /// Where it comes from.
    pub source: Source,
}

/// Where an estimate comes from, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Nothing at all is known of the suite.
    #[default]
    Default,
    /// The mean of the tests of its suite, those in its directory before all.
    Suite,
    /// The mean of the tests of its file.
    File,
    /// The mean of the tests of its group or class, or of those that differ from it only in their parameters.
    Group,
    /// A file of timings that was imported.
    Imported,
    /// The history of the test whose name or file it took over.
    Renamed,
    /// Its own history.
    Own,
}

impl Source {
    /// Every source, from the weakest to the strongest.
    pub const ALL: [Self; 7] =
        [Self::Default, Self::Suite, Self::File, Self::Group, Self::Imported, Self::Renamed, Self::Own];

    /// Whether it speaks of this very test, and not of others that may be like it.
    #[must_use]
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Imported | Self::Renamed | Self::Own)
    }

    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Suite => "suite",
            Self::File => "file",
            Self::Group => "group",
            Self::Imported => "imported",
            Self::Renamed => "renamed",
            Self::Own => "own",
        }
    }
}

impl Estimate {
    /// The deviation that is assumed where nobody measured it: a factor of 1.35, what runs of one suite differ by.
    pub const SPREAD: u16 = 300;

    /// An estimate from a test's own history.
    #[must_use]
    pub const fn own(mean: Micros) -> Self {
        Self { mean, spread: Self::SPREAD, source: Source::Own }
    }

    /// What a share of the cases stays below: `deviations` standard deviations above the mean of the logarithm.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates; exp is positive")]
    pub fn upper(&self, deviations: f64) -> Micros {
        let factor = (deviations * f64::from(self.spread) / 1_000.0).exp();
        Micros((self.mean.0 as f64 * factor).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_end_follows_from_mean_and_spread() {
        let estimate = Estimate { mean: Micros(1_000), spread: 693, source: Source::Own };
        assert_eq!(estimate.upper(0.0), Micros(1_000));
        assert_eq!(estimate.upper(1.0), Micros(2_000));
        assert_eq!(Estimate { mean: Micros(u64::MAX), ..estimate }.upper(9.0), Micros(u64::MAX));
    }

    #[test]
    fn sources_are_ordered_from_the_weakest_to_the_strongest() {
        assert!(Source::ALL.is_sorted());
        assert_eq!(Source::ALL.iter().filter(|source| source.is_own()).count(), 3);
    }
}
