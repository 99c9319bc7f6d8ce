//! Results that come when their lease was taken from its worker: refused, and that once on record.

use super::*;

/// Two tests in the hands of A, which is cut off and given up.
fn scene() -> Scene {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10), ("y", 10)])]));
    scene.join(A, 1);
    let _step = scene.told(A, vec![passed(1, 0)]);
    let _lost = scene.pass(Micros::from_secs(20));
    assert!(scene.core.state().leases.is_empty());
    scene
}

/// It can be heard again, and has the token still.
fn come_back(scene: &mut Scene, worker: WorkerId) {
    let attach = scene.attach(worker, &[1]);
    scene.check(
        attach,
        &[&format!("{:X} < attached", worker.0.as_u128()), &format!("{:X} < kill 1", worker.0.as_u128())],
    );
}

#[test]
fn what_a_lost_worker_tells_late_is_refused_on_record_before_it_is_acknowledged() {
    let mut scene = scene();
    come_back(&mut scene, A);
    let late = scene.report(A, vec![failed(1, 1)]);
    scene.check(late, &["refused A under 1: 1 Failed", "A < ack 2"]);
    assert_eq!(scene.verdict(1), None);
}

#[test]
fn a_refusal_is_recorded_once_however_often_the_result_is_told() {
    let mut scene = scene();
    come_back(&mut scene, A);
    let late = scene.report(A, vec![failed(1, 1), failed(1, 1)]);
    scene.check(late, &["refused A under 1: 1 Failed", "A < ack 2"]);
    let again = scene.report(A, vec![failed(1, 1)]);
    scene.check(again, &["A < ack 3"]);
}

#[test]
fn a_result_that_was_accepted_and_is_told_again_is_not_refused() {
    let mut scene = scene();
    come_back(&mut scene, A);
    let again = scene.report(A, vec![passed(1, 0)]);
    scene.check(again, &["A < ack 2"]);
}

#[test]
fn the_verdict_is_that_of_the_attempt_that_counts() {
    let mut scene = scene();
    scene.join(B, 1);
    let _step = scene.told(B, vec![passed(2, 1)]);
    come_back(&mut scene, A);
    let late = scene.report(A, vec![failed(1, 1)]);
    scene.check(late, &["refused A under 1: 1 Failed", "A < ack 3"]);
    assert_eq!(scene.verdict(1), Some(Verdict::Passed));
}

#[test]
fn a_result_is_refused_on_record_when_its_run_has_ended_and_not_any_more_when_it_is_forgotten() {
    for (waited, record) in [(Micros::ZERO, true), (Tuning::LOCAL.keep, false)] {
        let mut scene = scene();
        scene.join(B, 1);
        let _step = scene.told(B, vec![passed(2, 1), released(2)]);
        let _step = scene.told(B, vec![closed()]);
        assert!(scene.core.state().runs[&R].has_ended());
        let _shown = scene.pass(waited);
        let attach = scene.attach(A, &[1]);
        let _step = scene.take(attach);
        let late = scene.report(A, vec![failed(1, 1)]);
        scene.check(late, if record { &["refused A under 1: 1 Failed", "A < ack 4"] } else { &["A < ack 4"] });
        assert_eq!(scene.core.state().fenced.tests(), 0);
    }
}

#[test]
fn nobody_but_who_held_the_lease_owes_anything_under_it() {
    let mut scene = scene();
    come_back(&mut scene, B);
    let foreign = scene.report(B, vec![failed(1, 1)]);
    scene.check(foreign, &["B < ack 2"]);
}

#[test]
fn what_a_worker_gave_up_by_its_own_word_is_not_owed() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10), ("y", 10)])]));
    scene.join(A, 1);
    let _step = scene.told(A, vec![passed(1, 0), released(1)]);
    assert_eq!(scene.core.state().fenced.tests(), 0);
}

#[test]
fn a_restart_forgets_nothing_of_it() {
    let mut scene = scene();
    scene.core = Core::resume(scene.replayed.clone(), Tuning::LOCAL, scene.now);
    come_back(&mut scene, A);
    let late = scene.report(A, vec![failed(1, 1)]);
    scene.check(late, &["refused A under 1: 1 Failed", "A < ack 2"]);
}
