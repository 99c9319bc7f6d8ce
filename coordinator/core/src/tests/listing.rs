//! Files are found and listed, and what is there wins over what was remembered.

use super::*;

#[test]
fn a_file_that_nobody_remembers_is_listed_and_run_by_the_same_slot() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![unlisted("a")]));
    scene.join(A, 0);
    let ask = scene.ask(A, 0);
    scene.check(ask, &["leased 1 to A0: list [0]", "A < grant 1 on 0: list [0]"]);
    let lists = scene.report(A, vec![listed(1, 0, &[("x", 10), ("y", 20)])]);
    scene.check(lists, &["listed file 0 under 1: +2 -[]", "A < numbered 1 file 0: [0#1 1#1]", "A < ack 1"]);
    let over = scene.report(A, vec![passed(1, 0), passed(1, 1), released(1)]);
    let expected =
        ["accepted under 1: 0 passed, 1 passed", "lease 1 ended: Released", "closing", "A < ack 2", "A < close"];
    scene.check(over, &expected);
}

#[test]
fn a_listing_told_twice_is_numbered_twice_and_joins_once() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![unlisted("a")]));
    scene.join(A, 1);
    let _step = scene.told(A, vec![listed(1, 0, &[("x", 10)])]);
    let again = scene.report(A, vec![listed(1, 0, &[("x", 10)])]);
    scene.check(again, &["A < numbered 1 file 0: [0#1]", "A < ack 2"]);
}

#[test]
fn a_remembered_listing_that_changed_gives_way_to_what_is_there() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10), ("y", 10)])]));
    scene.join(A, 1);
    let lists = scene.report(A, vec![listed(1, 0, &[("y", 10), ("z", 10)])]);
    scene.check(lists, &["listed file 0 under 1: +1 -[0]", "A < numbered 1 file 0: [1#1 2#1]", "A < ack 1"]);
    let over = scene.report(A, vec![passed(1, 1), passed(1, 2), released(1)]);
    let expected =
        ["accepted under 1: 1 passed, 2 passed", "lease 1 ended: Released", "closing", "A < ack 2", "A < close"];
    scene.check(over, &expected);
}

#[test]
fn of_two_workers_that_list_a_file_the_first_decides_who_left() {
    let mut scene = Scene::new();
    let mut one = file("a", &[]);
    one.tests = Some([grouped("g", &[("x", 9_000)]), grouped("h", &[("y", 9_000)])].concat());
    let _step = scene.submit(run(vec![one]));
    scene.join(A, 1);
    scene.join(B, 1);
    let first = scene.report(A, vec![listed(1, 0, &[("x", 10), ("z", 10)])]);
    // y is in the hands of B: it may not leave on the word of A.
    scene.check(first, &["listed file 0 under 1: +1 -[]", "A < numbered 1 file 0: [0#1 2#1]", "A < ack 1"]);
    let second = scene.report(B, vec![listed(2, 0, &[("x", 10), ("z", 10)])]);
    scene.check(second, &["B < numbered 2 file 0: [1#1]", "B < ack 2"]);
    let missing = scene.report(B, vec![finished(2, 1, Outcome::Missing), released(2)]);
    scene.check(missing, &["accepted under 2: 1 not run", "lease 2 ended: Released", "B < ack 3"]);
}

#[test]
fn discovery_brings_new_files_and_lets_vanished_ones_go() {
    let mut scene = Scene::new();
    let mut submission = run(vec![file("old", &[("x", 10)]), file("kept", &[("y", 10)])]);
    submission.suites[0].discover = true;
    let _step = scene.submit(submission);
    scene.join(A, 0);
    let ask = scene.ask(A, 0);
    scene.check(ask, &["leased 1 to A0: discover 0", "A < grant 1 on 0: discover"]);
    let found = Entry::Discovered { token: Token(1), files: vec![file("kept", &[]), unlisted("new")] };
    let report = scene.report(A, vec![found.clone(), released(1)]);
    scene.check(report, &["discovered suite 0: +1 -[0]", "lease 1 ended: Released", "A < ack 1"]);
    let again = scene.report(A, vec![found]);
    scene.check(again, &["A < ack 2"]);
    let ask = scene.ask(A, 0);
    scene.check(ask.clone(), &["leased 2 to A0: list [2]", "A < grant 2 on 0: list [2]"]);
    scene.check(ask, &["leased 3 to A0: run [1]", "A < grant 3 on 0: run [1#1]"]);
}

#[test]
fn a_test_of_a_vanished_file_leaves_the_plan_when_it_comes_back() {
    let mut scene = Scene::new();
    let mut submission = run(vec![file("old", &[("x", 10)])]);
    submission.suites[0].discover = true;
    let _step = scene.submit(submission);
    scene.join(A, 2);
    let found = Entry::Discovered { token: Token(1), files: vec![] };
    let _step = scene.told(A, vec![found, released(1)]);
    let over = scene.report(A, vec![released(2)]);
    scene.check(over, &["lease 2 ended: Released", "closing", "A < ack 2", "A < close"]);
}

