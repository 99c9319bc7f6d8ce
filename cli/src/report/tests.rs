//! Reports of scripted runs.

use super::{Recording, Stream, Target, ctrf, event_schema, exit_without_report, github, junit};
use crate::exit::Exit;
use crate::render::Ending;
use crate::view::script::story::{erred, mixed};
use crate::view::script::{Came, Script, came};
use regatta_domain::{Outcome, Verdict};
use regatta_wire::v1;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const ENDING: Ending<'_> = Ending { exit: Exit::TestsFailed, slots: 4, flags: &[], reports: &[] };

fn told<'a>(story: impl FnOnce(&mut Script<'_>)) -> Script<'a> {
    let mut script = Script::new(&[("api", "pytest"), ("core", "rust")], |_, _, _| {});
    story(&mut script);
    script
}

/// Many tests of one file, each of which failed and printed this.
fn many(tests: usize, printed: &[u8]) -> Script<'static> {
    told(|script| {
        let names: Vec<String> = (0..tests).map(|n| format!("test_{n}")).collect();
        let planned: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 10)).collect();
        script.file(0, "tests/test_a.py", &planned);
        let token = script.lease(0, &[]);
        for (n, name) in names.iter().enumerate() {
            let printed = if printed.is_empty() { Vec::new() } else { [printed, n.to_string().as_bytes()].concat() };
            let failed = Came { because: "boom", printed: &printed, ..came(Outcome::Failed, 1) };
            script.result(token, &format!("tests/test_a.py::{name}"), failed, Some(Verdict::Failed));
        }
        script.end(v1::RunOutcome::Red);
    })
}

/// Names, reasons and outputs that nobody should have to print.
fn hostile(script: &mut Script<'_>) {
    let name = "test_x[\u{0}\u{1b}[31m<&\"'>\n\u{fffe}]]>|`*_é]";
    script.file(0, "tests/test_a.py", &[(name, 10), ("", 10)]);
    let printed: Vec<u8> = (0..=255).chain(*b"]]> ```` </details> <script> \x1b[2J\xff").collect();
    let failed = Came { because: "]]> ` | <b>\u{7}", printed: &printed, ..came(Outcome::Failed, 1) };
    script.run(&format!("tests/test_a.py::{name}"), failed, Some(Verdict::Failed));
    script.run("tests/test_a.py", came(Outcome::Passed, 1), Some(Verdict::Passed));
    erred(script, v1::RunErrorKind::Runner, "x\u{1b}y", "]]>\u{0}\n````\n");
    script.end(v1::RunOutcome::Red);
}

fn in_folder<T>(act: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("a folder");
    act(folder.path())
}

fn xml(script: &Script<'_>) -> Vec<String> {
    xml_of(script, junit::EVERYWHERE)
}

