//! CTRF, held to its published schema: that of the package `ctrf` 0.3.0, MIT, unchanged, with its licence beside it.

use super::{hostile, in_folder, told};
use crate::report::{Sources, ctrf};
use crate::view::script::Script;
use crate::view::script::story::mixed;
use serde_json::Value;
use std::fs;

/// The report of the run, which its published schema accepts.
pub(super) fn check(script: &Script<'_>) -> Value {
    let schema: Value = serde_json::from_str(include_str!("../../../tests/ctrf/ctrf-schema-0.0.json")).expect("JSON");
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    let text = in_folder(|folder| {
        let path = folder.join("ctrf.json");
        ctrf::write(&path, &script.view, &script.outputs, &Sources::here()).expect("written");
        fs::read_to_string(path).expect("text")
    });
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let mistakes: Vec<String> =
        validator.iter_errors(&report).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    report
}

#[test]
fn ctrf_is_what_its_schema_says_and_red_is_failed() {
    check(&told(hostile));
    let report = check(&told(mixed));
    let summary = &report["results"]["summary"];
    let counts: Vec<u64> = ["tests", "passed", "failed", "skipped", "flaky"]
        .iter()
        .map(|name| summary[name].as_u64().expect("a count"))
        .collect();
    assert_eq!(counts, [11, 3, 6, 2, 1]);
    let tests = report["results"]["tests"].as_array().expect("a list");
    let of = |name: &str| tests.iter().find(|test| test["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!((&of("state::lost")["status"], &of("state::lost")["rawStatus"]), (&"failed".into(), &"not run".into()));
    assert_eq!(of("test_flaky")["flaky"], true);
    assert_eq!(of("test_flaky")["retryAttempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(of("test_bad[a b]")["filePath"], "tests/test_a.py");
    assert_eq!(of("test_bad[a b]")["line"], 20);
    assert_eq!(of("test_bad[a b]")["id"], "00000000-0000-0000-0000-000000000002");
    assert_eq!(of("test_bad[a b]")["threadId"], "w1/0");
    assert!(of("test_bad[a b]")["trace"].as_str().expect("a trace").ends_with("test_a.py:7: AssertionError"));
}
