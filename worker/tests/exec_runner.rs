//! The exec runner with real commands, that report as commands do, and as they should not.

mod stage;

use regatta_domain::listing::ListedFile;
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Micros, Outcome, RunnerKind, TestIx};
use regatta_worker::runner::{Control, Tell, Work};
use stage::{Stage, Told, fixture};
use std::time::Duration;

async fn open(settings: &str) -> Stage {
    Stage::open(RunnerKind::Exec, &fixture("exec-basic"), settings, &[]).await
}

async fn found(stage: &mut Stage) -> ListedFile {
    let told = stage.discover().await;
    assert!(told.errors.is_empty(), "{told:#?}");
    assert_eq!(told.files.len(), 1);
    told.files[0].clone()
}

async fn run_all(settings: &str) -> Told {
    let mut stage = open(settings).await;
    let file = found(&mut stage).await;
    stage.list_and_run(&file).await
}

fn quiet(told: &Told) {
    assert!(told.errors.is_empty(), "{told:#?}");
}

#[tokio::test]
async fn without_names_the_suite_is_the_test() {
    let told = run_all(r#"{"command": ["sh", "-c", "echo out; echo err >&2; exit 3"]}"#).await;
    quiet(&told);
    told.check("", Outcome::Failed, "exit code 3");
    assert_eq!(told.output(""), "out\nerr\n");
    run_all(r#"{"command": ["true"]}"#).await.check("", Outcome::Passed, "");
}

#[tokio::test]
async fn each_file_of_a_glob_is_a_test_of_its_own() {
    let told = run_all(r#"{"command": ["{id}"], "tests": ["t/*.sh"]}"#).await;
    quiet(&told);
    told.check("t/pass.sh", Outcome::Passed, "");
    assert_eq!(told.output("t/pass.sh"), "passing in exec-basic as fixture::t/pass.sh\n");
    told.check("t/fail.sh", Outcome::Failed, "exit code 3");
    told.check("t/crash.sh", Outcome::Crashed, "signal 11 (SIGSEGV)");
    told.check("t/hang.sh", Outcome::Passed, "");
    assert_eq!(told.finished.len(), 4);
}

#[tokio::test]
async fn a_test_that_hangs_is_stopped() {
    let settings = r#"{"command": ["{id}"], "tests": ["t/hang.sh"]}"#;
    let mut stage = Stage::open(RunnerKind::Exec, &fixture("exec-basic"), settings, &[("FIXTURE_HANG", "1")]).await;
    stage.policy.timeout = Micros::from_ms(300);
    let file = found(&mut stage).await;
    let told = stage.run(&file, &["t/hang.sh"]).await;
    told.check("t/hang.sh", Outcome::TimedOut, "timed out after 0.300s");
}

#[tokio::test]
async fn odd_names_reach_the_command_as_they_are() {
    let names = ["plain", "with  spaces", "it's \"quoted\" $(x)", "{file}", "größe"];
    for command in [r#"["printf", "%s", "{id}"]"#, r#"["sh", "-c", "printf %s {id}"]"#] {
        let told = run_all(&format!(r#"{{"command": {command}, "list": ["./list"]}}"#)).await;
        quiet(&told);
        for name in names {
            told.check(name, Outcome::Passed, "");
            assert_eq!(told.output(name), name);
        }
    }
}

#[tokio::test]
async fn a_listing_command_is_never_remembered_and_written_names_are() {
    for (settings, lasts) in [
        (r#"{"command": ["true", "{id}"], "list": ["./list"]}"#, false),
        (r#"{"command": ["true", "{id}"], "tests": ["t/*.sh", "a"]}"#, true),
        (r#"{"command": ["true"]}"#, true),
    ] {
        let mut stage = open(settings).await;
        let (one, other) = (found(&mut stage).await, found(&mut stage).await);
        assert_eq!(one.key == other.key, lasts, "{settings}");
        assert_eq!(&*one.path, "fixture");
    }
}

#[tokio::test]
async fn tap_of_many_tests_is_reconciled() {
    let settings = r#"{"command": ["./echo-tap", "{file}"], "tests": ["a", "bad", "skipped", "lost", "extra", "last"],
                       "result": "tap", "batch": 100}"#;
    let told = run_all(settings).await;
    told.check("a", Outcome::Passed, "");
    told.check("bad", Outcome::Failed, "it is bad");
    told.check("skipped", Outcome::Skipped, "not here");
    told.check("lost", Outcome::Missing, "its results do not hold it; they hold `never asked`");
    told.check("extra", Outcome::Passed, "");
    told.check("last", Outcome::Passed, "");
    assert_eq!(told.errors.len(), 1);
    assert_eq!(told.errors[0].kind, RunErrorKind::Collection);
    assert_eq!(&*told.errors[0].message, "the command reported results that nobody asked for: `never asked`");
}

#[tokio::test]
async fn a_list_is_given_in_pieces_no_larger_than_the_batch() {
    let settings = r#"{"command": ["sh", "-c", "wc -l < {file}; ./echo-tap {file}"], "tests": ["a", "b", "c"],
                       "result": "tap", "batch": 2}"#;
    let told = run_all(settings).await;
    quiet(&told);
    assert!(told.output("c").starts_with("1\n"), "the last of three is alone: {}", told.output("c"));
    assert_eq!(told.finished.len(), 3);
}

#[tokio::test]
async fn those_without_a_result_run_alone_when_the_command_dies() {
    let tap = r#"{"command": ["./echo-tap", "{file}"], "tests": ["a", "deadly", "b"], "result": "tap", "batch": 9}"#;
    let junit = r#"{"command": ["sh", "-c", "xargs ./write-junit {result} < {file}; test -s {result} || kill -KILL $$"],
                    "tests": ["a", "deadly", "b"], "result": "junit", "batch": 9}"#;
    let told = run_all(tap).await;
    quiet(&told);
    told.check("a", Outcome::Passed, "");
    told.check("deadly", Outcome::Crashed, "signal 9 (SIGKILL): killed from outside, not by Regatta; out of memory?");
    told.check("b", Outcome::Passed, "");

    let told = run_all(junit).await;
    quiet(&told);
    told.check("a", Outcome::Passed, "");
    assert!(!told.of("deadly").outcome.is_ok());
    told.check("b", Outcome::Passed, "");
}

#[tokio::test]
async fn tap_of_one_test_is_the_sum_of_its_parts() {
    let of = |script: &str| {
        let script = serde_json::Value::from(script);
        format!(r#"{{"command": ["sh", "-c", {script}], "result": "tap"}}"#)
    };
    run_all(&of("echo 1..2; echo ok; echo ok 2 - b")).await.check("", Outcome::Passed, "");
    let told = run_all(&of("echo 1..2; echo ok 1 - a; echo not ok 2 - b; echo '# wrong'; echo seen >&2; exit 1")).await;
    quiet(&told);
    told.check("", Outcome::Failed, "1 of 2 failed: b: wrong");
    assert!(told.output("").contains("seen\n"), "{}", told.output(""));
    run_all(&of("echo 1..3; echo ok")).await.check("", Outcome::Failed, "its plan says 3 tests, and it ran 1");
    run_all(&of("echo 1..0 '# SKIP no server'")).await.check("", Outcome::Skipped, "no server");
    run_all(&of("echo hello")).await.check("", Outcome::Missing, "it printed no TAP");
    let told = run_all(&of("echo 1..1; echo ok; exit 2")).await;
    told.check("", Outcome::Failed, "nothing failed, and the command ended with exit code 2");
    let file = r#"{"command": ["sh", "-c", "printf '1..1\\nok\\n' > {result}; echo not TAP"], "result": "tap"}"#;
    run_all(file).await.check("", Outcome::Passed, "");
}

#[tokio::test]
async fn junit_of_one_test_each_is_reconciled() {
    let settings = r#"{"command": ["./write-junit", "{result}", "{id}"], "tests": ["a", "C.b", "bad", "lost"],
                       "result": "junit"}"#;
    let told = run_all(settings).await;
    quiet(&told);
    told.check("a", Outcome::Passed, "");
    assert_eq!(told.of("a").duration, Duration::from_millis(500));
    told.check("C.b", Outcome::Passed, "");
    told.check("bad", Outcome::Failed, "it is bad");
    assert_eq!(told.output("bad"), "wrote a file\nit is bad\ntrace\n");
    told.check("lost", Outcome::Missing, "its results hold nothing");
}

#[tokio::test]
async fn a_name_that_the_results_do_not_hold_is_missing_and_what_they_hold_is_said() {
    let settings =
        r#"{"command": ["sh", "-c", "./write-junit {result} other; : {id}"], "tests": ["a"], "result": "junit"}"#;
    let told = run_all(settings).await;
    told.check("a", Outcome::Missing, "its results do not hold it; they hold `C.other`");
    assert_eq!(told.errors.len(), 1);
    let settings = r#"{"command": ["sh", "-c", "true {result} {id}"], "tests": ["a"], "result": "junit"}"#;
    run_all(settings).await.check("a", Outcome::Missing, "it wrote no result file");
}

#[tokio::test]
async fn a_stolen_test_is_not_started_and_a_stop_kills() {
    let mut stage = open(r#"{"command": ["sleep", "{id}"], "tests": ["0.01", "0.02", "1000"]}"#).await;
    let file = found(&mut stage).await;
    let work = Work::Files(vec![stage.file(&file, Some(&["0.01", "0.02"]))]);
    let steal = |tell: &Tell| matches!(tell, Tell::Started { .. }).then(|| Control::Steal(vec![TestIx(1)]));
    let told = stage.work(work, steal).await;
    assert_eq!(told.gave_back, [vec![TestIx(1)]]);
    assert_eq!(told.finished.len(), 1);

    let work = Work::Files(vec![stage.file(&file, Some(&["1000", "0.01"]))]);
    let stop = |tell: &Tell| matches!(tell, Tell::Started { .. }).then_some(Control::Stop { kill: true });
    let told = stage.work(work, stop).await;
    assert!(told.finished.is_empty(), "{told:#?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_suite_is_told_once() {
    for (settings, kind, message) in [
        (
            r#"{"command": ["no-such-command"]}"#,
            RunErrorKind::Runner,
            "cannot start `no-such-command`: no such program",
        ),
        (
            r#"{"command": ["true", "{id}"], "list": ["sh", "-c", "echo broken >&2; exit 4"]}"#,
            RunErrorKind::Collection,
            "the command that lists its tests ended with exit code 4\nbroken",
        ),
        (r#"{"command": ["true", "{id}"], "list": ["true"]}"#, RunErrorKind::Collection, "printed no names"),
        (
            r#"{"command": ["true", "{id}"], "list": ["printf", "a\\na\\n"]}"#,
            RunErrorKind::Collection,
            "`a` is listed twice",
        ),
    ] {
        let told = run_all(settings).await;
        assert_eq!(told.errors.len(), 1, "{told:#?}");
        assert_eq!(told.errors[0].kind, kind);
        assert!(told.errors[0].message.contains(message), "{}", told.errors[0].message);
        assert!(told.finished.is_empty());
    }
    let mut stage = open(r#"{"command": ["true", "{id}"], "tests": ["*.none"]}"#).await;
    let told = stage.discover().await;
    assert!(told.errors[0].message.contains("`*.none` in `tests` matches no file"), "{}", told.errors[0].message);

    let refused = Stage::try_open(RunnerKind::Exec, &fixture("exec-basic"), r#"{"command": []}"#, &[]).await;
    let error = refused.err().expect("there is no command");
    assert!(error.message.contains("needs at least the name of a program"), "{}", error.message);
}
