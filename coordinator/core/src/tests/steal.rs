//! Idle slots take back what busy ones have not begun.

use super::*;

/// A holds all of it in one shard, and B asks in vain.
fn scene(tests: &[(&str, u64)]) -> Scene {
    let mut scene = Scene::tuned(Tuning { shard_min: Micros::from_secs(60), ..Tuning::LOCAL });
    let _step = scene.submit(run(vec![file("a", tests)]));
    scene.join(A, 1);
    scene.join(B, 0);
    scene
}

#[test]
fn half_of_what_has_not_begun_is_asked_for_and_moves_when_it_is_given_back() {
    let mut scene = scene(&[("a", 10), ("b", 900), ("c", 900), ("d", 900), ("e", 900)]);
    let _step = scene.told(A, vec![started(1, 1)]);
    let ask = scene.ask(B, 0);
    scene.check(ask, &["A < steal 1: [3 4]"]);
    let back = scene.report(A, vec![gave_back(1, &[3, 4])]);
    let expected =
        ["given back under 1: [3 4]", "leased 2 to B0: run [3 4]", "A < ack 2", "B < grant 2 on 0: run [3#1 4#1]"];
    scene.check(back, &expected);
    // What was given back is not the first lease's any more.
    let late = scene.report(A, vec![passed(1, 3)]);
    scene.check(late, &["A < ack 3"]);
}

#[test]
fn nothing_is_asked_twice_while_the_answer_is_out() {
    let mut scene = scene(&[("a", 900), ("b", 900), ("c", 900)]);
    let ask = scene.ask(B, 0);
    scene.check(ask, &["A < steal 1: [2]"]);
    let ask = scene.ask(B, 1);
    scene.check(ask, &[]);
    assert!(scene.pass(Micros::from_ms(1_000)).is_empty());
}

#[test]
fn a_lease_that_has_nothing_to_give_is_not_asked_again() {
    let mut scene = scene(&[("a", 900), ("b", 900)]);
    let ask = scene.ask(B, 0);
    scene.check(ask, &["A < steal 1: [1]"]);
    let none = scene.report(A, vec![gave_back(1, &[])]);
    scene.check(none, &["A < ack 1"]);
    assert!(scene.pass(Micros::from_ms(1_000)).is_empty());
}

#[test]
fn an_answer_told_twice_does_not_end_the_stealing() {
    let mut scene = scene(&[("a", 900), ("b", 900), ("c", 900), ("d", 900), ("e", 900)]);
    let ask = scene.ask(B, 0);
    scene.check(ask, &["A < steal 1: [3 4]"]);
    let _step = scene.told(A, vec![gave_back(1, &[3, 4])]);
    let _step = scene.told(A, vec![gave_back(1, &[3, 4])]);
    let ask = scene.ask(B, 1);
    scene.check(ask, &["A < steal 1: [2]"]);
}

#[test]
fn the_test_that_a_slot_is_at_stays_with_it() {
    let mut scene = scene(&[("a", 90_000)]);
    let ask = scene.ask(B, 0);
    scene.check(ask, &[]);
    assert!(scene.pass(Micros::from_ms(1_000)).is_empty());
}

#[test]
fn what_waits_behind_another_lease_of_its_slot_may_move_whole() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 60_000)]), file("b", &[("y", 50_000)])]));
    scene.join(A, 1);
    let ask = scene.ask(A, 0);
    let _step = scene.take(ask);
    scene.join(B, 0);
    let ask = scene.ask(B, 0);
    scene.check(ask, &["A < steal 2: [1]"]);
    let back = scene.report(A, vec![gave_back(2, &[1]), released(2)]);
    let expected = [
        "given back under 2: [1]",
        "lease 2 ended: Released",
        "leased 3 to B0: run [1]",
        "A < ack 1",
        "B < grant 3 on 0: run [1#1]",
    ];
    scene.check(back, &expected);
}

#[test]
fn little_is_left_alone_until_the_test_before_it_takes_long() {
    let mut scene = scene(&[("a", 10), ("b", 10)]);
    let _step = scene.told(A, vec![started(1, 0)]);
    let ask = scene.ask(B, 0);
    scene.check(ask, &[]);
    assert_eq!(scene.pass(Micros::from_ms(200)), ["A < steal 1: [1]"]);
}

#[test]
fn a_steal_that_was_lost_with_its_connection_is_asked_anew() {
    let mut scene = scene(&[("a", 900), ("b", 900), ("c", 900)]);
    let ask = scene.ask(B, 0);
    scene.check(ask, &["A < steal 1: [2]"]);
    let attach = scene.attach(A, &[1]);
    scene.check(attach, &["A hung up 1", "A < attached", "A < steal 1: [2]"]);
}

#[test]
fn groups_move_whole_and_the_one_at_work_is_split_last() {
    let mut scene = Scene::tuned(Tuning { shard_min: Micros::from_secs(60), ..Tuning::LOCAL });
    let mut one = file("a", &[]);
    let tests = [grouped("g", &[("a", 900), ("b", 900)]), grouped("h", &[("c", 300), ("d", 300), ("e", 300)])];
    one.tests = Some(tests.concat());
    let _step = scene.submit(run(vec![one]));
    scene.join(A, 1);
    scene.join(B, 0);
    let _step = scene.told(A, vec![started(1, 0)]);
    let ask = scene.ask(B, 0);
    scene.check(ask, &["A < steal 1: [2 3 4]"]);
    let _step = scene.told(A, vec![gave_back(1, &[2, 3, 4])]);
    let ask = scene.ask(B, 1);
    scene.check(ask, &["A < steal 1: [1]"]);
}
