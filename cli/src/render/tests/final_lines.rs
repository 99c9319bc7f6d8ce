//! What is seen when a run has ended.

use super::stage::{log, shown};
use crate::args::{FailureOutput, StatusLevel};
use crate::exit::Exit;
use crate::render::Options;
use crate::view::script::story::mixed;
use crate::view::script::{Came, Script, came};
use regatta_domain::{Cause, Outcome, Verdict};
use regatta_wire::v1;
use regatta_wire::v1::run_event::Event;

/// The rows from the last blank one on.
fn last_lines(options: Options, exit: Exit, story: impl FnOnce(&mut Script<'_>)) -> String {
    let rows = shown(options, exit, |script, _| story(script)).rows;
    let from = rows.iter().rposition(String::is_empty).map_or(0, |at| at + 1);
    rows[from..].join("\n")
}

const MIXED: &str = r"
   FLAKY 2/3 [   0.006s] api tests/test_a.py::test_flaky
             attempt 1 failed after 0.005s on slot 0: ConnectionError: reset
             attempt 2 passed after 0.006s on slot 0
  output of attempt 1:
  │ connecting...
  │ reset
  run it again: regatta run api --profile ci 'tests/test_a.py::test_flaky'

  TRY 2 FAIL [   0.034s] api tests/test_a.py::test_bad[a b]
             attempt 1 failed after 0.034s on slot 0: AssertionError: assert 1 == 2
             attempt 2 failed after 0.034s on slot 0: AssertionError: assert 1 == 2
  output of attempt 2:
  │ def test_bad():
  │ >   assert 1 == 2
  │ E   assert 1 == 2
  │
  │ tests/test_a.py:7: AssertionError
  run it again: regatta run api --profile ci 'tests/test_a.py::test_bad[a b]'

     TIMEOUT [  60.000s] api tests/test_b.py::test_hang
             exceeded its limit of 1m
  run it again: regatta run api --profile ci 'tests/test_b.py::test_hang'

       CRASH [   0.007s] api tests/test_b.py::test_segv
             SIGSEGV
             cause: crash
  │ about to\xff\x00 crash
  run it again: regatta run api --profile ci 'tests/test_b.py::test_segv'

       ERROR [   0.001s] api tests/test_b.py::test_setup
             fixture 'db' not found
             cause: set-up
  run it again: regatta run api --profile ci 'tests/test_b.py::test_setup'

       ERROR tests/test_c.py (could not be collected), 2 times
  │ Traceback:
  │   import nope
  │ ModuleNotFoundError: nope

FLAKY tests/test_a.py::test_flaky - passed at attempt 2, before: ConnectionError: reset
FAILED tests/test_a.py::test_bad[a b] - AssertionError: assert 1 == 2
TIMED OUT tests/test_b.py::test_hang - exceeded its limit of 1m
CRASHED tests/test_b.py::test_segv - SIGSEGV
ERROR tests/test_b.py::test_setup - fixture 'db' not found
NOT RUN core::state::lost
ERROR tests/test_c.py - ModuleNotFoundError: nope

     Summary 3 passed, 3 failed (1 timed out, 1 crashed), 3 errors, 1 not run, 1 flaky, 1 skipped, 1 xfailed
     exit 1: tests-failed; cancelled after as many failures as --fail-fast allows; `regatta rerun` runs what is left
        Done in 1m 00s on 4 slots; bound 1m 00s (longest group; work 1m 00s / 4 slots), ratio 1.00; held back by its longest group (1m 00s), with tests/test_b.py::test_hang";

#[test]
fn everything_that_went_wrong_is_told_with_its_output_and_a_command() {
    let rows = shown(log(), Exit::TestsFailed, |script, _| mixed(script)).rows;
    let from = rows.iter().position(String::is_empty).expect("a blank line before the blocks");
    assert_eq!(rows[from..].join("\n"), MIXED);
}

#[test]
fn a_green_run_ends_in_two_lines() {
    let lines = last_lines(log(), Exit::Ok, |script| {
        script.file(0, "tests/test_a.py", &[("test_x", 10), ("test_y", 10)]);
        for id in ["tests/test_a.py::test_x", "tests/test_a.py::test_y"] {
            script.run(id, came(Outcome::Passed, 1_250), Some(Verdict::Passed));
        }
        script.pass_ms(300);
        script.end(v1::RunOutcome::Green);
    });
    let wanted = "         \
         Run 01920000-0000-7000-8000-000000000001
    Starting 2 tests in api (pytest), core (rust)
             4 slots
     Summary 2 passed
        Done in 2.80s on 4 slots; bound 1.25s (longest group; work 2.50s / 4 slots), ratio 2.24; held back by starting \
        frameworks and fixtures (1.55s)";
    assert_eq!(lines, wanted);
}

#[test]
fn a_resource_that_bound_the_run_is_named() {
    let lines = last_lines(log(), Exit::Ok, |script| {
        let need = regatta_domain::Need::new("db", 1);
        script.view.needs = vec![regatta_domain::Needs::all([need])];
        script.view.seats.insert("db".into(), 1);
        script.file(0, "tests/test_a.py", &[("test_x", 10), ("test_y", 10)]);
        script.view.tests.iter_mut().for_each(|test| test.needs = 1);
        for id in ["tests/test_a.py::test_x", "tests/test_a.py::test_y"] {
            script.run(id, came(Outcome::Passed, 1_250), Some(Verdict::Passed));
        }
        script.end(v1::RunOutcome::Green);
    });
    let wanted = "Done in 2.50s on 4 slots; bound 2.50s (resource db; work 2.50s / 4 slots), ratio 1.00; held back by the resource \
                  db, busy for 2.50s";
    assert!(lines.ends_with(wanted), "{lines}");
}

#[test]
fn a_run_that_waited_for_what_others_held_says_so() {
    let lines = last_lines(log(), Exit::Ok, |script| {
        script.view.needs = vec![regatta_domain::Needs::all([regatta_domain::Need::new("phone", 1)])];
        script.file(0, "tests/test_a.py", &[("test_x", 10), ("test_y", 10)]);
        script.view.tests[1].needs = 1;
        for (id, wait) in [("tests/test_a.py::test_x", 0), ("tests/test_a.py::test_y", 55_000)] {
            script.pass_ms(wait);
            let token = script.lease(0, &[id]);
            script.pass_ms(1_000);
            script.result(token, id, came(Outcome::Passed, 1_000), Some(Verdict::Passed));
            script.event(Event::LeaseEnded(v1::LeaseEnded { token, ..v1::LeaseEnded::default() }));
        }
        script.end(v1::RunOutcome::Green);
    });
    assert!(lines.ends_with("held back by waiting for the resource phone (55.0s)"), "{lines}");
}

#[test]
fn whatever_a_test_met_with_has_words_of_its_own() {
    let wanted = "
       CRASH [   1.000s] api tests/test_a.py::test_x
             signal 11 (SIGSEGV)
             cause: crash, SIGSEGV (11)
  │ the last words
  run it again: regatta run api --profile ci 'tests/test_a.py::test_x'

 TRY 2 CRASH [   1.000s] api tests/test_a.py::test_y
             attempt 1 was lost on slot 0: worker w1 was lost; it had run for 12.0s; its last output was not received
             attempt 2 crashed (out of memory) after 1.000s on slot 0: signal 9 (SIGKILL)
             cause: out of memory, SIGKILL (9); the system ended it for want of memory: let it use less, give the worker more, or run fewer slots
  run it again: regatta run api --profile ci 'tests/test_a.py::test_y'

       CRASH [         ] api tests/test_a.py::test_z
             worker w1 was asked to leave, and broke it off; it had run for 3.00s; its last output was not received
             attempt 1 was lost on slot 0: worker w1 was asked to leave, and broke it off; it had run for 3.00s; its last output was not received
             cause: drained; its worker was asked to leave and could not wait for it: give workers more time to end
  run it again: regatta run api --profile ci 'tests/test_a.py::test_z'
";
    let lines = shown(log(), Exit::TestsFailed, |script, _| {
        let [x, y, z] = ["x", "y", "z"].map(|name| format!("tests/test_a.py::test_{name}"));
        script.file(0, "tests/test_a.py", &[("test_x", 10), ("test_y", 10), ("test_z", 10)]);
        let crashed = |because| Came { because, printed: b"the last words\n", ..came(Outcome::Crashed, 1_000) };
        script.why = Some((Some(Cause::Crash), Some(regatta_domain::Exit::Signal(11))));
        script.run(&x, crashed("signal 11 (SIGSEGV)"), Some(Verdict::Crashed));
        let lose = |script: &mut Script<'_>, id: &str, why: v1::Cause, verdict: v1::Verdict, ran: u64| {
            let token = script.lease(0, &[id]);
            script.event(Event::LeaseEnded(v1::LeaseEnded {
                token,
                blamed: Some(script.ix(id)),
                why: why.into(),
                verdict: verdict.into(),
                attempt: 1,
                ran,
                ..v1::LeaseEnded::default()
            }));
        };
        lose(script, &y, v1::Cause::WorkerLost, v1::Verdict::Unspecified, 12_000_000);
        script.why = Some((Some(Cause::OutOfMemory), Some(regatta_domain::Exit::Signal(9))));
        let killed = Came { printed: b"", ..crashed("signal 9 (SIGKILL)") };
        script.run(&y, killed, Some(Verdict::Crashed));
        lose(script, &z, v1::Cause::Drained, v1::Verdict::Crashed, 3_000_000);
        script.end(v1::RunOutcome::Red);
    });
    let lines = lines.rows.join("\n");
    for line in wanted.lines() {
        assert!(lines.contains(line), "{line}\nis not in\n{lines}");
    }
    assert!(lines.contains("\n      Causes 1 crash, 1 out of memory, 1 drained\n"), "{lines}");
}

