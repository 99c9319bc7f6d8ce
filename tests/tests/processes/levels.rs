//! Levels: every test of a suite whose truth is known is observed, and those that lie are named.

use regatta_tests::harness::{Project, Said, test_python};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const LEVELS: [&str; 5] = ["none", "read", "transaction", "isolated", "exclusive"];

/// Runs in which liars are looked for: one that only reads has a clone of its own now and then, on which more is allowed.
const RUNS: usize = 4;

/// The suite in a directory of its own.
fn suite() -> Project {
    let project = Project::empty();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/pytest-levels");
    for entry in fs::read_dir(suite).expect("the suite is there") {
        let path = entry.expect("the suite is there").path();
        if path.is_file() {
            let name = path.file_name().expect("a file has a name").to_str().expect("names are text").to_owned();
            project.write(&name, &fs::read_to_string(&path).expect("the suite is text"));
        }
    }
    let python = test_python().display().to_string();
    let config = fs::read_to_string(project.path().join("regatta.toml")).expect("it was copied");
    let config = config.replace("\"python3\"", &format!("\"{python}\""));
    let config = config.replace("runner = \"pytest\"", &format!("runner = \"pytest\"\npython = \"{python}\""));
    project.write("regatta.toml", &config);
    project
}

/// What is known: the tests that tell the truth, and those that lie.
fn truth(project: &Project) -> [BTreeMap<String, String>; 2] {
    let text = fs::read_to_string(project.path().join("truth.json")).expect("it was copied");
    let truth: Value = serde_json::from_str(&text).expect("it is JSON");
    ["tests", "liars"].map(|key| serde_json::from_value(truth[key].clone()).expect("levels by test"))
}

#[track_caller]
fn told(project: &Project, words: &[&str], code: i32) -> Value {
    let said = Said::by(project.path(), words);
    assert_eq!(said.code, code, "{words:?}: {}{}", said.stdout, said.stderr);
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {}", said.stdout))
}

