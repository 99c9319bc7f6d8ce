//! What is plain of every peer, and of some.

use super::super::cases::Named;
use super::super::chance::Chance;
use super::super::optimum::optimum;
use super::super::synth::{Shape, suite};
use super::super::{Known, Slot, Test, bound};
use super::*;

/// Tests that take these seconds, each in a file of its own, known for what they are.
fn case(seconds: &[f64], slots: usize) -> Case {
    let test = |(file, seconds): (u32, &f64)| Test {
        id: format!("f{file}.py::t"),
        file,
        group: None,
        truth: *seconds,
        history: Some(Known { mean: *seconds, spread: 0.0 }),
        needs: None,
    };
    Case {
        tests: (0..).zip(seconds).map(test).collect(),
        slots: vec![Slot::SOUND; slots],
        startup: 0.0,
        warm: true,
        fixture: 0.0,
        capacity: vec![1],
    }
}

fn seconds(peer: Peer, case: &Case) -> f64 {
    (peer.makespan(case, 1) * 1e6).round() / 1e6
}

#[test]
fn names_are_different() {
    let mut names: Vec<_> = Peer::ALL.iter().map(|peer| peer.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Peer::ALL.len());
}

#[test]
fn nobody_beats_the_bound_and_everybody_repeats_themselves() {
    for (shape, seed) in [(Shape::LogNormal, 1), (Shape::Pareto, 2)] {
        let tests = suite(shape, 300, seed).points().pop().expect("a version");
        for (named, warm, slots) in
            Named::ALL.iter().flat_map(|named| [(named, true, 7), (named, false, 20), (named, true, 2)])
        {
            for case in named.build(&tests, slots, 0.5, warm, seed) {
                for peer in Peer::ALL {
                    let makespan = peer.makespan(&case, seed);
                    let (name, bound) = (named.name(), bound::seconds(&case));
                    assert!(makespan >= bound * (1.0 - 1e-9), "{} in {name}: {makespan} < {bound}", peer.name());
                    assert_eq!(makespan, peer.makespan(&case, seed), "{} in {name}", peer.name());
                }
            }
        }
    }
}

#[test]
fn longest_first_is_within_a_third_of_the_best_and_any_pull_within_twice() {
    let mut chance = Chance::from_seed(5);
    for _ in 0..100 {
        let tests: Vec<f64> = (0..5 + chance.below(5)).map(|_| chance.log_normal(0.0, 1.0)).collect();
        let slots = 2 + chance.below(2);
        let case = case(&tests, slots);
        let optimum = optimum(&case);
        let within = |peer: Peer, factor: f64| {
            let makespan = peer.makespan(&case, 1);
            assert!(makespan <= optimum * factor + 1e-9, "{} takes {makespan}, the best {optimum}", peer.name());
        };
        let slots = f64::from(u32::try_from(slots).expect("two or three"));
        within(Peer::Lpt, 4.0 / 3.0 - 1.0 / (3.0 * slots));
        within(Peer::Pull, 2.0 - 1.0 / slots);
        within(Peer::Inorder, 2.0 - 1.0 / slots);
    }
}

#[test]
fn on_one_slot_nobody_has_a_choice() {
    let mut case = case(&[1.0, 2.0, 3.0], 1);
    case.startup = 0.5;
    for peer in Peer::ALL {
        assert_eq!(seconds(peer, &case), 6.5, "{}", peer.name());
        case.tests.iter_mut().for_each(|test| test.history = None);
        assert_eq!(seconds(peer, &case), 6.5, "{} without history", peer.name());
    }
}

#[test]
fn a_case_without_tests_is_over_at_once() {
    Peer::ALL.iter().for_each(|peer| assert_eq!(peer.makespan(&case(&[], 3), 1), 0.0, "{}", peer.name()));
}

#[test]
fn a_lost_slot_never_loses_a_test() {
    let tests: Vec<f64> = (0..40).map(|at| 1.0 + f64::from(at % 7)).collect();
    for dies_at in [0.0, 0.3, 0.5, 1.0, 7.5, 20.0, 39.0, 60.0] {
        for (startup, needs) in [(0.5, None), (0.0, None), (0.5, Some(0))] {
            let mut case = case(&tests, 4);
            case.startup = startup;
            case.tests.iter_mut().step_by(3).for_each(|test| test.needs = needs);
            let whole: Vec<f64> = Peer::ALL.iter().map(|peer| peer.makespan(&case, 1)).collect();
            case.slots[1].dies_at = Some(dies_at);
            case.slots[2].dies_at = Some(dies_at);
            for (peer, whole) in Peer::ALL.iter().zip(whole) {
                // The floor asserts that each test ran to its end once.
                let makespan = peer.makespan(&case, 1);
                assert!(makespan > 0.0 && makespan < whole + 160.0, "{} takes {makespan} for {whole}", peer.name());
            }
        }
    }
}

