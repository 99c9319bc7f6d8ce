//! JUnit XML.

use super::{hostile, in_folder, many, told};
use crate::report::{Sources, junit};
use crate::view::script::story::mixed;
use crate::view::script::{Came, Script, asked, came};
use regatta_domain::{Outcome, Verdict};
use regatta_wire::v1;
use std::collections::BTreeSet;
use std::fs;

fn xml(script: &Script<'_>) -> Vec<String> {
    xml_of(script, junit::EVERYWHERE)
}

fn xml_of(script: &Script<'_>, most: junit::Most) -> Vec<String> {
    in_folder(|folder| {
        let written = junit::write(&folder.join("junit.xml"), &script.view, &script.outputs, &Sources::here(), most)
            .expect("written");
        let names: Vec<_> = written.iter().map(|path| path.file_name().expect("a name").to_string_lossy()).collect();
        assert_eq!(names[..names.len().min(3)], ["junit.xml", "junit-2.xml", "junit-3.xml"][..names.len().min(3)]);
        written.iter().map(|path| fs::read_to_string(path).expect("text")).collect()
    })
}

fn parsed(xml: &str) -> quick_junit::Report {
    quick_junit::Report::deserialize_from_str(xml).unwrap_or_else(|error| panic!("{error}\n{xml}"))
}

#[test]
fn junit_has_one_dialect() {
    let script = told(|script| {
        script.file(0, "tests/test_a.py", &[("test_ok", 10), ("test_bad", 10), ("test_flaky", 10)]);
        script.run("tests/test_a.py::test_ok", came(Outcome::Passed, 12), Some(Verdict::Passed));
        let failed =
            Came { because: "assert 1 < 2", printed: b"\x1b[31mE\x1b[0m  assert\n", ..came(Outcome::Failed, 34) };
        script.run("tests/test_a.py::test_bad", failed, None);
        script.run(
            "tests/test_a.py::test_bad",
            Came { because: "again", ..came(Outcome::TimedOut, 5) },
            Some(Verdict::TimedOut),
        );
        script.run("tests/test_a.py::test_flaky", failed, None);
        script.run("tests/test_a.py::test_flaky", came(Outcome::Passed, 6), Some(Verdict::Flaky));
        script.end(v1::RunOutcome::Red);
    });
    let wanted = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="shop" tests="3" skipped="0" failures="1" errors="0" uuid="01920000-0000-7000-8000-000000000001" timestamp="2026-01-02T03:04:05.000+00:00" time="0.091">
    <testsuite name="api" tests="3" skipped="0" errors="0" failures="1" timestamp="2026-01-02T03:04:05.000+00:00" time="0.091">
        <testcase name="test_ok" classname="tests/test_a.py" timestamp="2026-01-02T03:04:05.000+00:00" time="0.012" file="tests/test_a.py" line="10">
            <properties>
                <property name="suite" value="api"/>
                <property name="worker" value="w1"/>
                <property name="slot" value="0"/>
                <property name="attempt" value="1"/>
            </properties>
        </testcase>
        <testcase name="test_bad" classname="tests/test_a.py" timestamp="2026-01-02T03:04:05.012+00:00" time="0.039" file="tests/test_a.py" line="20">
            <properties>
                <property name="suite" value="api"/>
                <property name="worker" value="w1"/>
                <property name="slot" value="0"/>
                <property name="attempt" value="2"/>
                <property name="cause" value="timeout"/>
                <property name="transient" value="false"/>
                <property name="verdict" value="timed out"/>
            </properties>
            <failure message="assert 1 &lt; 2" type="failed">E  assert</failure>
            <rerunFailure timestamp="2026-01-02T03:04:05.046+00:00" time="0.005" message="again" type="timed out">
            </rerunFailure>
            <system-out>E  assert</system-out>
        </testcase>
        <testcase name="test_flaky" classname="tests/test_a.py" timestamp="2026-01-02T03:04:05.051+00:00" time="0.040" file="tests/test_a.py" line="30">
            <properties>
                <property name="suite" value="api"/>
                <property name="worker" value="w1"/>
                <property name="slot" value="0"/>
                <property name="attempt" value="2"/>
                <property name="verdict" value="flaky"/>
            </properties>
            <flakyFailure timestamp="2026-01-02T03:04:05.051+00:00" time="0.034" message="assert 1 &lt; 2" type="failed">
                <stackTrace>E  assert</stackTrace>
                <system-out>E  assert</system-out>
            </flakyFailure>
        </testcase>
    </testsuite>
</testsuites>
"#;
    assert_eq!(xml(&script), [wanted]);
}

