//! A late test runs a second time where that is wanted, and the first result counts.

use super::*;

/// One test of a second under A's first lease, which has begun; B asks in vain.
fn scene(speculate: bool, level: Level) -> Scene {
    let mut scene = Scene::new();
    let mut one = file("a", &[]);
    one.tests = Some(vec![TestDraft { level, ..test("late", 1_000) }]);
    let policy = RunPolicy { speculate, ..RunPolicy::default() };
    let _step = scene.submit(Submission { policy, ..run(vec![one]) });
    scene.join(A, 1);
    let _step = scene.told(A, vec![started(1, 0)]);
    scene.join(B, 1);
    scene
}

#[test]
fn a_late_test_runs_again_elsewhere_and_whoever_loses_is_stopped() {
    let mut scene = scene(true, Level::Read);
    assert!(scene.pass(Micros::from_secs(6)).is_empty(), "it is not late yet");
    let shown = scene.pass(Micros::from_secs(1));
    assert_eq!(shown, ["leased 2 to B0: run 0 again", "B < grant 2 on 0: run [0#1]"]);
    let _step = scene.told(B, vec![started(2, 0)]);
    let over = scene.report(B, vec![passed(2, 0), released(2)]);
    let expected = ["accepted under 2: 0 passed", "lease 2 ended: Released", "A < kill 1", "B < ack 3"];
    scene.check(over, &expected);
    assert_eq!(scene.verdict(0), Some(Verdict::Passed));
    // Too late, and nobody's any more.
    let late = scene.report(A, vec![failed(1, 0), released(1)]);
    let expected = ["lease 1 ended: Released", "closing", "A < ack 4", "A < close", "B < close"];
    scene.check(late, &expected);
    assert_eq!(scene.verdict(0), Some(Verdict::Passed));
}

#[test]
fn the_first_one_may_still_win() {
    let mut scene = scene(true, Level::None);
    let _shown = scene.pass(Micros::from_secs(7));
    let over = scene.report(A, vec![passed(1, 0), released(1)]);
    scene.check(over, &["accepted under 1: 0 passed", "lease 1 ended: Released", "B < kill 2", "A < ack 2"]);
}

#[test]
fn nothing_runs_twice_that_others_could_notice_or_that_was_not_asked_for() {
    for (speculate, level) in [(false, Level::None), (true, Level::Transaction), (true, Level::Exclusive)] {
        let mut scene = scene(speculate, level);
        assert!(scene.pass(Micros::from_secs(12)).is_empty(), "{speculate} {level:?}");
    }
}

#[test]
fn when_the_first_one_is_lost_its_second_run_is_stopped() {
    let mut scene = scene(true, Level::None);
    let _shown = scene.pass(Micros::from_secs(7));
    let gone = scene.detach(A);
    let _step = scene.take(gone);
    let shown = scene.pass(Micros::from_secs(5));
    assert!(shown.contains(&"B < kill 2".to_owned()), "{shown:?}");
    assert!(shown.contains(&"lease 1 ended: WorkerLost, blaming 0: retry +0ms".to_owned()), "{shown:?}");
}
