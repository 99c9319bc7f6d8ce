//! What is seen while a run goes on.

use super::stage::{log, shown, so_far, terminal};
use crate::args::{FailureOutput, Progress, StatusLevel};
use crate::exit::Exit;
use crate::render::{Options, Screen};
use crate::view::News;
use crate::view::script::story::{erred, mixed};
use crate::view::script::{Came, Script, came};
use regatta_domain::{Outcome, TestIx, Time, Verdict};
use regatta_wire::v1::{self, run_event::Event};

const ORDERS: &str = "tests/unit/backend/test_orders_and_invoices.py";

/// Eleven tests run at once, for different times; five have ended.
fn busy(script: &mut Script<'_>, tick: &dyn Fn(&Script<'_>)) {
    let names: Vec<String> = (0..40).map(|n| format!("test_{n}[日本語-{n}]")).collect();
    let tests: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 2_000)).collect();
    script.file(0, ORDERS, &tests);
    let id = |n: usize| format!("{ORDERS}::{}", names[n]);
    let token = script.lease(0, &[&id(0)]);
    for n in 0..4 {
        script.start(0, &id(n));
        script.pass_ms(1_000);
        script.result(token, &id(n), came(Outcome::Passed, 1_000), Some(Verdict::Passed));
    }
    script.result(
        token,
        &id(4),
        Came { because: "AssertionError", ..came(Outcome::Failed, 10) },
        Some(Verdict::Failed),
    );
    for n in 5..16 {
        script.start(u32::try_from(n).expect("few"), &id(n));
        script.pass_ms(1_250);
        tick(script);
    }
}

/// The rows of the frame: the last ones, from the bar on.
fn frame(columns: usize, rows: usize) -> String {
    let shown = so_far(terminal(columns, rows), busy);
    let from = shown.rows.iter().rposition(|row| row.contains("Running")).expect("a bar");
    shown.rows[from..].join("\n")
}

#[test]
fn a_terminal_shows_a_bar_and_the_tests_that_run_longest() {
    let wanted = "     \
     Running 00:17 [██▍                ] 5/40 ~25s left: 1 failed, 11 running,…
        SLOW [    13.8s] api tests/unit/backe…and_invoices.py::test_5[日本語-5]
        SLOW [    12.5s] api tests/unit/backe…and_invoices.py::test_6[日本語-6]
        SLOW [    11.2s] api tests/unit/backe…and_invoices.py::test_7[日本語-7]
        SLOW [    10.0s] api tests/unit/backe…and_invoices.py::test_8[日本語-8]
             [     8.8s] api tests/unit/backe…and_invoices.py::test_9[日本語-9]
             [     7.5s] api tests/unit/backe…d_invoices.py::test_10[日本語-10]
             [     6.2s] api tests/unit/backe…d_invoices.py::test_11[日本語-11]
             [     5.0s] api tests/unit/backe…d_invoices.py::test_12[日本語-12]
             … and 3 more";
    assert_eq!(frame(80, 24), wanted);
}

#[test]
fn a_narrow_terminal_leaves_out_what_matters_least() {
    let wanted = "     \
     Running 00:17 5/40 ~25s left: 1 f…
        SLOW [    13.8s] api tes…語-5]
        SLOW [    12.5s] api tes…語-6]
             … and 9 more";
    assert_eq!(frame(40, 6), wanted);
}

#[test]
fn a_wide_terminal_shows_everything() {
    let wanted = "     \
     Running 00:17 [███▊                          ] 5/40 ~25s left: 1 failed, 11 running, 4 passed
        SLOW [    13.8s] api tests/unit/backend/test_orders_and_invoices.py::test_5[日本語-5]";
    assert!(frame(200, 24).starts_with(wanted), "{}", frame(200, 24));
}

