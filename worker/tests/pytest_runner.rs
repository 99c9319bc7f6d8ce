//! The pytest runner on real suites, under every pytest that it has to get on with: tests that end in every way in which
//! tests can end, fixtures that outlive them, ids that are hard to carry, and tests that wreck their process.

mod stage;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::result::RunErrorKind;
use regatta_domain::{FileIx, FileKey, Level, Micros, Nuance, Outcome, RunnerKind, TestIx, Token};
use regatta_wire::listing::digest;
use regatta_worker::runner::{Control, FileWork, Sink, Tell, TestWork, Work};
use stage::{Stage, Told, fixture, python};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The pytests that `tests/run` installs: the newest, the one before, the oldest that will do.
const PYTESTS: [&str; 3] = ["pytest-9", "pytest-8", "pytest-7"];

async fn open_among(slots: u16, pytest: &str, root: &Path, settings: &str, env: &[(&str, &str)]) -> Stage {
    let settings = format!("{{\"python\": {:?}{settings}}}", python(pytest).to_str().expect("text"));
    Stage::try_open_among(slots, RunnerKind::Pytest, root, &settings, env).await.expect("the settings make sense")
}

async fn open_with(pytest: &str, root: &Path, settings: &str, env: &[(&str, &str)]) -> Stage {
    open_among(1, pytest, root, settings, env).await
}

async fn open(pytest: &str, suite: &str, env: &[(&str, &str)]) -> Stage {
    open_with(pytest, &fixture(suite), "", env).await
}

/// As [`open`], with a host of its own, and with one that is forked from what all slots share.
async fn open_both(pytest: &str, suite: &str, env: &[(&str, &str)]) -> [Stage; 2] {
    let root = fixture(suite);
    [open_among(1, pytest, &root, "", env).await, open_among(2, pytest, &root, "", env).await]
}

fn listed_file(path: &str) -> ListedFile {
    ListedFile { path: path.into(), key: FileKey::default(), locator: "".into() }
}

/// Work on these tests of these files, numbered in order, as they were listed in this very run.
fn work(stage: &Stage, files: &[(&str, &[&str])]) -> Vec<FileWork> {
    let policy = Arc::new(stage.policy.clone());
    let mut numbers = 0..;
    let mut test = |name: &&str| TestWork {
        test: TestIx(numbers.next().expect("there is no end to them")),
        attempt: 1,
        name: (*name).into(),
        estimate: Micros::from_ms(1),
        policy: Arc::clone(&policy),
        level: stage.level,
    };
    let file = |(at, (path, names)): (usize, &(&str, &[&str]))| FileWork {
        file: FileIx::nth(at),
        path: (*path).into(),
        key: FileKey::default(),
        locator: "".into(),
        remembered: 0,
        tests: Some(names.iter().map(&mut test).collect()),
    };
    files.iter().enumerate().map(file).collect()
}

async fn run(stage: &mut Stage, files: &[(&str, &[&str])]) -> Told {
    let work = Work::Files(work(stage, files));
    stage.work(work, |_| None).await
}

#[tokio::test]
async fn hosts_are_forked_where_there_is_more_than_one_slot() {
    for mut stage in open_both("pytest-9", "pytest-rough", &[]).await {
        let told = run(&mut stage, &[(ROUGH, &["test_is_forked"])]).await;
        told.check("test_is_forked", Outcome::Passed, "");
    }
}

/// Installs a plugin of one module, for whoever has `site` on the path.
fn install_plugin(site: &Path, name: &str, source: &str) {
    let write = |path: PathBuf, text: &str| {
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("room");
        std::fs::write(path, text).expect("written");
    };
    let info = site.join(format!("plug_{name}-1.dist-info"));
    write(site.join(format!("plug_{name}.py")), source);
    write(info.join("METADATA"), &format!("Metadata-Version: 2.1\nName: plug-{name}\nVersion: 1\n"));
    write(info.join("RECORD"), &format!("plug_{name}.py,,\n"));
    write(info.join("entry_points.txt"), &format!("[pytest11]\n{name} = plug_{name}\n"));
}

