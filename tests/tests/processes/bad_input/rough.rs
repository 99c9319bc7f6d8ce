//! Tests that behave badly, in a warm pytest host and as commands of their own: each is blamed for what it did, and the
//! tests beside it run.

use super::assert_told;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use regatta_tests::harness::{Client, Ended, Project, test_python};
use std::fs;
use std::process::Command;

const PY: &str = "test_rough.py::test_bad";
const EX: &str = "ex::b_bad.sh";

/// Two suites of three tests each, the middle one bad: `python` is its body in the suite `py`, `shell` that in `ex`.
fn project(python: &str, shell: &str) -> Project {
    let body = python.replace('\n', "\n    ");
    let module = format!(
        "import ctypes, os, signal, sys, time\n\
         def test_before(): pass\n\
         def test_bad(tmp_path):\n    {body}\n\
         def test_after(): pass\n"
    );
    let exec = "[suite.ex]\nrunner = \"exec\"\ncommand = [\"sh\", \"{id}\"]\ntests = [\"*.sh\"]\n";
    let files = [("test_rough.py", &*module), ("a_before.sh", "true\n"), ("b_bad.sh", shell), ("c_after.sh", "true\n")];
    Project::pytest(&files, exec)
}

fn run(project: &Project, args: &[&str]) -> Ended {
    let ended = Client::start(project.path(), ["run", "--slots", "2"].iter().chain(args)).end();
    for id in ["test_rough.py::test_before", "test_rough.py::test_after", "ex::a_before.sh", "ex::c_after.sh"] {
        assert_eq!(ended.verdict(id).0, "passed", "{id}: {}", ended.stderr);
    }
    assert_eq!(ended.verdicts().len(), 6);
    ended
}

/// The bad test has this verdict, and the reason says so.
#[track_caller]
fn assert_blamed(ended: &Ended, id: &str, verdict: &str, because: &str) {
    let (found, reason) = ended.verdict(id);
    assert_eq!(found, verdict, "{id}: {reason}: {}", ended.stderr);
    assert!(reason.contains(because), "{id}: {reason}");
    let suite = if id == PY { "py" } else { "ex" };
    assert_told(&ended.stderr, &[because, &format!("run it again: regatta run {suite} '{id}'")]);
}

#[test]
fn a_test_that_segfaults_has_crashed() {
    let ended = run(&project("ctypes.string_at(0)", "kill -SEGV $$\n"), &[]);
    for id in [PY, EX] {
        assert_blamed(&ended, id, "crashed", "signal 11 (SIGSEGV)");
    }
    // The interpreter's own account of it.
    assert_told(&ended.stderr, &["Fatal Python error: Segmentation fault", "in test_bad", "2 failed (2 crashed)"]);
    assert_eq!(ended.code, 1);
}

#[test]
fn a_test_that_hangs_is_stopped_and_says_where_it_hung() {
    let ended = run(&project("time.sleep(600)", "sleep 600\n"), &["--timeout", "1s"]);
    assert_blamed(&ended, PY, "timed_out", "ran longer than its limit of 1.000s");
    assert_blamed(&ended, EX, "timed_out", "timed out after 1.000s");
    assert_told(&ended.stderr, &["line 4 in test_bad", "TIMED OUT", "2 failed (2 timed out)"]);
    assert_eq!(ended.code, 1);
}

#[test]
fn a_test_that_prints_100_mb_is_kept_to_its_bound_and_what_was_cut_is_said() {
    let python = "print('first')\nfor _ in range(100): sys.stdout.write('x' * 1_000_000)\nprint('last')\nassert False";
    let shell = "echo first\nhead -c 100000000 /dev/zero | tr '\\0' x\necho last\nexit 1\n";
    let project = project(python, shell);
    let ended = run(&project, &["--report", "junit=junit.xml"]);
    assert_eq!((ended.code, ended.verdict(PY).0, ended.verdict(EX).0), (1, "failed", "failed"));
    for event in ended.all("test_finished").filter(|event| event["verdict"] == "failed") {
        let size = event["output"]["size"].as_u64().expect("it printed");
        assert!((200_000..300_000).contains(&size), "{size}");
    }
    assert!(ended.stderr.len() < 200_000, "{} bytes for people", ended.stderr.len());
    let report = fs::read_to_string(project.path().join("junit.xml")).expect("it was written");
    assert!(report.len() < 2_000_000, "{} bytes for machines", report.len());
    assert_told(&report, &[" characters cut ...]", " bytes cut ...]", "first", "last"]);
}

