//! What comes after an attempt: what the test asked to be done, however it ended; and what a shard that holds resources
//! leaves behind, which is nothing.

#[allow(dead_code, reason = "suites here are made by the tests")]
mod stage;

use regatta_domain::database::{Per, PlannedDatabase};
use regatta_domain::listing::ListedFile;
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Digest, FileKey, Level, Micros, Outcome, RunnerKind};
use regatta_worker::runner::{Control, HeldItem, Holding, Tell, Work};
use stage::{Stage, Told};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn hold(resource: &str, values: &[(&str, &str)]) -> Holding {
    let values = values.iter().map(|&(name, value)| (name.into(), value.into())).collect();
    Holding { resource: resource.into(), seats: 1, items: vec![HeldItem { name: "ada".into(), values }] }
}

async fn open(kind: RunnerKind, root: &Path, settings: &str, planned: Vec<PlannedDatabase>) -> Stage {
    let log = root.join("log");
    let env = [("LOG", log.to_str().expect("text"))];
    let stage = Stage::try_open_with(planned, 1, kind, root, settings, &env).await;
    stage.expect("the settings make sense")
}

/// A suite of commands: each test is a line for the shell.
async fn exec(root: &Path) -> Stage {
    open(RunnerKind::Exec, root, r#"{"command": ["sh", "-c", "eval {id}"], "tests": ["true"]}"#, Vec::new()).await
}

async fn pytest(root: &Path, conftest: &str, tests: &str) -> Stage {
    std::fs::write(root.join("conftest.py"), conftest).expect("it can be written");
    std::fs::write(root.join("test_it.py"), tests).expect("it can be written");
    let settings = format!("{{\"python\": {:?}}}", stage::python("pytest-9").to_str().expect("text"));
    open(RunnerKind::Pytest, root, &settings, Vec::new()).await
}

async fn run(stage: &mut Stage, path: &str, names: &[&str]) -> Told {
    let file = ListedFile { path: path.into(), key: FileKey::default(), locator: "".into() };
    let mut file = stage.file(&file, Some(names));
    file.remembered = 0;
    stage.work(Work::Files(vec![file]), |_| None).await
}

fn log(root: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(root.join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn notes(told: &Told, name: &str) -> Vec<String> {
    let seen = told.of(name).observation.as_ref();
    seen.map(|seen| seen.notes.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

/// Asks for two things to be done afterwards.
const ASKS: &str = "for n in 1 2; do echo \"echo $n $REGATTA_NAMESPACE >> $LOG\" >> $REGATTA_CLEANUP; done";

#[tokio::test]
async fn what_a_test_asked_for_is_done_the_last_first_however_it_ended() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path()).await;
    stage.policy.timeout = Micros::from_ms(500);
    for (end, outcome) in [
        ("true", Outcome::Passed),
        ("exit 3", Outcome::Failed),
        ("kill -KILL $$", Outcome::Crashed),
        ("sleep 1000", Outcome::TimedOut),
    ] {
        let test = format!("{ASKS}; {end}");
        let told = run(&mut stage, "fixture", &[&test]).await;
        assert_eq!(told.of(&test).outcome, outcome);
        assert!(told.of(&test).observation.is_none(), "there is nothing to be said of it: {told:#?}");
        let done: Vec<String> = log(root.path()).iter().map(|line| line[..1].to_owned()).collect();
        assert_eq!(done, ["2", "1"], "{end}");
        std::fs::remove_file(root.path().join("log")).expect("it is there");
    }
}

#[tokio::test]
async fn what_a_killed_test_asked_for_is_done_before_the_shard_is_over() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path()).await;
    let test = format!("{ASKS}; touch ready; sleep 1000");
    let file = ListedFile { path: "fixture".into(), key: FileKey::default(), locator: "".into() };
    let work = Work::Files(vec![stage.file(&file, Some(&[&test]))]);
    let ready = root.path().join("ready");
    let stop = |tell: &Tell| {
        matches!(tell, Tell::Started { .. }).then(|| {
            let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
            while !ready.exists() && std::time::Instant::now() < until {
                std::thread::yield_now();
            }
            Control::Stop { kill: true }
        })
    };
    let told = stage.work(work, stop).await;
    assert!(told.finished.is_empty(), "{told:#?}");
    assert_eq!(log(root.path()).len(), 2);
}

#[tokio::test]
async fn what_cannot_be_done_is_tried_again_and_told() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path()).await;
    let registry = [
        "echo tried >> $LOG; echo no such thing >&2; exit 4",
        r#"{"argv": ["sh", "-c", "echo from argv >> $LOG"]}"#,
        r#"{"argv": []}"#,
        "https: GET x",
        "echo cut >> $LOG",
    ];
    std::fs::write(root.path().join("registry"), registry.join("\n")).expect("it can be written");
    let told = run(&mut stage, "fixture", &["cp registry $REGATTA_CLEANUP"]).await;
    let seen = told.of("cp registry $REGATTA_CLEANUP").observation.as_ref().expect("something is to be said");
    assert_eq!((seen.leased, seen.seen), (Level::None, Level::None));
    let notes = notes(&told, "cp registry $REGATTA_CLEANUP");
    assert_eq!(notes.len(), 4, "{notes:#?}");
    assert!(notes[0].starts_with("line 3 of the registry was not performed: `argv` needs"), "{notes:#?}");
    assert_eq!(notes[1], "line 5 of the registry has no end, and was not performed");
    assert!(notes[2].starts_with("clean-up failed after 3 tries: `https: GET x`: exit code 127"), "{notes:#?}");
    assert_eq!(
        notes[3],
        "clean-up failed after 3 tries: `echo tried >> $LOG; echo no such thing >&2; exit 4`: exit code 4: no such thing"
    );
    assert_eq!(log(root.path()), ["from argv", "tried", "tried", "tried"]);
}

