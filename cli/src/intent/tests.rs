//! What is meant by which command line, in a project with three suites.

use super::*;
use crate::args::{Cli, Command};
use clap::{CommandFactory, FromArgMatches};
use std::fs;

const FILE: &str = r#"
[suite.api]
runner = "pytest"
root = "services/api"

[suite.core]
runner = "rust"

[suite.slow]
runner = "exec"
command = "./slow"
default = false

[profile.default]
retries = 1
filter = "all() - tag(slow)"

[profile.all]
suites = ["api", "core", "slow"]
filter = "all()"
report = [{ format = "ctrf", path = "ctrf.json" }]
"#;

/// Means `words` in the directory `cwd` of the project.
fn mean<T>(cwd: &str, words: &[&str], look: impl FnOnce(&Run) -> T) -> Result<T, String> {
    let project = tempfile::tempdir().expect("a temporary directory");
    let root = project.path();
    fs::create_dir_all(root.join("services/api/tests")).expect("directories");
    fs::create_dir(root.join(".git")).expect("the mark of a checkout");
    fs::write(root.join("services/api/tests/test_a.py"), "").expect("a test file");
    fs::write(root.join("regatta.toml"), FILE).expect("a configuration");
    let arguments = ["regatta", "run"].iter().chain(words);
    let matches = Cli::command().try_get_matches_from(arguments).map_err(|error| error.to_string())?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    let Command::Run(args) = cli.command else { panic!("these are arguments of `run`") };
    let matches = matches.subcommand_matches("run").expect("`run` was typed");
    let context = Context { global: &cli.global, matches, cwd: root.join(cwd) };
    let run = context.run(args).map_err(|error| error.render(false))?;
    Ok(look(&run))
}

#[test]
fn suites_and_tests_are_told_apart() {
    let cases: [(&str, &[&str], &[&str], &str); 13] = [
        ("", &[], &["api", "core"], "all() & !tag(slow)"),
        ("", &["core"], &["core"], "all() & !tag(slow)"),
        ("", &["slow", "api"], &["api", "slow"], "all() & !tag(slow)"),
        ("", &["--profile", "all"], &["api", "core", "slow"], "all()"),
        ("", &["-E", "test(a)", "-E", "test(b)"], &["api", "core"], "test(a) | test(b)"),
        ("", &["-E", "suite(core)"], &["core"], "suite(core)"),
        ("", &["-E", "none()"], &[], "none()"),
        ("", &["tests/x.py::t[1]"], &["api", "core"], "under(tests/x.py::t[1])"),
        ("", &["api", "t"], &["api"], "under(t)"),
        (
            "",
            &["services/api/tests/test_a.py::TestA"],
            &["api", "core"],
            "suite(=api) & under(tests/test_a.py::TestA) | suite(=core) & under(services/api/tests/test_a.py::TestA)",
        ),
        ("services/api", &["api", "tests/../tests"], &["api"], "suite(=api) & under(tests)"),
        ("services/api", &["api", "."], &["api"], "suite(=api) & all()"),
        ("", &["core", "a::b", "-E", "new()"], &["core"], "new() & under(a::b)"),
    ];
    for (cwd, words, suites, filter) in cases {
        let chosen =
            mean(cwd, words, |run| run.plan.chosen.clone()).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert_eq!(chosen.filter.to_string(), filter, "{words:?}");
        assert_eq!(chosen.suites, suites, "{words:?}");
    }
}

#[test]
fn what_is_misspelt_is_told() {
    let cases: [(&[&str], &str); 5] = [
        (&["aip"], "error: there is no suite `aip`\n |\n = help: did you mean `api`?\n"),
        (
            &["login"],
            "error: there is no suite `login`\n |\n = help: there are api, core, slow; tests by name are `-E 'test(login)'`\n",
        ),
        (&["--profile", "al"], "error: there is no profile `al`\n |\n = help: did you mean `all`?\n"),
        (
            &["-E", "tag(a) & tga(b)"],
            "\
error: there is no predicate `tga`
 --> --filter:1:10
  |
1 | tag(a) & tga(b)
  |          ^^^
  |
  = help: did you mean `tag`?
",
        ),
        (&["--report", "xml=a", "-E", "x"], "error: `x` is not an expression\n"),
    ];
    for (words, wanted) in cases {
        let error = mean("", words, |_| ()).expect_err("the words make no sense");
        assert!(error.starts_with(wanted), "{words:?}\n{error}");
    }
    let both = mean("", &["--report", "xml=a", "-E", "x"], |_| ()).expect_err("the words make no sense");
    assert!(both.contains("`--report` cannot be `xml`") && both.contains("2 mistakes in all"), "{both}");
}

#[test]
fn flags_count_and_say_so() {
    let words = ["--retries", "0", "--timeout", "9s", "--report", "junit=a.xml", "--profile", "all", "--on", "ci:1"];
    let seen = mean("", &words, |run| {
        let rules = &run.plan.rules;
        let reports: Vec<String> = rules.report.value.iter().map(|report| report.path.clone()).collect();
        (rules.retries.origin.to_string(), rules.kill_after.value.0, reports, run.place.clone())
    });
    let (origin, timeout, reports, place) = seen.expect("the words make sense");
    assert_eq!((origin.as_str(), timeout), ("--retries", 9_000_000));
    assert_eq!(reports, ["ctrf.json", "a.xml"], "reports add up");
    assert_eq!(place, Place::On { url: "ci:1".parse().expect("a URL"), fallback: None });
}
