//! Databases of tests, from the first call to the last, under every runner.

#[allow(dead_code, reason = "suites here are made by the tests")]
mod stage;

mod lazy;

use regatta_domain::database::{Per, PlannedDatabase};
use regatta_domain::listing::ListedFile;
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Digest, FileKey, Level, Micros, Outcome, RunnerKind, TestIx};
use regatta_wire::v1::acquire_response::Answer;
use regatta_wire::v1::databases_server::{Databases, DatabasesServer};
use regatta_wire::v1::{
    self, AcquireRequest, AcquireResponse, BuiltRequest, BuiltResponse, ReleaseRequest, ReleaseResponse,
};
use regatta_worker::databases::{Coordinator, Provider};
use regatta_worker::runner::{Control, Tell, Work};
use stage::databases::{Fake, later, never, order, url};
use stage::{Stage, Told};
use std::path::Path;
use std::sync::Arc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

fn database(per: Per, build: &[&str]) -> PlannedDatabase {
    PlannedDatabase {
        resource: "app".into(),
        template: Digest([7; 32]),
        build: build.iter().map(|&argument| argument.into()).collect(),
        build_limit: Micros::from_secs(30),
        extensions: Vec::new(),
        per,
        lazy: false,
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
    let mut file = stage.file(&suite(), Some(&[USES, "true", "sleep 0.1"]));
    // One that waits for nothing.
    file.tests.as_mut().expect("tests")[2].level = Level::None;
    let work = Work::Files(vec![file]);
    let databases = Arc::clone(&stage.databases);
    let mut in_time = false;
    let told = stage
        .work(work, |tell| match tell {
            Tell::Finished(finished) if finished.test == TestIx(0) => Some(Control::Steal(vec![TestIx(1)])),
            Tell::Finished(_) => {
                in_time = databases.book().calls.iter().any(|call| call == "release fake://test/1/1");
                None
            }
            Tell::GaveBack(_) => {
                databases.let_go();
                None
            }
            _ => None,
        })
        .await;
    assert_eq!(told.gave_back, [vec![TestIx(1)]]);
    assert_eq!(told.started, [TestIx(0), TestIx(2)]);
    stage.databases.check();
    assert!(in_time, "what came too late went back at once, and not with the shard");
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

fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().expect("it is below the directory")).expect("it can be made");
    std::fs::write(path, text).expect("it can be written");
}