const NOTES_ITS_IMPORT: &str = "import os\nopen(os.environ['IMPORTS'], 'a').write(__name__ + '\\n')\n";

#[tokio::test]
async fn installed_plugins_are_to_a_forked_host_what_they_are_to_one_of_its_own() {
    for pytest in PYTESTS {
        let root = tempfile::tempdir().expect("a directory");
        let (site, imports) = (root.path().join("site"), root.path().join("imports"));
        let fixture =
            "import pytest\n@pytest.fixture\ndef three():\n    return 3\ndef check(number): assert number == 3\n";
        install_plugin(&site, "sound", &format!("{NOTES_ITS_IMPORT}{fixture}"));
        install_plugin(&site, "blocked", NOTES_ITS_IMPORT);
        std::fs::write(root.path().join("pytest.ini"), "[pytest]\naddopts = -p no:blocked\n").expect("written");
        let tests =
            "import plug_sound\ndef test_three(three): assert three == 3\ndef test_one(): plug_sound.check(1)\n";
        std::fs::write(root.path().join("test_it.py"), tests).expect("written");
        let env = [("PYTHONPATH", site.to_str().expect("text")), ("IMPORTS", imports.to_str().expect("text"))];
        for slots in [1, 2] {
            let mut stage = open_among(slots, pytest, root.path(), "", &env).await;
            let told = run(&mut stage, &[("test_it.py", &["test_three", "test_one"])]).await;
            told.check("test_three", Outcome::Passed, "");
            // The words of a rewritten assertion, in a module of a plugin.
            told.check("test_one", Outcome::Failed, "assert 1 == 3");
            assert!(told.notes.is_empty() && told.errors.is_empty(), "{pytest}, {slots} slots: {told:#?}");
            let imported = std::fs::read_to_string(&imports).expect("one was imported");
            assert_eq!(imported, "plug_sound\n", "{pytest}, {slots} slots");
            std::fs::remove_file(&imports).expect("it is there");
        }
    }
}

#[tokio::test]
async fn a_plugin_that_starts_threads_is_imported_by_each_host_for_itself() {
    let root = tempfile::tempdir().expect("a directory");
    let site = root.path().join("site");
    let source = "import threading, os\nthread = threading.Thread(target=threading.Event().wait, daemon=True)\n\
                  thread.start()\npid = os.getpid()\n";
    install_plugin(&site, "threads", source);
    let tests = "import plug_threads, os\ndef test_lives():\n    \
                 assert plug_threads.thread.is_alive() and plug_threads.pid == os.getpid()\n";
    std::fs::write(root.path().join("test_it.py"), tests).expect("written");
    let env = [("PYTHONPATH", site.to_str().expect("text"))];
    let mut stage = open_among(2, "pytest-9", root.path(), "", &env).await;
    run(&mut stage, &[("test_it.py", &["test_lives"])]).await.check("test_lives", Outcome::Passed, "");
}

/// Closes the runner; what went wrong in that.
async fn close(stage: &mut Stage) -> Vec<Tell> {
    let (to, mut tells) = mpsc::channel(16);
    stage.runner.close(&Sink { token: Token(0), to }).await;
    let mut all = Vec::new();
    while let Ok((_, tell)) = tells.try_recv() {
        all.push(tell);
    }
    all
}

fn names(told: &Told) -> Vec<&str> {
    told.listed.iter().map(|test| &*test.name).collect()
}

