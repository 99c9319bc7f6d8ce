//! A client hands in a run.

use super::*;
use regatta_domain::report::Counts;

#[test]
fn a_run_without_tests_is_empty_and_ends_at_once() {
    let mut scene = Scene::new();
    scene.check(submit(run(vec![])), &["submitted", "closing", "ended: Empty", "reply: ok"]);
}

#[test]
fn handing_a_run_in_twice_is_handing_it_in_once() {
    let mut scene = Scene::new();
    let submission = run(vec![file("a", &[("x", 10)])]);
    scene.check(submit(submission.clone()), &["submitted", "reply: ok"]);
    scene.check(submit(submission), &["reply: ok"]);
}

#[test]
fn another_run_under_a_taken_id_is_refused() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10)])]));
    let other = Submission { project: "other".into(), ..run(vec![]) };
    scene.check(submit(other), &["reply: Exists"]);
}

#[test]
fn a_test_that_points_at_no_policy_is_refused() {
    let mut scene = Scene::new();
    let submission = Submission { policies: vec![], ..run(vec![file("a", &[("x", 10)])]) };
    scene.check(submit(submission), &["reply: NoSuchPolicy"]);
}

#[test]
fn cancelling_a_run_that_nobody_knows_is_answered() {
    Scene::new().check(cancel(false), &["reply: UnknownRun"]);
}

#[test]
fn a_test_that_its_framework_leaves_out_is_skipped_without_running() {
    let mut scene = Scene::new();
    let mut submission = run(vec![file("a", &[("x", 10)])]);
    submission.suites[0].files[0].tests.as_mut().unwrap()[0].ignored = true;
    scene.check(submit(submission), &["submitted", "closing", "ended: Green", "reply: ok"]);
    assert_eq!(scene.core.state().runs[&R].counts, Counts { skipped: 1, ..Counts::default() });
}