#[tokio::test]
async fn a_request_is_sent_to_the_server_that_it_names() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let things = format!("http://{}/things", listener.local_addr().expect("it listens"));
    let serve = async {
        let mut seen = Vec::new();
        // The first try of the first request fails.
        for answer in ["HTTP/1.1 503 Busy\r\n\r\n", "HTTP/1.1 204 Done\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let (mut stream, _) = listener.accept().await.expect("somebody calls");
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.expect("a request");
            seen.push(String::from_utf8_lossy(&buffer[..length]).lines().next().unwrap_or_default().to_owned());
            stream.write_all(answer.as_bytes()).await.expect("it listens");
        }
        seen
    };
    let json = format!(r#"{{"http": {{"method": "POST", "url": "{things}", "body": "x"}}}}"#);
    let registry = format!("{json}\nhttp: DELETE {things}/7\n");
    std::fs::write(root.path().join("registry"), registry).expect("it can be written");
    let names = ["cp registry $REGATTA_CLEANUP"];
    let (told, seen) = tokio::join!(run(&mut stage, "fixture", &names), serve);
    assert!(told.of(names[0]).observation.is_none(), "{told:#?}");
    let delete = "DELETE /things/7 HTTP/1.1";
    assert_eq!(seen, [delete, delete, "POST /things HTTP/1.1"]);
}

#[tokio::test]
async fn a_clean_up_still_has_the_databases_of_its_test() {
    let root = tempfile::tempdir().expect("a directory");
    let database = PlannedDatabase {
        resource: "app".into(),
        template: Digest([7; 32]),
        build: Vec::new(),
        build_limit: Micros::from_secs(30),
        extensions: Vec::new(),
        per: Per::Test,
        lazy: false,
    };
    let settings = r#"{"command": ["sh", "-c", "eval {id}"], "tests": ["true"]}"#;
    let mut stage = open(RunnerKind::Exec, root.path(), settings, vec![database]).await;
    stage.level = Level::Isolated;
    {
        let mut book = stage.databases.book();
        book.log = Some(root.path().join("log"));
        book.ends_with = Some("fake://test/0/1".to_owned());
    }
    let test = "echo 'echo $DATABASE_URL >> $LOG; exit 1' >> $REGATTA_CLEANUP";
    let told = run(&mut stage, "fixture", &[test]).await;
    let notes = notes(&told, test);
    assert_eq!(notes[0], "seen at fake://test/0/1");
    assert!(notes[1].starts_with("clean-up failed after 3 tries"), "{notes:?}");
    assert_eq!(stage.databases.check().len(), 2);
}

