//! Timings of other tools: imported, shown, and what the first run is balanced by.

use regatta_tests::harness::{Client, Ended, Project, regatta};
use std::process::{Command, Output};

/// Eight modules of one test each; nothing but the timings says which takes long.
fn modules() -> Project {
    let project = Project::pytest(&[], "");
    for module in 0..8 {
        project.write(&format!("tests/test_{module}.py"), "class TestOf:\n    def test_it(self): pass\n");
    }
    project
}

fn history(project: &Project, words: &[&str]) -> Output {
    let ran = Command::new(regatta()).arg("history").args(words).current_dir(project.path()).output();
    ran.expect("the binary runs")
}

/// What a command wrote to its streams, after it ended with this code.
#[track_caller]
fn told(project: &Project, words: &[&str], code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = history(project, words);
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
    assert_eq!(status.code(), Some(code), "{words:?}: {stdout}{stderr}");
    (stdout, stderr)
}

/// The tests in the order in which they ended.
fn order(ended: &Ended) -> Vec<&str> {
    let finished = ended.events.iter().filter(|event| event["event"] == "test_finished");
    finished.map(|event| event["id"].as_str().expect("a test has an id")).collect()
}

#[test]
fn the_first_run_is_balanced_by_timings_of_another_tool() {
    let project = modules();
    let cases: String = (0..8)
        .map(|module| {
            let time = if module == 5 { "90" } else { "0.001" };
            format!("<testcase classname=\"tests.test_{module}.TestOf\" name=\"test_it\" time=\"{time}\"/>")
        })
        .collect();
    project.write("junit.xml", &format!("<testsuites><testsuite name=\"pytest\">{cases}</testsuite></testsuites>"));
    let (data, said) = told(&project, &["import", "junit.xml"], 0);
    assert!(data.is_empty() && said.contains("py: 8 timings were taken"), "{said}");
    let (shown, _) = told(&project, &["show", "tests/test_5.py"], 0);
    assert!(shown.contains("90.000s") && shown.contains("imported"), "{shown}");
    assert!(shown.contains("tests/test_5.py::TestOf::test_it") && shown.lines().count() == 1, "{shown}");

    let ended = Client::start(project.path(), ["run", "--slots", "1"]).end();
    assert_eq!((ended.code, order(&ended).first().copied()), (0, Some("tests/test_5.py::TestOf::test_it")));

    // What was measured counts from now on, and stays when the file comes again.
    let (_, said) = told(&project, &["import", "junit.xml"], 0);
    assert!(said.contains("8 are of tests that were measured here"), "{said}");
    let (lines, _) = told(&project, &["export"], 0);
    project.write("history.jsonl", &lines);
    assert!(lines.lines().count() == 8 && !lines.contains("\"mean_s\":90"), "{lines}");
    let (_, said) = told(&project, &["import", "history.jsonl", "--project", "another"], 0);
    assert!(said.contains("py: 8 timings were taken"), "{said}");
    let (shown, _) = told(&project, &["show", "--project", "another", "--format", "json"], 0);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("one document");
    assert_eq!(shown["tests"].as_array().map(Vec::len), Some(8));
    assert_eq!(shown["tests"][0]["source"], "imported");
}

#[test]
fn what_is_wrong_with_a_file_of_timings_is_told() {
    let project = modules();
    project.write("broken.xml", "<testsuites>\n<testsuite>\n<testcase name=\"a\" time=\"1\"/>");
    let (_, said) = told(&project, &["import", "broken.xml"], 2);
    assert!(said.contains("broken.xml holds no timings: it ends in the middle, in line 3"), "{said}");
    let (_, said) = told(&project, &["import", "missing.json"], 2);
    assert!(said.contains("cannot read missing.json"), "{said}");
    let (_, said) = told(&project, &["import", "broken.xml", "--suite", "pi"], 2);
    assert!(said.contains("holds no timings"), "{said}");
    project.write("empty.json", "{}");
    let (_, said) = told(&project, &["import", "empty.json"], 2);
    assert!(said.contains("hold no timing at all"), "{said}");
    let (data, said) = told(&project, &["show"], 4);
    assert!(data.is_empty() && said.contains("nothing is known yet"), "{said}");

    // Once the tests are known, a file of other ones is noticed; odd times are counted.
    assert_eq!(Client::start(project.path(), ["run"]).end().code, 0);
    let odd = r#"{"other/test_x.py::test_1": 1, "other/test_x.py::test_2": NaN, "other/test_x.py::test_3": 0}"#;
    project.write("other.json", odd);
    let (_, said) = told(&project, &["import", "other.json"], 0);
    let wanted = [
        "left out 1 time that is negative, no number, or missing",
        "took 1 time that is zero",
        "py: 2 timings were taken",
        "0 of 2 tests are known in the suite `py`; the first unknown is `other/test_x.py::test_1`",
    ];
    wanted.iter().for_each(|wanted| assert!(said.contains(wanted), "{wanted}: {said}"));
    let (_, said) = told(&project, &["import", "other.json", "--suite", "pyy"], 2);
    assert!(said.contains("did you mean `py`?"), "{said}");
}