#[test]
fn a_log_tells_failures_slow_tests_and_progress_and_nothing_twice() {
    let shown = so_far(log(), busy);
    let wanted = "         \
         Run 01920000-0000-7000-8000-000000000001
    Starting 40 tests in api (pytest), core (rust)
             4 slots
        FAIL [   0.010s] api tests/unit/backend/test_orders_and_invoices.py::test_4[日本語-4]
             AssertionError
    Progress 00:05 5/40 (12%) ~26s left: 1 failed, 1 running, 4 passed
        SLOW [> 10.000s] api tests/unit/backend/test_orders_and_invoices.py::test_5[日本語-5]
        SLOW [> 10.000s] api tests/unit/backend/test_orders_and_invoices.py::test_6[日本語-6]
        SLOW [> 10.000s] api tests/unit/backend/test_orders_and_invoices.py::test_7[日本語-7]
        SLOW [> 10.000s] api tests/unit/backend/test_orders_and_invoices.py::test_8[日本語-8]";
    assert_eq!(shown.rows.join("\n"), wanted);
    assert!(!shown.raw.contains('\u{1b}'));
}

#[test]
fn a_run_that_nobody_takes_says_so() {
    let story = |script: &mut Script<'_>, tick: &dyn Fn(&Script<'_>)| {
        script.unlisted(0, "tests/test_a.py");
        script.pass_ms(700);
        tick(script);
        script.event(Event::Note(v1::Note { text: "compiling 3 of 40\u{1b}[2J".to_owned() }));
        script.pass_ms(700);
        tick(script);
        tick(script);
    };
    let wanted = "         \
         Run 01920000-0000-7000-8000-000000000001
    Starting 1 file to list in api (pytest), core (rust)
             4 slots
        Note compiling 3 of 40\\x1b[2J
     Waiting no worker has taken work yet";
    assert_eq!(so_far(log(), story).rows.join("\n"), wanted);
    let wanted = "     \
     Waiting 00:01 0/0+: no worker has taken work yet, 1 file to list
             compiling 3 of 40\\x1b[2J";
    assert_eq!(so_far(terminal(80, 24), story).rows[3..].join("\n"), wanted);
}

#[test]
fn each_level_adds_its_lines() {
    let verbs = |level| {
        let shown = so_far(Options { status_level: Some(level), ..log() }, |script, _| mixed(script));
        let is_line = |row: &&String| row.contains("s] ") || row.contains("[   ");
        shown.rows.iter().filter(is_line).map(|row| row[..12].trim().to_owned()).collect::<Vec<_>>().join(", ")
    };
    let wanted = [
        (StatusLevel::None, ""),
        (StatusLevel::Fail, "TRY 2 FAIL, TIMEOUT, CRASH, ERROR"),
        (StatusLevel::Retry, "TRY 1 FAIL, TRY 2 FAIL, TRY 1 FAIL, TRY 2 PASS, TIMEOUT, CRASH, ERROR"),
        (StatusLevel::Pass, "PASS, TRY 1 FAIL, TRY 2 FAIL, TRY 1 FAIL, TRY 2 PASS, TIMEOUT, CRASH, ERROR, PASS"),
        (
            StatusLevel::Skip,
            "PASS, TRY 1 FAIL, TRY 2 FAIL, TRY 1 FAIL, TRY 2 PASS, SKIP, TIMEOUT, CRASH, ERROR, XFAIL, PASS",
        ),
    ];
    for (level, wanted) in wanted {
        assert_eq!(verbs(level), wanted, "{level:?}");
    }
    assert!(verbs(StatusLevel::All).ends_with("XFAIL, PASS, NOT RUN"));
}

#[test]
fn a_counter_stands_in_front_of_every_test() {
    let shown = so_far(Options { progress: Progress::Counter, ..log() }, |script, _| mixed(script));
    let wanted = "        \
        PASS [   0.012s] (1/10) api tests/test_a.py::test_ok
  TRY 1 FAIL [   0.034s] (1/10) api tests/test_a.py::test_bad[a b]
             AssertionError: assert 1 == 2
  TRY 2 FAIL [   0.034s] (2/10) api tests/test_a.py::test_bad[a b]";
    assert_eq!(shown.rows[3..7].join("\n"), wanted);
}

#[test]
fn an_error_beside_the_tests_is_told_at_once_and_once() {
    let shown = so_far(log(), |script, _| {
        erred(script, v1::RunErrorKind::Build, "core", "error[E0308]\nmismatched types\n\n");
        erred(script, v1::RunErrorKind::Build, "core", "error[E0308]\nmismatched types\n\n");
    });
    assert_eq!(shown.rows[3..], ["       ERROR core: mismatched types"]);
}

#[test]
fn an_output_that_was_asked_for_at_once_is_shown_when_it_is_there() {
    let mut script = Script::new(&[("api", "pytest")], |_, _, _| {});
    script.file(0, "tests/test_a.py", &[("test_x", 10)]);
    let token = script.lease(0, &["tests/test_a.py::test_x"]);
    let failed = Came { because: "boom", printed: b"E  boom\n", ..came(Outcome::Failed, 3) };
    script.result(token, "tests/test_a.py::test_x", failed, Some(Verdict::Failed));
    let mut written = Vec::new();
    let mut screen = Screen::new(Options { failure_output: FailureOutput::Immediate, ..log() }, &mut written);
    let (now, test) = (Time(script.now()), TestIx(0));
    screen.news(now, &script.view, &[News::Verdict(test, Verdict::Failed)]);
    assert!(screen.wants(&script.view, test).is_some());
    screen.output(&script.view, test, Some(b"E  boom\n"), &[]);
    drop(screen);
    let wanted = r"         Run 01920000-0000-7000-8000-000000000001
    Starting 1 test in api (pytest)
             4 slots

        FAIL [   0.003s] api tests/test_a.py::test_x
             boom
  │ E  boom
  run it again: regatta run api 'tests/test_a.py::test_x'
";
    assert_eq!(String::from_utf8(written).expect("text"), wanted);
}

#[test]
fn somebody_who_asks_is_told_what_runs() {
    let mut script = Script::new(&[("api", "pytest")], |_, _, _| {});
    busy(&mut script, &|_| {});
    let mut written = Vec::new();
    let mut screen = Screen::new(log(), &mut written);
    screen.running(Time(script.now()), &script.view);
    drop(screen);
    let text = String::from_utf8(written).expect("text");
    // A screen that was told of nothing before takes the last event for the present.
    let wanted = "        Info 11 tests running, 5/40 done\n        SLOW [    12.5s] api tests/";
    assert!(text.starts_with(wanted), "{text}");
    assert_eq!(text.lines().count(), 12);
}

#[test]
fn a_terminal_keeps_every_line_that_a_log_has() {
    let lines = |shown: super::stage::Shown| shown.rows;
    let story = |script: &mut Script<'_>, tick: &dyn Fn(&Script<'_>)| {
        busy(script, tick);
        script.file(1, "core", &[("a", 5), ("b", 5)]);
        script.run("core::a", Came { because: "SIGABRT", ..came(Outcome::Crashed, 900) }, Some(Verdict::Crashed));
        tick(script);
        script.end(v1::RunOutcome::Red);
    };
    let mut wanted = lines(shown(log(), Exit::TestsFailed, story));
    // A log has lines about progress instead of a bar.
    wanted.retain(|line| !line.contains("Progress"));
    for rows in [1, 2, 3, 4, 5, 7, 12, 50] {
        assert_eq!(lines(shown(terminal(400, rows), Exit::TestsFailed, story)), wanted, "{rows} rows");
    }
    for columns in [1, 2, 10, 20, 33, 80] {
        let joined = |rows: Vec<String>| rows.concat();
        let seen = joined(lines(shown(terminal(columns, 24), Exit::TestsFailed, story)));
        assert_eq!(seen, joined(wanted.clone()), "{columns} columns");
    }
}