fn check_outcomes(told: &Told) {
    assert!(told.errors.is_empty(), "{told:#?}");
    let cases = [
        ("test_passes", Outcome::Passed, Nuance::Plain, ""),
        ("test_fails", Outcome::Failed, Nuance::Plain, "AssertionError: numbers"),
        ("test_skips", Outcome::Skipped, Nuance::Plain, "Skipped: not today"),
        ("test_is_skipped", Outcome::Skipped, Nuance::Plain, "Skipped: never"),
        ("test_fails_as_expected", Outcome::Skipped, Nuance::ExpectedFailure, "known"),
        ("test_passes_unexpectedly", Outcome::Passed, Nuance::UnexpectedPass, "fixed by now"),
        ("test_passes_and_must_not", Outcome::Failed, Nuance::UnexpectedPass, "[XPASS(strict)] surely"),
        ("test_has_no_setup", Outcome::Failed, Nuance::SetupError, "ValueError: no set-up"),
        ("test_has_no_teardown", Outcome::Failed, Nuance::TeardownError, "ValueError: no teardown"),
        ("test_fails_twice", Outcome::Failed, Nuance::Plain, "AssertionError: the test itself"),
        ("test_passes_when_rerun", Outcome::Passed, Nuance::Plain, ""),
        ("test_exits", Outcome::Failed, Nuance::Plain, "pytest.exit() was called: enough"),
        ("test_is_interrupted", Outcome::Failed, Nuance::Plain, "KeyboardInterrupt was raised"),
        ("test_leaves", Outcome::Failed, Nuance::Plain, "SystemExit: 3"),
        ("test_comes_last", Outcome::Passed, Nuance::Plain, ""),
    ];
    for (name, outcome, nuance, reason) in cases {
        assert_eq!(told.of(name).nuance, nuance, "{name}");
        told.check(name, outcome, reason);
    }
    assert_eq!(told.of("test_with_subtests").outcome, Outcome::Failed);
    let subtests = told.output("test_with_subtests");
    assert!(subtests.contains("not even") && subtests.contains("number="), "{subtests}");
    assert_eq!(told.finished.len(), cases.len() + 1);

    assert_eq!(told.output("test_passes"), "", "a test that passed has nothing to explain");
    let failed = told.output("test_fails");
    let (assertion, captured) = failed.split_once("Captured stdout call").expect("what was printed is shown");
    assert!(assertion.contains("assert (1 + 1) == 3"), "{failed}");
    assert!(captured.contains("before the end"), "{failed}");
    let twice = told.output("test_fails_twice");
    assert!(twice.contains("the test itself") && twice.contains("error in teardown"), "{twice}");
}

#[tokio::test]
async fn every_way_to_end_has_its_outcome_under_every_pytest() {
    for pytest in PYTESTS {
        for mut stage in open_both(pytest, "pytest-basic", &[]).await {
            check_outcomes(&stage.list_and_run(&listed_file("tests/test_outcomes.py")).await);
            assert!(close(&mut stage).await.is_empty(), "{pytest}");
        }
    }
}

#[tokio::test]
async fn discovery_finds_the_files_that_pytest_would_collect() {
    for pytest in PYTESTS {
        let mut stage = open(pytest, "pytest-basic", &[]).await;
        let told = stage.discover().await;
        let mut paths: Vec<&str> = told.files.iter().map(|file| &*file.path).collect();
        paths.sort_unstable();
        let wanted =
            ["deep/test_shared_too", "test_groups", "test_ids", "test_outcomes", "test_shared", "test_skipped_whole"];
        assert_eq!(paths, wanted.map(|name| format!("tests/{name}.py")), "{pytest}");
        assert!(told.errors.is_empty(), "{told:#?}");
        let mut keys: Vec<FileKey> = told.files.iter().map(|file| file.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), told.files.len(), "each file has a key of its own");
    }
}

#[tokio::test]
async fn ids_that_are_hard_to_carry_run_by_name() {
    for pytest in PYTESTS {
        let mut stage = open(pytest, "pytest-basic", &[]).await;
        let file = listed_file("tests/test_ids.py");
        let told = stage.list_and_run(&file).await;
        assert_eq!((told.listed.len(), told.finished.len()), (15, 15), "{told:#?}");
        assert!(told.finished.iter().all(|(_, finished)| finished.outcome == Outcome::Passed), "{told:#?}");
        let backwards: Vec<&str> = names(&told).into_iter().rev().collect();
        let again = run(&mut stage, &[("tests/test_ids.py", &backwards)]).await;
        let order: Vec<&str> = again.finished.iter().map(|(name, _)| &**name).collect();
        assert_eq!(order, backwards, "they run in the order in which they were asked for");
    }
}

