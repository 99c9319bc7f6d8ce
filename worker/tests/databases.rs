//! Databases of tests, from the first call to the last, under every runner.

#[allow(dead_code, reason = "suites here are made by the tests")]
mod stage;

use regatta_domain::database::{Per, PlannedDatabase};
use regatta_domain::listing::ListedFile;
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Digest, FileKey, Level, Micros, Outcome, RunnerKind, TestIx};
use regatta_worker::runner::{Control, Tell, Work};
use stage::databases::{later, never, order, url};
use stage::{Stage, Told};
use std::path::Path;
use tonic::Status;

fn database(per: Per, build: &[&str]) -> PlannedDatabase {
    PlannedDatabase {
        resource: "app".into(),
        template: Digest([7; 32]),
        build: build.iter().map(|&argument| argument.into()).collect(),
        build_limit: Micros::from_secs(30),
        extensions: Vec::new(),
        per,
    }
}

/// A suite of commands: each test is a line for the shell.
async fn exec(root: &Path, per: Per, more: &str) -> Stage {
    let settings = format!(r#"{{"command": ["sh", "-c", "eval {{id}}"], "tests": ["true"]{more}}}"#);
    let env = [("LOG", root.join("log").to_str().expect("text").to_owned())];
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let planned = vec![database(per, &["sh", "-c", "echo building $DATABASE_URL >> $LOG"])];
    let stage = Stage::try_open_with(planned, 1, RunnerKind::Exec, root, &settings, &env).await;
    let mut stage = stage.expect("the settings make sense");
    stage.level = Level::Isolated;
    stage.databases.book().log = Some(root.join("log"));
    stage
}

const USES: &str = "echo begin $DATABASE_URL >> $LOG; echo $DATABASE_URL; echo end $DATABASE_URL >> $LOG";

fn suite() -> ListedFile {
    ListedFile { path: "fixture".into(), key: FileKey::default(), locator: "".into() }
}

/// What was noted of the test called `name`.
fn notes(told: &Told, name: &str) -> Vec<String> {
    let seen = told.of(name).observation.as_ref();
    seen.map(|seen| seen.notes.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[tokio::test]
async fn each_attempt_has_databases_of_its_own_and_one_more_is_asked_for_meanwhile() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path(), Per::Test, "").await;
    let names: Vec<String> = (0..6).map(|at| format!("{USES}; : {at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let told = stage.run(&suite(), &names).await;
    assert!(told.errors.is_empty(), "{told:#?}");
    for (at, name) in (0..).zip(&names) {
        told.check(name, Outcome::Passed, "");
        assert_eq!(told.output(name).trim_end(), url(Some(at), 1));
        let seen = told.of(name).observation.as_ref().expect("it had databases");
        assert_eq!((seen.leased, seen.seen, seen.evidence), (Level::Isolated, Level::Transaction, 7));
        assert_eq!(notes(&told, name), [format!("seen at {}", url(Some(at), 1))]);
    }
    let calls = stage.databases.check();
    assert_eq!(calls.len(), 12, "{calls:#?}");
    assert_eq!(stage.databases.book().most, 2, "the next one is asked for while one runs");
}

#[tokio::test]
async fn a_test_of_no_level_is_handed_nothing() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path(), Per::Test, "").await;
    stage.level = Level::None;
    let told = stage.run(&suite(), &["echo ${DATABASE_URL-none}"]).await;
    assert_eq!(told.output("echo ${DATABASE_URL-none}"), "none\n");
    assert!(told.finished[0].1.observation.is_none());
    assert!(stage.databases.check().is_empty());
}

#[tokio::test]
async fn a_coordinator_that_is_away_is_waited_for_and_no_test_fails_for_it() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path(), Per::Test, "").await;
    {
        let mut book = stage.databases.book();
        let away = || Err(Status::unavailable("away"));
        book.script.extend([away(), later(), away(), later(), later()]);
        book.release_script.extend([Status::unavailable("away"), Status::unknown("lost")]);
    }
    let told = stage.run(&suite(), &[USES]).await;
    told.check(USES, Outcome::Passed, "");
    assert_eq!(notes(&told, USES).len(), 1);
    assert_eq!(stage.databases.check().len(), 9);
}

#[tokio::test]
async fn a_lease_that_is_over_is_no_error_and_nothing_of_it_is_begun() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path(), Per::Test, "").await;
    stage.databases.book().script.push_back(Err(Status::failed_precondition("not live")));
    let told = stage.run(&suite(), &[USES, "true"]).await;
    assert!(told.started.is_empty() && told.errors.is_empty(), "{told:#?}");
    stage.databases.check();
}