#[test]
fn junit_counts_what_was_not_run_and_what_was_wrong_beside_the_tests() {
    let script = told(mixed);
    let report = parsed(&xml(&script)[0]);
    assert_eq!((report.tests, report.failures, report.errors, report.skipped), (11, 2, 4, 2));
    let cases: Vec<String> = report
        .test_suites
        .iter()
        .flat_map(|suite| suite.test_cases.iter().map(|case| format!("{} {}", suite.name.as_str(), case.name.as_str())))
        .collect();
    assert!(cases.contains(&"core state::lost".to_owned()));
    assert!(cases.contains(&"regatta could not be collected".to_owned()));
}

#[test]
fn junit_is_well_formed_whatever_tests_print() {
    let text = xml(&told(hostile)).concat();
    parsed(&text);
    assert!(text.chars().all(|char| char == '\n' || !char.is_control()), "{text:?}");
}

#[test]
fn no_two_cases_share_classname_and_name() {
    let script = told(|script| {
        script.file(0, "tests/test_a.py", &[("test_x", 1), ("test_x\u{1}", 1), ("test_x\u{2}", 1)]);
        script.file(1, "tests/test_a.py", &[("test_x", 1)]);
        script.end(v1::RunOutcome::Red);
    });
    let report = parsed(&xml(&script)[0]);
    let cases: Vec<_> = report.test_suites.iter().flat_map(|suite| &suite.test_cases).collect();
    let pairs: BTreeSet<_> =
        cases.iter().map(|case| (case.classname.clone().expect("a classname"), case.name.clone())).collect();
    assert_eq!(pairs.len(), 4);
    assert_eq!(cases[0].classname.as_deref(), Some("tests/test_a.py"));
}

#[test]
fn junit_goes_on_in_another_file_where_one_would_grow_too_large() {
    let most = junit::Most { cases: 50, bytes: 1_000_000 };
    let parts = xml_of(&many(121, b""), most);
    let counts: Vec<usize> = parts.iter().map(|part| parsed(part).tests).collect();
    assert_eq!(counts, [50, 50, 21]);
    // Every byte of this has to be escaped.
    let most = junit::Most { cases: 50, bytes: 100_000 };
    let parts = xml_of(&many(40, &b"<".repeat(5_000)), most);
    assert!(parts.len() > 4 && parts.iter().all(|part| part.len() <= 100_000), "{}", parts.len());
    assert_eq!(parts.iter().map(|part| parsed(part).tests).sum::<usize>(), 40);
}

#[test]
fn an_empty_run_has_an_empty_report() {
    let script = told(|script| script.end(v1::RunOutcome::Empty));
    let parts = xml(&script);
    assert_eq!((parts.len(), parsed(&parts[0]).tests), (1, 0));
    super::ctrf::check(&script);
}

#[test]
fn junit_has_what_a_test_asked_of_its_databases() {
    let script = told(|script| {
        script.file(0, "tests/test_a.py", &[("test_x", 10)]);
        script.seen = Some(asked(&[("SELECT $1", 40, 8)]));
        script.run("tests/test_a.py::test_x", came(Outcome::Passed, 10), Some(Verdict::Passed));
        script.end(v1::RunOutcome::Green);
    });
    let xml = xml(&script).concat();
    for property in [r#"name="database.calls" value="40""#, r#"name="database.time" value="0.008000""#] {
        assert!(xml.contains(property), "{xml}");
    }
}