#[tokio::test]
async fn tests_that_share_a_fixture_are_a_group() {
    for pytest in PYTESTS {
        let mut stage = open(pytest, "pytest-basic", &[]).await;
        let told = stage.list_and_run(&listed_file("tests/test_groups.py")).await;
        let of = |name: &str| -> &ListedTest {
            let found = told.listed.iter().find(|test| &*test.name == name);
            found.unwrap_or_else(|| panic!("{name} is in {told:#?}"))
        };
        let groups = [
            ("test_alone", None),
            ("test_of_session", None),
            ("test_of_module", Some("module")),
            ("test_of_colour[red]", Some("module colour=0")),
            ("test_of_colour[blue]", Some("module colour=1")),
            ("TestShares::test_one", Some("class TestShares")),
            ("TestShares::test_two", Some("class TestShares")),
            ("TestShares::test_free", None),
            ("PlainCase::test_case", None),
            ("SharingCase::test_case", Some("class SharingCase")),
            ("test_grouped", Some("group together")),
        ];
        for (name, group) in groups {
            assert_eq!(of(name).group.as_deref(), group, "{name} under {pytest}");
        }
        let marked = of("test_marked");
        assert_eq!(marked.level, Level::Transaction);
        for tag in ["slow", "ticket", "ticket=17", "regatta.level=transaction"] {
            assert!(marked.tags.iter().any(|has| &**has == tag), "{tag} in {marked:?}");
        }
        assert!(marked.line > 50, "{marked:?}");
    }
}

#[tokio::test]
async fn a_module_that_skips_itself_is_one_skipped_test() {
    for pytest in PYTESTS {
        let mut stage = open(pytest, "pytest-basic", &[]).await;
        let told = stage.list_and_run(&listed_file("tests/test_skipped_whole.py")).await;
        assert_eq!(names(&told), [""]);
        told.check("", Outcome::Skipped, "Skipped: nothing for this machine");
    }
}

#[tokio::test]
async fn shared_fixtures_stay_until_another_file_needs_them_gone() {
    for pytest in PYTESTS {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let env = [("FIXTURE_LOG", log.path().to_str().expect("text"))];
        let mut stage = open(pytest, "pytest-basic", &env).await;
        let first = "tests/test_shared.py";
        // Two shards: between them nothing may be torn down that the second still needs.
        assert_eq!(run(&mut stage, &[(first, &["test_one"])]).await.finished.len(), 1);
        let second: [(&str, &[&str]); 2] =
            [(first, &["test_two"]), ("tests/deep/test_shared_too.py", &["test_three", "test_who"])];
        let told = run(&mut stage, &second).await;
        assert!(told.finished.iter().all(|(_, finished)| finished.outcome == Outcome::Passed), "{told:#?}");
        assert!(told.errors.is_empty(), "{told:#?}");
        // `test_does_not_linger` shares the module with them: its broken fixture goes when the runner does.
        let end = close(&mut stage).await;
        let [Tell::Error { file: None, error }] = &end[..] else { panic!("{end:?}") };
        assert_eq!(error.kind, RunErrorKind::Teardown);
        assert!(error.message.contains("the module does not go"), "{error:?}");
        assert!(error.place.contains("test_shared_too.py"), "{error:?}");
        let lines = std::fs::read_to_string(log.path()).expect("a log");
        let wanted = ["session up", "module up", "module down", "module up", "module down", "session down"];
        let seen: Vec<&str> = lines.lines().map(|line| line.split(" tests.").next().unwrap_or(line)).collect();
        let seen: Vec<String> = seen.iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(seen, wanted, "{lines}");
    }
}

#[tokio::test]
async fn a_remembered_listing_that_still_holds_is_not_told_again() {
    let mut stage = open("pytest-9", "pytest-basic", &[]).await;
    let file = "tests/test_shared.py";
    let mut files = work(&stage, &[(file, &["test_two"])]);
    files[0].remembered = digest(["test_one", "test_two"].into_iter());
    let told = stage.work(Work::Files(files), |_| None).await;
    assert!(told.listed.is_empty(), "{told:#?}");
    told.check("test_two", Outcome::Passed, "");
}