#[tokio::test]
async fn what_was_ordered_is_built_once_and_then_asked_for_again() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path(), Per::Test, "").await;
    stage.databases.book().script.push_back(order(5));
    let told = stage.run(&suite(), &[USES]).await;
    told.check(USES, Outcome::Passed, "");
    let log = std::fs::read_to_string(root.path().join("log")).expect("a log");
    assert_eq!(log.lines().filter(|line| *line == "building fake://template").count(), 1, "{log}");
    assert_eq!(stage.databases.check()[..2], ["no fake://test/0/1", "built 5"]);
    assert_eq!(stage.databases.book().built, [None]);
    assert!(told.notes[0].starts_with("building the template of `app`: sh -c echo"), "{:?}", told.notes);
    assert!(told.notes[1].starts_with("built the template of `app` in"), "{:?}", told.notes);
}

#[tokio::test]
async fn a_template_that_cannot_be_built_is_told_once_and_its_tests_are_not_begun() {
    let root = tempfile::tempdir().expect("a directory");
    let settings = r#"{"command": ["sh", "-c", "eval {id}"], "tests": ["true"]}"#;
    let planned = vec![database(Per::Test, &["sh", "-c", "echo no such table; exit 3"])];
    let stage = Stage::try_open_with(planned, 1, RunnerKind::Exec, root.path(), settings, &[]).await;
    let mut stage = stage.expect("the settings make sense");
    stage.level = Level::Read;
    stage.databases.book().script.extend([order(1), never("the schema is broken"), never("the schema is broken")]);
    let told = stage.run(&suite(), &["echo 1", "echo 2", "echo 3"]).await;
    assert!(told.started.is_empty(), "{told:#?}");
    let [error] = &told.errors[..] else { panic!("{told:#?}") };
    assert_eq!((error.kind, &*error.message), (RunErrorKind::Build, "the schema is broken"));
    let built = stage.databases.book().built.clone();
    let failure = built[0].as_deref().expect("it failed");
    assert_eq!(failure, "`sh -c echo no such table; exit 3` ended with exit code 3\nno such table");
    stage.databases.check();
}

#[tokio::test]
async fn a_test_that_waits_for_its_databases_can_be_stolen() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path(), Per::Test, "").await;
    stage.databases.book().withheld = vec![1];
    let work = Work::Files(vec![stage.file(&suite(), Some(&[USES, "true", "echo 2"]))]);
    let databases = std::sync::Arc::clone(&stage.databases);
    let told = stage
        .work(work, |tell| match tell {
            Tell::Finished(finished) if finished.test == TestIx(0) => Some(Control::Steal(vec![TestIx(1)])),
            Tell::GaveBack(_) => {
                databases.let_go();
                None
            }
            _ => None,
        })
        .await;
    assert_eq!(told.gave_back, [vec![TestIx(1)]]);
    assert_eq!(told.started, [TestIx(0), TestIx(2)]);
    let calls = stage.databases.check();
    assert!(calls.iter().any(|call| call == "release fake://test/1/1"), "what came too late went back: {calls:#?}");
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_databases_and_leaves_nothing_taken() {
    for kill in [false, true] {
        let root = tempfile::tempdir().expect("a directory");
        let mut stage = exec(root.path(), Per::Test, "").await;
        stage.databases.book().script.extend((0..1_000).map(|_| Err(Status::unavailable("away"))));
        stage.level = Level::None;
        let mut files = vec![stage.file(&suite(), Some(&["true", "echo 2"]))];
        files[0].tests.as_mut().expect("tests")[1].level = Level::Read;
        let stop = |tell: &Tell| matches!(tell, Tell::Finished(_)).then_some(Control::Stop { kill });
        let told = stage.work(Work::Files(files), stop).await;
        assert_eq!(told.started, [TestIx(0)]);
        assert!(stage.databases.book().calls.iter().all(|call| !call.starts_with("acquire")));
    }
}

#[tokio::test]
async fn what_a_killed_test_had_is_given_back() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path(), Per::Test, "").await;
    let work = Work::Files(vec![stage.file(&suite(), Some(&["sleep 1000", "sleep 1001"]))]);
    let stop = |tell: &Tell| matches!(tell, Tell::Started { .. }).then_some(Control::Stop { kill: true });
    let told = stage.work(work, stop).await;
    assert!(told.finished.is_empty(), "{told:#?}");
    stage.databases.check();
}

#[tokio::test]
async fn a_shard_has_one_for_all_and_its_last_test_is_told_what_was_seen() {
    let root = tempfile::tempdir().expect("a directory");
    let more = r#", "batch": 1"#;
    let mut stage = exec(root.path(), Per::Shard, more).await;
    let mut files = vec![stage.file(&suite(), Some(&[USES, "echo none", "echo 2"]))];
    let tests = files[0].tests.as_mut().expect("tests");
    (tests[0].level, tests[1].level) = (Level::Read, Level::None);
    let told = stage.work(Work::Files(files), |_| None).await;
    assert_eq!(told.output(USES), "fake://shard\n");
    assert!(told.of(USES).observation.is_none() && told.of("echo none").observation.is_none());
    assert_eq!(notes(&told, "echo 2"), ["seen at fake://shard"]);
    let calls = stage.databases.check();
    assert_eq!(calls, ["acquire fake://shard LEVEL_ISOLATED", "release fake://shard"], "the strongest of its tests");
}