#[test]
fn an_empty_run_says_that_it_is_empty() {
    let lines = last_lines(log(), Exit::NoTests, |script| {
        script.pass_ms(20);
        script.end(v1::RunOutcome::Empty);
    });
    let wanted = "     \
     Summary no tests were selected by `tag(none)`
     exit 4: no-tests; see `regatta explain 4`
        Done in 0.02s";
    assert!(lines.ends_with(wanted), "{lines}");
}

#[test]
fn a_run_whose_end_was_not_seen_says_so() {
    let lines = last_lines(log(), Exit::Infrastructure, |script| {
        script.file(0, "tests/test_a.py", &[("test_x", 10), ("test_y", 10)]);
        script.run("tests/test_a.py::test_x", came(Outcome::Passed, 2_000), Some(Verdict::Passed));
    });
    let wanted = "     \
     Summary 1 passed, 1 not run
     exit 3: infrastructure; see `regatta explain 3`
     Stopped after 2.00s; how the run ended was not seen";
    assert!(lines.ends_with(wanted), "{lines}");
}

#[test]
fn hostile_output_does_nothing_to_the_terminal() {
    let printed: Vec<u8> = (0..=255).chain(*b"\x1b]0;title\x07\x1b[2J\x1b[31mred\r\n::error::x\nlast").collect();
    for colour in [false, true] {
        let mut options = log();
        options.paint.colour = colour;
        let raw = shown(options, Exit::TestsFailed, |script, _| {
            script.file(0, "tests/test_a.py", &[("test_x\u{1b}[2J\n::set-env::", 10)]);
            let failed = Came { because: "a\u{7}b", printed: &printed, ..came(Outcome::Failed, 1) };
            script.run("tests/test_a.py::test_x\u{1b}[2J\n::set-env::", failed, Some(Verdict::Failed));
            script.end(v1::RunOutcome::Red);
        })
        .raw;
        let escapes = raw.match_indices('\u{1b}').map(|(at, _)| &raw[at..]);
        for escape in escapes {
            let end = escape.find(|char: char| char.is_ascii_alphabetic()).expect("an end");
            assert_eq!(&escape[end..=end], "m", "{:?}", &escape[..20]);
        }
        assert!(colour || !raw.contains('\u{1b}'));
        assert!(raw.chars().all(|char| char == '\n' || char == '\t' || char == '\u{1b}' || !char.is_control()));
        assert!(raw.lines().all(|line| !line.trim_start().starts_with("::")), "{raw}");
    }
}

