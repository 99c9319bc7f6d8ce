//! What is said of a run before it happens and after it has: `plan`, `split`, `explain`, and needs that nobody offers.

use regatta_tests::harness::{Client, Project, regatta};
use serde_json::Value;
use std::process::{Command, Output};

/// Six scripts; two of them need a database of which there is one.
fn scripts(resources: &str) -> Project {
    let project = Project::empty();
    let config = format!(
        "[suite.sh]\nrunner = \"exec\"\ntests = [\"t/*.sh\"]\ncommand = [\"sh\", \"{{id}}\"]\nrequires = [\"shell\"]\n\n{resources}\n\
         [[profile.default.override]]\nfilter = \"test(#*db*)\"\nneeds = [\"db\"]\n"
    );
    project.write("regatta.toml", &config);
    for (name, seconds) in [("db1", 0.3), ("db2", 0.3), ("a", 0.1), ("b", 0.1), ("c", 0.05), ("d", 0.05)] {
        project.write(&format!("t/{name}.sh"), &format!("sleep {seconds}\n"));
    }
    project
}

/// What a command wrote to its streams, after it ended with this code.
#[track_caller]
fn told(project: &Project, words: &[&str], code: i32) -> (String, String) {
    let ran = Command::new(regatta()).args(words).current_dir(project.path()).output();
    let Output { status, stdout, stderr } = ran.expect("the binary runs");
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
    assert_eq!(status.code(), Some(code), "{words:?}: {stdout}{stderr}");
    (stdout, stderr)
}

#[test]
fn a_plan_foretells_the_run_and_the_record_explains_it() {
    let project = scripts("[resources]\ndb = 1\n");
    let first = Client::start(project.path(), ["run", "--slots", "3"]).end();
    assert_eq!((first.code, first.count("passed")), (0, 6), "{}", first.stderr);

    let (plan, _) =
        told(&project, &["plan", "--slots", "3", "--target", "200ms", "--format", "json", "--out", "plan.json"], 0);
    let plan: Value = serde_json::from_str(&plan).expect("one document");
    assert_eq!(plan["tests"], 6);
    assert_eq!((&plan["binds"]["kind"], &plan["binds"]["name"]), (&"resource".into(), &"db".into()), "{plan}");
    let why = plan["target"]["why"].as_str().expect("a target is answered");
    assert!(plan["target"]["slots"].is_null() && why.contains("the tests that need db keep it busy"), "{why}");
    let predicted = plan["makespan_s"].as_f64().expect("a time");
    // What it takes at least, since its scripts sleep so long.
    assert!(predicted >= 0.6, "{predicted}");

    let schedule = std::fs::read_to_string(project.path().join("plan.json")).expect("it was written");
    let schedule: Value = serde_json::from_str(&schedule).expect("one document");
    let tests = schedule["tests"].as_array().expect("tests");
    let of = |id: &str| {
        tests.iter().find(|test| test["id"].as_str().is_some_and(|of| of.ends_with(id))).expect("it is there")
    };
    let at = |id: &str, key: &str| of(id)[key].as_f64().expect("a time");
    assert_eq!(tests.len(), 6);
    let apart = at("db1.sh", "end_s") <= at("db2.sh", "start_s") || at("db2.sh", "end_s") <= at("db1.sh", "start_s");
    assert!(apart, "there is one database: {schedule}");

    let second = Client::start(project.path(), ["run", "--slots", "3", "--target", "10s"]).end();
    assert!(second.stderr.contains(&format!("Predicted {predicted:.2}s")), "{predicted}: {}", second.stderr);
    let (test, _) = told(&project, &["explain", "db2.sh"], 0);
    assert!(test.contains("from its own history") && test.contains("needs db; its suite requires shell"), "{test}");
    assert!(test.contains("attempt 1 passed on slot ") && test.contains("was granted shard "), "{test}");
    let (run, _) = told(&project, &["explain", "latest"], 0);
    assert!(run.contains("green, 6 tests in ") && run.contains("bound by  the resource db"), "{run}");
}

#[test]
fn the_parts_of_a_suite_are_the_suite() {
    let project = scripts("[resources]\ndb = 1\n");
    let (listed, _) = told(&project, &["list"], 0);
    let mut listed: Vec<&str> = listed.lines().map(|line| line.split_once(' ').expect("suite and id").1).collect();
    listed.sort_unstable();
    for total in ["1", "2", "4", "9"] {
        let mut all = Vec::new();
        let mut digests = Vec::new();
        for index in 0..total.parse::<u32>().expect("a number") {
            let (ids, line) = told(&project, &["split", "--index", &index.to_string(), "--total", total], 0);
            all.extend(ids.lines().map(str::to_owned));
            digests.push(line.split_once("digest ").expect("a digest").1.to_owned());
        }
        all.sort();
        assert_eq!(all, listed, "{total} parts");
        digests.dedup();
        assert_eq!(digests.len(), 1, "jobs that agree: {digests:?}");
    }
    let (_, error) = told(&project, &["split", "--index", "2", "--total", "2"], 2);
    assert!(error.contains("there is no part 2 of 2") && error.contains("`--index` is 0 to 1"), "{error}");
    let (_, error) = told(&project, &["split", "--index", "0", "--total", "2", "-E", "failed()"], 2);
    assert!(error.contains("`failed()` asks history"), "{error}");
}

#[test]
fn a_need_that_nobody_offers_is_refused_before_anything_runs() {
    let project = scripts("");
    let ended = Client::start(project.path(), ["run"]).end();
    assert_eq!((ended.code, ended.events.len()), (2, 0));
    let wanted = "the tests of `test(#*db*)` need a seat of `db`, and this machine offers no resources (regatta.toml:";
    assert!(
        ended.stderr.contains(wanted) && ended.stderr.contains("write `db = 1` under `[resources]`"),
        "{}",
        ended.stderr
    );
    let (listed, _) = told(&project, &["list"], 0);
    assert_eq!(listed.lines().count(), 6, "to look, nothing is needed");
}
