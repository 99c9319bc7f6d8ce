//! Why a test did not pass: each cause is told in the same words by whatever tells it, and is run again by its own budget.

use nix::sys::signal::Signal;
use regatta_tests::harness::{Client, Cluster, Ended, Project, Said, test_python};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// A project with one suite `x`, whose tests are `tests`, each run by a script that is told its name.
fn scripted(script: &str, tests: &[&str], more: &str) -> Project {
    let project = Project::empty();
    let path = project.write("run.sh", &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it was just written");
    let suite =
        format!("[suite.x]\nrunner = \"exec\"\ncommand = [\"./run.sh\", \"{{id}}\"]\ntests = {tests:?}\n{more}");
    project.write("regatta.toml", &suite);
    project
}

/// What was told of a test at its end.
fn finished<'a>(ended: &'a Ended, name: &str) -> &'a Value {
    let mut all = ended.all("test_finished");
    let told = all.find(|event| event["id"].as_str().is_some_and(|id| id.ends_with(name)));
    told.unwrap_or_else(|| panic!("{name} has no verdict: {}", ended.stderr))
}

const DEADLY: &str = r#"echo "the last words of $1"
case $1 in
    segv) kill -SEGV $$ ;;
    killed) kill -KILL $$ ;;
    three) exit 3 ;;
    hangs) sleep 600 ;;
esac"#;

#[test]
fn how_a_process_ended_is_told_by_every_report() {
    let project = scripted(DEADLY, &["fine", "segv", "killed", "three", "hangs"], "");
    let reports = ["--report", "junit=junit.xml", "--report", "ctrf=ctrf.json"];
    let run = ["run", "--timeout", "1s", "--slots", "2"].into_iter().chain(reports);
    let ended = Client::start(project.path(), run).end();
    let told = |name: &str| {
        let event = finished(&ended, name);
        (event["verdict"].clone(), event["cause"].clone(), event["exit"].clone())
    };
    let signal = |number: i32, name: &str| json!({ "signal": number, "signal_name": name });
    assert_eq!(told("fine"), (json!("passed"), Value::Null, json!({ "status": 0 })), "{}", ended.stderr);
    assert_eq!(told("segv"), (json!("crashed"), json!("crash"), signal(11, "SIGSEGV")));
    assert_eq!(told("killed"), (json!("crashed"), json!("crash"), signal(9, "SIGKILL")));
    assert_eq!(told("three"), (json!("failed"), json!("test"), json!({ "status": 3 })));
    assert_eq!(told("hangs"), (json!("timed_out"), json!("timeout"), signal(15, "SIGTERM")));
    assert_eq!(ended.summary()["causes"], json!({ "test": 1, "timeout": 1, "crash": 2 }));
    for words in ["cause: crash, SIGSEGV (11)", "the last words of segv", "not by Regatta; out of memory?"] {
        assert!(ended.stderr.contains(words), "{words} is not in {}", ended.stderr);
    }
    let junit = fs::read_to_string(project.path().join("junit.xml")).expect("it was written");
    for words in ["name=\"cause\" value=\"crash\"", "name=\"exit\" value=\"SIGSEGV (11)\"", "the last words of killed"]
    {
        assert!(junit.contains(words), "{words} is not in {junit}");
    }
    let ctrf: Value = serde_json::from_slice(&fs::read(project.path().join("ctrf.json")).expect("it was written"))
        .expect("CTRF is JSON");
    let all = ctrf["results"]["tests"].as_array().expect("there are tests");
    let three = all.iter().find(|test| test["name"].as_str().is_some_and(|name| name.ends_with("three")));
    assert_eq!(three.expect("it is told")["extra"], json!({ "cause": "test", "transient": false, "exitStatus": 3 }));
}

#[test]
fn each_cause_has_a_budget_of_its_own_in_the_configuration() {
    let retries = "[profile.default]\nretries = { count = 1, crash = 2, timeout = 0 }\n";
    let project = scripted(DEADLY, &["segv", "three", "hangs"], retries);
    let attempts = |arguments: &[&str]| {
        let ended = Client::start(project.path(), ["run", "--timeout", "1s"].iter().chain(arguments)).end();
        ["segv", "three", "hangs"].map(|name| finished(&ended, name)["attempts"].as_u64().unwrap_or(0))
    };
    assert_eq!(attempts(&[]), [3, 2, 1]);
    assert_eq!(attempts(&["--retries", "0"]), [1, 1, 1], "whoever types that means all of them");
}

#[test]
fn a_set_up_that_fails_is_not_the_test() {
    let test =
        "import pytest\n@pytest.fixture\ndef base():\n    raise RuntimeError('no base')\ndef test_on(base): pass\n";
    let project = Project::pytest(&[("test_it.py", test)], "[profile.default]\nretries = { count = 3, set-up = 1 }\n");
    let ended = Client::start(project.path(), ["run"]).end();
    let told = finished(&ended, "test_on");
    assert_eq!((&told["verdict"], &told["cause"], &told["attempts"]), (&json!("failed"), &json!("set_up"), &json!(2)));
    assert!(ended.stderr.contains("cause: set-up"), "{}", ended.stderr);
}