#[tokio::test]
async fn a_file_with_other_tests_than_remembered_is_listed_before_any_runs() {
    let mut stage = open("pytest-9", "pytest-basic", &[]).await;
    for _ in 0..2 {
        // The second time the host knows the file already.
        let told = stage.run(&listed_file("tests/test_shared.py"), &["test_gone"]).await;
        assert_eq!(names(&told), ["test_one", "test_two"]);
        assert_eq!(told.finished.len(), 2, "what the answer named, and nothing else: {told:#?}");
    }
}

#[tokio::test]
async fn a_test_that_is_not_there_is_missing() {
    let mut stage = open("pytest-9", "pytest-basic", &[]).await;
    let files: [(&str, &[&str]); 2] =
        [("tests/test_shared.py", &["test_one", "test_gone"]), ("tests/gone.py", &["test_x"])];
    let work = Work::Files(work(&stage, &files));
    let (mut missing, mut passed) = (0, 0);
    stage
        .work(work, |tell| {
            if let Tell::Finished(finished) = tell {
                missing += usize::from(finished.outcome == Outcome::Missing);
                passed += usize::from(finished.outcome == Outcome::Passed);
                assert!(finished.outcome == Outcome::Passed || finished.reason.is_some());
            }
            None
        })
        .await;
    assert_eq!((missing, passed), (2, 1));
}

const CRASHES: [(&str, &str); 5] = [
    ("test_segfaults", "the pytest process was ended by signal 11 (SIGSEGV)"),
    ("test_aborts", "the pytest process was ended by signal 6 (SIGABRT)"),
    ("test_leaves_quietly", "the pytest process exited with code 0 (os._exit?)"),
    (
        "test_is_killed",
        "the pytest process was ended by signal 9 (SIGKILL): killed from outside, not by Regatta; out of memory?",
    ),
    (
        "test_closes_everything",
        "the pytest process lost its connection: the test closed descriptors that are not its own",
    ),
];

const ROUGH: &str = "test_rough.py";

#[tokio::test]
async fn a_test_that_ends_its_process_is_blamed_and_the_others_go_on() {
    for pytest in PYTESTS {
        for mut stage in open_both(pytest, "pytest-rough", &[]).await {
            let mut asked = vec!["test_before"];
            asked.extend(CRASHES.iter().map(|(name, _)| *name));
            asked.push("test_after");
            let told = run(&mut stage, &[(ROUGH, &asked)]).await;
            for (name, reason) in CRASHES {
                told.check(name, Outcome::Crashed, reason);
            }
            told.check("test_before", Outcome::Passed, "");
            told.check("test_after", Outcome::Passed, "");
            assert_eq!(told.started.len(), asked.len(), "nothing was begun twice: {told:#?}");
            let segfault = told.output("test_segfaults");
            assert!(segfault.contains("test_segfaults"), "the interpreter says where it was: {segfault}");
        }
    }
}

#[tokio::test]
async fn a_test_that_wrecks_less_than_its_process_harms_no_other() {
    let pid = tempfile::NamedTempFile::new().expect("a file");
    let env = [("FIXTURE_PID", pid.path().to_str().expect("text"))];
    for stage in open_both("pytest-9", "pytest-rough", &env).await {
        check_wrecks(stage, pid.path()).await;
    }
}

