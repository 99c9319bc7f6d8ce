//! Deadlines pass.

use super::*;

#[test]
fn a_run_that_exceeds_its_own_limit_is_stopped_hard() {
    let mut scene = Scene::new();
    let mut submission = run(vec![file("a", &[("x", 10)])]);
    submission.policy.timeout = Some(Micros::from_secs(3));
    let _step = scene.submit(submission);
    scene.join(A, 1);
    assert_eq!(scene.pass(Micros::from_secs(3)), ["cancelled: TimeLimit, kill", "A < kill 1"]);
}

#[test]
fn the_limit_of_a_run_also_bounds_its_gentle_end() {
    let mut scene = Scene::new();
    let mut submission = run(vec![file("a", &[("x", 10)])]);
    submission.policy.timeout = Some(Micros::from_secs(3));
    let _step = scene.submit(submission);
    scene.join(A, 1);
    scene.check(cancel(false), &["cancelled: Asked", "A < stop 1", "reply: ok"]);
    assert_eq!(scene.pass(Micros::from_secs(3)), ["cancelled: TimeLimit, kill", "A < kill 1"]);
    assert_eq!(scene.core.state().runs[&R].cancelled, Some(CancelCause::Asked));
}

#[test]
fn a_test_that_its_worker_does_not_stop_costs_the_worker_its_lease() {
    let mut scene = Scene::new();
    let mut submission = run(vec![file("a", &[("x", 10), ("y", 10)])]);
    submission.policies[0].retries = 1;
    let _step = scene.submit(submission);
    scene.join(A, 1);
    let _step = scene.told(A, vec![started(1, 0)]);
    // The limit, the grace, and ten seconds; the worker speaks all the while.
    for _ in 0..9 {
        let spoken = scene.pass(Micros::from_secs(5));
        assert!(spoken.is_empty(), "{spoken:?}");
        let _step = scene.told(A, vec![started(1, 0)]);
    }
    let shown = scene.pass(Micros::from_secs(5));
    assert_eq!(shown, ["lease 1 ended: Overdue, blaming 0: retry +0ms", "A < kill 1"]);
    let ask = scene.ask(A, 1);
    scene.check(ask.clone(), &["leased 2 to A1: run [0]", "A < grant 2 on 1: run [0#2]"]);
    scene.check(ask, &["leased 3 to A1: run [1]", "A < grant 3 on 1: run [1#1]"]);
}

#[test]
fn a_silent_worker_loses_its_leases_and_its_connection() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10), ("y", 10)])]));
    scene.join(A, 1);
    let _step = scene.told(A, vec![started(1, 0)]);
    scene.wait(Micros::from_secs(10));
    let alive = Command::Report { worker: A, session: SessionId(1), seq: 0, entries: vec![] };
    scene.check(alive, &[]);
    assert!(scene.pass(Micros(14_999_999)).is_empty());
    let shown = scene.pass(Micros(1));
    assert_eq!(shown, ["lease 1 ended: WorkerLost, blaming 0: retry +0ms", "A hung up 1"]);
    // Late words over the old connection are dropped, and it is cut once more.
    let late = scene.report(A, vec![passed(1, 0)]);
    scene.check(late, &["A hung up 1"]);
}

#[test]
fn a_test_that_takes_its_workers_down_has_crashed_after_as_many_losses_as_allowed() {
    let mut scene = Scene::new();
    let mut submission = run(vec![file("a", &[("x", 10)])]);
    submission.policy.max_losses = 1;
    let _step = scene.submit(submission);
    for token in 1..=2 {
        scene.join(A, 1);
        let _step = scene.told(A, vec![started(token, 0)]);
        let detach = scene.detach(A);
        scene.check(detach, &[]);
        let shown = scene.pass(Micros::from_secs(5));
        let follows = if token == 1 { "retry +0ms" } else { "crashed" };
        assert_eq!(shown[0], format!("lease {token} ended: WorkerLost, blaming 0: {follows}"));
    }
    let run = &scene.core.state().runs[&R];
    assert_eq!(run.outcome(), regatta_domain::report::RunOutcome::Red);
    assert!(run.has_ended());
}

#[test]
fn an_ended_run_is_forgotten_after_a_while() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![]));
    assert_eq!(scene.pass(Tuning::LOCAL.keep), ["forgotten"]);
    assert!(scene.core.state().runs.is_empty());
    assert_eq!(scene.core.next_deadline(), None);
}

#[test]
fn a_coordinator_that_could_hear_nobody_takes_nobody_for_silent() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10), ("y", 10)])]));
    scene.join(A, 1);
    scene.join(B, 1);
    let detach = scene.detach(B);
    scene.check(detach, &[]);
    // Its disk was stuck for a minute: the deadlines have passed, and nobody looked.
    scene.wait(Micros::from_secs(60));
    scene.check(Command::HeldUp, &[]);
    scene.check(Command::Tick, &[]);
    // From here on everybody has as long as ever, those who are away as after a restart.
    assert!(scene.pass(Micros(14_999_999)).is_empty());
    let shown = scene.pass(Micros(1));
    assert_eq!(shown[0], "lease 1 ended: WorkerLost");
}