const CRATE: &str = "fn register() {
    use std::io::Write;
    let mut file = std::fs::File::options().append(true).create(true).open(std::env::var(\"REGATTA_CLEANUP\").unwrap());
    writeln!(file.as_mut().unwrap(), \"echo done >> $LOG; exit 1\").unwrap();
}
#[test] fn one() { register() }
#[test] fn two() { register() }
#[test] fn three() { register(); std::process::abort() }
";

#[tokio::test]
async fn tests_of_a_crate_are_cleaned_up_after_by_process() {
    for (isolation, told_of) in [("process", vec!["one", "three", "two"]), ("binary", vec!["three", "two"])] {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(root.path().join("src")).expect("it can be made");
        let manifest = "[package]\nname = \"uses\"\nedition = \"2021\"\n[workspace]\n";
        std::fs::write(root.path().join("Cargo.toml"), manifest).expect("it can be written");
        std::fs::write(root.path().join("src/lib.rs"), CRATE).expect("it can be written");
        let settings = format!(r#"{{"isolation": "{isolation}", "doc": false}}"#);
        let mut stage = open(RunnerKind::Rust, root.path(), &settings, Vec::new()).await;
        let found = stage.discover().await;
        let told = stage.run(&found.files[0], &["one", "two", "three"]).await;
        assert_eq!(told.finished.len(), 3, "{told:#?}");
        let with_notes = told.finished.iter().filter(|(_, finished)| finished.observation.is_some());
        let mut names: Vec<&str> = with_notes.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, told_of, "{isolation}: {told:#?}");
        assert_eq!(log(root.path()).len(), 9, "three times three tries");
    }
}

const REGISTERS: &str = "import os, signal, pytest
def register(line):
    with open(os.environ['REGATTA_CLEANUP'], 'a') as file: file.write(line + '\\n')
def test_passes(): register('echo passes >> $LOG')
def test_dies():
    register('echo first >> $LOG')
    register('echo $REGATTA_NAMESPACE ' + os.environ['REGATTA_NAMESPACE'] + ' >> $LOG')
    os.kill(os.getpid(), signal.SIGKILL)
def test_after(): pass
";

#[tokio::test]
async fn a_pytest_host_that_is_killed_is_cleaned_up_after() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = pytest(root.path(), "", REGISTERS).await;
    let told = run(&mut stage, "test_it.py", &["test_dies", "test_after"]).await;
    assert_eq!(told.of("test_dies").outcome, Outcome::Crashed);
    told.check("test_after", Outcome::Passed, "");
    let lines = log(root.path());
    assert_eq!(lines[1..], ["first"]);
    let (its, own) = lines[0].split_once(' ').expect("two names");
    assert_eq!(its, own, "a clean-up knows the names that its test used");
    run(&mut stage, "test_it.py", &["test_passes"]).await.check("test_passes", Outcome::Passed, "");
    assert_eq!(log(root.path())[2..], ["passes"]);
}

#[tokio::test]
async fn what_only_one_may_have_is_cleaned_up_before_the_next_test_has_it() {
    let slowly = "sleep 0.2; echo cleaned >> $LOG";
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path()).await;
    stage.holds = vec![hold("phone", &[])];
    let first = format!("echo '{slowly}' >> $REGATTA_CLEANUP");
    run(&mut stage, "fixture", &[&first, "echo next >> $LOG"]).await;
    assert_eq!(log(root.path()), ["cleaned", "next"]);

    let root = tempfile::tempdir().expect("a directory");
    let tests = format!(
        "import os\ndef test_one():\n    with open(os.environ['REGATTA_CLEANUP'], 'a') as file: file.write('{slowly}\\n')\n\
         def test_two():\n    with open(os.environ['LOG'], 'a') as file: file.write('next\\n')\n"
    );
    let mut stage = pytest(root.path(), "", &tests).await;
    stage.holds = vec![hold("phone", &[])];
    run(&mut stage, "test_it.py", &["test_one", "test_two"]).await;
    assert_eq!(log(root.path()), ["cleaned", "next"]);
}

