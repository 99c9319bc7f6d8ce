//! What is concluded from which files.

use super::super::Config;
use super::*;

/// A directory with these files.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("proj").tempdir().expect("a temporary directory");
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("a file");
    }
    dir
}

#[test]
fn suites_are_concluded_from_what_is_there() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 15] = [
        (&[("pytest.ini", "")], &["found pytest.ini: suite `pytest` runs its tests with pytest"]),
        (
            &[("pyproject.toml", "[tool.pytest.ini_options]\n")],
            &["found [tool.pytest] in pyproject.toml: suite `pytest` runs its tests with pytest"],
        ),
        (&[("pyproject.toml", "[tool.black]\n")], &[]),
        (
            &[("tox.ini", "[tox]\n[pytest]\n")],
            &["found [pytest] in tox.ini: suite `pytest` runs its tests with pytest"],
        ),
        (
            &[("setup.cfg", "[tool:pytest]\n")],
            &["found [tool:pytest] in setup.cfg: suite `pytest` runs its tests with pytest"],
        ),
        (&[("tests/conftest.py", "")], &["found tests/conftest.py: suite `pytest` runs its tests with pytest"]),
        (
            &[("tests/test_b.py", ""), ("tests/test_a.py", "")],
            &["found tests/test_a.py: suite `pytest` runs its tests with pytest"],
        ),
        (&[("a_test.py", ""), ("latest.py", "")], &["found a_test.py: suite `pytest` runs its tests with pytest"]),
        (
            &[("Cargo.toml", "[package]\n")],
            &["found Cargo.toml: suite `rust` runs the tests of the package, built by cargo"],
        ),
        (
            &[("Cargo.toml", "[workspace]\n"), ("conftest.py", ""), ("Makefile", "test:\n\tcargo test\n")],
            &[
                "found conftest.py: suite `pytest` runs its tests with pytest",
                "found Cargo.toml: suite `rust` runs the tests of every package of the workspace, built by cargo",
            ],
        ),
        (
            &[("package.json", r#"{"scripts": {"test": "jest"}}"#), ("go.mod", "module m\n")],
            &[
                "found a `test` script in package.json: suite `npm` runs `npm test` as one test",
                "found go.mod: suite `go` runs `go test ./...` as one test",
            ],
        ),
        (&[("package.json", r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#)], &[]),
        (
            &[("Makefile", "all:\n\ttrue\ntest: all\n\t./t\n")],
            &["found a `test` target in Makefile: suite `make` runs `make test` as one test"],
        ),
        (&[("Makefile", "test := 1\ntests:\n")], &[]),
        (&[("README.md", "")], &[]),
    ];
    for (files, wanted) in cases {
        let dir = project(files);
        match assume(dir.path()) {
            Ok(assumed) => assert_eq!(assumed.notes, wanted, "{files:?}"),
            Err(_) => assert!(wanted.is_empty(), "{files:?}"),
        }
    }
}

#[test]
fn what_is_assumed_is_a_configuration_that_makes_sense() {
    let files = [
        ("sub dir/.git/HEAD", ""),
        ("sub dir/Cargo.toml", "[workspace]\n"),
        ("sub dir/conftest.py", ""),
        ("sub dir/go.mod", ""),
        ("sub dir/deep/er/x.txt", ""),
    ];
    let dir = project(&files);
    let config = Config::assume(&dir.path().join("sub dir/deep/er")).unwrap_or_else(|e| panic!("{}", e.render(false)));
    assert_eq!(config.base, dir.path().join("sub dir"));
    assert_eq!(config.project().value, "sub-dir");
    let planned: Vec<(String, String)> = config
        .suites()
        .iter()
        .map(|(name, suite)| config.bare(name, suite))
        .map(|suite| (suite.runner.to_string(), suite.settings.to_string()))
        .collect();
    let wanted =
        [("pytest", "{}"), ("rust", r#"{"workspace":true}"#), ("exec", r#"{"command":["go","test","./..."]}"#)];
    assert_eq!(planned, wanted.map(|(runner, settings)| (runner.to_owned(), settings.to_owned())));
}

#[test]
fn an_empty_directory_is_told_what_was_looked_for() {
    let dir = project(&[]);
    let text = assume(dir.path()).expect_err("nothing is there").render(false);
    for word in
        ["no tests were found in", "pytest.ini", "Cargo.toml", "package.json", "Makefile", "regatta.toml", "(usage)"]
    {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
}
