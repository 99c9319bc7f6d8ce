//! What comes after a red run: what is left of it, retries, flaky tests, and stopping at the first failure.

use super::assert_told;
use regatta_tests::harness::{Client, Ended, Project};
use std::collections::BTreeSet;

fn run(project: &Project, args: &[&str]) -> Ended {
    Client::start(project.path(), ["run", "--slots", "1"].iter().chain(args)).end()
}

/// A module whose first test fails until the file `mended` is there, and whose others take a while. In their own order: where
/// the environment shuffles, the first would be the last now and then.
fn red(tests: usize) -> Project {
    let project = Project::pytest(&[], "args = [\"-p\", \"no:randomly\"]\n");
    let first = "import os\ndef test_fails(): assert os.path.exists('mended'), 'not mended'\n";
    project.write("test_red.py", &format!("{first}{}", project.noting_module(tests, 50)));
    project.write("test_sound.py", "def test_sound(): pass\n");
    project
}

fn ids(ended: &Ended, which: impl Fn(&str) -> bool) -> BTreeSet<&str> {
    ended.verdicts().into_iter().filter(|(_, verdict)| which(verdict)).map(|(id, _)| id).collect()
}

#[test]
fn fail_fast_stops_at_the_first_failure_and_rerun_does_what_is_left_and_what_is_new() {
    let project = red(30);
    let first = run(&project, &["--fail-fast"]);
    assert_eq!((first.code, first.count("failed")), (1, 1), "{}", first.stderr);
    assert!(first.count("not_run") > 0, "{}", first.stderr);
    assert_eq!(first.all("run_cancelled").next().expect("it was")["cause"], "fail_fast");
    let wanted =
        ["FAILED test_red.py::test_fails", "after as many failures as --fail-fast allows", "exit 1: tests-failed"];
    assert_told(&first.stderr, &wanted);

    project.write("mended", "");
    project.write("test_new.py", "def test_new(): pass\n");
    let second = Client::start(project.path(), ["rerun", "--slots", "1"]).end();
    let mut left = ids(&first, |verdict| verdict != "passed");
    left.insert("test_new.py::test_new");
    // The file whose turn had not come when the first run stopped may never have been listed: then it is new.
    if !first.verdicts().contains_key("test_sound.py::test_sound") {
        left.insert("test_sound.py::test_sound");
    }
    assert_eq!(ids(&second, |_| true), left, "{}", second.stderr);
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert!(project.executions().values().all(|times| *times == 1), "{:?}", project.executions());

    let third = Client::start(project.path(), ["rerun"]).end();
    assert_eq!((third.code, third.verdicts().len()), (0, 0), "{}", third.stderr);
}

#[test]
fn a_rerun_whose_filter_leaves_out_what_was_red_is_not_all_there_is_to_do() {
    let fails = |name: &str| format!("import os\ndef test_{name}(): assert os.path.exists('mended')\n");
    let project = Project::pytest(&[("test_a.py", &fails("a")), ("test_b.py", &fails("b"))], "");
    let first = run(&project, &[]);
    assert_eq!((first.code, first.count("failed")), (1, 2), "{}", first.stderr);
    let id = first.all("run_started").next().expect("it did")["run"].as_str().expect("an id").to_owned();

    let narrow = |filter: &str| Client::start(project.path(), ["rerun", &id, "-E", filter]).end();
    // What is red is red, whatever else is left.
    assert_eq!(narrow("test(test_a)").code, 1);
    project.write("mended", "");
    let second = narrow("test(test_a)");
    assert_eq!((second.code, second.count("passed")), (5, 1), "{}", second.stderr);
    let line =
        format!("outstanding: 1 test of run {id}, left out by the filter; `regatta rerun {id}` runs what is left");
    assert_told(&second.stderr, &[&line, "exit 5: outstanding"]);
    assert_eq!(second.summary()["exit"]["name"], "outstanding");

    let nothing = narrow("test(test_z)");
    assert_eq!((nothing.code, nothing.verdicts().len()), (5, 0), "{}", nothing.stderr);
    let both = narrow("test(/test_[ab]/)");
    assert_eq!((both.code, both.count("passed")), (0, 2), "{}", both.stderr);
    let rest = Client::start(project.path(), ["rerun", &id]).end();
    assert_eq!((rest.code, rest.count("passed")), (0, 2), "{}", rest.stderr);
}

/// A test that fails at its first attempt, and passes from the second on.
fn flaky(config: &str) -> Project {
    let test = "import os\ndef test_flaky():\n    assert os.environ['REGATTA_ATTEMPT'] != '1', 'the first attempt'\n";
    Project::pytest(&[("test_flaky.py", test), ("test_sound.py", "def test_sound(): pass\n")], config)
}

#[test]
fn a_test_that_passes_after_a_retry_is_flaky_and_the_run_is_green() {
    let project = flaky("");
    let ended = run(&project, &["--retries", "2"]);
    assert_eq!((ended.code, ended.count("flaky"), ended.count("passed")), (0, 1, 2), "{}", ended.stderr);
    assert_eq!(ended.verdict("test_flaky.py::test_flaky").0, "flaky");
    assert_eq!(ended.all("test_retried").count(), 1);
    let wanted = ["FLAKY test_flaky.py::test_flaky - passed at attempt 2, before: AssertionError: the first attempt"];
    assert_told(&ended.stderr, &wanted);

    let ended = run(&project, &[]);
    assert_eq!((ended.code, ended.count("failed")), (1, 1), "{}", ended.stderr);
}

#[test]
fn a_profile_may_call_flaky_tests_failures() {
    let project = flaky("[profile.default]\nretries = 1\nflaky = \"fail\"\n");
    let ended = run(&project, &[]);
    assert_eq!((ended.code, ended.count("flaky"), ended.count("failed")), (6, 1, 0), "{}", ended.stderr);
    assert_told(&ended.stderr, &["exit 6: flaky", "`regatta explain 6`", "FLAKY test_flaky.py::test_flaky"]);
    assert_eq!(ended.summary()["exit"]["name"], "flaky");
}

#[test]
fn resume_lets_a_failure_stand_and_runs_only_what_was_not_run_however_often() {
    let project = red(30);
    project.write("test_broken.py", "import nowhere\n");
    let first = run(&project, &["--fail-fast"]);
    assert!(first.count("failed") == 1 && first.count("not_run") > 0, "{}", first.stderr);

    // Nothing is made good by being left out: what failed stands, also where it would pass by now.
    project.write("mended", "");
    project.write("test_new.py", "def test_new(): pass\n");
    let resume = || Client::start(project.path(), ["resume", "--slots", "1"]).end();
    let second = resume();
    let ran = ids(&second, |_| true);
    assert!(!ran.contains("test_red.py::test_fails") && !ran.contains("test_new.py::test_new"), "{ran:?}");
    assert_eq!((second.code, second.count("passed")), (1, 31 - first.count("passed")), "{}", second.stderr);
    assert_told(&second.stderr, &["ERROR test_broken.py", "Resumed run ", "1 failed before", "exit 1: tests-failed"]);

    // What could not be collected is looked at again; and what stood at first still stands.
    project.write("test_broken.py", "def test_whole(): pass\n");
    let third = resume();
    assert_eq!(ids(&third, |_| true), ["test_broken.py::test_whole"].into(), "{}", third.stderr);
    assert_eq!(third.code, 1, "{}", third.stderr);
    assert_told(&third.stderr, &["1 failed before"]);
    let fourth = resume();
    assert_eq!((fourth.code, ids(&fourth, |_| true).len()), (1, 0), "{}", fourth.stderr);
}