fn strength(level: &str) -> usize {
    LEVELS.iter().position(|known| *known == level).unwrap_or_else(|| panic!("`{level}` is no level"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// The level of each test, as it is listed.
fn listed(project: &Project) -> BTreeMap<String, String> {
    let listed = told(project, &["list", "--format", "json"], 0);
    let tests = listed["tests"].as_array().expect("tests");
    tests.iter().map(|test| (text(test, "id").to_owned(), text(test, "level").to_owned())).collect()
}

#[test]
fn every_test_is_given_the_level_of_what_it_does() {
    let project = suite();
    let before = fs::read_to_string(project.path().join("regatta.toml")).expect("it was written");
    let [tests, liars] = truth(&project);
    let truth: BTreeMap<String, String> = tests.into_iter().chain(liars).collect();
    let inferred = told(&project, &["levels", "infer", "--format", "json", "--write", "config"], 0);
    assert_eq!(inferred["without"], Value::Array(Vec::new()), "all of them pass alone");

    let mut table = [[0_usize; 5]; 5];
    let (mut weaker, mut stronger) = (Vec::new(), Vec::new());
    let mut found = BTreeMap::new();
    for row in inferred["tests"].as_array().expect("tests") {
        let (id, seen) = (text(row, "id"), text(row, "level"));
        let known = truth.get(id).unwrap_or_else(|| panic!("the truth of {id} is not known"));
        let (known, level) = (strength(known), strength(seen));
        table[known][level] += 1;
        let line = format!("{id} is {}, and was seen as {seen}: it {}", LEVELS[known], text(row, "because"));
        match level.cmp(&known) {
            std::cmp::Ordering::Less => weaker.push(line),
            std::cmp::Ordering::Greater => stronger.push(line),
            std::cmp::Ordering::Equal => {}
        }
        found.insert(id.to_owned(), seen.to_owned());
    }
    println!("{:>12} {}", "", LEVELS.map(|level| format!("{level:>12}")).concat());
    for (known, row) in LEVELS.iter().zip(table) {
        println!("{known:>12} {}", row.map(|count| format!("{count:>12}")).concat());
    }
    stronger.iter().for_each(|line| println!("too strong: {line}"));
    assert_eq!(found.len(), truth.len(), "every test is seen");
    assert!(weaker.is_empty(), "weaker than the truth: {weaker:#?}");
    assert!(stronger.len() <= 2, "stronger than the truth: {stronger:#?}");

    // What was written says the same of every test, and left the rest of the file alone.
    let after = fs::read_to_string(project.path().join("regatta.toml")).expect("it was written");
    assert!(after.starts_with(&before) && after.contains("# levels: inferred by regatta"), "{after}");
    let listed = listed(&project);
    let differs = |(id, level): &(&String, &String)| listed.get(*id) != Some(*level);
    let differing: Vec<_> = found.iter().filter(differs).collect();
    assert!(differing.is_empty() && listed.len() == found.len(), "{differing:?}: {after}");
}

#[test]
fn every_test_that_lies_is_named_with_what_it_did() {
    let project = suite();
    let [_, liars] = truth(&project);
    let mut named: BTreeSet<String> = BTreeSet::new();
    for _ in 0..RUNS {
        let ran = Said::by(project.path(), ["run", "test_liars.py"]);
        assert_eq!(ran.code, 0, "what is refused has its rights the second time: {}", ran.stderr);
        let checked = told(&project, &["levels", "check", "--format", "json"], 1);
        for line in ["dangerous", "refused"].iter().flat_map(|key| checked[key].as_array().expect("lines")) {
            let notes = line["notes"].as_array().expect("notes");
            let mut notes = notes.iter().filter_map(Value::as_str);
            let told = notes.any(|note| note.starts_with("by: ") || note.contains("psycopg.errors."));
            assert!(told, "what it did is said: {line}");
            named.insert(text(line, "id").to_owned());
        }
        if named.len() == liars.len() {
            break;
        }
        // What was learned would keep them from lying again.
        fs::remove_dir_all(project.path().join(".regatta")).expect("it is there");
    }
    assert_eq!(named, liars.into_keys().collect());
}

#[test]
fn leases_that_are_too_strong_are_told_and_are_no_failure() {
    let project = suite();
    let ran = Said::by(project.path(), ["run", "test_queries.py"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let checked = told(&project, &["levels", "check", "--format", "json"], 0);
    let slow = checked["too_strong"].as_array().expect("lines");
    assert!(slow.len() > 20, "nothing was declared, and they only read: {checked}");
    assert!(slow.iter().all(|line| text(line, "leased") == "isolated" && text(line, "seen") == "read"), "{checked}");
    let said = Said::by(project.path(), ["levels", "check"]);
    assert!(said.code == 0 && said.stdout.contains("could do with less") && said.stdout.contains("34 ms"), "{said:?}");
}

#[test]
fn a_patch_of_markers_says_what_was_inferred() {
    let project = suite();
    let words = ["levels", "infer", "test_borders.py", "test_undone.py::test_orders_are_taken_one_by_one"];
    let said = Said::by(project.path(), words.iter().chain(&["--write", "markers"]));
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let patch = project.write("levels.patch", &said.stdout);
    let applied = Command::new("patch").arg("-p1").arg("-i").arg(&patch).current_dir(project.path()).output();
    let applied = applied.expect("patch runs");
    assert!(applied.status.success(), "{}\n{}", said.stdout, String::from_utf8_lossy(&applied.stdout));
    let listed = listed(&project);
    let level = |id: &str| listed.get(id).map(String::as_str);
    assert_eq!(level("test_borders.py::test_a_channel_is_notified_and_that_rolled_back"), Some("transaction"));
    assert_eq!(level("test_undone.py::test_orders_are_taken_one_by_one[2]"), Some("transaction"));
}
