//! Which value counts, and that its origin says so.

use super::super::file::File;
use super::super::origin::{Origin, Set};
use super::super::resolve::{Given, Rule};
use super::super::value::{FailFast, Shuffle};
use super::super::{Config, settings};
use regatta_domain::filter::Filter;
use regatta_domain::{Micros, RunnerKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FILE: &str = r#"[suite.api]
runner = "pytest"
memory = "2GB"

[profile.default]
retries = 1
slow = "10s"
fail-fast = true

[profile.ci]
inherits = "base"
slots = 8

[profile.base]
retries = { count = 2, delay = "1s" }
timeout = { kill-after = "1m" }

[[profile.base.override]]
filter = "tag(db)"
timeout = "9m"
retries = 7
group = "pg"

[[profile.ci.override]]
filter = "test(slow)"
timeout = { kill-after = "5m", grace = "1s" }
priority = 5
level = "read"

[group.pg]
max = 2
"#;

fn config() -> Config {
    let (name, text): (Arc<str>, Arc<str>) = ("regatta.toml".into(), FILE.into());
    let file = File::parse(&name, &text, &|_: &Path| true).expect("the file makes sense");
    let base = PathBuf::from("/project");
    Config { file, path: Some(base.join("regatta.toml")), base, assumed: Vec::new(), name, text }
}

fn said<T>(value: T, origin: Origin) -> Option<Set<T>> {
    Some(Set { value, origin })
}

#[test]
fn the_nearest_that_says_something_counts() {
    let given = Given {
        fail_fast: said(FailFast(None), Origin::Flag("--fail-fast".to_owned())),
        run_timeout: said(Micros::from_secs(60), Origin::Env("REGATTA_RUN_TIMEOUT".to_owned())),
        ..Given::default()
    };
    let resolved = config().resolve("ci", given).expect("the profile is there");
    assert_eq!(resolved.inherits, ["base", "default"]);
    let rows = [
        (format!("{:?}", resolved.slots.value), resolved.slots.origin, "Some(8)", "regatta.toml:12 [profile.ci]"),
        (resolved.retries.value.to_string(), resolved.retries.origin, "2", "regatta.toml:15 [profile.base]"),
        (resolved.delay.value.to_string(), resolved.delay.origin, "1.000s", "regatta.toml:15 [profile.base]"),
        (
            resolved.kill_after.value.to_string(),
            resolved.kill_after.origin,
            "60.000s",
            "regatta.toml:16 [profile.base]",
        ),
        (resolved.slow.value.to_string(), resolved.slow.origin, "10.000s", "regatta.toml:7 [profile.default]"),
        (resolved.grace.value.to_string(), resolved.grace.origin, "10.000s", "built in"),
        (format!("{:?}", resolved.fail_fast.value), resolved.fail_fast.origin, "FailFast(None)", "--fail-fast"),
        (
            format!("{:?}", resolved.run_timeout.value.map(|limit| limit.0)),
            resolved.run_timeout.origin,
            "Some(60000000)",
            "REGATTA_RUN_TIMEOUT",
        ),
    ];
    for (value, origin, wanted, from) in rows {
        assert_eq!((value.as_str(), origin.to_string().as_str()), (wanted, from));
    }
}

/// Of an override: its filter, time limit in seconds, retries, group.
type Summary = (String, Option<u64>, Option<u16>, Option<String>);

/// What the overrides say, strongest first.
fn rules(given: Given) -> Vec<Summary> {
    let resolved = config().resolve("ci", given).expect("the profile is there");
    let summary = |rule: &Rule| {
        let seconds = rule.kill_after.map(|limit| limit.0 / 1_000_000);
        (rule.filter.to_string(), seconds, rule.retries, rule.group.clone())
    };
    resolved.rules.iter().map(summary).collect()
}

#[test]
fn overrides_of_the_profile_come_before_those_it_inherits() {
    let wanted = [
        ("test(slow)".to_owned(), Some(300), None, None),
        ("tag(db)".to_owned(), Some(540), Some(7), Some("pg".to_owned())),
    ];
    assert_eq!(rules(Given::default()), wanted);
}

#[test]
fn what_is_said_for_one_invocation_holds_for_every_test() {
    let given = Given { retries: said(0, Origin::Flag("--retries".to_owned())), ..Given::default() };
    let wanted = [
        ("test(slow)".to_owned(), Some(300), None, None),
        ("tag(db)".to_owned(), Some(540), None, Some("pg".to_owned())),
    ];
    assert_eq!(rules(given), wanted, "an override does not beat the command line, and its other keys still count");
}

#[test]
fn the_rules_of_the_run_reach_the_core() {
    let given = Given {
        shuffle: said(Shuffle::Drawn, Origin::Flag("--shuffle".to_owned())),
        filter: said(Filter::suite("api"), Origin::Flag("--filter".to_owned())),
        ..Given::default()
    };
    let resolved = config().resolve("default", given).expect("the profile is there");
    let policy = resolved.run_policy(7);
    assert_eq!((policy.shuffle, policy.max_failures, policy.max_losses), (Some(7), Some(1), 3));
    assert_eq!(resolved.filter.value.to_string(), "suite(=api)");
    assert_eq!(resolved.test_policy().retries, 1);
}

#[test]
fn an_unknown_profile_is_told_with_the_nearest() {
    let error = config().resolve("bsae", Given::default()).expect_err("there is none");
    let text = error.render(false);
    assert!(text.contains("there is no profile `bsae`") && text.contains("did you mean `base`?"), "{text}");
}

#[test]
fn a_suite_reaches_its_runner() {
    let config = config();
    let (name, suite) = config.suites()[0];
    assert_eq!(settings::to_json(&suite.settings), r#"{"memory_mb":2048}"#);
    let planned = config.bare(name, suite);
    assert_eq!((&*planned.name, planned.runner, &*planned.root), ("api", RunnerKind::Pytest, "/project"));
}
