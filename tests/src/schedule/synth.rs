//! Suites that never were: durations with the tails that real ones have, in files and groups, measured a few times.

use super::chance::Chance;
use super::trace::Trace;

/// How often a suite is measured. The first measurement is only history.
const VERSIONS: usize = 5;

/// How much a test differs from one measurement to the next: the standard deviation of the logarithm.
const BETWEEN_RUNS: f64 = 0.15;

/// How much files differ from each other, beyond what their tests do: what is not known of a test, its file tells in part.
const BETWEEN_FILES: f64 = 0.5;

/// No test is longer than this, in seconds: above it a suite has a limit, and the limit is what is measured.
const LONGEST: f64 = 300.0;

/// The shape of the durations of a suite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Many alike, some much longer: median 0.3 s, standard deviation of the logarithm 1.5.
    LogNormal,
    /// A tail that hardly falls: at least 0.1 s, and the chance of being longer falls with the power 1.3.
    Pareto,
}

impl Shape {
    /// What the suite is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LogNormal => "log-normal",
            Self::Pareto => "pareto",
        }
    }

    fn draw(self, chance: &mut Chance) -> f64 {
        match self {
            Self::LogNormal => chance.log_normal(0.3_f64.ln(), 1.5),
            Self::Pareto => chance.pareto(0.1, 1.3),
        }
    }
}

/// A suite of that many tests, the same for the same seed.
#[must_use]
pub fn suite(shape: Shape, tests: usize, seed: u64) -> Trace {
    let mut chance = Chance::of(seed, shape.name());
    let mut trace = Trace { tests: Vec::new(), groups: Vec::new(), versions: vec![Vec::new(); VERSIONS] };
    for file in 0.. {
        if trace.tests.len() >= tests {
            break;
        }
        let size = (chance.log_normal(12.0_f64.ln(), 1.0).ceil() as usize).clamp(1, 400).min(tests - trace.tests.len());
        let factor = chance.log_normal(0.0, BETWEEN_FILES);
        // Where a file has classes, they hold five tests each.
        let classes = chance.uniform() < 0.3;
        for at in 0..size {
            let group = classes.then(|| format!("Test{}", at / 5));
            let inner = group.as_ref().map_or(String::new(), |group| format!("{group}::"));
            trace.tests.push(format!("tests/test_{file}.py::{inner}test_{at}"));
            trace.groups.push(group);
            let typical = shape.draw(&mut chance) * factor;
            for version in &mut trace.versions {
                version.push(Some((typical * chance.log_normal(0.0, BETWEEN_RUNS)).min(LONGEST)));
            }
        }
    }
    trace
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_the_same_for_the_same_seed_and_has_the_tests_that_were_asked_for() {
        for shape in [Shape::LogNormal, Shape::Pareto] {
            let trace = suite(shape, 1_000, 4);
            assert_eq!(trace, suite(shape, 1_000, 4));
            assert_ne!(trace, suite(shape, 1_000, 5));
            assert_eq!((trace.tests.len(), trace.points().len()), (1_000, VERSIONS - 1));
            let files = trace.points()[0].iter().map(|test| test.file).max();
            assert!(files.is_some_and(|files| files > 20), "{files:?}");
            assert!(trace.groups.iter().any(Option::is_some) && trace.groups.iter().any(Option::is_none));
        }
    }

    #[test]
    fn a_few_tests_hold_much_of_the_work() {
        for shape in [Shape::LogNormal, Shape::Pareto] {
            let mut seconds: Vec<f64> = suite(shape, 3_000, 1).versions[0].iter().flatten().copied().collect();
            seconds.sort_by(|a, b| b.total_cmp(a));
            let share = seconds[..150].iter().sum::<f64>() / seconds.iter().sum::<f64>();
            assert!(share > 0.3, "the longest 5 % hold {share} of {}", shape.name());
        }
    }
}