#[test]
fn a_file_that_cannot_be_collected_is_told_once_and_the_others_run() {
    let mut scene = Scene::new();
    let mut broken = file("a", &[]);
    broken.tests = Some([grouped("g", &[("x", 9_000)]), grouped("h", &[("y", 9_000)])].concat());
    let _step = scene.submit(run(vec![broken, file("b", &[("z", 10)])]));
    scene.join(A, 1);
    scene.join(B, 1);
    let first = scene.report(A, vec![erred(1, Some(0), RunErrorKind::Collection), released(1)]);
    let expected = ["file 0 failed: -[0] Collection broken", "lease 1 ended: Released", "A < ack 1"];
    scene.check(first, &expected);
    let second = scene.report(B, vec![erred(2, Some(0), RunErrorKind::Collection), released(2)]);
    let expected = ["file 0 failed: -[1] Collection broken", "lease 2 ended: Released", "B < ack 2"];
    scene.check(second, &expected);
    assert_eq!(scene.core.state().runs[&R].errors_total, 1);
    let ask = scene.ask(A, 0);
    scene.check(ask, &["leased 3 to A0: run [2]", "A < grant 3 on 0: run [2#1]"]);
    let last = scene.report(A, vec![passed(3, 2), released(3), closed()]);
    let _step = scene.take(last);
    let shut = scene.report(B, vec![closed()]);
    scene.check(shut, &["B closed", "B < ack 4"]);
    let shut = scene.report(A, vec![closed()]);
    scene.check(shut, &["A closed", "ended: Red", "A < ack 5"]);
}

#[test]
fn a_runner_that_cannot_start_ends_its_suite_and_only_that() {
    let mut scene = Scene::new();
    let mut submission = run(vec![file("a", &[("x", 10)])]);
    submission.suites.push(suite(vec![file("b", &[("y", 5)])]));
    let _step = scene.submit(submission);
    scene.join(A, 1);
    let report = scene.report(A, vec![erred(1, None, RunErrorKind::Runner), released(1)]);
    scene.check(report, &["erred suite 0: Runner broken", "lease 1 ended: Released", "A < ack 1"]);
    assert_eq!(scene.verdict(0), Some(Verdict::NotRun));
    let ask = scene.ask(A, 0);
    scene.check(ask, &["leased 2 to A0: run [1]", "A < grant 2 on 0: run [1#1]"]);
}

#[test]
fn a_suite_that_brings_nothing_is_given_up() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10)])]));
    scene.join(A, 0);
    for token in 1..16 {
        let ask = scene.ask(A, 0);
        let _step = scene.take(ask);
        let over = scene.report(A, vec![released(token)]);
        let ack = format!("A < ack {token}");
        scene.check(over, &[&format!("lease {token} ended: Released"), &ack]);
    }
    let ask = scene.ask(A, 0);
    let _step = scene.take(ask);
    let over = scene.report(A, vec![released(16)]);
    let expected = [
        "lease 16 ended: Released",
        "erred suite 0: Infrastructure 16 shards of suite suite in a row came to nothing",
        "closing",
        "A < ack 16",
        "A < close",
    ];
    scene.check(over, &expected);
}

#[test]
fn what_a_leaving_worker_hands_back_says_nothing_about_the_suite() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 10)])]));
    for token in 1..40 {
        scene.join(WorkerId::from_bits(u128::from(token)), 1);
        let leaves = scene.report(WorkerId::from_bits(u128::from(token)), vec![Entry::Draining, released(token)]);
        let _step = scene.take(leaves);
    }
    assert!(!scene.core.state().runs[&R].suites[0].failed);
}

#[test]
fn a_file_that_takes_its_workers_down_is_given_up_and_its_neighbours_run() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 90)]), unlisted("b")]));
    for token in 1..=4 {
        let worker = WorkerId::from_bits(u128::from(token));
        scene.join(worker, 1);
        assert_eq!(scene.core.state().leases[&Token(token)].files, [FileIx(1)]);
        let detach = scene.detach(worker);
        let _step = scene.take(detach);
        let lost = scene.pass(Tuning::LOCAL.reconnect);
        let given_up = lost.iter().any(|line| line.starts_with("file 1 failed"));
        assert_eq!(given_up, token == 4, "{lost:?}");
    }
    scene.join(A, 0);
    let ask = scene.ask(A, 0);
    scene.check(ask, &["leased 5 to A0: run [0]", "A < grant 5 on 0: run [0#1]"]);
}

#[test]
fn a_remembered_file_that_takes_its_workers_down_before_any_test_is_given_up() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 90), ("y", 90)])]));
    for token in 1..=4_u64 {
        let worker = WorkerId::from_bits(u128::from(token));
        scene.join(worker, 1);
        let detach = scene.detach(worker);
        let _step = scene.take(detach);
        let lost = scene.pass(Tuning::LOCAL.reconnect);
        assert_eq!(lost.iter().any(|line| line.starts_with("file 0 failed: -[0 1]")), token == 4, "{lost:?}");
    }
    assert!(scene.core.state().runs[&R].has_ended());
}

#[test]
fn a_worker_that_is_lost_with_two_slots_on_a_file_is_lost_on_it_once() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 900), ("y", 900)])]));
    for worker in 1..=4_u64 {
        let id = WorkerId::from_bits(u128::from(worker));
        scene.join(id, 2);
        assert_eq!(scene.core.state().leases.len(), 2, "each slot has one of the two");
        let detach = scene.detach(id);
        let _step = scene.take(detach);
        let lost = scene.pass(Tuning::LOCAL.reconnect);
        assert_eq!(lost.iter().any(|line| line.starts_with("file 0 failed")), worker == 4, "{lost:?}");
    }
}

#[test]
fn a_file_that_has_brought_results_is_believed_in_longer() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 900), ("y", 900)])]));
    scene.join(A, 1);
    let _step = scene.told(A, vec![passed(1, 0), released(1)]);
    for token in 2..=18_u64 {
        let worker = WorkerId::from_bits(u128::from(token));
        scene.join(worker, 1);
        let detach = scene.detach(worker);
        let _step = scene.take(detach);
        let lost = scene.pass(Tuning::LOCAL.reconnect);
        assert_eq!(lost.iter().any(|line| line.starts_with("file 0 failed: -[1]")), token == 18, "{token}: {lost:?}");
    }
}
