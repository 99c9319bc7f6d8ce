//! The stream of events, held to the schema that is published.

use super::{ENDING, hostile, in_folder};
use crate::render::Ending;
use crate::report::{Recording, Stream, event_schema};
use crate::usual::Usual;
use crate::view::script::story::mixed;
use crate::view::script::{Script, asked, came};
use regatta_domain::history::Queried;
use regatta_domain::{Micros, Outcome, Verdict};
use regatta_wire::v1;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The stream of a story, every line of which the published schema accepts.
fn stream(story: impl FnOnce(&mut Script<'_>)) -> Vec<Value> {
    stream_to(&ENDING, story)
}

fn stream_to(ending: &Ending<'_>, story: impl FnOnce(&mut Script<'_>)) -> Vec<Value> {
    let mut text = Vec::new();
    let stream = RefCell::new(Stream::new(&mut text));
    let mut script = Script::new(&[("api", "pytest"), ("core", "rust")], |view, news, _| {
        stream.borrow_mut().news(view, news).expect("a vector takes everything");
    });
    story(&mut script);
    stream.borrow_mut().finish(&script.view, ending).expect("a vector takes everything");
    drop(script);
    drop(stream);
    let validator = jsonschema::validator_for(event_schema().as_value()).expect("a schema");
    let line = |line: &[u8]| {
        let event: Value = serde_json::from_slice(line).expect("JSON");
        if let Err(error) = validator.validate(&event) {
            panic!("{error}\n{event}");
        }
        event
    };
    text.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()).map(line).collect()
}

#[test]
fn the_stream_says_everything_once_and_as_published() {
    let events = stream(mixed);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &events {
        assert_eq!(event["v"], 1);
        *kinds.entry(event["event"].as_str().expect("a kind")).or_default() += 1;
    }
    let wanted = [
        ("error", 2),
        ("files_planned", 3),
        ("run_cancelled", 1),
        ("run_finished", 1),
        ("run_started", 1),
        ("shard_leased", 11),
        ("test_finished", 10),
        ("test_retried", 2),
        ("test_started", 11),
        ("tests_planned", 3),
    ];
    assert_eq!(kinds, BTreeMap::from(wanted));
    let finished = events.last().expect("an end");
    let wanted = serde_json::json!({
        "passed": 3, "failed": 3, "skipped": 1, "xfailed": 1, "xpassed": 0, "errors": 3, "flaky": 1,
        "timed_out": 1, "crashed": 1, "not_run": 1,
    });
    assert_eq!(finished["counts"], wanted);
    assert_eq!(finished["exit"], serde_json::json!({ "code": 1, "name": "tests-failed" }));
    assert_eq!((&finished["outcome"], &finished["first_lease_s"]), (&"cancelled".into(), &0.0.into()));
    let flaky = events.iter().find(|event| event["verdict"] == "flaky").expect("a flaky test");
    assert_eq!((&flaky["id"], &flaky["attempts"]), (&"tests/test_a.py::test_flaky".into(), &2.into()));
    assert_eq!((&flaky["duration_s"], &flaky["worker"], &flaky["slot"]), (&0.006.into(), &"w1".into(), &0.into()));
    stream(hostile);
}

#[test]
fn what_a_test_asked_of_its_databases_is_in_the_stream() {
    let mut usual = Usual::default();
    let before = [Queried { calls: 4, time: Micros::from_ms(1) }; 5];
    usual.insert("api", "tests/test_a.py::test_x".to_owned(), before.into_iter().collect());
    let ending = Ending { usual: Some(&usual), ..ENDING };
    let events = stream_to(&ending, |script| {
        script.file(0, "tests/test_a.py", &[("test_x", 10), ("test_y", 10)]);
        for name in ["test_x", "test_y"] {
            script.seen = Some(asked(&[("SELECT $1", 40, 8)]));
            script.run(&format!("tests/test_a.py::{name}"), came(Outcome::Passed, 10), Some(Verdict::Passed));
        }
        script.end(v1::RunOutcome::Green);
    });
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let wanted = json!({
        "calls": 40, "time_s": 0.008, "whole": true,
        "top": [{ "text": "SELECT $1", "calls": 40, "rows": 80, "time_s": 0.008 }],
    });
    assert_eq!(of("test_finished")[0]["database"]["asked"], wanted);
    let more = of("test_asked_more");
    assert_eq!((more.len(), &more[0]["id"]), (1, &json!("tests/test_a.py::test_x")));
    assert_eq!(more[0]["now"], json!({ "calls": 40, "time_s": 0.008 }));
    assert_eq!((&more[0]["usual"]["calls"], &more[0]["more_time"]), (&json!(4), &json!(false)));
    assert_eq!(events.last().map(|event| &event["event"]), Some(&json!("run_finished")));
}

