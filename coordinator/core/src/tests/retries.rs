//! Retries: who gets one, when, and when there are none left.

use super::*;

fn with(policy: TestPolicy, tests: &[(&str, u64)]) -> Submission {
    Submission { policies: vec![policy], ..run(vec![file("a", tests)]) }
}

fn retries(retries: u16) -> TestPolicy {
    TestPolicy { retries, backoff: Micros::from_ms(400), ..TestPolicy::default() }
}

#[test]
fn a_failed_test_runs_again_alone_after_its_backoff_and_is_flaky_when_it_passes() {
    let mut scene = Scene::new();
    let _step = scene.submit(with(retries(1), &[("x", 10), ("y", 10)]));
    scene.join(A, 1);
    let over = scene.report(A, vec![failed(1, 0), passed(1, 1), released(1)]);
    scene.check(over, &["accepted under 1: 0 retry +400ms, 1 passed", "lease 1 ended: Released", "A < ack 1"]);
    let ask = scene.ask(A, 0);
    scene.check(ask, &[]);
    let due = scene.pass(Micros::from_ms(399));
    assert!(due.is_empty(), "{due:?}");
    let due = scene.pass(Micros::from_ms(1));
    assert_eq!(due, ["leased 2 to A0: run [0]", "A < grant 2 on 0: run [0#2]"]);
    let over = scene.report(A, vec![passed(2, 0), released(2)]);
    let expected = ["accepted under 2: 0 flaky", "lease 2 ended: Released", "closing", "A < ack 2", "A < close"];
    scene.check(over, &expected);
}

#[test]
fn a_test_that_failed_and_skips_at_its_retry_has_failed() {
    let mut scene = Scene::new();
    let _step = scene.submit(with(retries(1), &[("x", 10)]));
    scene.join(A, 1);
    let _step = scene.told(A, vec![failed(1, 0), released(1)]);
    let ask = scene.ask(A, 0);
    let _step = scene.take(ask);
    let _shown = scene.pass(Micros::from_ms(400));
    let over = scene.report(A, vec![finished(2, 0, Outcome::Skipped), released(2)]);
    let expected = ["accepted under 2: 0 failed", "lease 2 ended: Released", "closing", "A < ack 2", "A < close"];
    scene.check(over, &expected);
}

#[test]
fn a_test_without_retries_left_has_failed() {
    let mut scene = Scene::new();
    let _step = scene.submit(with(TestPolicy { backoff: Micros::ZERO, ..retries(2) }, &[("x", 10)]));
    scene.join(A, 1);
    for token in 1..=3 {
        let verdict = if token < 3 { "retry +0ms" } else { "failed" };
        let expected = format!("accepted under {token}: 0 {verdict}");
        let step = scene.told(A, vec![failed(token, 0), released(token)]);
        assert_eq!(show::step(&step, scene.now)[0], expected);
        let ask = scene.ask(A, 0);
        let _step = scene.take(ask);
    }
    assert_eq!(scene.verdict(0), Some(Verdict::Failed));
}

#[test]
fn the_backoff_doubles_where_it_is_exponential() {
    let mut scene = Scene::new();
    let policy = TestPolicy { exponential: true, ..retries(3) };
    let _step = scene.submit(with(policy, &[("x", 10)]));
    scene.join(A, 1);
    for (token, wait) in [(1, 400), (2, 800), (3, 1_600)] {
        let step = scene.told(A, vec![failed(token, 0), released(token)]);
        assert_eq!(show::step(&step, scene.now)[0], format!("accepted under {token}: 0 retry +{wait}ms"));
        let ask = scene.ask(A, 0);
        let _step = scene.take(ask);
        let _shown = scene.pass(Micros::from_ms(wait));
    }
}

#[test]
fn jitter_takes_off_at_most_half() {
    let mut scene = Scene::new();
    let tests: Vec<String> = (0..50).map(|at| at.to_string()).collect();
    let tests: Vec<(&str, u64)> = tests.iter().map(|name| (name.as_str(), 0)).collect();
    let _step = scene.submit(with(TestPolicy { jitter: true, ..retries(1) }, &tests));
    scene.join(A, 1);
    let step = scene.told(A, (0..50).map(|test| failed(1, test)).collect());
    let [crate::Event::ResultsAccepted { results, .. }] = &step.events[..] else { panic!("{step:?}") };
    let waits = results.iter().map(|accepted| match accepted.then {
        crate::Then::Retry(at) => at.since(scene.now).0 / 1_000,
        other => panic!("{other:?}"),
    });
    let (least, most) = waits.fold((u64::MAX, 0), |(least, most), wait| (least.min(wait), most.max(wait)));
    assert!((200..250).contains(&least) && (350..=400).contains(&most), "{least} to {most}");
}

#[test]
fn the_runs_own_cap_ends_retries_also_within_one_report() {
    let mut scene = Scene::new();
    let mut submission = with(retries(5), &[("x", 10), ("y", 10), ("z", 10)]);
    submission.policy.max_retries = 2;
    let _step = scene.submit(submission);
    scene.join(A, 1);
    let report = scene.report(A, vec![failed(1, 0), failed(1, 1), failed(1, 2)]);
    scene.check(report, &["accepted under 1: 0 retry +400ms, 1 retry +400ms, 2 failed", "A < ack 1"]);
}

#[test]
fn a_skipped_or_missing_test_does_not_run_again() {
    let mut scene = Scene::new();
    let _step = scene.submit(with(retries(5), &[("x", 10), ("y", 10)]));
    scene.join(A, 1);
    let report = scene
        .report(A, vec![finished(1, 0, Outcome::Skipped), finished(1, 1, Outcome::Missing), released(1), closed()]);
    let expected =
        ["accepted under 1: 0 skipped, 1 not run", "lease 1 ended: Released", "closing", "A < ack 1", "A < close"];
    scene.check(report, &expected);
    let shut = scene.report(A, vec![closed()]);
    scene.check(shut, &["A closed", "ended: Red", "A < ack 2"]);
}

#[test]
fn a_retry_that_waits_does_not_hide_a_later_one() {
    let mut scene = Scene::new();
    let mut submission = with(retries(1), &[]);
    let early = TestPolicy { backoff: Micros::from_ms(100), ..retries(1) };
    submission.policies.push(early);
    let early = TestDraft { policy: PolicyIx(1), ..test("early", 10) };
    submission.suites[0].files[0].tests = Some(vec![early, test("late", 10), test("last", 60_000)]);
    let _step = scene.submit(submission);
    scene.join(A, 2);
    let _step = scene.told(A, vec![failed(2, 0), failed(2, 1)]);
    // The early one leaves the plan: its file was listed anew, without it.
    let lists = scene.report(A, vec![listed(2, 0, &[("late", 10), ("last", 10)]), released(2)]);
    let _step = scene.take(lists);
    let ask = scene.ask(A, 1);
    let _step = scene.take(ask);
    let due = scene.pass(Micros::from_ms(400));
    assert!(due.contains(&"leased 3 to A1: run [1]".to_owned()), "{due:?}");
}

#[test]
fn two_results_of_one_test_in_one_report_count_once() {
    let mut scene = Scene::new();
    let _step = scene.submit(with(retries(1), &[("x", 10)]));
    scene.join(A, 1);
    let report = scene.report(A, vec![failed(1, 0), passed(1, 0)]);
    scene.check(report, &["accepted under 1: 0 retry +400ms", "A < ack 1"]);
}
