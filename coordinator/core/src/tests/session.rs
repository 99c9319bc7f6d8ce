//! Workers connect, connect again, and go.

use super::*;

fn scene() -> Scene {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 90_000), ("y", 90_000)])]));
    scene.join(A, 1);
    scene
}

#[test]
fn a_worker_that_comes_back_in_time_goes_on() {
    let mut scene = scene();
    let detach = scene.detach(A);
    scene.check(detach, &[]);
    assert!(scene.pass(Micros(4_999_999)).is_empty());
    let attach = scene.attach(A, &[1]);
    scene.check(attach, &["A < attached"]);
    assert!(scene.pass(Micros::from_secs(5)).is_empty());
    let over = scene.report(A, vec![passed(1, 0)]);
    scene.check(over, &["accepted under 1: 0 passed", "A < ack 1"]);
}

#[test]
fn a_connection_that_breaks_is_no_sign_of_life() {
    let mut scene = scene();
    assert!(scene.pass(Micros::from_secs(12)).is_empty());
    let detach = scene.detach(A);
    scene.check(detach, &[]);
    assert!(scene.pass(Micros(2_999_999)).is_empty());
    assert_eq!(scene.pass(Micros(1)), ["lease 1 ended: WorkerLost"]);
}

#[test]
fn a_grant_that_never_arrived_is_free_again() {
    let mut scene = scene();
    let attach = scene.attach(A, &[]);
    let expected = ["lease 1 ended: Unreceived", "A hung up 1", "A < attached"];
    scene.check(attach, &expected);
    let ask = scene.ask(A, 0);
    scene.check(ask, &["leased 2 to A0: run [0]", "A < grant 2 on 0: run [0#1]"]);
}

#[test]
fn a_lease_that_nobody_knows_is_stopped() {
    let mut scene = scene();
    let attach = scene.attach(A, &[1, 77]);
    scene.check(attach, &["A hung up 1", "A < attached", "A < kill 77"]);
}

#[test]
fn a_result_under_a_token_that_is_not_current_is_late() {
    let mut scene = scene();
    let attach = scene.attach(A, &[]);
    let _step = scene.take(attach);
    let ask = scene.ask(A, 0);
    let _step = scene.take(ask);
    let late = scene.report(A, vec![started(1, 0), passed(1, 0), gave_back(1, &[0]), released(1)]);
    scene.check(late, &["A < ack 1"]);
    assert_eq!(scene.verdict(0), None);
}

#[test]
fn a_result_of_another_workers_lease_is_dropped() {
    let mut scene = scene();
    let attach = scene.attach(B, &[]);
    let _step = scene.take(attach);
    let report = scene.report(B, vec![passed(1, 0), released(1), erred(1, None, RunErrorKind::Runner)]);
    scene.check(report, &["B < ack 1"]);
}

#[test]
fn a_report_told_twice_is_acknowledged_twice_and_counts_once() {
    let mut scene = scene();
    let entries = vec![started(1, 0), passed(1, 0)];
    let report = scene.report(A, entries.clone());
    scene.check(report, &["accepted under 1: 0 passed", "A < ack 1"]);
    let again = scene.report(A, entries);
    scene.check(again, &["A < ack 2"]);
}

#[test]
fn words_over_an_old_connection_are_dropped_and_it_is_cut() {
    let mut scene = scene();
    let old = scene.report(A, vec![passed(1, 0)]);
    let detach = scene.detach(A);
    let attach = scene.attach(A, &[1]);
    let _step = scene.take(attach);
    scene.check(old, &["A hung up 1"]);
    scene.check(detach, &[]);
    assert!(scene.core.presence().session(A).is_some());
}

#[test]
fn the_answer_to_a_listing_that_was_lost_follows_when_the_listing_is_told_again() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![unlisted("a"), file("b", &[("x", 10)])]));
    scene.join(A, 2);
    let _step = scene.told(A, vec![listed(1, 0, &[("y", 10), ("z", 10)]), passed(1, 1)]);
    let attach = scene.attach(A, &[1, 2]);
    scene.check(attach, &["A hung up 1", "A < attached"]);
    let again = scene.report(A, vec![listed(1, 0, &[("y", 10), ("z", 10)])]);
    scene.check(again, &["A < numbered 1 file 0: [2#1]", "A < ack 2"]);
    // Also where nothing is left of the file.
    let _step = scene.told(A, vec![passed(1, 2), listed(2, 1, &[])]);
    let attach = scene.attach(A, &[1, 2]);
    scene.check(attach, &["A hung up 2", "A < attached"]);
    let again = scene.report(A, vec![listed(2, 1, &[])]);
    scene.check(again, &["A < numbered 2 file 1: []", "A < ack 4"]);
}

#[test]
fn a_worker_that_missed_the_end_of_a_run_is_told_when_it_comes_back() {
    let mut scene = scene();
    let detach = scene.detach(A);
    let _step = scene.take(detach);
    scene.check(cancel(true), &["cancelled: Asked, kill", "reply: ok"]);
    let attach = scene.attach(A, &[1]);
    scene.check(attach, &["A < attached", "A < kill 1"]);
}

#[test]
fn a_leaving_worker_is_given_nothing_more() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 90_000)]), file("b", &[("y", 90_000)])]));
    scene.join(A, 1);
    let leaves = scene.report(A, vec![Entry::Draining]);
    scene.check(leaves, &["A < ack 1"]);
    let ask = scene.ask(A, 1);
    scene.check(ask, &[]);
    let over = scene.report(A, vec![passed(1, 0), released(1)]);
    scene.check(over, &["accepted under 1: 0 passed", "lease 1 ended: Released", "A < ack 2"]);
}

#[test]
fn a_slot_that_is_not_offered_is_not_served() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10)])]));
    scene.join(A, 0);
    let ask = scene.ask(A, 2);
    scene.check(ask, &[]);
}

#[test]
fn what_went_on_under_a_lease_of_a_process_that_is_gone_is_charged_and_the_rest_goes_back() {
    let mut scene = scene();
    let attach = scene.attach(A, &[1]);
    scene.check(attach, &["A hung up 1", "A < attached"]);
    // The test that ran is known by its start.
    let lost = scene.report(A, vec![started(1, 0), Entry::Lost { token: Token(1) }]);
    scene.check(lost, &["lease 1 ended: WorkerLost, blaming 0: retry +0ms", "A < ack 1"]);
    let again = scene.report(A, vec![Entry::Lost { token: Token(1) }, passed(1, 0)]);
    scene.check(again, &["refused A under 1: 0 Passed", "A < ack 2"]);
}