#[test]
fn what_came_too_late_is_in_the_stream_and_is_no_verdict() {
    let events = stream(|script| {
        script.file(0, "tests/test_a.py", &[("test_x", 10)]);
        let outcome = v1::Outcome::from(Outcome::Failed).into();
        let late = v1::RefusedResult { test: 0, attempt: 1, outcome, started: 1, duration: 250_000 };
        let refused = v1::ResultsRefused { token: 77, worker: "w1".to_owned(), results: vec![late] };
        script.event(v1::run_event::Event::ResultsRefused(refused));
        script.run("tests/test_a.py::test_x", came(Outcome::Passed, 10), Some(Verdict::Passed));
        script.end(v1::RunOutcome::Green);
    });
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let [late] = of("test_refused")[..] else { panic!("{events:?}") };
    assert_eq!(
        (&late["id"], &late["lease"], &late["attempt"]),
        (&json!("tests/test_a.py::test_x"), &json!(77), &json!(1))
    );
    assert_eq!((&late["outcome"], &late["duration_s"]), (&json!("failed"), &json!(0.25)));
    assert_eq!(of("test_finished")[0]["verdict"], "passed");
}

#[test]
fn a_test_that_was_never_listed_again_leaves_the_stream() {
    let events = stream(|script| {
        let file = script.file(0, "tests/test_a.py", &[("test_x", 10), ("test_y", 10)]);
        let gone = v1::TestsPlanned { file, tests: Vec::new(), gone: vec![1] };
        script.event(v1::run_event::Event::TestsPlanned(gone));
        script.end(v1::RunOutcome::Red);
    });
    let gone = events.iter().find(|event| event["event"] == "test_gone").expect("it is said");
    assert_eq!(gone["id"], "tests/test_a.py::test_y");
}

/// `REGATTA_BLESS=1 cargo test -p regatta` writes it anew.
#[test]
fn the_published_schema_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/events.schema.json");
    let generated = serde_json::to_string_pretty(&event_schema()).expect("a schema is JSON") + "\n";
    if std::env::var_os("REGATTA_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("docs can be written");
        fs::write(&path, &generated).expect("docs can be written");
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        generated == published,
        "event.rs and docs/schema differ; `REGATTA_BLESS=1 cargo test -p regatta` writes it anew"
    );
}

#[test]
fn a_recording_is_the_stream_as_a_file() {
    in_folder(|folder| {
        let path = folder.join("reports/events.ndjson");
        let recording = RefCell::new(Some(Recording::create(&path).expect("begun")));
        let mut script = Script::new(&[("api", "pytest"), ("core", "rust")], |view, news, _| {
            recording.borrow_mut().as_mut().expect("not finished").news(view, news).expect("written");
        });
        mixed(&mut script);
        assert!(!path.exists());
        let recording = recording.take().expect("not finished");
        assert_eq!(recording.finish(&script.view, &ENDING).expect("written"), path);
        let lines = fs::read_to_string(&path).expect("text").lines().count();
        assert_eq!(lines, stream(mixed).len());
    });
}

#[test]
fn the_schema_refuses_what_was_not_published() {
    let validator = jsonschema::validator_for(event_schema().as_value()).expect("a schema");
    let finished = stream(mixed).into_iter().find(|event| event["event"] == "test_finished").expect("a test");
    let mut more = finished.clone();
    more["added_in_a_later_version"] = 1.into();
    assert!(validator.is_valid(&more), "what is added breaks nobody");
    for (field, value) in
        [("v", 2.into()), ("event", "test_ended".into()), ("verdict", "green".into()), ("id", Value::Null)]
    {
        let mut other = finished.clone();
        other[field] = value;
        assert!(!validator.is_valid(&other), "{field}");
    }
}
