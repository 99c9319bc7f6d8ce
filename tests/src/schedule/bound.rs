//! What nobody can beat: the least time that a case takes, whoever schedules it and whatever they know.
//!
//! The first process has to start before anything runs. After that the work needs all slots, the longest test needs the
//! fastest slot, and the work behind a resource needs as many of the fastest slots as it has seats. A group may be split and
//! a dead slot may do its work before it dies, so neither raises the bound: it holds for every policy, and is sometimes out
//! of reach.

use super::Case;

/// What a bound is made of, in seconds after the first start-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Seconds that a process takes to start.
    pub startup: f64,
    /// All work, over all slots.
    pub work: f64,
    /// The longest test with what its file shares, on the fastest slot.
    pub longest: f64,
    /// The work behind the most contended resource, over its seats.
    pub resource: f64,
}

impl Bound {
    /// The bound of a case.
    #[must_use]
    pub fn of(case: &Case) -> Self {
        let mut speeds: Vec<f64> = case.slots.iter().map(|slot| slot.speed).collect();
        speeds.sort_by(|a, b| b.total_cmp(a));
        let fastest = speeds.first().copied().unwrap_or(1.0);
        Self {
            startup: case.startup,
            work: work(case) / case.speed(),
            longest: case.tests.iter().map(|test| test.truth + case.fixture).fold(0.0, f64::max) / fastest,
            resource: (0..case.capacity.len()).map(|at| behind(case, at, &speeds)).fold(0.0, f64::max),
        }
    }

    /// The least time that the case takes, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.startup + self.work.max(self.longest).max(self.resource)
    }
}

/// The least time that the case takes, in seconds.
#[must_use]
pub fn seconds(case: &Case) -> f64 {
    Bound::of(case).seconds()
}

/// All that has to be done, in seconds at speed 1: each test, and once for each file what its tests share.
#[must_use]
pub fn work(case: &Case) -> f64 {
    let mut present = vec![false; case.files()];
    case.tests.iter().for_each(|test| present[test.file as usize] = true);
    let shared: f64 = present.iter().filter(|present| **present).map(|_| case.fixture).sum();
    case.tests.iter().map(|test| test.truth).sum::<f64>() + shared
}

/// How long the tests behind a resource take at least: no more of them run at once than it has seats.
fn behind(case: &Case, resource: usize, fastest_first: &[f64]) -> f64 {
    let needing = case.tests.iter().filter(|test| test.needs.map(usize::from) == Some(resource));
    let work: f64 = needing.map(|test| test.truth).sum();
    let speed: f64 = fastest_first.iter().take(case.capacity[resource] as usize).sum();
    if work > 0.0 { work / speed } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::chance::Chance;
    use super::super::optimum::optimum;
    use super::super::{Slot, Test};
    use super::*;

    fn tiny(chance: &mut Chance, resources: bool, fixture: f64) -> Case {
        let tests = 1 + chance.below(if resources { 6 } else { 8 });
        let test = |at: usize, chance: &mut Chance| Test {
            id: format!("t{at}"),
            file: u32::try_from(chance.below(3)).expect("below three"),
            group: None,
            truth: chance.log_normal(0.0, 1.0),
            history: None,
            needs: (resources && chance.uniform() < 0.6).then_some(0),
        };
        Case {
            tests: (0..tests).map(|at| test(at, chance)).collect(),
            slots: (0..=chance.below(3)).map(|_| Slot { speed: 0.5 + chance.uniform(), dies_at: None }).collect(),
            startup: chance.uniform(),
            warm: true,
            fixture,
            capacity: vec![1 + u32::try_from(chance.below(2)).expect("below two")],
        }
    }

    #[test]
    fn the_optimum_is_never_below_the_bound() {
        let mut chance = Chance::from_seed(1);
        let mut met = 0;
        for round in 0..300 {
            let case = tiny(&mut chance, round % 3 == 1, if round % 3 == 2 { 0.5 } else { 0.0 });
            let (bound, optimum) = (seconds(&case), optimum(&case));
            assert!(bound <= optimum * (1.0 + 1e-9), "{bound} > {optimum}: {case:?}");
            met += u32::from(bound > optimum * (1.0 - 1e-9));
        }
        assert!(met > 30, "a bound that is hardly ever met says little: {met} of 300");
    }

    #[test]
    fn each_term_can_be_the_one_that_binds() {
        let mut case = tiny(&mut Chance::from_seed(2), false, 0.0);
        case.tests.iter_mut().for_each(|test| (test.truth, test.file) = (1.0, 0));
        case.tests.resize(8, case.tests[0].clone());
        case.slots = vec![Slot::SOUND; 4];
        (case.startup, case.capacity) = (2.0, vec![1]);
        assert!((seconds(&case) - 4.0).abs() < 1e-9);
        case.tests[0].truth = 5.0;
        assert!((seconds(&case) - 7.0).abs() < 1e-9);
        case.tests.iter_mut().for_each(|test| test.needs = Some(0));
        assert!((seconds(&case) - 14.0).abs() < 1e-9);
        case.slots[3].speed = 2.0;
        assert!((seconds(&case) - 8.0).abs() < 1e-9, "a seat may move to the fastest slot");
        case.tests.iter_mut().for_each(|test| test.needs = None);
        case.fixture = 20.0;
        assert!((seconds(&case) - 14.5).abs() < 1e-9, "what a file shares comes before its longest test");
    }
}
