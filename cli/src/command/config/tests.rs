//! What `config show` prints.

use super::*;
use crate::args::{Cli, Command};
use clap::{CommandFactory, FromArgMatches};
use std::fs;

const FILE: &str = r#"[suite.api]
runner = "pytest"
env = { "A.B" = "x" }
memory = "2GB"

[profile.ci]
retries = 2
report = [{ format = "junit", path = "a.xml" }]

[[profile.ci.override]]
filter = "tag(db)"
timeout = "9m"
retries = 7
"#;

fn plan(words: &[&str]) -> Plan {
    let project = tempfile::Builder::new().prefix("p").tempdir().expect("a temporary directory");
    fs::write(project.path().join("regatta.toml"), FILE).expect("a configuration");
    let arguments = ["regatta", "config", "show"].iter().chain(words);
    let matches = Cli::command().try_get_matches_from(arguments).unwrap_or_else(|error| panic!("{error}"));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| panic!("{error}"));
    let Command::Config(ConfigArgs { command: ConfigCommand::Show { selection, rules, .. } }) = cli.command else {
        panic!("these are arguments of `config show`")
    };
    let config = matches.subcommand_matches("config").expect("`config` was typed");
    let matches = config.subcommand_matches("show").expect("`show` was typed");
    let context = Context { global: &cli.global, matches, cwd: project.path().to_owned() };
    context.plan(&selection, &rules, None).unwrap_or_else(|error| panic!("{}", error.render(false)))
}

#[test]
fn every_value_that_counts_is_shown_with_its_origin() {
    let plan = plan(&["--profile", "ci", "--slots", "2", "--retries=0"]);
    let text = human(&plan, &rows::rows(&plan), true);
    let (_, text) = text.split_once("[suite.api]\n").expect("the suite is shown");
    let wanted = r#"runner = "pytest"      # regatta.toml:1 [suite.api]
root = "."             # built in
default = true         # built in
env = { "A.B" = "x" }  # regatta.toml:3 [suite.api]
memory = "2048MB"      # regatta.toml:4 [suite.api]

[profile.ci]
# suites: those that are not `default = false`   # built in
slots = 2                                        # --slots
retries.count = 0                                # --retries
retries.backoff = "fixed"                        # built in
retries.delay = "0s"                             # built in
retries.jitter = false                           # built in
timeout.kill-after = "5m"                        # built in
timeout.grace = "10s"                            # built in
slow = "30s"                                     # built in
# run-timeout: never                             # built in
fail-fast = false                                # built in
flaky = "pass"                                   # built in
shuffle = false                                  # built in
order = "longest"                                # built in
priority = "ci"                                  # built in
# target: none                                   # built in
speculate = false                                # built in
statements = false                               # built in
filter = "all()"                                 # built in
uncompleted-retries = 3                          # built in
retry-cap = 10000                                # built in
report = [{ format = "junit", path = "a.xml" }]  # regatta.toml:8 [profile.ci]

[[profile.ci.override]]
filter = "tag(db)"         # regatta.toml:11 [profile.ci.override]
timeout.kill-after = "9m"  # regatta.toml:11 [profile.ci.override]
"#;
    assert_eq!(text, wanted);
}

#[test]
fn what_is_shown_is_toml_that_means_the_same() {
    let plan = plan(&["--profile", "ci"]);
    let text = human(&plan, &rows::rows(&plan), false);
    let again = crate::config::file::File::parse(&"shown".into(), &text.as_str().into(), &|_| true);
    let again = again.unwrap_or_else(|error| panic!("{}", error.render(false)));
    assert_eq!(again.profile["ci"].retries.count.as_ref().map(|count| count.value.0), Some(2));
    assert_eq!(again.profile["ci"].r#override.len(), 1);
}

#[test]
fn the_same_is_there_for_machines() {
    let plan = plan(&["--profile", "ci"]);
    let document = machine(&plan, &rows::rows(&plan));
    let retries = document["values"].as_array().expect("values").iter().find(|row| row["key"] == "retries.count");
    let wanted = json!({
        "section": "profile.ci", "part": null, "key": "retries.count", "value": 2,
        "origin": "regatta.toml:7 [profile.ci]",
    });
    assert_eq!(retries, Some(&wanted));
    assert_eq!(document["suites"], json!(["api"]));
}