#[tokio::test]
async fn a_command_knows_what_its_shard_holds() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = exec(root.path()).await;
    stage.holds = vec![hold("phone", &[("serial", "A 1")])];
    let test =
        "echo $REGATTA_TOKEN $REGATTA_RESOURCE_PHONE $REGATTA_RESOURCE_PHONE_SERIAL $REGATTA_RESOURCE_PHONE_SEATS";
    let told = run(&mut stage, "fixture", &[test]).await;
    assert_eq!(told.output(test), "1 ada A 1 1\n");
}

#[tokio::test]
async fn resources_with_the_same_variables_are_an_error_of_the_suite() {
    let root = tempfile::tempdir().expect("a directory");
    for mut stage in [exec(root.path()).await, pytest(root.path(), "", REGISTERS).await] {
        stage.holds = vec![hold("pay-api", &[]), hold("pay.api", &[])];
        let told = run(&mut stage, "test_it.py", &["test_after"]).await;
        assert!(told.started.is_empty());
        let [error] = &told.errors[..] else { panic!("{told:#?}") };
        assert_eq!(error.kind, RunErrorKind::Runner);
        assert!(error.message.contains("`pay-api` and the resource `pay.api` become the same"), "{error:?}");
    }
}

const HOLDS: &str = "import os, pytest
SERIAL = os.environ.get('REGATTA_RESOURCE_PHONE_SERIAL')
@pytest.fixture(scope='session', autouse=True)
def session():
    yield
    with open(os.environ['LOG'], 'a') as file: file.write('torn down with %s\\n' % SERIAL)
";

#[tokio::test]
async fn a_pytest_host_that_holds_something_is_fresh_and_ends_with_the_shard() {
    let root = tempfile::tempdir().expect("a directory");
    let tests = "import conftest, os
def test_with(): assert conftest.SERIAL == os.environ['REGATTA_RESOURCE_PHONE_SERIAL'] == 'A1'
def test_without(): assert conftest.SERIAL is None and 'REGATTA_RESOURCE_PHONE' not in os.environ
def test_token(): assert os.environ['REGATTA_TOKEN'] == '1'
";
    let mut stage = pytest(root.path(), HOLDS, tests).await;
    let names = ["test_without", "test_token"];
    let told = run(&mut stage, "test_it.py", &names).await;
    names.iter().for_each(|name| told.check(name, Outcome::Passed, ""));
    stage.holds = vec![hold("phone", &[("serial", "A1")])];
    run(&mut stage, "test_it.py", &["test_with"]).await.check("test_with", Outcome::Passed, "");
    // Before the shard was over.
    assert_eq!(log(root.path()), ["torn down with None", "torn down with A1"]);
    stage.holds.clear();
    run(&mut stage, "test_it.py", &["test_without"]).await.check("test_without", Outcome::Passed, "");
    run(&mut stage, "test_it.py", &["test_without"]).await.check("test_without", Outcome::Passed, "");
    assert_eq!(log(root.path()).len(), 2, "a host that holds nothing stays");
}

const LATE: &str = "import os, pytest
def register(line):
    with open(os.environ['REGATTA_CLEANUP'], 'a') as file: file.write(line + '\\n')
@pytest.fixture(scope='module', autouse=True)
def module():
    yield
    register('echo module >> $LOG')
@pytest.fixture(scope='session', autouse=True)
def session():
    yield
    register('echo session >> $LOG')
";

#[tokio::test]
async fn what_fixtures_ask_for_when_they_go_is_done_when_the_shard_or_the_run_ends() {
    let root = tempfile::tempdir().expect("a directory");
    let mut stage = pytest(root.path(), LATE, "def test_one(): pass\n").await;
    std::fs::write(root.path().join("test_other.py"), "def test_two(): pass\n").expect("it can be written");
    run(&mut stage, "test_it.py", &["test_one"]).await.check("test_one", Outcome::Passed, "");
    assert!(log(root.path()).is_empty());
    let told = run(&mut stage, "test_other.py", &["test_two"]).await;
    told.check("test_two", Outcome::Passed, "");
    assert!(told.errors.is_empty(), "{told:#?}");
    assert_eq!(log(root.path()), ["module"]);
    let (to, mut tells) = tokio::sync::mpsc::channel(16);
    stage.runner.close(&regatta_worker::runner::Sink { token: regatta_domain::Token(0), to }).await;
    assert!(tells.try_recv().is_err(), "nothing went wrong");
    assert_eq!(log(root.path()), ["module", "session", "module"]);
}
