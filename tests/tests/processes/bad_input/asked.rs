//! What makes no sense is refused before anything runs: names, filters, configurations, frameworks that are not there.

use super::{assert_told, sound};
use regatta_tests::harness::{Client, Ended, Project};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn run(project: &Project, args: &[&str]) -> Ended {
    Client::start(project.path(), ["run"].iter().chain(args)).end()
}

/// Refused with this exit code, and nothing ran.
#[track_caller]
fn assert_refused(ended: &Ended, code: i32, wanted: &[&str]) {
    assert_told(&ended.stderr, wanted);
    assert_eq!(ended.code, code, "{}", ended.stderr);
    assert_eq!(ended.all("test_started").count(), 0);
}

#[test]
fn an_unknown_suite_is_refused_with_the_nearest_name() {
    let wanted =
        ["error: there is no suite `pi`", "did you mean `py`?", "Exit code 2 (usage): see `regatta explain 2`"];
    assert_refused(&run(&sound(), &["pi"]), 2, &wanted);
    let wanted = ["there is no suite `elsewhere`", "the only suite is `py`", "`-E 'test(elsewhere)'`"];
    assert_refused(&run(&sound(), &["elsewhere"]), 2, &wanted);
}

#[test]
fn an_empty_selection_is_an_error_unless_it_is_expected() {
    let project = sound();
    let cases: [&[&str]; 3] = [&["-E", "test(nowhere)"], &["test_sound.py::test_three"], &["test_elsewhere.py"]];
    for selection in cases {
        let ended = run(&project, selection);
        let named = selection[selection.len() - 1];
        assert_refused(&ended, 4, &["no tests were selected", named, "exit 4: no-tests", "`regatta explain 4`"]);
        assert_eq!(ended.summary()["outcome"], "empty");
    }
    assert_refused(&run(&project, &["-E", "test(nowhere)", "--no-tests", "pass"]), 0, &["no tests were selected"]);
}

#[test]
fn a_configuration_that_is_not_toml_is_shown_with_a_caret() {
    let project = sound();
    project.write("regatta.toml", "[suite.py]\nrunner = \"pytest\"\n[profile.ci\n");
    let wanted = ["this is not TOML", "regatta.toml:3:", "3 | [profile.ci", "^", "Exit code 2 (usage)"];
    assert_refused(&run(&project, &[]), 2, &wanted);
}

#[test]
fn all_mistakes_of_a_configuration_are_told_together() {
    let project = sound();
    let text =
        "[suite.py]\nrunner = \"pytest\"\npythn = \"python3\"\n\n[profile.default]\nretrys = 1\ntimeout = \"soon\"\n";
    project.write("regatta.toml", text);
    let wanted = [
        "there is no key `pythn` in a suite",
        "regatta.toml:3:1",
        "did you mean `python`?",
        "there is no key `retrys` in a profile",
        "regatta.toml:6:1",
        "did you mean `retries`?",
        "regatta.toml:7:11",
        "3 mistakes in all. Exit code 2 (usage)",
    ];
    assert_refused(&run(&project, &[]), 2, &wanted);
}

#[test]
fn a_filter_is_refused_with_a_caret_wherever_it_stands() {
    let project = sound();
    let wanted = ["there is no predicate `tset`", "--filter:1:1", "^^^^", "did you mean `test`?"];
    assert_refused(&run(&project, &["-E", "tset(one)"]), 2, &wanted);
    let wanted = ["this parenthesis is never closed", "--filter:1:5", "add a `)`"];
    assert_refused(&run(&project, &["-E", "test(one"]), 2, &wanted);

    let text = fs::read_to_string(project.path().join("regatta.toml")).expect("it was written");
    project.write("regatta.toml", &format!("{text}[profile.default]\nfilter = \"test(one) &\"\n"));
    assert_refused(&run(&project, &[]), 2, &["regatta.toml:5:", "test(one) &", "^", "Exit code 2 (usage)"]);
}

#[test]
fn a_python_that_is_not_there_is_named_with_where_it_was_looked_for() {
    let project = sound();
    project.write("regatta.toml", "[suite.py]\nrunner = \"pytest\"\npython = \"env/bin/python\"\n");
    let wanted = [
        "the suite `py` cannot run: no Python interpreter: looked for env/bin/python",
        "`python = \"…\"`",
        "`regatta doctor` checks",
        "Exit code 2 (usage)",
    ];
    assert_refused(&run(&project, &[]), 2, &wanted);
}

#[test]
fn a_program_that_is_not_there_is_named_and_its_test_is_not_run() {
    let project = Project::empty();
    project.write("regatta.toml", "[suite.ex]\nrunner = \"exec\"\ncommand = [\"no-such-program\", \"-x\"]\n");
    let ended = run(&project, &[]);
    let wanted = ["cannot start `no-such-program`: no such program; install it, or give its path", "NOT RUN ex"];
    assert_refused(&ended, 1, &wanted);
    assert_eq!((ended.count("errors"), ended.count("not_run")), (1, 1));

    project.write("regatta.toml", "[suite.rs]\nrunner = \"rust\"\ncargo = \"no-such-cargo\"\n");
    let ended = run(&project, &[]);
    assert_refused(&ended, 1, &["cannot start `no-such-cargo`", "install Rust from https://rustup.rs"]);
    assert_eq!(ended.count("errors"), 1);
}

/// A stand-in for a Python: answers every question with `facts`.
fn stand_in(project: &Project, facts: &str) {
    let path = project.write("env/python", &format!("#!/bin/sh\necho '{facts}'\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    project.write("regatta.toml", "[suite.py]\nrunner = \"pytest\"\npython = \"env/python\"\n");
}

#[test]
fn a_framework_that_is_too_old_or_missing_is_told_with_what_to_install() {
    let project = sound();
    let cases = [
        (
            r#"[3, 9, 1], "pytest": "7.0.1""#,
            "pytest 7.0.1 of `",
            "is too old: 7.4 or newer is needed",
            "-m pip install -U",
        ),
        (r#"[3, 7, 2], "pytest": "7.4.4""#, "is Python 3.7.2; pytest suites need 3.8", "newer", "`python = \"…\"`"),
        (r#"[3, 9, 1], "pytest": null"#, "pytest is not installed for `", "(Python 3.9.1)", "-m pip install pytest`"),
    ];
    for (facts, what, and, help) in cases {
        stand_in(&project, &format!(r#"{{"python": {facts}, "installed": []}}"#));
        assert_refused(&run(&project, &[]), 2, &["the suite `py` cannot run", what, and, help, "env/python"]);
    }
}
