//! A level that tests have in common (a suite, a directory, a file, a group), and what it lets expect of one more of them.
//!
//! What few tests of a level say is drawn towards the level above: shrinkage, after James and Stein (*Estimation with
//! quadratic loss*, 1961), with fixed weights. Mean and variance are updated together, as of a normal distribution whose
//! prior is the level above (Gelman et al., *Bayesian Data Analysis*, 3.3).

use super::test::{exp, thousandths};
use crate::{Estimate, Micros, Source};

/// The level above weighs as much as so many tests.
const ABOVE: f64 = 2.0;

/// The same for tests that differ only in their parameters, and for a suite, above which nothing is known.
const ABOVE_LITTLE: f64 = 1.0;

/// What tests of a level have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A suite.
    Suite,
    /// A directory, by its path.
    Directory,
    /// A file, by its path.
    File,
    /// A class or module within a file, by its name.
    Class,
    /// A group, by its key.
    Group,
    /// Tests that differ only in their parameters, by the name without them.
    Family,
}

impl Kind {
    /// What an estimate that comes from here is said to come from.
    pub(super) const fn source(self) -> Source {
        match self {
            Self::Suite | Self::Directory => Source::Suite,
            Self::File => Source::File,
            Self::Class | Self::Group | Self::Family => Source::Group,
        }
    }

    const fn above(self) -> f64 {
        match self {
            Self::Suite | Self::Family => ABOVE_LITTLE,
            Self::Directory | Self::File | Self::Class | Self::Group => ABOVE,
        }
    }
}

/// What was measured of the tests of a level.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    tests: f64,
    /// Of the logarithms of durations in microseconds, and of their squares.
    logs: f64,
    squares: f64,
    /// Of the durations.
    pub(super) micros: f64,
    /// Files whose durations are known, and those together.
    files: f64,
    in_files: f64,
}

impl Sums {
    /// Whether any test was measured.
    pub(super) fn has_tests(&self) -> bool {
        self.tests > 0.0
    }

    /// Adds a test.
    pub(super) fn add(&mut self, log: f64) {
        self.tests += 1.0;
        self.logs += log;
        self.squares += log * log;
        self.micros += log.exp();
    }

    /// Adds a file, all of whose tests take so many microseconds.
    pub(super) fn add_file(&mut self, micros: f64) {
        self.files += 1.0;
        self.in_files += micros;
    }
}

/// What one more test, or file, of a level may take: logarithms of microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// The mean of the logarithm.
    log: f64,
    /// The variance of that, from test to test.
    variance: f64,
    /// The logarithm of the mean: what tests take on average, so that sums come out right. It is measured, not concluded
    /// from the variance: real durations are far from log-normal, and `exp(mean + variance/2)` is several times too long.
    mean: f64,
    /// The logarithm of what files take on average.
    file: f64,
}

impl Expected {
    /// Where nothing is known: tests of this mean and deviation, files of this mean.
    #[expect(clippy::cast_precision_loss, reason = "constants far below 2^52")]
    pub(super) fn by_default(test: Micros, deviation: f64, file: Micros) -> Self {
        let log = (test.0 as f64).ln();
        Self { log, variance: deviation * deviation, mean: log, file: (file.0 as f64).ln() }
    }

    /// What a level lets expect, whose level above lets expect this.
    pub(super) fn within(self, kind: Kind, sums: &Sums) -> Self {
        let mut expected = self;
        let above = kind.above();
        if sums.tests > 0.0 {
            let Sums { tests, logs, squares, micros, .. } = *sums;
            let drawn = |own: f64, above_is: f64| (tests * own + above * above_is) / (tests + above);
            let own = logs / tests;
            let within = (squares - logs * own).max(0.0);
            let between = tests * above / (tests + above) * (own - self.log).powi(2);
            expected.log = drawn(own, self.log);
            expected.mean = drawn((micros / tests).ln(), self.mean);
            expected.variance = (above * self.variance + within + between) / (tests + above);
        }
        if sums.files > 0.0 {
            let own = (sums.in_files / sums.files).ln();
            expected.file = (sums.files * own + above * self.file) / (sums.files + above);
        }
        expected
    }

    /// As an estimate of a test.
    pub(super) fn test(&self, source: Source) -> Estimate {
        Estimate { mean: exp(self.mean), spread: thousandths(self.variance.sqrt()), source }
    }

    /// Of a file.
    pub(super) fn file(&self) -> Micros {
        exp(self.file)
    }
}
