//! The rust runner on a real crate, whose tests end in every way in which tests can end.

mod stage;

use regatta_domain::listing::ListedFile;
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Micros, Outcome, RunnerKind, TestIx};
use regatta_worker::runner::{Control, Tell, Work};
use stage::{Stage, Told, fixture};
use std::path::Path;

/// Built once, for all tests here.
const TARGET: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/rust-basic");

async fn open(settings: &str) -> Stage {
    open_with(settings, &[]).await
}

async fn open_with(settings: &str, env: &[(&str, &str)]) -> Stage {
    let common = [("CARGO_TARGET_DIR", TARGET), ("FIXTURE_SUITE", "set by the suite"), ("RUST_BACKTRACE", "0")];
    let env: Vec<_> = common.into_iter().chain(env.iter().copied()).collect();
    Stage::open(RunnerKind::Rust, &fixture("rust-basic"), settings, &env).await
}

async fn found(stage: &mut Stage) -> Vec<ListedFile> {
    let told = stage.discover().await;
    assert!(told.errors.is_empty(), "{told:#?}");
    told.files
}

fn file<'a>(files: &'a [ListedFile], path: &str) -> &'a ListedFile {
    files.iter().find(|file| &*file.path == path).expect("the file was found")
}

async fn run_all(stage: &mut Stage, path: &str) -> Told {
    let files = found(stage).await;
    stage.list_and_run(file(&files, path)).await
}

const ASSERTION: &str = "panicked at src/lib.rs:36:9: assertion `left == right` failed: numbers";
const NO_PANIC: &str = "test did not panic as expected at src/lib.rs:52:8";

fn check_library(told: &Told) {
    assert!(told.errors.is_empty(), "{told:#?}");
    assert_eq!(told.listed.iter().filter(|test| test.ignored).count(), 1);
    told.check("tests::passes", Outcome::Passed, "");
    assert_eq!(told.output("tests::passes"), "");
    told.check("tests::fails", Outcome::Failed, ASSERTION);
    assert!(told.output("tests::fails").starts_with("before\n"), "{}", told.output("tests::fails"));
    told.check("tests::returns_an_error", Outcome::Failed, "Error: \"nope\"");
    told.check("tests::panics_as_it_should", Outcome::Passed, "");
    told.check("tests::does_not_panic", Outcome::Failed, NO_PANIC);
    told.check("tests::hangs_when_asked", Outcome::Passed, "");
    assert_eq!(told.finished.len(), 7);
}

fn check_crashes(told: &Told) {
    told.check("aborts", Outcome::Crashed, "signal 6 (SIGABRT)");
    told.check("before", Outcome::Passed, "");
    told.check("segfaults", Outcome::Crashed, "signal 11 (SIGSEGV)");
    let finished = told.of("overflows_its_stack");
    assert_eq!(finished.outcome, Outcome::Crashed);
    assert!(
        finished.reason.as_ref().is_some_and(|reason| reason.ends_with("has overflowed its stack")),
        "{finished:?}"
    );
    let reason = "the process exited with code 0 before the test had ended";
    told.check("exits_with_zero", Outcome::Crashed, reason);
    told.check("forks_a_daemon", Outcome::Passed, "");
    told.check("writes_past_the_harness", Outcome::Passed, "");
    told.check("zlast", Outcome::Passed, "");
    assert_eq!(told.finished.len(), 8);
}