async fn check_wrecks(mut stage: Stage, pid: &Path) {
    let asked = [
        "test_closes_its_output",
        "test_before",
        "test_closes_its_streams",
        "test_forks_a_daemon",
        "test_forks_and_comes_back",
        "test_touches_signals",
        "test_moves",
        "test_after",
    ];
    let told = run(&mut stage, &[(ROUGH, &asked)]).await;
    // pytest itself cannot read any more what it printed.
    told.check("test_closes_its_output", Outcome::Failed, "ValueError: I/O operation on closed file");
    for name in &asked[1..] {
        told.check(name, Outcome::Passed, "");
    }
    assert_eq!(told.finished.len(), asked.len());
    let recursion = run(&mut stage, &[(ROUGH, &["test_recurses"])]).await;
    assert!(recursion.of("test_recurses").reason.as_deref().unwrap_or_default().contains("RecursionError"));
    close(&mut stage).await;
    let daemon: i32 = std::fs::read_to_string(pid).expect("it was written").parse().expect("a process id");
    let deadline = Instant::now() + Duration::from_secs(10);
    while kill(Pid::from_raw(daemon), None).is_ok() {
        assert!(Instant::now() < deadline, "the daemon went with the host");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn output_is_bounded_and_carried_whatever_it_holds() {
    let mut stage = open("pytest-9", "pytest-rough", &[]).await;
    let told = run(&mut stage, &[(ROUGH, &["test_prints_much", "test_prints_nonsense"])]).await;
    let much = told.output("test_prints_much");
    assert!(much.len() < 300 * 1024 && much.contains("characters cut"), "{} bytes", much.len());
    told.check("test_prints_much", Outcome::Failed, "AssertionError: and fails");
    let nonsense = told.output("test_prints_nonsense");
    assert!(nonsense.contains("zero") && nonsense.contains('\0') && nonsense.contains("surrogate"), "{nonsense:?}");
    assert_eq!(told.of("test_prints_nonsense").outcome, Outcome::Failed);
}

#[tokio::test]
async fn a_test_that_hangs_is_stopped_and_says_where_it_was() {
    for mut stage in open_both("pytest-9", "pytest-rough", &[("FIXTURE_HANGS", "1")]).await {
        stage.policy.timeout = Micros::from_ms(1_500);
        let told = run(&mut stage, &[(ROUGH, &["test_before", "test_hangs", "test_after"])]).await;
        told.check("test_hangs", Outcome::TimedOut, "ran longer than its limit of 1.500s, and was stopped");
        assert!(told.output("test_hangs").contains("wait_for_ever"), "{}", told.output("test_hangs"));
        told.check("test_before", Outcome::Passed, "");
        told.check("test_after", Outcome::Passed, "");
    }
}

#[tokio::test]
async fn what_was_not_sent_can_be_stolen_all_or_none() {
    let mut stage = open("pytest-9", "pytest-rough", &[("FIXTURE_HANGS", "1")]).await;
    stage.policy.timeout = Micros::from_ms(1_500);
    let mut files = work(&stage, &[(ROUGH, &["test_hangs", "test_before", "test_after", "test_aborts"])]);
    for test in files[0].tests.iter_mut().flatten() {
        test.estimate = Micros::from_secs(2);
    }
    // The first runs, the second follows it: the last two can go, but not together with the second.
    let mut asked = vec![vec![TestIx(2), TestIx(3)], vec![TestIx(1)]];
    let told = stage
        .work(Work::Files(files), |tell| match tell {
            Tell::Started { .. } | Tell::GaveBack(_) => asked.pop().map(Control::Steal),
            _ => None,
        })
        .await;
    assert_eq!(told.gave_back, [vec![], vec![TestIx(2), TestIx(3)]]);
    told.check("test_before", Outcome::Passed, "");
    assert_eq!(told.finished.len(), 2, "{told:#?}");
}

#[tokio::test]
async fn what_is_stolen_while_a_new_host_comes_up_is_not_waited_for() {
    let mut stage = open("pytest-9", "pytest-rough", &[]).await;
    let files = work(&stage, &[(ROUGH, &["test_leaves_quietly", "test_before", "test_after"])]);
    // The first takes the host with it: while another one starts, nothing is sent that could not go.
    let mut steal = Some(Control::Steal(vec![TestIx(1), TestIx(2)]));
    let told = stage
        .work(Work::Files(files), |tell| match tell {
            Tell::Finished(_) => steal.take(),
            _ => None,
        })
        .await;
    assert_eq!(told.gave_back, [vec![TestIx(1), TestIx(2)]]);
    assert_eq!(told.finished.len(), 1, "{told:#?}");
}

#[tokio::test]
async fn a_stop_that_kills_tells_nothing_of_what_ran() {
    let mut stage = open("pytest-9", "pytest-rough", &[("FIXTURE_HANGS", "1")]).await;
    let files = work(&stage, &[(ROUGH, &["test_hangs", "test_after"])]);
    let told = stage
        .work(Work::Files(files), |tell| match tell {
            Tell::Started { .. } => Some(Control::Stop { kill: true }),
            _ => None,
        })
        .await;
    assert!(told.finished.is_empty() && told.errors.is_empty(), "{told:#?}");
    // The runner is still good for another shard.
    run(&mut stage, &[(ROUGH, &["test_after"])]).await.check("test_after", Outcome::Passed, "");
}

#[tokio::test]
async fn a_stop_lets_what_runs_finish_and_starts_nothing_more() {
    let root = tempfile::tempdir().expect("a directory");
    let go = root.path().join("go");
    let module = "import os, pytest, time\n@pytest.mark.parametrize('x', range(15))\ndef test_waits(x):\n    \
                  while not os.path.exists('go'): time.sleep(0.01)\n    time.sleep(0.3)\n";
    std::fs::write(root.path().join("test_it.py"), module).expect("written");
    let names: Vec<String> = (0..15).map(|x| format!("test_waits[{x}]")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut stage = open_with("pytest-9", root.path(), "", &[]).await;
    // Expected to be fast, so that several are sent ahead.
    let files = work(&stage, &[("test_it.py", &names)]);
    let mut stop = Some(Control::Stop { kill: false });
    let told = stage
        .work(Work::Files(files), |tell| match tell {
            Tell::Started { .. } => {
                // Asked for in time: word of it goes out before the test can end.
                std::fs::write(&go, "").expect("written");
                stop.take()
            }
            _ => None,
        })
        .await;
    assert_eq!((told.started.len(), told.finished.len()), (1, 1), "{told:#?}");
    // The host is still good for another shard.
    let told = run(&mut stage, &[("test_it.py", &names[..3])]).await;
    assert_eq!(told.finished.len(), 3, "{told:#?}");
}

#[tokio::test]
async fn a_stop_ends_also_when_what_runs_takes_the_host_with_it() {
    let mut stage = open("pytest-9", "pytest-rough", &[("FIXTURE_HANGS", "1")]).await;
    stage.policy.timeout = Micros::from_ms(500);
    let files = work(&stage, &[(ROUGH, &["test_hangs", "test_after"])]);
    let mut stop = Some(Control::Stop { kill: false });
    let told = stage
        .work(Work::Files(files), |tell| match tell {
            Tell::Started { .. } => stop.take(),
            _ => None,
        })
        .await;
    assert_eq!((told.finished.len(), told.of("test_hangs").outcome), (1, Outcome::TimedOut), "{told:#?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_collected_is_an_error_and_the_others_go_on() {
    for pytest in ["pytest-9", "pytest-8"] {
        let mut stage = open(pytest, "pytest-broken", &[("FIXTURE_DIES", "1")]).await;
        let told = stage.discover().await;
        assert_eq!(told.errors.len(), 1, "{told:#?}");
        assert!(told.errors[0].message.contains("this conftest is broken"), "{told:#?}");
        let cases = [
            ("tests/test_import.py", "no_such_module_of_ours"),
            ("tests/test_syntax.py", "SyntaxError"),
            ("tests/test_exits.py", "at import"),
            ("tests/test_dies.py", "exited with code 7"),
            ("tests/twice.double", "'same'"),
            ("tests/test_level.py", "level=\"deep\""),
            ("tests/below/test_under.py", "this conftest is broken"),
            ("tests/test_fine.py", ""),
        ];
        let files = cases
            .iter()
            .enumerate()
            .map(|(at, (path, _))| FileWork { file: FileIx::nth(at), ..stage.file(&listed_file(path), None) });
        let mut errors = vec![String::new(); cases.len()];
        let told = stage
            .work(Work::Files(files.collect()), |tell| {
                if let Tell::Error { file: Some(file), error } = tell {
                    assert_eq!(error.kind, RunErrorKind::Collection);
                    errors[file.at()] = error.message.to_string();
                }
                None
            })
            .await;
        for ((path, wanted), error) in cases.iter().zip(&errors) {
            assert!(error.contains(wanted) && error.is_empty() == wanted.is_empty(), "{path}: {error}");
        }
        told.check("test_fine", Outcome::Passed, "");
        assert_eq!(told.errors.len(), cases.len() - 1, "each is told once: {told:#?}");
    }
}

#[tokio::test]
async fn a_configuration_that_pytest_refuses_is_told_in_its_words() {
    let root = tempfile::tempdir().expect("a directory");
    let cases = [
        ("[pytest]\naddopts = --no-such-option\n", "", "--no-such-option"),
        ("[pytest]\ntestpaths = tests\n", "raise RuntimeError('no conftest')\n", "no conftest"),
    ];
    for (configuration, conftest, wanted) in cases {
        std::fs::write(root.path().join("pytest.ini"), configuration).expect("written");
        std::fs::write(root.path().join("conftest.py"), conftest).expect("written");
        let mut stage = open_with("pytest-9", root.path(), "", &[]).await;
        let told = stage.discover().await;
        assert_eq!(told.errors.len(), 1, "{told:#?}");
        assert_eq!(told.errors[0].kind, RunErrorKind::Runner);
        assert!(told.errors[0].message.contains(wanted), "{told:#?}");
    }
}

#[tokio::test]
async fn without_a_python_that_has_pytest_it_is_said_what_to_do() {
    let root = fixture("pytest-basic");
    for (settings, wanted) in [
        ("{\"python\": \"no-such-python\"}", "looked for no-such-python"),
        ("{\"python\": \"/bin/false\"}", "`/bin/false` did not come up (exit code 1)"),
        ("{\"python\": \"/usr/bin/python3\"}", "-m pip install pytest"),
    ] {
        if settings.contains("/usr/bin/python3") && has_pytest("/usr/bin/python3") {
            continue;
        }
        let mut stage = Stage::open(RunnerKind::Pytest, &root, settings, &[]).await;
        let told = stage.discover().await;
        assert!(told.errors.len() == 1 && told.errors[0].message.contains(wanted), "{told:#?}");
        assert_eq!(told.errors[0].kind, RunErrorKind::Runner);
    }
    let unknown = Stage::try_open(RunnerKind::Pytest, &root, "{\"pyhton\": \"x\"}", &[]).await;
    assert!(unknown.err().is_some_and(|error| error.message.contains("pyhton")));
}

fn has_pytest(python: &str) -> bool {
    std::process::Command::new(python).args(["-c", "import pytest"]).output().map_or(true, |ran| ran.status.success())
}

#[tokio::test]
async fn a_host_is_replaced_after_as_many_tests_as_it_may_run() {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let env = [("FIXTURE_LOG", log.path().to_str().expect("text"))];
    let mut stage = open_with("pytest-9", &fixture("pytest-basic"), ", \"recycle_after\": 2", &env).await;
    let told = run(&mut stage, &[("tests/test_shared.py", &["test_one", "test_two", "test_one", "test_two"])]).await;
    assert_eq!(told.finished.len(), 4);
    close(&mut stage).await;
    let lines = std::fs::read_to_string(log.path()).expect("a log");
    assert!(lines.matches("session up").count() > 1, "{lines}");
    assert_eq!(lines.matches("session up").count(), lines.matches("session down").count(), "{lines}");
}

#[tokio::test]
async fn plugins_that_shuffle_change_no_outcome() {
    for args in ["", ", \"args\": [\"-p\", \"randomly\"]", ", \"args\": [\"--random-order\"]"] {
        let root = fixture("pytest-basic");
        let mut stage = open_with("pytest-9", &root, args, &[]).await;
        let told = stage.list_and_run(&listed_file("tests/test_groups.py")).await;
        assert_eq!(told.listed.len(), 12, "{args}: {told:#?}");
        assert!(told.finished.iter().all(|(_, finished)| finished.outcome == Outcome::Passed), "{args}: {told:#?}");
    }
}
