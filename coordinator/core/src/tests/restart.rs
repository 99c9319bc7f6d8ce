//! A coordinator goes away at any moment and comes back by replay.

use super::*;

impl Scene {
    /// The coordinator is killed and starts again: what was not durable is gone, and nobody is attached.
    fn restart(&mut self) {
        self.core = Core::resume(self.replayed.clone(), Tuning::LOCAL, self.now);
    }
}

#[test]
fn workers_that_come_back_after_a_restart_go_on() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10), ("y", 10)])]));
    scene.join(A, 1);
    let _step = scene.told(A, vec![passed(1, 0)]);
    scene.restart();
    assert!(scene.pass(Micros(14_999_999)).is_empty());
    let attach = scene.attach(A, &[1]);
    scene.check(attach, &["A < attached"]);
    let over = scene.report(A, vec![passed(1, 0), passed(1, 1), released(1)]);
    let expected = ["accepted under 1: 1 passed", "lease 1 ended: Released", "closing", "A < ack 2", "A < close"];
    scene.check(over, &expected);
}

#[test]
fn workers_that_do_not_come_back_after_a_restart_lose_their_leases_and_no_test_is_blamed() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 900)])]));
    scene.join(A, 1);
    let _step = scene.told(A, vec![started(1, 0)]);
    scene.restart();
    assert_eq!(scene.pass(Micros::from_secs(15)), ["lease 1 ended: Unwitnessed"]);
}

#[test]
fn workers_that_are_lost_over_restarts_are_no_fault_of_the_file_they_were_at() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 900)])]));
    for token in 1..=9 {
        let worker = WorkerId::from_bits(u128::from(token));
        scene.join(worker, 1);
        let _step = scene.told(worker, vec![started(token, 0)]);
        scene.restart();
        // Some connect again, and are gone before they have said what they are at.
        if token % 2 == 0 {
            let attach = scene.attach(worker, &[token]);
            scene.check(attach, &[&format!("{token} < attached")]);
        }
        assert_eq!(scene.pass(Micros::from_secs(15))[0], format!("lease {token} ended: Unwitnessed"));
        assert_eq!(scene.core.state().runs[&R].files[0].losses, 0);
    }
    assert_eq!(scene.verdict(0), None);
}

#[test]
fn a_worker_that_spoke_after_a_restart_is_known_to_have_been_between_tests() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 900)])]));
    scene.join(A, 1);
    scene.restart();
    let attach = scene.attach(A, &[1]);
    let _step = scene.take(attach);
    let _step = scene.told(A, vec![]);
    assert_eq!(scene.pass(Micros::from_secs(15))[0], "lease 1 ended: WorkerLost");
    assert_eq!(scene.core.state().runs[&R].files[0].losses, 1);
}

#[test]
fn a_run_waits_after_a_restart_for_the_workers_that_are_to_close_it() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 900)]), file("b", &[("y", 100)])]));
    scene.join(A, 1);
    scene.join(B, 1);
    let _step = scene.told(A, vec![passed(1, 0), released(1)]);
    scene.restart();
    let attach = scene.attach(B, &[2]);
    let _step = scene.take(attach);
    let over = scene.report(B, vec![passed(2, 1), released(2), closed()]);
    let expected = ["accepted under 2: 1 passed", "lease 2 ended: Released", "closing", "B < ack 2", "B < close"];
    scene.check(over, &expected);
    let attach = scene.attach(A, &[]);
    scene.check(attach, &["A < attached", "A < close"]);
}

#[test]
fn every_deadline_that_follows_from_the_state_stands_again() {
    let mut scene = Scene::new();
    let mut submission = run(vec![file("a", &[("x", 900)])]);
    submission.policies[0] = TestPolicy { retries: 1, backoff: Micros::from_secs(20), ..TestPolicy::default() };
    submission.policy.timeout = Some(Micros::from_secs(60));
    let _step = scene.submit(submission);
    scene.join(A, 1);
    let _step = scene.told(A, vec![failed(1, 0), released(1)]);
    scene.restart();
    scene.join(A, 1);
    for _ in 0..3 {
        let spoken = scene.pass(Micros::from_secs(5));
        assert!(spoken.is_empty(), "{spoken:?}");
        let _step = scene.told(A, vec![]);
    }
    assert_eq!(scene.pass(Micros::from_secs(5)), ["leased 2 to A0: run [0]", "A < grant 2 on 0: run [0#2]"]);
    scene.restart();
    let attach = scene.attach(A, &[2]);
    let _step = scene.take(attach);
    for _ in 0..7 {
        let _shown = scene.pass(Micros::from_secs(5));
        let _step = scene.told(A, vec![]);
    }
    assert_eq!(scene.pass(Micros::from_secs(5)), ["cancelled: TimeLimit, kill", "A < kill 2"]);
}

/// The whole story of a small run, with a restart before each of its commands in turn: it ends alike every time.
#[test]
fn a_restart_at_any_point_changes_no_verdict() {
    let story: [&[Entry]; 6] = [
        &[listed(1, 1, &[("y", 10)]), started(1, 1)],
        &[failed(1, 1), released(1)],
        &[started(2, 1)],
        &[passed(2, 1), released(2)],
        &[started(3, 0), passed(3, 0), released(3)],
        &[closed()],
    ];
    for restart_at in 0..=story.len() {
        let mut scene = Scene::new();
        let mut submission = run(vec![file("a", &[("x", 10)]), unlisted("b")]);
        submission.policies[0].retries = 1;
        let _step = scene.submit(submission);
        scene.join(A, 1);
        for (at, entries) in story.iter().enumerate() {
            if at == restart_at {
                scene.restart();
                let held: Vec<u64> = scene.core.state().leases.keys().map(|token| token.0).collect();
                let attach = scene.attach(A, &held);
                let _step = scene.take(attach);
                // Told again, since nobody knows what the other side had heard.
                for told in &story[..at] {
                    let _step = scene.told(A, told.to_vec());
                }
            }
            if scene.core.state().leases.is_empty() {
                let ask = scene.ask(A, 0);
                let _step = scene.take(ask);
            }
            if at + 1 == story.len() {
                let verdicts = (scene.verdict(0), scene.verdict(1));
                assert_eq!(verdicts, (Some(Verdict::Passed), Some(Verdict::Flaky)), "{restart_at}");
            }
            let _step = scene.told(A, entries.to_vec());
        }
        let run = &scene.core.state().runs[&R];
        assert!(run.has_ended() && run.counts.total() == 2, "restart before {restart_at}: {:?}", run.phase);
    }
}