#[test]
fn a_slot_that_nobody_may_help_is_waited_for() {
    let mut case = case(&[10.0; 8], 4);
    case.startup = 1.0;
    case.slots[3].dies_at = Some(5.0);
    // Found at 20, a second to start, and both of its tests, of which one was half done.
    assert_eq!(seconds(Peer::Lpt, &case), 41.0);
    // The others take up what it was at: two tests are left for three slots when it comes back.
    assert_eq!(seconds(Peer::Pull, &case), 31.0);
    case.slots[3].dies_at = Some(12.0);
    assert_eq!(seconds(Peer::Lpt, &case), 38.0, "one of the two was done");
    assert_eq!(seconds(Peer::Pull, &case), 37.0, "the rest were idle from 21, and it came back at 27");
}

#[test]
fn a_cold_runner_starts_for_each_batch() {
    let mut case = case(&[1.0; 8], 4);
    (case.startup, case.warm) = (2.0, false);
    assert_eq!(seconds(Peer::Pull, &case), 6.0);
    assert_eq!(seconds(Peer::Inorder, &case), 6.0);
    assert_eq!(seconds(Peer::Count, &case), 4.0);
    assert_eq!(seconds(Peer::Worksteal, &case), 4.0);
    case.warm = true;
    Peer::ALL.iter().filter(|peer| **peer != Peer::Hash).for_each(|peer| {
        assert_eq!(seconds(*peer, &case), 4.0, "{}", peer.name());
    });
}

#[test]
fn what_a_file_shares_is_set_up_whenever_the_file_is_taken_up() {
    let mut case = case(&[1.0; 6], 2);
    case.fixture = 10.0;
    case.tests.iter_mut().zip([0, 0, 0, 1, 1, 1]).for_each(|(test, file)| test.file = file);
    assert_eq!(seconds(Peer::Chunks, &case), 13.0);
    assert_eq!(seconds(Peer::Loadfile, &case), 13.0);
    assert_eq!(seconds(Peer::Count, &case), 23.0, "one slot has two tests of one file and one of the other");
    assert_eq!(seconds(Peer::Inorder, &case), 23.0);
    case.warm = false;
    assert_eq!(seconds(Peer::Inorder, &case), 33.0, "each test has a process of its own");
}

#[test]
fn a_seat_is_for_one_at_a_time() {
    let mut case = case(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 3);
    case.tests.iter_mut().take(4).for_each(|test| test.needs = Some(0));
    for peer in Peer::ALL {
        assert!(seconds(peer, &case) >= 4.0, "{}", peer.name());
    }
    assert_eq!(seconds(Peer::Inorder, &case), 4.0, "those without needs go ahead");
    case.capacity = vec![2];
    assert_eq!(seconds(Peer::Inorder, &case), 2.0);
}

#[test]
fn a_whole_file_is_one_piece_and_a_single_test_is_not() {
    let mut case = case(&[1.0; 30], 5);
    case.tests.iter_mut().for_each(|test| test.file = 0);
    for peer in [Peer::Loadfile, Peer::Knapsack] {
        assert_eq!(seconds(peer, &case), 30.0, "{}", peer.name());
    }
    for peer in [Peer::Count, Peer::Lpt, Peer::Chunks, Peer::Pull, Peer::Worksteal, Peer::Inorder] {
        assert_eq!(seconds(peer, &case), 6.0, "{}", peer.name());
    }
}

#[test]
fn files_are_in_order_of_their_tests_with_one_and_of_their_time_with_the_other() {
    // Three short tests in one file, one long one in another, two middling ones in a third.
    let mut case = case(&[1.0, 1.0, 1.0, 9.0, 2.0, 2.0], 2);
    case.tests.iter_mut().zip([0, 0, 0, 1, 2, 2]).for_each(|(test, file)| test.file = file);
    assert_eq!(seconds(Peer::Knapsack, &case), 9.0);
    // The file of two comes before the file of one, and to a worker that has only two left at once.
    assert_eq!(seconds(Peer::Loadfile, &case), 13.0);
}

#[test]
fn stealing_helps_who_has_long_tests_and_load_does_not_take_back() {
    // All that the first worker is given are long.
    let tests: Vec<f64> = (0..320).map(|at| if at < 20 { 1.0 } else { 0.01 }).collect();
    let case = case(&tests, 4);
    assert_eq!(seconds(Peer::Load, &case), 20.0);
    assert!(seconds(Peer::Worksteal, &case) < 8.0, "{}", seconds(Peer::Worksteal, &case));
}

#[test]
fn a_name_stays_where_it_is_when_others_go() {
    let whole = case(&[1.0; 50], 4);
    let mut fewer = whole.clone();
    fewer.tests.truncate(25);
    for (list, shorter) in hash::split(&whole).iter().zip(hash::split(&fewer)) {
        assert_eq!(list.iter().filter(|test| **test < 25).copied().collect::<Vec<_>>(), shorter);
    }
}

#[test]
fn a_split_holds_each_test_once() {
    let tests = suite(Shape::Pareto, 500, 3).points().pop().expect("a version");
    for case in Named::Unknown.build(&tests, 13, 0.0, true, 3) {
        for lists in [count::split(&case), hash::split(&case), lpt::split(&case), chunks::split(&case)] {
            let mut all = lists.concat();
            all.sort_unstable();
            assert_eq!(all, (0..500).collect::<Vec<_>>());
        }
    }
}