#[test]
fn a_machine_that_cannot_start_a_program_now_may_later() {
    let project = scripted("exit 0", &["late"], "");
    // The system refuses to execute what somebody writes to, until he has done.
    let writing = OpenOptions::new().append(true).open(project.path().join("run.sh")).expect("it is ours");
    let mut client = Client::start(project.path(), ["run"]);
    client.wait_for("test_retried", 1);
    drop(writing);
    let ended = client.end();
    let first = ended.all("test_retried").next().expect("it was waited for");
    assert_eq!((&first["cause"], &first["outcome"]), (&json!("infrastructure"), &json!("crashed")));
    let told = finished(&ended, "late");
    assert_eq!((ended.code, &told["verdict"]), (0, &json!("passed")), "it is not flaky: {}", ended.stderr);
}

/// A test that does not end at its first attempt.
const SLOW_AT_FIRST: &str = "mkdir first 2>/dev/null || exit 0\nsleep 600";

#[test]
fn a_test_whose_worker_was_lost_says_what_is_known() {
    let project = scripted(SLOW_AT_FIRST, &["slow"], "");
    let mut cluster = Cluster::start(project.path(), 1, 1);
    let mut client = cluster.run(&[]);
    client.wait_for("test_started", 1);
    cluster.kill_worker(0);
    cluster.add_worker(1);
    let ended = client.end();
    let lost = ended.all("test_lost").next().expect("its worker was lost");
    assert_eq!((&lost["cause"], &lost["attempt"]), (&json!("worker_lost"), &json!(1)), "{lost}");
    assert!(lost["ran_s"].as_f64().is_some_and(|ran| ran > 0.0) && lost["worker"].is_string(), "{lost}");
    assert_eq!((ended.code, finished(&ended, "slow")["attempts"].as_u64()), (0, Some(2)), "{}", ended.stderr);
}

#[test]
fn a_test_whose_worker_leaves_in_its_middle_is_charged_nothing() {
    let none = "[profile.default]\nuncompleted-retries = 0\nretry-cap = 0\n";
    let project = scripted(SLOW_AT_FIRST, &["slow"], none);
    let mut cluster = Cluster::start(project.path(), 1, 1);
    let mut client = cluster.run(&[]);
    client.wait_for("test_started", 1);
    cluster.signal_worker(0, Signal::SIGTERM);
    let leaves = || Said::by(project.path(), ["workers", "--on", &cluster.url]).stdout.contains("draining");
    assert!((0..200).any(|_| leaves()), "it says that it leaves");
    // Asked twice, it does not wait for what runs.
    cluster.drain_worker(0);
    cluster.add_worker(1);
    let ended = client.end();
    let lost = ended.all("test_lost").next().expect("it was broken off");
    assert_eq!(lost["cause"], json!("drained"), "{lost}");
    assert_eq!((ended.code, &finished(&ended, "slow")["verdict"]), (0, &json!("passed")), "{}", ended.stderr);
}

/// A memory cgroup (of the first version: one of the second may have no processes beside its children) with this limit.
struct Scarce(PathBuf);

impl Scarce {
    fn new(bytes: u64) -> Option<Self> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/memory/regatta-causes-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let scarce = Self(path);
        fs::write(scarce.0.join("memory.limit_in_bytes"), bytes.to_string()).ok()?;
        Some(scarce)
    }
}

impl Drop for Scarce {
    fn drop(&mut self) {
        let _gone_with_the_machine = fs::remove_dir(&self.0);
    }
}

#[test]
fn what_the_system_ends_for_want_of_memory_is_no_crash() {
    let Some(scarce) = Scarce::new(32 << 20) else {
        return eprintln!("skipped: this user may not make a memory cgroup here");
    };
    let python = test_python();
    let script = format!(
        "mkdir first 2>/dev/null || exit 0\necho $$ > {}/cgroup.procs\nexec {} -c 'len(bytearray(256 << 20))'",
        scarce.0.display(),
        python.display()
    );
    let project = scripted(&script, &["hungry"], "");
    let ended = Client::start(project.path(), ["run"]).end();
    let first = ended.all("test_retried").next().unwrap_or_else(|| panic!("it is run again: {}", ended.stderr));
    assert_eq!((&first["cause"], &first["exit"]["signal"]), (&json!("out_of_memory"), &json!(9)), "{first}");
    assert_eq!(first["reason"], "signal 9 (SIGKILL): the system ended it for want of memory");
    assert_eq!(finished(&ended, "hungry")["verdict"], json!("flaky"), "alone it found enough");
}