const CRATE: &str = "fn use_it(expected: &str) {
    let url = std::env::var(\"DATABASE_URL\").unwrap_or_default();
    assert!(url.starts_with(expected), \"{url:?}\");
    assert!(std::env::var(\"REGATTA_NAMESPACE\").unwrap().len() <= 20);
}
#[test] fn one() { use_it(\"fake://\") }
#[test] fn two() { use_it(\"fake://\") }
#[test] fn dies() { use_it(\"fake://\"); std::process::abort() }
#[test] fn without() { assert_eq!(std::env::var(\"DATABASE_URL\").is_ok(), std::env::var(\"SHARES\").is_ok()) }
/// ```
/// assert!(std::env::var(\"DATABASE_URL\").unwrap().starts_with(\"fake://\"));
/// ```
pub fn documented() {}
";

/// What a crate's tests come to, with `without` of no level.
async fn rust(root: &Path, isolation: &str, per: Per) -> (Stage, Told, Told) {
    write(root, "Cargo.toml", "[package]\nname = \"uses\"\nedition = \"2021\"\n[workspace]\n");
    write(root, "src/lib.rs", CRATE);
    let settings = format!(r#"{{"isolation": "{isolation}"}}"#);
    // Where all tests of a process share a database, one that uses none cannot be kept from knowing it.
    let shares = per == Per::Shard && isolation == "binary";
    let env: &[(&str, &str)] = if shares { &[("SHARES", "1")] } else { &[] };
    let planned = vec![database(per, &[])];
    let stage = Stage::try_open_with(planned, 1, RunnerKind::Rust, root, &settings, env).await;
    let mut stage = stage.expect("the settings make sense");
    let found = stage.discover().await;
    assert!(found.errors.is_empty(), "{found:#?}");
    stage.level = Level::Transaction;
    let mut file = stage.file(&found.files[0], Some(&["one", "without", "dies", "two"]));
    file.remembered = 0;
    file.tests.as_mut().expect("tests")[1].level = Level::None;
    let told = stage.work(Work::Files(vec![file]), |_| None).await;
    let calls = stage.databases.begin_anew();
    let doc = stage.list_and_run(&found.files[1]).await;
    stage.databases.book().calls.splice(..0, calls);
    (stage, told, doc)
}

#[tokio::test]
async fn tests_of_a_crate_have_databases_of_their_own_however_they_are_isolated() {
    for isolation in ["process", "binary"] {
        let root = tempfile::tempdir().expect("a directory");
        let (stage, told, doc) = rust(root.path(), isolation, Per::Test).await;
        told.check("one", Outcome::Passed, "");
        told.check("two", Outcome::Passed, "");
        told.check("without", Outcome::Passed, "");
        assert_eq!(told.of("dies").outcome, Outcome::Crashed);
        assert_eq!(notes(&told, "dies"), [format!("seen at {}", url(Some(2), 1))]);
        assert!(told.of("without").observation.is_none());
        assert_eq!(doc.finished.len(), 1, "{doc:#?}");
        assert_eq!(doc.finished[0].1.outcome, Outcome::Passed, "{doc:#?}");
        assert_eq!(stage.databases.check().len(), 8, "three tests and a doc test");
    }
}

#[tokio::test]
async fn tests_of_a_crate_share_one_where_a_shard_has_one() {
    for isolation in ["process", "binary"] {
        let root = tempfile::tempdir().expect("a directory");
        let (stage, told, doc) = rust(root.path(), isolation, Per::Shard).await;
        for name in ["one", "two", "without"] {
            told.check(name, Outcome::Passed, "");
        }
        assert_eq!(told.of("dies").outcome, Outcome::Crashed);
        let all = told.finished.iter().chain(&doc.finished);
        let told_of: Vec<&str> =
            all.filter(|(_, finished)| finished.observation.is_some()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(told_of.len(), 2, "the last of each shard: {told_of:?}");
        assert_eq!(told_of[0], "two");
        let calls = stage.databases.check();
        assert_eq!(calls.len(), 4, "one for each shard: {calls:#?}");
    }
}

const CONFTEST: &str = "import os, pytest
IMPORTED = os.environ.get('DATABASE_URL')
def log(text):
    with open(os.environ['LOG'], 'a') as file: file.write(text + '\\n')
@pytest.fixture(scope='session', autouse=True)
def session():
    log('session up %s' % os.environ.get('DATABASE_URL'))
    yield
    log('session down %s' % os.environ.get('DATABASE_URL'))
@pytest.fixture
def used():
    url = os.environ['DATABASE_URL']
    log('begin ' + url)
    yield url
    assert os.environ['DATABASE_URL'] == url
    log('end ' + url)
";

const TESTS: &str = "import conftest, os, signal
def test_one(used): assert used.startswith('fake://')
def test_two(used): assert used.startswith('fake://')
def test_none(): assert os.environ.get('DATABASE_URL') == os.environ.get('OUTSIDE')
def test_dies(): os.kill(os.getpid(), signal.SIGKILL)
def test_three(used): assert used.startswith('fake://')
def test_imported(used): assert conftest.IMPORTED == used
def test_namespace():
    assert os.environ['REGATTA_NAMESPACE'][0].isalpha() and len(os.environ['REGATTA_NAMESPACE']) <= 20
";

async fn pytest(slots: u16, root: &Path, per: Per) -> Stage {
    write(root, "conftest.py", CONFTEST);
    write(root, "test_it.py", TESTS);
    let settings = format!("{{\"python\": {:?}}}", stage::python("pytest-9").to_str().expect("text"));
    let log = root.join("log");
    let env = [("LOG", log.to_str().expect("text"))];
    let stage = Stage::try_open_with(vec![database(per, &[])], slots, RunnerKind::Pytest, root, &settings, &env).await;
    let mut stage = stage.expect("the settings make sense");
    stage.level = Level::Isolated;
    stage.databases.book().log = Some(log);
    stage
}

/// Runs these tests, those in `none` without databases.
async fn run_levels(stage: &mut Stage, names: &[&str], none: &[&str]) -> Told {
    let file = ListedFile { path: "test_it.py".into(), key: FileKey::default(), locator: "".into() };
    let mut file = stage.file(&file, Some(names));
    file.remembered = 0;
    for test in file.tests.as_mut().expect("tests").iter_mut().filter(|test| none.contains(&&*test.name)) {
        test.level = Level::None;
    }
    let told = stage.work(Work::Files(vec![file]), |_| None).await;
    assert!(told.errors.is_empty(), "{told:#?}");
    told
}

#[tokio::test]
async fn a_pytest_host_has_the_variables_of_each_test_for_as_long_as_the_test_lasts() {
    for slots in [1, 2] {
        let root = tempfile::tempdir().expect("a directory");
        let mut stage = pytest(slots, root.path(), Per::Test).await;
        let names = ["test_one", "test_none", "test_two", "test_dies", "test_three", "test_namespace"];
        let told = run_levels(&mut stage, &names, &["test_none", "test_namespace"]).await;
        for name in names.iter().filter(|name| **name != "test_dies") {
            told.check(name, Outcome::Passed, "");
        }
        assert_eq!(told.of("test_dies").outcome, Outcome::Crashed);
        assert_eq!(notes(&told, "test_dies"), [format!("seen at {}", url(Some(3), 1))]);
        assert_eq!(stage.databases.check().len(), 8);
        // The same host serves the next shard.
        stage.databases.begin_anew();
        let told = run_levels(&mut stage, &["test_one", "test_none"], &["test_none"]).await;
        assert!(told.finished.iter().all(|(_, finished)| finished.outcome == Outcome::Passed), "{told:#?}");
        let log = std::fs::read_to_string(root.path().join("log")).expect("a log");
        assert_eq!(log.matches("session up").count(), 2, "one host died: {log}");
        stage.databases.check();
    }
}

#[tokio::test]
async fn a_pytest_host_that_shares_databases_is_started_with_them_and_ends_before_they_go_back() {
    for slots in [1, 2] {
        let root = tempfile::tempdir().expect("a directory");
        let mut stage = pytest(slots, root.path(), Per::Shard).await;
        // A host that was there before knows nothing of them.
        run_levels(&mut stage, &["test_none"], &["test_none"]).await;
        let databases = Arc::clone(&stage.databases);
        databases.book().ends_with = Some("session down fake://shard".to_owned());
        let names = ["test_one", "test_imported", "test_two"];
        let told = run_levels(&mut stage, &names, &[]).await;
        for name in names {
            told.check(name, Outcome::Passed, "");
        }
        assert_eq!(notes(&told, "test_two"), ["seen at fake://shard"]);
        assert_eq!(stage.databases.check(), ["acquire fake://shard LEVEL_ISOLATED", "release fake://shard"]);
        databases.book().ends_with = None;
        // And the next host nothing any more.
        run_levels(&mut stage, &["test_none"], &["test_none"]).await;
        let log = std::fs::read_to_string(root.path().join("log")).expect("a log");
        let sessions: Vec<&str> = log.lines().filter(|line| line.starts_with("session")).collect();
        let (none, shard) = ("None", "fake://shard");
        let wanted = [("up", none), ("down", none), ("up", shard), ("down", shard), ("up", none)];
        assert_eq!(sessions, wanted.map(|(what, url)| format!("session {what} {url}")), "{log}");
    }
}

#[tokio::test]
async fn a_stronger_level_that_shows_later_takes_the_databases_anew() {
    let root = tempfile::tempdir().expect("a directory");
    for slots in [1, 2] {
        let mut stage = pytest(slots, root.path(), Per::Shard).await;
        let file = ListedFile { path: "test_it.py".into(), key: FileKey::default(), locator: "".into() };
        write(root.path(), "test_other.py", "def test_other(used): pass\n");
        let other = ListedFile { path: "test_other.py".into(), ..file.clone() };
        stage.level = Level::Read;
        let mut first = stage.file(&file, Some(&["test_one"]));
        first.remembered = 0;
        first.tests.as_mut().expect("tests")[0].test = TestIx(7);
        // The answer to its listing says more.
        let mut listed = stage.file(&other, None);
        listed.file = regatta_domain::FileIx(1);
        stage.level = Level::Isolated;
        let told = stage.work(Work::Files(vec![first, listed]), |_| None).await;
        assert!(told.errors.is_empty(), "{told:#?}");
        assert_eq!(told.finished.len(), 2, "{told:#?}");
        let calls = stage.databases.check();
        assert_eq!(calls.first().map(String::as_str), Some("acquire fake://shard LEVEL_READ"));
        assert_eq!(calls[calls.len() - 2..], ["acquire fake://shard LEVEL_ISOLATED", "release fake://shard"]);
    }
}

#[tokio::test]
async fn no_more_than_one_test_ahead_of_a_host_has_databases() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = pytest(1, root.path(), Per::Test).await;
    let tests: String = (0..40).map(|at| format!("def test_{at}(used): pass\n")).collect();
    write(root.path(), "test_it.py", &tests);
    let names: Vec<String> = (0..40).map(|at| format!("test_{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let told = run_levels(&mut stage, &names, &[]).await;
    assert_eq!(told.finished.len(), 40);
    assert_eq!(stage.databases.check().len(), 80);
}

#[tokio::test]
async fn what_a_vanished_test_was_handed_does_not_keep_others_waiting() {
    let root = tempfile::tempdir().expect("a directory");
    let (mut stage, ..) = rust(root.path(), "process", Per::Test).await;
    let found = stage.discover().await;
    let mut changed = found.files[0].clone();
    changed.key = FileKey([7; 16]);
    changed.locator = changed.locator.replace("\"size\":", "\"size\":1").into();
    let mut file = stage.file(&changed, Some(&["gone", "gone too"]));
    file.file = regatta_domain::FileIx(3);
    // The tests of the crate are numbered from 0, as they were before, and under another lease.
    for (test, number) in file.tests.as_mut().expect("tests").iter_mut().zip(50..) {
        test.test = TestIx(number);
    }
    stage.databases.begin_anew();
    let told = stage.work(Work::Files(vec![file]), |_| None).await;
    assert_eq!(told.finished.len(), 4, "{told:#?}");
    let calls = stage.databases.check();
    assert_eq!(calls.len(), 12, "two that vanished and four that are there: {calls:#?}");
}

#[tokio::test]
async fn a_worker_that_is_stopped_at_once_does_not_wait_for_a_coordinator_that_is_away() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path(), Per::Test, "").await;
    stage.databases.book().release_script.extend((0..100_000).map(|_| Status::unavailable("away")));
    let work = Work::Files(vec![stage.file(&suite(), Some(&[USES, "sleep 1000"]))]);
    let stop =
        |tell: &Tell| matches!(tell, Tell::Started { test: TestIx(1), .. }).then_some(Control::Stop { kill: true });
    let told = stage.work(work, stop).await;
    assert_eq!(told.finished.len(), 1, "what had ended is told all the same: {told:#?}");
    told.check(USES, Outcome::Passed, "");
    assert!(told.of(USES).observation.is_none());
    let book = stage.databases.book();
    for test in [0, 1] {
        assert!(book.calls.contains(&format!("lost {}", url(Some(test), 1))), "it was tried: {:#?}", book.calls);
    }
}

#[tokio::test]
async fn a_shard_ends_whose_tests_were_all_refused_their_databases() {
    for per in [Per::Test, Per::Shard] {
        let root = tempfile::tempdir().expect("a directory");
        let mut pytest = pytest(1, root.path(), per).await;
        let file = ListedFile { path: "test_it.py".into(), key: FileKey::default(), locator: "".into() };
        let names = ["test_one", "test_two", "test_three"];
        let mut file = pytest.file(&file, Some(&names));
        file.remembered = 0;
        pytest.databases.book().script.extend(names.map(|_| never("the schema is broken")));
        let told = pytest.work(Work::Files(vec![file]), |_| None).await;
        assert!(told.started.is_empty(), "{told:#?}");
        assert_eq!(told.errors.len(), 1, "told once: {told:#?}");
        pytest.databases.check();

        let (mut rust, ..) = rust(root.path(), "process", per).await;
        let found = rust.discover().await;
        rust.databases.begin_anew();
        rust.databases.book().script.extend((0..8).map(|_| never("the schema is broken")));
        let file = rust.file(&found.files[0], None);
        let told = rust.work(Work::Files(vec![file]), |_| None).await;
        assert!(told.started.is_empty(), "{told:#?}");
        assert_eq!(told.errors.len(), 1, "told once: {told:#?}");
        rust.databases.check();
    }
}

#[tokio::test]
async fn a_warm_host_knows_what_its_shard_holds_and_no_longer_what_the_last_one_held() {
    for slots in [1, 2] {
        let root = tempfile::tempdir().expect("a directory");
        let mut stage = pytest(slots, root.path(), Per::Test).await;
        let tests = "import os\nseats = 'REGATTA_RESOURCE_APP_SEATS'\n\
                     def test_with(used): assert os.environ[seats] == '1'\n\
                     def test_without(): assert seats not in os.environ\n";
        write(root.path(), "test_it.py", tests);
        // The seat of its database, which everybody has: no reason to begin anew.
        let seat = regatta_worker::runner::Holding { resource: "app".into(), seats: 1, items: Vec::new() };
        for (holds, name) in [(vec![], "test_without"), (vec![seat], "test_with"), (vec![], "test_without")] {
            stage.holds = holds;
            let told = run_levels(&mut stage, &[name], &["test_without"]).await;
            told.check(name, Outcome::Passed, "");
        }
        let log = std::fs::read_to_string(root.path().join("log")).expect("a log");
        assert_eq!(log.matches("session up").count(), 1, "{log}");
    }
}

/// The fake, behind a real connection.
struct Served(Arc<Fake>);

#[tonic::async_trait]
impl Databases for Served {
    async fn acquire(&self, request: Request<AcquireRequest>) -> Result<Response<AcquireResponse>, Status> {
        self.0.acquire(request.into_inner()).await.map(Response::new)
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        self.0.release(request.into_inner()).await.map(Response::new)
    }

    async fn built(&self, request: Request<BuiltRequest>) -> Result<Response<BuiltResponse>, Status> {
        self.0.built(request.into_inner()).await.map(Response::new)
    }
}

#[tokio::test]
async fn the_coordinator_is_asked_over_its_connection() {
    let fake = Arc::new(Fake::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it listens");
    let service = DatabasesServer::new(Served(Arc::clone(&fake)));
    let serving = Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
    let serving = tokio::spawn(serving);
    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
    let coordinator = Coordinator::at(channel);
    let asked = AcquireRequest { token: 1, test: Some(4), attempt: 2, level: v1::Level::Read.into() };
    let handed = coordinator.acquire(asked).await.expect("it is there").answer.expect("an answer");
    assert!(matches!(handed, Answer::Databases(handed) if handed.variables[0].value == url(Some(4), 2)));
    let given = ReleaseRequest { token: 1, test: Some(4), attempt: 2, traffic: Vec::new() };
    let given = coordinator.release(given).await.expect("it is there");
    assert_eq!(given.observation.expect("it was handed out").evidence, 7);
    coordinator.built(BuiltRequest { token: 1, order: 3, failure: None }).await.expect("it is there");
    fake.book().script.push_back(Err(Status::failed_precondition("not live")));
    let refused = coordinator.acquire(asked).await.expect_err("the lease is over");
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert_eq!(fake.check().len(), 4);
    serving.abort();
}
