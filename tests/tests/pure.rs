//! The pure layers: every interleaving of a tiny cluster, and many seeds of a whole one.
//!
//! See `docs/testing.md` for what each promises, and how to reproduce a seed.

use regatta_tests::model::leader::{self, Wrong};
use regatta_tests::model::{self, Plan};
#[cfg(feature = "mutants")]
use regatta_tests::simulation::Failure;
use regatta_tests::simulation::faults::{Class, Swarm};
use regatta_tests::simulation::{self, Shrunk, Simulation, sweep};
use std::time::{Duration, Instant};

/// Seeds in every run of the tests. Of the deliberate faults, the rarest takes a few thousand to be noticed.
const SEEDS: u64 = 10_000;

#[test]
fn no_interleaving_of_a_tiny_cluster_breaks_a_promise() {
    for (plan, faults) in [(Plan::Retry, 1), (Plan::Steal, 1), (Plan::RetryAndListing, 1)] {
        let start = Instant::now();
        let visited = model::explore(plan, faults).unwrap_or_else(|broken| panic!("{plan:?}: {broken}"));
        println!("{plan:?}, {faults} fault: {visited} in {:.1} s", start.elapsed().as_secs_f64());
    }
}

#[test]
fn no_interleaving_of_candidates_lets_two_lead() {
    for (candidates, faults) in [(2, 1), (3, 1), (2, 2)] {
        let start = Instant::now();
        let visited = leader::explore(candidates, faults, None);
        let visited = visited.unwrap_or_else(|broken| panic!("{candidates} candidates, {faults} faults: {broken}"));
        println!("{candidates} candidates, {faults} fault(s): {visited} in {:.1} s", start.elapsed().as_secs_f64());
    }
}

#[test]
fn each_deliberate_fault_of_who_leads_is_found() {
    for wrong in Wrong::ALL {
        let broken =
            (1..=2).find_map(|faults| leader::explore(2, faults, Some(wrong)).err().map(|story| (faults, story)));
        let (faults, story) = broken.unwrap_or_else(|| panic!("{wrong:?} is not found"));
        println!("{wrong:?}, {faults} fault(s): {}", story.lines().next().unwrap_or_default());
    }
}

#[test]
fn no_seed_of_a_whole_cluster_breaks_a_promise() {
    let start = Instant::now();
    let mut swept = sweep(0..SEEDS, Simulation::new);
    swept.shrink(Simulation::without);
    let told = swept.told(start.elapsed());
    println!("{told}");
    assert!(swept.failure.is_none(), "{told}");
}

#[test]
fn the_same_seed_is_the_same_story() {
    for seed in 0..500 {
        assert_eq!(simulation::run(seed), simulation::run(seed), "seed {seed}");
    }
    let stories: std::collections::BTreeSet<u64> =
        (0..500).filter_map(|seed| simulation::run(seed).ok()).map(|story| story.trace).collect();
    assert_eq!(stories.len(), 500, "two seeds tell one story");
}

/// What a worker had given back was numbered for it again, when it connected anew.
#[test]
fn a_seed_in_which_a_given_back_test_ran_holds() {
    assert!(simulation::run(839).is_ok());
}

/// A slot that was told to break its test off, because a second run of that had won, had begun the next one, which was charged.
#[test]
fn a_seed_in_which_the_next_test_was_broken_off_holds() {
    assert!(simulation::run(5_003_257).is_ok());
}

/// A long sweep is not part of the tests, but a fault in a place of the seed space that nobody visits would stay there.
#[test]
fn no_seed_from_afar_breaks_a_promise() {
    let swept = sweep(1 << 40..(1 << 40) + 500, Simulation::new);
    assert!(swept.failure.is_none(), "{swept:?}");
}

/// What is left of the faults of a seed that breaks: with them it breaks, and without any one of them it holds.
fn check_shrunk(seed: u64, shrunk: &Shrunk, world: impl Fn(u64, &[Class]) -> Simulation) {
    let Shrunk { only, without, broken } = shrunk;
    let all = Swarm::of(seed).classes();
    assert_eq!(
        all.iter().filter(|class| !without.contains(class)).collect::<Vec<_>>(),
        only.iter().collect::<Vec<_>>()
    );
    assert_eq!(world(seed, without).run().as_ref(), Err(broken), "seed {seed} without {without:?}");
    for class in only {
        let fewer = [&without[..], &[*class]].concat();
        assert_eq!(world(seed, &fewer).run().err(), None, "seed {seed} without {fewer:?}");
    }
}

#[test]
fn a_seed_that_breaks_is_told_with_as_few_faults_as_it_takes() {
    let world = |seed, without: &[Class]| Simulation::without(seed, without).hasty();
    // From a place where seeds have several classes.
    let mut swept = sweep(3..100, |seed| world(seed, &[]));
    swept.shrink(world);
    let told = swept.told(Duration::from_secs(1));
    let failure = swept.failure.expect("a driver that does not wait is noticed");
    let shrunk = failure.shrunk.expect("it was shrunk");
    assert!(!shrunk.without.is_empty(), "{shrunk:?}");
    check_shrunk(failure.seed, &shrunk, world);
    let names = |classes: &[Class], between: &str| classes.iter().map(|c| c.name()).collect::<Vec<_>>().join(between);
    let (seed, only) = (failure.seed, names(&shrunk.only, ", "));
    let only = if only.is_empty() { "no faults at all".to_owned() } else { format!("only: {only}") };
    assert!(told.contains(&format!("\nseed {seed} breaks with {only} ({})\n", shrunk.broken)), "{told}");
    assert!(told.ends_with(&format!("--seed {seed} --without {}", names(&shrunk.without, ","))), "{told}");
}

#[test]
fn without_a_class_a_seed_has_the_same_runs_and_tests() {
    let planned = |seed, without: &[Class]| {
        let (told, _) = simulation::replay(seed, without);
        told[1].matches("TrueTest {").count()
    };
    for seed in 3..16 {
        for class in Class::ALL {
            assert_eq!(planned(seed, &[class]), planned(seed, &[]), "seed {seed} without {class}");
        }
    }
}

/// A fault in the core that takes one class of faults to be seen is told with that one.
#[cfg(feature = "mutants")]
#[test]
fn a_deliberate_fault_is_told_with_few_classes() {
    use regatta_core::{Mutant, turn_on};
    for (mutant, needs) in [(Mutant::NoReconnect, Class::Drop), (Mutant::NoGrace, Class::CoordinatorCrash)] {
        turn_on(Some(mutant));
        let mut swept = sweep(1_000_003..1_020_000, Simulation::new);
        swept.shrink(Simulation::without);
        let told = swept.told(Duration::from_secs(1));
        let Failure { seed, shrunk, .. } = swept.failure.expect("it is noticed");
        let shrunk = shrunk.expect("it was shrunk");
        println!("{mutant:?}: {told}");
        assert!(shrunk.only.len() < Swarm::of(seed).classes().len() && shrunk.only.contains(&needs), "{shrunk:?}");
        check_shrunk(seed, &shrunk, Simulation::without);
        turn_on(None);
    }
}

/// Each deliberate fault in the core is noticed; a few seeds of each are enough for all but the rarest.
#[cfg(feature = "mutants")]
#[test]
fn every_deliberate_fault_is_noticed() {
    let missed: Vec<String> =
        simulation::mutants::hunt("", 20_000).filter(|caught| !caught.is_caught()).map(|c| c.name).collect();
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}
