//! Stories that several tests tell.

use super::{Came, Script, came};
use regatta_domain::{Nuance, Outcome, Verdict};
use regatta_wire::v1::{self, run_event::Event};

/// A run in which most things happen once.
pub(crate) fn mixed(script: &mut Script<'_>) {
    script.file(0, "tests/test_a.py", &[("test_ok", 10), ("test_bad[a b]", 10), ("test_flaky", 10), ("test_skip", 10)]);
    script.file(0, "tests/test_b.py", &[("test_hang", 10), ("test_segv", 10), ("test_setup", 10), ("test_xfail", 10)]);
    script.file(1, "core", &[("state::fold", 10), ("state::lost", 10)]);
    script.run("tests/test_a.py::test_ok", came(Outcome::Passed, 12), Some(Verdict::Passed));
    let output = b"def test_bad():\n>   assert 1 == 2\nE   assert 1 == 2\n\ntests/test_a.py:7: AssertionError\n";
    let failed = Came { because: "AssertionError: assert 1 == 2", printed: output, ..came(Outcome::Failed, 34) };
    script.run("tests/test_a.py::test_bad[a b]", failed, None);
    script.run("tests/test_a.py::test_bad[a b]", failed, Some(Verdict::Failed));
    let flaked =
        Came { because: "ConnectionError: reset", printed: b"connecting...\nreset\n", ..came(Outcome::Failed, 5) };
    script.run("tests/test_a.py::test_flaky", flaked, None);
    script.run("tests/test_a.py::test_flaky", came(Outcome::Passed, 6), Some(Verdict::Flaky));
    script.run(
        "tests/test_a.py::test_skip",
        Came { because: "not on linux", ..came(Outcome::Skipped, 0) },
        Some(Verdict::Skipped),
    );
    let hung = Came { because: "exceeded its limit of 1m", ..came(Outcome::TimedOut, 60_000) };
    script.run("tests/test_b.py::test_hang", hung, Some(Verdict::TimedOut));
    let crashed = Came { because: "SIGSEGV", printed: b"about to\xff\0 crash\x1b[2J\n", ..came(Outcome::Crashed, 7) };
    script.run("tests/test_b.py::test_segv", crashed, Some(Verdict::Crashed));
    let setup = Came { nuance: Nuance::SetupError, because: "fixture 'db' not found", ..came(Outcome::Failed, 1) };
    script.run("tests/test_b.py::test_setup", setup, Some(Verdict::Failed));
    let xfail = Came { nuance: Nuance::ExpectedFailure, ..came(Outcome::Skipped, 3) };
    script.run("tests/test_b.py::test_xfail", xfail, Some(Verdict::Skipped));
    erred(
        script,
        v1::RunErrorKind::Collection,
        "tests/test_c.py",
        "Traceback:\n  import nope\nModuleNotFoundError: nope\n",
    );
    erred(
        script,
        v1::RunErrorKind::Collection,
        "tests/test_c.py",
        "Traceback:\n  import nope\nModuleNotFoundError: nope\n",
    );
    script.run("core::state::fold", came(Outcome::Passed, 2), Some(Verdict::Passed));
    let tests = vec![script.ix("core::state::lost")];
    script.event(Event::RunCancelled(v1::RunCancelled { cause: v1::CancelCause::FailFast.into() }));
    script.event(Event::VerdictsGiven(v1::VerdictsGiven {
        verdict: v1::Verdict::NotRun.into(),
        tests,
        ..v1::VerdictsGiven::default()
    }));
    script.end(v1::RunOutcome::Cancelled);
}

/// Something goes wrong beside the tests.
pub(crate) fn erred(script: &mut Script<'_>, kind: v1::RunErrorKind, place: &str, message: &str) {
    let error = v1::RunError { kind: kind.into(), place: place.to_owned(), message: message.to_owned() };
    script.event(Event::RunErred(v1::RunErred { error: Some(error), file: None }));
}
