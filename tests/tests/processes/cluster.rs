//! Real processes over real sockets: a coordinator, workers, clients, and `kill -9`.

use regatta_tests::harness::{Client, Cluster, Ended, Project};
use std::collections::BTreeMap;

const MIXED: &str = "
import pytest
def test_passes(): pass
def test_fails(): assert 1 == 2
def test_skips(): pytest.skip('not today')
@pytest.mark.xfail
def test_fails_as_expected(): assert False
@pytest.mark.parametrize('x', range(20))
def test_many(x): assert x >= 0
";

fn assert_mixed(ended: &Ended) {
    let counts = ["passed", "failed", "skipped", "xfailed", "not_run"].map(|what| ended.count(what));
    assert_eq!(counts, [42, 2, 2, 2, 0], "{}", ended.stderr);
    assert_eq!(ended.code, 1);
}

#[test]
fn a_run_counts_the_same_alone_and_on_a_fleet_cold_and_warm() {
    let project = Project::pytest(&[("test_a.py", MIXED), ("sub/test_b.py", MIXED)], "");
    let cluster = Cluster::start(project.path(), 3, 1);
    for _ in 0..2 {
        assert_mixed(&cluster.run(&[]).end());
        assert_mixed(&Client::start(project.path(), ["run", "--slots", "2"]).end());
    }
}

/// A project of six modules whose tests take a while and note that they ran.
fn noting(tests: usize, ms: u64) -> Project {
    let project = Project::pytest(&[], "");
    for module in 0..6 {
        project.write(&format!("test_{module}.py"), &project.noting_module(tests, ms));
    }
    project
}

/// Exactly one verdict for each test, all of them good.
fn assert_all_passed(ended: &Ended, tests: usize) {
    assert_eq!((ended.code, ended.count("passed")), (0, tests as u64), "{}", ended.stderr);
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in ended.events.iter().filter(|event| event["event"] == "test_finished") {
        *verdicts.entry(event["id"].as_str().expect("a test has an id")).or_default() += 1;
    }
    assert_eq!(verdicts.len(), tests);
    assert!(verdicts.values().all(|&count| count == 1), "{verdicts:?}");
}

#[test]
fn a_killed_worker_costs_only_what_it_had_not_finished() {
    let project = noting(20, 50);
    let mut cluster = Cluster::start(project.path(), 3, 1);
    let mut client = cluster.run(&[]);
    client.wait_for("test_finished", 20);
    let before = client.finished();
    cluster.kill_worker(1);
    let ended = client.end();
    assert_all_passed(&ended, 120);
    let executions = project.executions();
    let again: Vec<&String> = before.iter().filter(|id| executions[*id] != 1).collect();
    assert!(again.is_empty(), "had a verdict, and ran again: {again:?}");
}

#[test]
fn a_killed_coordinator_costs_no_finished_test() {
    let project = noting(20, 50);
    let mut cluster = Cluster::start(project.path(), 3, 1);
    let mut client = cluster.run(&[]);
    client.wait_for("test_finished", 20);
    cluster.restart_coordinator();
    client.wait_for("test_finished", 60);
    cluster.restart_coordinator();
    let ended = client.end();
    assert_all_passed(&ended, 120);
    let again: Vec<_> = project.executions().into_iter().filter(|(_, times)| *times != 1).collect();
    assert!(again.is_empty(), "ran more than once: {again:?}");
}

#[test]
fn a_worker_that_is_asked_to_leave_hands_its_work_back() {
    let project = noting(20, 50);
    let mut cluster = Cluster::start(project.path(), 2, 2);
    let mut client = cluster.run(&[]);
    client.wait_for("test_finished", 10);
    assert_eq!(cluster.drain_worker(0), 0);
    assert_all_passed(&client.end(), 120);
    assert!(project.executions().into_iter().all(|(_, times)| times == 1));
}

#[test]
fn a_worker_that_is_asked_to_leave_does_not_wait_for_a_coordinator_that_is_gone() {
    let project = noting(20, 50);
    let mut cluster = Cluster::start(project.path(), 1, 2);
    let mut client = cluster.run(&[]);
    client.wait_for("test_finished", 10);
    cluster.kill_coordinator();
    assert_eq!(cluster.drain_worker(0), 0);
}
