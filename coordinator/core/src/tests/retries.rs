//! Retries: who gets one, when, and when there are none left.

use super::*;
use regatta_domain::Cause;
use regatta_domain::policy::Budgets;

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

/// A result of the test, for this cause.
fn because(token: u64, test: u32, outcome: Outcome, cause: Cause) -> Entry {
    let Entry::Finished { token, result } = finished(token, test, outcome) else { unreachable!("that is a result") };
    Entry::Finished { token, result: TestResult { cause: Some(cause), ..result } }
}

/// Reports these ends of the only test, one after the other, and says what followed from each.
fn ends(scene: &mut Scene, of: &[(Outcome, Cause)]) -> Vec<String> {
    let mut follows = Vec::new();
    for (at, &(outcome, cause)) in of.iter().enumerate() {
        let token = at as u64 + 1;
        let step = scene.told(A, vec![because(token, 0, outcome, cause), released(token)]);
        let told = show::step(&step, scene.now).swap_remove(0);
        follows.push(told.rsplit_once(": 0 ").map_or_else(String::new, |(_, then)| then.to_owned()));
        let ask = scene.ask(A, 0);
        let _step = scene.take(ask);
        let _shown = scene.pass(Micros::from_secs(10));
    }
    follows
}

fn alone(policy: TestPolicy) -> Scene {
    let mut scene = Scene::new();
    let _step = scene.submit(with(TestPolicy { backoff: Micros::ZERO, ..policy }, &[("x", 10)]));
    scene.join(A, 1);
    scene
}

#[test]
fn each_cause_spends_what_is_its_own() {
    let mut scene = alone(TestPolicy { budgets: Budgets::default().with(Cause::Timeout, 2), ..retries(1) });
    let (failed, late) = ((Outcome::Failed, Cause::Test), (Outcome::TimedOut, Cause::Timeout));
    let setup = (Outcome::Failed, Cause::SetUp);
    let follows = ends(&mut scene, &[late, failed, late, setup, late]);
    assert_eq!(follows, ["retry +0ms", "retry +0ms", "retry +0ms", "retry +0ms", "timed out"]);
    let spent = scene.core.state().runs[&R].spent[&TestIx(0)];
    let spent = [Cause::Test, Cause::Timeout, Cause::SetUp, Cause::Crash].map(|cause| spent.of(cause));
    assert_eq!(spent, [1, 3, 1, 0]);
}

#[test]
fn a_test_that_runs_out_of_memory_has_one_more_attempt() {
    let mut scene = alone(retries(0));
    let killed = (Outcome::Crashed, Cause::OutOfMemory);
    assert_eq!(ends(&mut scene, &[killed, killed]), ["retry +0ms", "crashed"]);
    let mut scene = alone(TestPolicy { budgets: Budgets::default().with(Cause::OutOfMemory, 0), ..retries(3) });
    assert_eq!(ends(&mut scene, &[killed]), ["crashed"]);
}

#[test]
fn a_machine_that_cannot_run_a_test_is_not_held_against_it() {
    let mut scene = alone(retries(0));
    let refused = (Outcome::Crashed, Cause::Infrastructure);
    let anew = "anew, Infrastructure";
    let follows = ends(&mut scene, &[refused, refused, refused, (Outcome::Passed, Cause::Test)]);
    assert_eq!(follows, [anew, anew, anew, "passed"], "it is not flaky either");
    let mut scene = alone(retries(0));
    assert_eq!(ends(&mut scene, &[refused; 4]), [anew, anew, anew, "crashed"]);
}

#[test]
fn a_worker_does_not_say_what_only_the_coordinator_knows() {
    let mut scene = alone(retries(0));
    assert_eq!(ends(&mut scene, &[(Outcome::Crashed, Cause::Drained)]), ["crashed"]);
    let mut scene = alone(retries(0));
    let step = scene.told(A, vec![because(1, 0, Outcome::Passed, Cause::Crash)]);
    let [crate::Event::ResultsAccepted { results, .. }] = &step.events[..] else { panic!("{step:?}") };
    assert_eq!(results[0].result.cause, None, "nothing was wrong");
}

#[test]
fn a_test_whose_worker_leaves_before_its_end_is_charged_nothing() {
    let mut scene = Scene::new();
    let mut submission = with(retries(0), &[("x", 10), ("y", 10)]);
    (submission.policy.max_losses, submission.policy.max_retries) = (0, 0);
    let _step = scene.submit(submission);
    scene.join(A, 1);
    let _step = scene.told(A, vec![started(1, 0), Entry::Draining]);
    scene.pass(Micros::from_secs(1));
    let step = scene.told(A, vec![released(1)]);
    assert_eq!(show::step(&step, scene.now)[0], "lease 1 ended: Unreceived, blaming 0: anew, Drained");
    let [crate::Event::LeaseEnded { blamed: Some(blamed), .. }, ..] = &step.events[..] else { panic!("{step:?}") };
    assert_eq!((blamed.cause, blamed.ran), (Cause::Drained, Micros::from_secs(1)));
    let run = &scene.core.state().runs[&R];
    assert_eq!((run.retries, run.test(TestIx(0)).attempt(), run.test(TestIx(1)).attempt()), (0, 2, 1));
}

#[test]
fn a_worker_that_is_lost_while_it_leaves_was_not_given_the_time() {
    let mut scene = alone(retries(0));
    let _step = scene.told(A, vec![started(1, 0), Entry::Draining]);
    let detach = scene.detach(A);
    scene.check(detach, &[]);
    let shown = scene.pass(Micros::from_secs(5));
    assert_eq!(shown[0], "lease 1 ended: WorkerLost, blaming 0: anew, Drained");
}

#[test]
fn a_test_that_is_drained_without_end_crashes_in_the_end() {
    let mut scene = alone(TestPolicy { budgets: Budgets::default().with(Cause::Drained, 1), ..retries(0) });
    let worker = |at: u64| WorkerId::from_bits(100 + u128::from(at));
    let _step = scene.told(A, vec![started(1, 0), Entry::Draining, released(1)]);
    scene.pass(Micros::ZERO);
    scene.join(worker(1), 1);
    let step = scene.told(worker(1), vec![started(2, 0), Entry::Draining, released(2)]);
    assert_eq!(show::step(&step, scene.now)[0], "lease 2 ended: Unreceived, blaming 0: crashed");
}

#[test]
fn a_test_that_a_slot_drops_while_it_runs_has_met_with_infrastructure() {
    let mut scene = alone(retries(0));
    let step = scene.told(A, vec![started(1, 0), released(1)]);
    assert_eq!(show::step(&step, scene.now)[0], "lease 1 ended: Released, blaming 0: anew, Infrastructure");
}
