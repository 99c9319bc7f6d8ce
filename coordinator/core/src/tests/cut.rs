//! Shards are cut: what goes first, and how much of it.

use super::*;

#[test]
fn the_longest_goes_first() {
    let mut scene = Scene::new();
    let files = vec![file("a", &[("short", 1_000)]), file("b", &[("long", 9_000)]), file("c", &[("mid", 5_000)])];
    let _step = scene.submit(run(files));
    let attach = scene.attach(A, &[]);
    scene.check(attach, &["A < attached"]);
    let ask = scene.ask(A, 0);
    scene.check(ask.clone(), &["leased 1 to A0: run [1]", "A < grant 1 on 0: run [1#1]"]);
    scene.check(ask.clone(), &["leased 2 to A0: run [2]", "A < grant 2 on 0: run [2#1]"]);
    // Two leases are all that a slot may hold; its question waits until one of them is over.
    scene.check(ask, &[]);
    let over = scene.report(A, vec![passed(1, 1), released(1)]);
    let granted = ["leased 3 to A0: run [0]", "A < ack 1", "A < grant 3 on 0: run [0#1]"];
    scene.check(over, &[&["accepted under 1: 1 passed", "lease 1 ended: Released"], &granted[..]].concat());
}

#[test]
fn shards_shrink_as_the_work_does() {
    let mut scene = Scene::tuned(Tuning { shard_min: Micros::from_ms(100), ..Tuning::LOCAL });
    let names: Vec<String> = (0..60).map(|at| format!("t{at}")).collect();
    let tests: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 100)).collect();
    let files = tests.chunks(1).map(|one| file(one[0].0, one)).collect();
    let _step = scene.submit(run(files));
    let attach = scene.attach(A, &[]);
    let _step = scene.take(attach);
    let mut sizes = Vec::new();
    for token in 1.. {
        let ask = scene.ask(A, 0);
        let step = scene.take(ask);
        let [crate::Event::ShardLeased { work: crate::Work::Run(_, tests), .. }] = &step.events[..] else { break };
        sizes.push(tests.len());
        let all = tests.iter().map(|test| passed(token, test.0)).chain([released(token)]).collect();
        let _step = scene.told(A, all);
    }
    // Two slots, three rounds: a sixth of what is left each time.
    assert_eq!(sizes, [10, 9, 7, 6, 5, 4, 4, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn a_group_stays_whole() {
    let mut scene = Scene::tuned(Tuning { shard_min: Micros::from_ms(1), handover: Micros::ZERO, ..Tuning::LOCAL });
    let mut one = file("a", &[]);
    one.tests = Some(grouped("g", &[("x", 50), ("y", 50)]));
    let _step = scene.submit(run(vec![one, file("b", &[("z", 90)]), file("c", &[("z", 90)]), file("d", &[("z", 90)])]));
    scene.join(A, 0);
    let ask = scene.ask(A, 0);
    scene.check(ask.clone(), &["leased 1 to A0: run [0 1]", "A < grant 1 on 0: run [0#1 1#1]"]);
    scene.check(ask, &["leased 2 to A0: run [2]", "A < grant 2 on 0: run [2#1]"]);
}

#[test]
fn a_group_that_is_far_too_large_is_split() {
    let mut scene = Scene::tuned(Tuning { shard_min: Micros::from_ms(1), handover: Micros::ZERO, ..Tuning::LOCAL });
    let mut one = file("a", &[]);
    let tests: Vec<(&str, u64)> = ["t0", "t1", "t2", "t3", "t4", "t5"].map(|name| (name, 60)).to_vec();
    one.tests = Some(grouped("g", &tests));
    let _step = scene.submit(run(vec![one]));
    scene.join(A, 0);
    let ask = scene.ask(A, 0);
    scene.check(ask, &["leased 1 to A0: run [0]", "A < grant 1 on 0: run [0#1]"]);
}

#[test]
fn a_shard_keeps_within_its_bound() {
    use regatta_domain::limits::TESTS_PER_SHARD;
    let mut scene = Scene::tuned(Tuning { shard_min: Micros::from_secs(60), ..Tuning::LOCAL });
    let tests: Vec<TestDraft> = (0..TESTS_PER_SHARD - 1).map(|at| test(&at.to_string(), 0)).collect();
    let group = |key: &str| tests.iter().map(|test| TestDraft { group: Some(key.into()), ..test.clone() }).collect();
    let files = vec![
        FileDraft { tests: Some(group("g")), ..file("a", &[]) },
        FileDraft { tests: Some(group("h")), ..file("b", &[]) },
    ];
    let _step = scene.submit(run(files));
    scene.join(A, 1);
    let lease = scene.core.state().leases.values().next().unwrap();
    assert_eq!(lease.tests.len(), TESTS_PER_SHARD);
}

#[test]
fn of_tests_without_history_a_shard_takes_few() {
    let mut scene = Scene::new();
    let tests: Vec<TestDraft> = (0..128).map(|at| guessed(&at.to_string(), 100)).collect();
    let files = tests.chunks(1).map(|one| FileDraft { tests: Some(one.to_vec()), ..file("f", &[]) });
    let files = files.enumerate().map(|(at, draft)| FileDraft { path: at.to_string().into(), ..draft }).collect();
    let _step = scene.submit(run(files));
    scene.join(A, 0);
    let ask = scene.ask(A, 0);
    scene.check(ask, &["leased 1 to A0: run [0 1]", "A < grant 1 on 0: run [0#1 1#1]"]);
}

#[test]
fn a_shuffled_run_is_always_shuffled_alike() {
    let order = |seed| {
        let mut scene = Scene::new();
        let files = (0..8).map(|at| file(&at.to_string(), &[("x", 2_000)])).collect();
        let policy = RunPolicy { shuffle: Some(seed), ..RunPolicy::default() };
        let _step = scene.submit(Submission { policy, ..run(files) });
        scene.join(A, 2);
        scene.core.state().leases.values().flat_map(|lease| lease.tests.clone()).collect::<Vec<_>>()
    };
    assert_eq!(order(5), order(5));
    assert!((0..8).any(|seed| order(seed) != order(5)));
}

#[test]
fn what_is_likely_to_fail_goes_before_what_is_longer_where_that_is_wanted() {
    let order = |order| {
        let mut scene = Scene::new();
        let risky = TestDraft { risk: 400, ..test("risky", 10) };
        let mut one = file("a", &[("long", 9_000)]);
        one.tests.as_mut().unwrap().push(risky);
        let policy = RunPolicy { order, ..RunPolicy::default() };
        let _step = scene.submit(Submission { policy, ..run(vec![one]) });
        let queue = &scene.core.state().runs[&R].suites[0].queues[&NeedsIx(0)];
        queue.iter().collect::<Vec<_>>()
    };
    use crate::state::Entry::Group;
    use regatta_domain::GroupIx;
    use regatta_domain::policy::Order;
    assert_eq!(order(Order::Longest), [Group(GroupIx(0)), Group(GroupIx(1))]);
    assert_eq!(order(Order::Risk), [Group(GroupIx(1)), Group(GroupIx(0))]);
}