#[test]
fn a_long_output_is_cut_in_the_middle_and_the_cut_is_said() {
    let printed: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
    let rows = shown(log(), Exit::TestsFailed, |script, _| {
        script.file(0, "tests/test_a.py", &[("test_x", 10)]);
        let failed = Came { printed: printed.as_bytes(), ..came(Outcome::Failed, 1) };
        script.run("tests/test_a.py::test_x", failed, Some(Verdict::Failed));
        script.end(v1::RunOutcome::Red);
    })
    .rows;
    let behind: Vec<&String> = rows.iter().filter(|row| row.starts_with("  │ ")).collect();
    assert_eq!(behind.len(), 251);
    assert_eq!(behind[62], "  │ … 9,750 lines (96,524 bytes) left out here; reports have them …");
    assert_eq!(behind[250], "  │ line 9999");
}

#[test]
fn of_very_many_failures_each_is_listed_and_the_first_are_told() {
    let names: Vec<String> = (0..600).map(|n| format!("test_{n}")).collect();
    let rows = shown(log(), Exit::TestsFailed, |script, _| {
        let tests: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 10)).collect();
        script.file(0, "tests/test_a.py", &tests);
        for name in &names {
            script.run(&format!("tests/test_a.py::{name}"), came(Outcome::Failed, 1), Some(Verdict::Failed));
        }
        script.end(v1::RunOutcome::Red);
    })
    .rows;
    let count = |start: &str| rows.iter().filter(|row| row.starts_with(start)).count();
    assert_eq!((count("  run it again:"), count("FAILED tests/")), (50, 500));
    assert!(rows.contains(&"FAILED … and 100 more".to_owned()));
}

