//! What keeps tests from being found: files that cannot be collected, ids that are not unique, a framework that does not
//! come up. The rest runs, the run is red, and each error is shown once.

use super::assert_told;
use regatta_tests::harness::{Client, Ended, Project};

const SOUND: &str = "def test_one(): pass\ndef test_two(): pass\n";

fn run(project: &Project) -> Ended {
    Client::start(project.path(), ["run", "--slots", "2"]).end()
}

#[track_caller]
fn assert_counts(ended: &Ended, passed: u64, errors: u64) {
    assert_eq!((ended.count("passed"), ended.count("errors")), (passed, errors), "{}", ended.stderr);
    assert_eq!((ended.code, ended.count("not_run")), (1, 0), "{}", ended.stderr);
    assert_eq!(ended.all("error").count() as u64, errors, "{}", ended.stderr);
}

#[test]
fn a_file_that_cannot_be_collected_costs_only_its_own_tests() {
    let broken = "import no_such_module\ndef test_three(): pass\n";
    let project = Project::pytest(&[("test_a.py", SOUND), ("test_b.py", broken), ("sub/test_c.py", SOUND)], "");
    // Cold, warm, and what is left of it.
    for warm in [false, true] {
        let ended = run(&project);
        assert_counts(&ended, 4, 1);
        let wanted = [
            "ERROR test_b.py (could not be collected)",
            "test_b.py:1: in <module>",
            "ERROR test_b.py - ModuleNotFoundError: No module named 'no_such_module'",
            "4 passed, 1 error",
        ];
        assert_told(&ended.stderr, &wanted);
        assert_eq!(ended.stderr.matches("import no_such_module").count(), 1, "warm: {warm}: {}", ended.stderr);
        let error = ended.all("error").next().expect("there is one");
        assert_eq!((&error["kind"], &error["file"]), (&"collection".into(), &"test_b.py".into()));
    }
    let left = Client::start(project.path(), ["rerun"]).end();
    assert_counts(&left, 0, 1);
    project.write("test_b.py", "def test_three(): pass\n");
    let left = Client::start(project.path(), ["rerun"]).end();
    assert_eq!((left.code, left.count("passed")), (0, 1), "{}", left.stderr);
}

#[test]
fn ids_that_stand_for_two_tests_are_named_and_the_other_files_run() {
    let doubled = "def pytest_collection_modifyitems(items):\n    \
        items.extend([item for item in items if item.name == 'test_double'])\n";
    let files = [("conftest.py", doubled), ("test_a.py", SOUND), ("test_b.py", "def test_double(): pass\n")];
    let ended = run(&Project::pytest(&files, ""));
    assert_counts(&ended, 2, 1);
    let wanted = ["ERROR test_b.py (could not be collected)", "1 id stands for more than one test: 'test_double'"];
    assert_told(&ended.stderr, &wanted);

    let project = Project::empty();
    let list = "[suite.ex]\nrunner = \"exec\"\ncommand = [\"test\", \"{id}\", \"!=\", \"b\"]\nlist = [\"printf\", \"a\\nb\\na\\n\"]\n";
    project.write("regatta.toml", list);
    let ended = run(&project);
    assert_counts(&ended, 0, 1);
    assert_told(&ended.stderr, &["the name `a` is listed twice; a test must have a name of its own"]);
}

#[test]
fn a_framework_that_does_not_come_up_is_shown_with_what_it_said() {
    let cases = [
        ("raise RuntimeError('at import')", "conftest.py cannot be imported", "RuntimeError: at import"),
        (
            "def pytest_configure(config): raise RuntimeError('in configure')",
            "pytest ended",
            "RuntimeError: in configure",
        ),
        ("import os; os._exit(0)", "pytest ended while it started (exit code 0)", "and printed nothing"),
    ];
    for (conftest, what, cause) in cases {
        let ended = run(&Project::pytest(&[("conftest.py", conftest), ("test_a.py", SOUND)], ""));
        assert_counts(&ended, 0, 1);
        assert_told(&ended.stderr, &[what, cause]);
    }
}

#[test]
fn what_does_not_compile_is_shown_as_the_compiler_says_it() {
    let project = Project::empty();
    project.write("regatta.toml", "[suite.rs]\nrunner = \"rust\"\n");
    project
        .write("Cargo.toml", "[package]\nname = \"tiny\"\nedition = \"2021\"\n[workspace]\n[lib]\ndoctest = false\n");
    project.write("src/lib.rs", "#[test]\nfn broken() {\n    let _: u32 = \"no number\";\n}\n");
    let ended = run(&project);
    assert_counts(&ended, 0, 1);
    let wanted = ["ERROR rs (could not be built)", "error[E0308]: mismatched types", "src/lib.rs:3:18", "1 error"];
    assert_told(&ended.stderr, &wanted);
    assert_eq!(ended.stderr.matches("error[E0308]").count(), 1, "{}", ended.stderr);
    assert_eq!(ended.all("error").next().expect("there is one")["kind"], "build");
}