#[tokio::test]
async fn every_binary_and_the_doc_tests_are_found_with_lasting_keys() {
    let mut stage = open("{}").await;
    let files = found(&mut stage).await;
    let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
    let expected = [
        "rust-basic",
        "rust-basic::bin/tool",
        "rust-basic::doc",
        "rust-basic::tests/crashes",
        "rust-basic::tests/environment",
    ];
    assert_eq!(paths, expected);
    let keys: Vec<_> = files.iter().map(|file| file.key).collect();
    let again: Vec<_> = found(&mut stage).await.iter().map(|file| file.key).collect();
    assert_eq!(keys, again);
    let otherwise: Vec<_> =
        found(&mut open(r#"{"ignored": "only"}"#).await).await.iter().map(|file| file.key).collect();
    assert!(keys.iter().zip(&otherwise).all(|(one, other)| one != other), "settings that change the listing count");
}

#[tokio::test]
async fn each_test_of_a_library_ends_as_it_should_in_its_own_process() {
    let told = run_all(&mut open("{}").await, "rust-basic").await;
    check_library(&told);
    assert_eq!(told.output("tests::prints"), "on one stream\nand on the other\n");
}

#[tokio::test]
async fn each_test_of_a_library_ends_as_it_should_in_a_shared_process() {
    let told = run_all(&mut open(r#"{"isolation": "binary"}"#).await, "rust-basic").await;
    check_library(&told);
}

#[tokio::test]
async fn a_test_under_which_its_process_dies_is_blamed() {
    check_crashes(&run_all(&mut open("{}").await, "rust-basic::tests/crashes").await);
}

#[tokio::test]
async fn a_test_under_which_a_shared_process_dies_is_blamed_and_the_rest_runs_again() {
    check_crashes(&run_all(&mut open(r#"{"isolation": "binary"}"#).await, "rust-basic::tests/crashes").await);
}

#[tokio::test]
async fn the_environment_is_what_cargo_would_set() {
    for settings in ["{}", r#"{"isolation": "binary"}"#] {
        let told = run_all(&mut open(settings).await, "rust-basic::tests/environment").await;
        told.check("is_as_cargo_sets_it", Outcome::Passed, "");
        told.check("tells_where_it_runs", Outcome::Passed, "");
    }
}

#[tokio::test]
async fn doc_tests_are_run_and_chosen() {
    let mut stage = open("{}").await;
    let files = found(&mut stage).await;
    let doc = file(&files, "rust-basic::doc");
    let told = stage.list_and_run(doc).await;
    let names: Vec<&str> = told.listed.iter().map(|test| &*test.name).collect();
    let (first, double, ignored, compiled) = (
        "src/lib.rs - (line 1)",
        "src/lib.rs - double (line 5)",
        "src/lib.rs - ignored (line 12)",
        "src/lib.rs - compiled (line 17)",
    );
    assert_eq!(names, [first, compiled, double, ignored]);
    assert!(told.listed.iter().all(|test| test.ignored == (&*test.name == ignored)));
    told.check(first, Outcome::Passed, "");
    told.check(compiled, Outcome::Passed, "");
    assert_eq!(told.of(double).outcome, Outcome::Failed);
    assert!(told.output(double).contains("doc tests can fail"), "{}", told.output(double));
    assert_eq!(told.finished.len(), 3);

    let told = stage.run(doc, &[first, "src/lib.rs - gone (line 99)"]).await;
    told.check(first, Outcome::Passed, "");
    told.check("src/lib.rs - gone (line 99)", Outcome::Missing, "rustdoc was asked for it, and did not run it");
}

#[tokio::test]
async fn a_test_that_is_not_there_is_missing_and_never_passed() {
    for settings in ["{}", r#"{"isolation": "binary"}"#] {
        let mut stage = open(settings).await;
        let files = found(&mut stage).await;
        let told = stage.run(file(&files, "rust-basic"), &["tests::passes", "tests::pass"]).await;
        told.check("tests::passes", Outcome::Passed, "");
        told.check("tests::pass", Outcome::Missing, "the binary has no test of this name");
    }
}

#[tokio::test]
async fn ignored_tests_run_when_asked() {
    for isolation in ["process", "binary"] {
        let only = format!(r#"{{"ignored": "only", "isolation": "{isolation}"}}"#);
        let told = run_all(&mut open(&only).await, "rust-basic").await;
        assert_eq!(told.finished.len(), 1);
        told.check("tests::is_ignored", Outcome::Passed, "");
        let all = format!(r#"{{"ignored": true, "isolation": "{isolation}"}}"#);
        let told = run_all(&mut open(&all).await, "rust-basic").await;
        assert_eq!(told.finished.len(), 8);
        told.check("tests::is_ignored", Outcome::Passed, "");
        let mut stage = open(&format!(r#"{{"isolation": "{isolation}"}}"#)).await;
        let files = found(&mut stage).await;
        let told = stage.run(file(&files, "rust-basic"), &["tests::is_ignored"]).await;
        assert_eq!(told.of("tests::is_ignored").outcome, Outcome::Skipped);
    }
}

#[tokio::test]
async fn a_test_that_hangs_is_stopped_and_the_others_run() {
    for settings in ["{}", r#"{"isolation": "binary"}"#] {
        let mut stage = open_with(settings, &[("FIXTURE_HANG", "1")]).await;
        stage.policy.timeout = Micros::from_ms(500);
        let told = run_all(&mut stage, "rust-basic").await;
        told.check("tests::hangs_when_asked", Outcome::TimedOut, "timed out after 0.500s");
        told.check("tests::passes", Outcome::Passed, "");
        assert_eq!(told.finished.len(), 7);
    }
}

#[tokio::test]
async fn a_stolen_test_is_not_started_and_a_begun_one_is_not_given_back() {
    let mut stage = open("{}").await;
    let files = found(&mut stage).await;
    let names = ["tests::passes", "tests::prints", "tests::fails"];
    let work = Work::Files(vec![stage.file(file(&files, "rust-basic"), Some(&names))]);
    let mut steals = vec![vec![TestIx(2)], vec![TestIx(0), TestIx(1)]];
    let told = stage
        .work(work, |tell| match tell {
            Tell::Started { test: TestIx(0), .. } | Tell::GaveBack(_) => steals.pop().map(Control::Steal),
            _ => None,
        })
        .await;
    assert_eq!(told.gave_back, [vec![], vec![TestIx(2)]]);
    assert_eq!(told.started, [TestIx(0), TestIx(1)]);
}

#[tokio::test]
async fn a_stop_that_kills_tells_nothing_of_what_ran() {
    for settings in ["{}", r#"{"isolation": "binary"}"#] {
        let mut stage = open_with(settings, &[("FIXTURE_HANG", "1")]).await;
        let files = found(&mut stage).await;
        let names = ["tests::hangs_when_asked", "tests::passes"];
        let work = Work::Files(vec![stage.file(file(&files, "rust-basic"), Some(&names))]);
        let stop = |tell: &Tell| matches!(tell, Tell::Started { .. }).then_some(Control::Stop { kill: true });
        let told = stage.work(work, stop).await;
        assert!(told.finished.is_empty(), "{told:#?}");
        assert_eq!(told.started, [TestIx(0)]);
    }
}

#[tokio::test]
async fn features_change_what_is_there() {
    let told = run_all(&mut open(r#"{"features": ["extra"], "doc": false}"#).await, "rust-basic").await;
    told.check("tests::needs_a_feature", Outcome::Passed, "");
}

#[tokio::test]
async fn a_binary_that_was_built_anew_is_listed_anew() {
    let mut stage = open("{}").await;
    let files = found(&mut stage).await;
    let mut changed = file(&files, "rust-basic").clone();
    changed.key = regatta_domain::FileKey([7; 16]);
    changed.locator = changed.locator.replace("\"size\":", "\"size\":1").into();
    let told = stage.run(&changed, &["tests::gone"]).await;
    assert_eq!(told.listed.len(), 8);
    assert_eq!(told.finished.len(), 7, "what is there was run, what is gone was not asked for again");
}

#[tokio::test]
async fn a_binary_that_is_not_here_is_built_first() {
    let target = tempfile::tempdir().expect("a directory");
    let env = [("CARGO_TARGET_DIR", target.path().to_str().expect("text")), ("FIXTURE_SUITE", "set by the suite")];
    let root = fixture("rust-basic");
    let mut stage = Stage::open(RunnerKind::Rust, &root, r#"{"doc": false}"#, &env).await;
    let files = found(&mut stage).await;
    std::fs::remove_dir_all(target.path().join("debug")).expect("it was built there");
    let told = stage.run(file(&files, "rust-basic"), &["tests::passes"]).await;
    let outcome = told.of("tests::passes").outcome;
    assert_eq!(outcome, Outcome::Passed);
    assert!(told.notes.iter().any(|note| note.starts_with("Compiling")), "{:?}", told.notes);
}

fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().expect("it is below the directory")).expect("it can be made");
    std::fs::write(path, text).expect("it can be written");
}

#[tokio::test]
async fn a_compile_error_is_told_once_in_the_compilers_words() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), "Cargo.toml", "[package]\nname = \"broken\"\nedition = \"2021\"\n[workspace]\n");
    write(directory.path(), "src/lib.rs", "pub fn wrong() -> u32 {\n    \"text\"\n}\n");
    let mut stage = Stage::open(RunnerKind::Rust, directory.path(), "{}", &[]).await;
    let told = stage.discover().await;
    assert_eq!(told.errors.len(), 1);
    assert_eq!(told.errors[0].kind, RunErrorKind::Build);
    assert!(told.errors[0].message.contains("error[E0308]: mismatched types"), "{}", told.errors[0].message);
    assert!(told.errors[0].message.contains("src/lib.rs:2:5"), "{}", told.errors[0].message);
    assert!(!told.errors[0].message.contains("Compiling"), "{}", told.errors[0].message);
    assert!(told.notes.iter().any(|note| note.starts_with("Compiling broken")), "{:?}", told.notes);
}

#[tokio::test]
async fn a_suite_that_cargo_cannot_run_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut stage = Stage::open(RunnerKind::Rust, directory.path(), "{}", &[]).await;
    let told = stage.discover().await;
    assert_eq!(told.errors[0].kind, RunErrorKind::Runner);
    assert!(told.errors[0].message.contains("could not find `Cargo.toml`"), "{}", told.errors[0].message);

    let mut stage = open(r#"{"cargo": "no-such-cargo"}"#).await;
    let told = stage.discover().await;
    let message = &told.errors[0].message;
    assert!(message.starts_with("cannot start `no-such-cargo`: no such program"), "{message}");
    assert!(message.contains("https://rustup.rs"), "{message}");

    let refused = Stage::try_open(RunnerKind::Rust, directory.path(), r#"{"isolation": "thread"}"#, &[]).await;
    let error = refused.err().expect("there is no such isolation");
    assert!(error.message.contains("unknown variant `thread`"), "{}", error.message);
}

#[tokio::test]
async fn a_harness_of_its_own_is_listed_and_judged_by_its_exit_code_or_told_how() {
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = "[package]\nname = \"custom\"\nedition = \"2021\"\n[workspace]\n\
                    [[test]]\nname = \"good\"\nharness = false\n[[test]]\nname = \"bad\"\nharness = false\n";
    write(directory.path(), "Cargo.toml", manifest);
    write(directory.path(), "src/lib.rs", "");
    let good = "fn main() {
        let args: Vec<String> = std::env::args().collect();
        if args.iter().any(|arg| arg == \"--list\") {
            if !args.iter().any(|arg| arg == \"--ignored\") { println!(\"one: test\\ntwo: test\"); }
        } else if args.iter().any(|arg| arg == \"two\") { std::process::exit(101); }
    }";
    write(directory.path(), "tests/good.rs", good);
    write(directory.path(), "tests/bad.rs", "fn main() { println!(\"Running everything\"); }");
    let mut stage = Stage::open(RunnerKind::Rust, directory.path(), "{}", &[]).await;
    let files = found(&mut stage).await;
    let told = stage.list_and_run(file(&files, "custom::tests/good")).await;
    told.check("one", Outcome::Passed, "");
    assert_eq!(told.of("two").outcome, Outcome::Failed);
    let told = stage.list_and_run(file(&files, "custom::tests/bad")).await;
    assert_eq!(told.errors[0].kind, RunErrorKind::Collection);
    assert!(told.errors[0].message.contains("--list --format terse"), "{}", told.errors[0].message);
}