#[test]
fn output_is_shown_when_it_was_asked_for() {
    let blocks = |failure_output| {
        let rows = shown(Options { failure_output, ..log() }, Exit::TestsFailed, |script, _| mixed(script)).rows;
        let count = |what: &str| rows.iter().filter(|row| row.contains(what)).count();
        (count("  │ E   assert 1 == 2"), count("run it again"), count("FAILED tests/test_a.py"))
    };
    assert_eq!(blocks(FailureOutput::Final), (1, 5, 1));
    assert_eq!(blocks(FailureOutput::Never), (0, 5, 1));
    assert_eq!(blocks(FailureOutput::Immediate), (0, 0, 1));
}

#[test]
fn the_final_level_adds_lines() {
    let lines = |final_status_level| {
        let options = Options { final_status_level, status_level: Some(StatusLevel::None), ..log() };
        let rows = shown(options, Exit::TestsFailed, |script, _| mixed(script)).rows;
        let count = |what: &str| rows.iter().filter(|row| row.contains(what)).count();
        (count("        PASS"), count("        SKIP"), count("FAILED tests/"), count("FLAKY tests/"))
    };
    assert_eq!(lines(StatusLevel::None), (0, 0, 0, 0));
    assert_eq!(lines(StatusLevel::Fail), (0, 0, 1, 1));
    assert_eq!(lines(StatusLevel::Pass), (2, 0, 1, 1));
    assert_eq!(lines(StatusLevel::Skip), (2, 1, 1, 1));
}

#[test]
fn an_output_that_could_not_be_fetched_is_no_reason_to_be_silent() {
    let rows = shown(log(), Exit::TestsFailed, |script, _| {
        mixed(script);
        script.outputs = crate::view::Outputs::default();
    })
    .rows;
    assert!(rows.contains(&"  its output (87 bytes) could not be fetched".to_owned()));
}

#[test]
fn a_shuffled_run_is_repeated_in_the_same_order() {
    let rows = shown(log(), Exit::TestsFailed, |script, _| {
        script.view.policy.shuffle = Some(42);
        script.file(0, "-odd.py", &[("it's", 10)]);
        script.run("-odd.py::it's", came(Outcome::Failed, 1), Some(Verdict::Failed));
        script.end(v1::RunOutcome::Red);
    })
    .rows;
    assert!(rows.iter().any(|row| row.ends_with("4 slots, shuffled (--shuffle=42 gives the same order)")));
    assert!(rows.iter().any(|row| row.ends_with(r"regatta run api --profile ci --shuffle=42 -- '-odd.py::it'\''s'")));
}
