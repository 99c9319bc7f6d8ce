//! Runs close, and end.

use super::*;
use regatta_domain::report::Counts;
use regatta_domain::submission::Resumed;

/// A run whose only test has passed on A.
fn closing() -> Scene {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10)])]));
    scene.join(A, 1);
    let over = scene.report(A, vec![passed(1, 0), released(1)]);
    let expected = ["accepted under 1: 0 passed", "lease 1 ended: Released", "closing", "A < ack 1", "A < close"];
    scene.check(over, &expected);
    scene
}

#[test]
fn a_run_is_green_when_every_test_passed_and_everything_is_torn_down() {
    let mut scene = closing();
    let shut = scene.report(A, vec![closed()]);
    scene.check(shut, &["A closed", "ended: Green", "A < ack 2"]);
    let again = scene.report(A, vec![closed()]);
    scene.check(again, &["A < ack 3"]);
}

#[test]
fn an_ended_run_keeps_how_it_came_out_and_nothing_of_its_plan() {
    let mut scene = closing();
    let shut = scene.report(A, vec![closed()]);
    let _step = scene.take(shut);
    let run = &scene.core.state().runs[&R];
    assert!(run.has_ended() && run.counts.passed == 1, "{run:?}");
    assert!(run.tests.is_empty() && run.groups.is_empty() && run.files.is_empty(), "{run:?}");
}

#[test]
fn what_stands_of_the_run_that_is_gone_on_with_counts_for_the_outcome() {
    let (passed, failed) = (Counts { passed: 1, ..Counts::default() }, Counts { failed: 1, ..Counts::default() });
    for (stand, errors, ended) in
        [(passed, 0, "Green"), (failed, 0, "Red"), (passed, 1, "Red"), (Counts::default(), 0, "Empty")]
    {
        let resumes = Some(Resumed { run: SECOND, stand, errors });
        let mut scene = Scene::new();
        scene.check(
            submit(Submission { resumes, ..run(vec![]) }),
            &["submitted", "closing", &format!("ended: {ended}"), "reply: ok"],
        );
    }
}

#[test]
fn what_goes_wrong_in_tearing_down_makes_the_run_red() {
    let mut scene = closing();
    let error = RunError { kind: RunErrorKind::Teardown, place: "p".into(), message: "leak".into() };
    let shut = scene.report(A, vec![Entry::Closed { run: R, errors: vec![error] }]);
    scene.check(shut, &["erred: Teardown leak", "A closed", "ended: Red", "A < ack 2"]);
}

#[test]
fn a_worker_that_never_closes_is_not_waited_for() {
    let mut scene = closing();
    for _ in 0..11 {
        let spoken = scene.pass(Micros::from_secs(5));
        assert!(spoken.is_empty(), "{spoken:?}");
        let _step = scene.told(A, vec![]);
    }
    assert_eq!(scene.pass(Micros::from_secs(5)), ["ended: Green"]);
}

#[test]
fn a_worker_that_is_lost_is_not_waited_for() {
    let mut scene = closing();
    let detach = scene.detach(A);
    scene.check(detach, &[]);
    assert_eq!(scene.pass(Micros::from_secs(5)), ["A closed", "ended: Green"]);
}

#[test]
fn a_worker_that_comes_back_is_told_to_close_again_also_after_the_end() {
    let mut scene = closing();
    let detach = scene.detach(A);
    let _step = scene.take(detach);
    let attach = scene.attach(A, &[]);
    scene.check(attach, &["A < attached", "A < close"]);
    let detach = scene.detach(A);
    let _step = scene.take(detach);
    let _shown = scene.pass(Micros::from_secs(5));
    let attach = scene.attach(A, &[]);
    scene.check(attach, &["A < attached", "A < close"]);
}

#[test]
fn a_run_whose_flaky_tests_count_is_red() {
    let mut scene = Scene::new();
    let mut submission = run(vec![file("a", &[("x", 10)])]);
    submission.policies[0].retries = 1;
    submission.policy.flaky_fails = true;
    let _step = scene.submit(submission);
    scene.join(A, 1);
    let _step = scene.told(A, vec![failed(1, 0), released(1)]);
    let ask = scene.ask(A, 0);
    let _step = scene.take(ask);
    let _step = scene.told(A, vec![passed(2, 0), released(2)]);
    let shut = scene.report(A, vec![closed()]);
    scene.check(shut, &["A closed", "ended: Red", "A < ack 3"]);
}