fn xml_of(script: &Script<'_>, most: junit::Most) -> Vec<String> {
    in_folder(|folder| {
        let written = junit::write(&folder.join("junit.xml"), &script.view, &script.outputs, most).expect("written");
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
        <testcase name="test_ok" classname="tests/test_a.py" timestamp="2026-01-02T03:04:05.000+00:00" time="0.012" file="tests/test_a.py">
            <properties>
                <property name="suite" value="api"/>
                <property name="worker" value="w1"/>
                <property name="slot" value="0"/>
                <property name="attempt" value="1"/>
            </properties>
        </testcase>
        <testcase name="test_bad" classname="tests/test_a.py" timestamp="2026-01-02T03:04:05.012+00:00" time="0.039" file="tests/test_a.py">
            <properties>
                <property name="suite" value="api"/>
                <property name="worker" value="w1"/>
                <property name="slot" value="0"/>
                <property name="attempt" value="2"/>
                <property name="verdict" value="timed out"/>
            </properties>
            <failure message="assert 1 &lt; 2" type="failed">E  assert</failure>
            <rerunFailure timestamp="2026-01-02T03:04:05.046+00:00" time="0.005" message="again" type="timed out">
            </rerunFailure>
            <system-out>E  assert</system-out>
        </testcase>
        <testcase name="test_flaky" classname="tests/test_a.py" timestamp="2026-01-02T03:04:05.051+00:00" time="0.040" file="tests/test_a.py">
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
    check_ctrf(&script);
}

/// The report of the run, which its published schema accepts.
fn check_ctrf(script: &Script<'_>) -> Value {
    let schema: Value = serde_json::from_str(include_str!("../../tests/ctrf/ctrf-schema-0.0.json")).expect("JSON");
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    let text = in_folder(|folder| {
        let path = folder.join("ctrf.json");
        ctrf::write(&path, &script.view, &script.outputs).expect("written");
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
    check_ctrf(&told(hostile));
    let report = check_ctrf(&told(mixed));
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
    assert_eq!(of("test_bad[a b]")["id"], "00000000-0000-0000-0000-000000000002");
    assert_eq!(of("test_bad[a b]")["threadId"], "w1/0");
    assert!(of("test_bad[a b]")["trace"].as_str().expect("a trace").ends_with("test_a.py:7: AssertionError"));
}

/// The stream of a story, every line of which the published schema accepts.
fn stream(story: impl FnOnce(&mut Script<'_>)) -> Vec<Value> {
    let mut text = Vec::new();
    let stream = RefCell::new(Stream::new(&mut text));
    let mut script = Script::new(&[("api", "pytest"), ("core", "rust")], |view, news, _| {
        stream.borrow_mut().news(view, news).expect("a vector takes everything");
    });
    story(&mut script);
    stream.borrow_mut().finish(&script.view, &ENDING).expect("a vector takes everything");
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
fn github_reads_a_summary_with_the_worst_first() {
    let script = told(mixed);
    let wanted = r####"### 🚫 Regatta: <code>api</code>, <code>core</code> was cancelled

| passed | failed | errors | not run | flaky | skipped | xfailed |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| 3 | 3 | 3 | 1 | 1 | 1 | 1 |

Run `01920000-0000-7000-8000-000000000001` took 1m 00s on 4 slots; no schedule could have been shorter than 1m 00s. Exit code 1 (tests-failed).

#### Errors

<details><summary><code>tests/test&#95;c.py</code> could not be collected, 2 times</summary>

```text
Traceback:
  import nope
ModuleNotFoundError: nope
```

</details>

#### Failures

<details><summary><code>tests/test&#95;a.py::test&#95;bad[a b]</code> <code>AssertionError: assert 1 == 2</code></summary>

```text
regatta run api 'tests/test_a.py::test_bad[a b]'
```

```text
def test_bad():
>   assert 1 == 2
E   assert 1 == 2

tests/test_a.py:7: AssertionError
```

</details>
<details><summary><code>tests/test&#95;b.py::test&#95;hang</code> <code>exceeded its limit of 1m</code></summary>

```text
regatta run api 'tests/test_b.py::test_hang'
```


</details>
<details><summary><code>tests/test&#95;b.py::test&#95;segv</code> <code>SIGSEGV</code></summary>

```text
regatta run api 'tests/test_b.py::test_segv'
```

```text
about to\xff\x00 crash
```

</details>
<details><summary><code>tests/test&#95;b.py::test&#95;setup</code> <code>fixture 'db' not found</code></summary>

```text
regatta run api 'tests/test_b.py::test_setup'
```


</details>

#### Not run

- <code>core::state::lost</code>

#### Flaky

- <code>tests/test&#95;a.py::test&#95;flaky</code> passed at attempt 2: <code>ConnectionError: reset</code>
"####;
    assert_eq!(github::summary(&script.view, &script.outputs, &ENDING), wanted);
}

#[test]
fn githubs_limit_is_kept_and_what_is_left_out_is_said() {
    let script = many(2_000, &b"<&`".repeat(1_000));
    let page = github::summary(&script.view, &script.outputs, &ENDING);
    assert!(page.len() <= 900 * 1024 && page.len() > 800 * 1024, "{}", page.len());
    let shown = page.matches("<details>").count();
    assert!(page.ends_with(&format!("… and {} more under “Failures”.\n", crate::render::words::count(2_000 - shown))));
}

#[test]
fn markup_of_others_is_not_read_as_markup() {
    let script = told(hostile);
    let page = github::summary(&script.view, &script.outputs, &ENDING);
    let outside: String = page.split("````").step_by(2).collect();
    assert!(!outside.contains("<b>") && !outside.contains("<script>"), "{outside}");
    assert!(page.chars().all(|char| char == '\n' || char == '\t' || !char.is_control()));
}

#[test]
fn a_step_summary_is_added_to_and_any_other_report_replaces() {
    in_folder(|folder| {
        let script = told(mixed);
        let path = folder.join("summary.md");
        fs::write(&path, "before\n").expect("written");
        Target::StepSummary(path.clone()).write(&script.view, &script.outputs, &ENDING).expect("written");
        assert!(fs::read_to_string(&path).expect("text").starts_with("before\n### 🚫 Regatta"));
        Target::Github(path.clone()).write(&script.view, &script.outputs, &ENDING).expect("written");
        assert!(fs::read_to_string(&path).expect("text").starts_with("### 🚫 Regatta"));
    });
}

#[test]
fn a_report_that_cannot_be_written_is_told_and_hides_nothing_worse() {
    in_folder(|folder| {
        let script = told(mixed);
        fs::write(folder.join("file"), "").expect("written");
        let target = Target::Junit(folder.join("file/junit.xml"));
        let error = target.write(&script.view, &script.outputs, &ENDING).expect_err("a file is no folder");
        let error = crate::error::Error::from(error);
        assert_eq!(error.exit(), Exit::Infrastructure);
        let text = error.render(false);
        assert!(
            text.starts_with("error: cannot write the JUnit report to ") && text.contains("regatta report"),
            "{text}"
        );
    });
    assert_eq!(exit_without_report(Exit::Ok), Exit::Infrastructure);
    assert_eq!(exit_without_report(Exit::TestsFailed), Exit::TestsFailed);
}
