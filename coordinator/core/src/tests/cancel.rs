//! Runs that end before their time.

use super::*;

fn scene() -> Scene {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 90_000)]), file("b", &[("y", 80_000)]), unlisted("c")]));
    scene.join(A, 1);
    scene
}

#[test]
fn a_gentle_end_lets_what_runs_end_and_calls_the_rest_not_run() {
    let mut scene = scene();
    scene.check(cancel(false), &["cancelled: Asked", "A < stop 1", "reply: ok"]);
    assert_eq!(scene.verdict(1), Some(Verdict::NotRun));
    let over = scene.report(A, vec![passed(1, 0), released(1)]);
    let expected = ["accepted under 1: 0 passed", "lease 1 ended: Released", "closing", "A < ack 1", "A < close"];
    scene.check(over, &expected);
    let shut = scene.report(A, vec![closed()]);
    scene.check(shut, &["A closed", "ended: Cancelled", "A < ack 2"]);
}

#[test]
fn a_hard_end_stops_what_runs() {
    let mut scene = scene();
    scene.check(cancel(false), &["cancelled: Asked", "A < stop 1", "reply: ok"]);
    scene.check(cancel(true), &["cancelled: Asked, kill", "A < kill 1", "reply: ok"]);
    scene.check(cancel(false), &["reply: ok"]);
    let over = scene.report(A, vec![released(1)]);
    scene.check(over, &["lease 1 ended: Released", "closing", "A < ack 1", "A < close"]);
    assert_eq!(scene.verdict(0), Some(Verdict::NotRun));
}

#[test]
fn a_failure_in_a_cancelled_run_is_not_tried_again() {
    let mut scene = Scene::new();
    let policies = vec![TestPolicy { retries: 3, ..TestPolicy::default() }];
    let _step = scene.submit(Submission { policies, ..run(vec![file("a", &[("x", 10)])]) });
    scene.join(A, 1);
    scene.check(cancel(false), &["cancelled: Asked", "A < stop 1", "reply: ok"]);
    let over = scene.report(A, vec![failed(1, 0)]);
    scene.check(over, &["accepted under 1: 0 failed", "A < ack 1"]);
}

#[test]
fn fail_fast_ends_the_run_once_enough_tests_have_failed() {
    let mut scene = Scene::new();
    let mut submission = run((0..4).map(|at| file(&at.to_string(), &[("x", 90_000)])).collect());
    submission.policy.max_failures = Some(2);
    let _step = scene.submit(submission);
    scene.join(A, 2);
    let report = scene.report(A, vec![failed(1, 0)]);
    scene.check(report, &["accepted under 1: 0 failed", "A < ack 1"]);
    let report = scene.report(A, vec![failed(2, 1), released(2)]);
    let expected = [
        "accepted under 2: 1 failed",
        "cancelled: FailFast",
        "lease 2 ended: Released",
        "A < stop 1",
        "A < stop 2",
        "A < ack 2",
    ];
    scene.check(report, &expected);
}

#[test]
fn what_is_found_and_listed_after_the_end_is_not_run() {
    let mut scene = Scene::new();
    let mut submission = run(vec![unlisted("a")]);
    submission.suites[0].discover = true;
    let _step = scene.submit(submission);
    scene.join(A, 2);
    let _step = scene.take(cancel(false));
    let found = Entry::Discovered { token: Token(1), files: vec![unlisted("a"), file("b", &[("x", 10)])] };
    let report = scene.report(A, vec![found, released(1), listed(2, 0, &[("y", 10)]), released(2)]);
    let expected = [
        "discovered suite 0: +1 -[]",
        "lease 1 ended: Released",
        "listed file 0 under 2: +1 -[]",
        "lease 2 ended: Released",
        "closing",
        "A < numbered 2 file 0: []",
        "A < ack 1",
        "A < close",
    ];
    scene.check(report, &expected);
    assert_eq!((scene.verdict(0), scene.verdict(1)), (Some(Verdict::NotRun), Some(Verdict::NotRun)));
}