#[test]
fn bytes_that_are_no_text_harm_neither_the_terminal_nor_a_report() {
    let python = r#"os.write(1, b"\xff\xfe\0 odd \x1b]0;title\x07 \x1b[2J\n"); assert False, "nul \0 and \x1b[2J""#;
    let shell = r"printf '\377\376\000 odd \033]0;title\007 \033[2J\n'; exit 1";
    let project = project(python, shell);
    let ended = run(&project, &["--report", "junit=junit.xml", "--report", "ctrf=ctrf.json"]);
    assert_eq!((ended.code, ended.count("failed")), (1, 2), "{}", ended.stderr);
    let harmful = |char: char| char.is_control() && char != '\n';
    assert!(!ended.stderr.contains(harmful), "{:?}", ended.stderr);
    assert_told(&ended.stderr, &[" odd "]);
    // As others read them.
    let read = "import json, xml.dom.minidom; xml.dom.minidom.parse('junit.xml'); json.load(open('ctrf.json'))";
    let python = Command::new(test_python()).args(["-c", read]).current_dir(project.path()).output();
    let python = python.expect("a Python is there");
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
}

#[test]
fn a_daemon_that_a_test_left_is_gone_after_the_run() {
    let daemon = "setsid sh -c 'echo $$ > NAME.pid; exec sleep 600' >/dev/null 2>&1 &\n\
        while ! [ -s NAME.pid ]; do sleep 0.01; done\n";
    let python =
        format!("import subprocess\nsubprocess.run(['sh', '-c', '''{}'''], check=True)", daemon.replace("NAME", "py"));
    let project = project(&python, &daemon.replace("NAME", "ex"));
    let ended = run(&project, &[]);
    assert_eq!((ended.code, ended.count("passed")), (0, 6), "{}", ended.stderr);
    for name in ["py.pid", "ex.pid"] {
        let pid = fs::read_to_string(project.path().join(name)).expect("the daemon said who it is");
        let pid = Pid::from_raw(pid.trim().parse().expect("a process id"));
        assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH), "{name}: {pid} is still there");
    }
}

#[test]
fn a_test_that_closes_stdout_harms_nobody_else() {
    let ended = run(&project("os.close(1)", "exec 1>&- 2>&-\n"), &[]);
    assert_eq!((ended.code, ended.count("passed")), (0, 6), "{}", ended.stderr);
    // This one pytest itself does not survive; here it fails alone.
    let ended = run(&project("sys.stdout.close()", "true\n"), &[]);
    assert_blamed(&ended, PY, "failed", "ValueError: I/O operation on closed file");
    assert_eq!(ended.code, 1);
}

#[test]
fn a_test_that_exits_with_0_has_not_passed() {
    let ended = run(&project("os._exit(0)", "true\n"), &[]);
    assert_blamed(&ended, PY, "crashed", "exited with code 0 (os._exit?)");
    let ended = run(&project("sys.exit(0)", "true\n"), &[]);
    assert_blamed(&ended, PY, "failed", "SystemExit: 0");
    assert_eq!(ended.code, 1);
}

#[test]
fn a_process_that_was_killed_is_told_with_the_likely_cause() {
    let ended = run(&project("os.kill(os.getpid(), signal.SIGKILL)", "kill -KILL $$\n"), &[]);
    for id in [PY, EX] {
        assert_blamed(&ended, id, "crashed", "signal 9 (SIGKILL)");
        assert!(ended.verdict(id).1.contains("memory"), "{}", ended.verdict(id).1);
    }
    assert_eq!(ended.code, 1);
}

#[test]
fn a_test_that_eats_all_memory_fails_alone() {
    let eats = "import pytest\ndef test_before(): pass\ndef test_bad():\n    keep = []\n    while True: keep.append(bytearray(1 << 24))\ndef test_after(): pass\n";
    let ended = Client::start(Project::pytest(&[("test_m.py", eats)], "memory = \"500MB\"\n").path(), ["run"]).end();
    assert_eq!((ended.code, ended.count("passed"), ended.count("failed")), (1, 2, 1), "{}", ended.stderr);
    assert_eq!(ended.verdict("test_m.py::test_bad"), ("failed", "MemoryError"));
}
