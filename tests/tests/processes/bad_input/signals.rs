//! Ctrl-C: the first lets running tests end, the second stops them at once. Tests here run until the file `go` is there, and
//! then for as long as word of a signal may take to all who are concerned.

use super::assert_told;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regatta_tests::harness::{Client, Cluster, Ended, Project};
use std::fs;

const TESTS: usize = 6;

/// Suites of tests that note their process when they begin, and themselves when they end.
fn project(runner: &str) -> Project {
    let project = if runner == "py" { Project::pytest(&[], "") } else { Project::empty() };
    let side = project.side().display().to_string();
    if runner == "py" {
        let module = format!(
            "import os, time, pytest\n\
             @pytest.mark.parametrize('x', range({TESTS}))\n\
             def test_waits(x):\n    \
                 open('pid', 'w').write(str(os.getpid()))\n    \
                 while not os.path.exists('go'): time.sleep(0.01)\n    \
                 time.sleep(0.5)\n    \
                 open({side:?}, 'a').write('ended\\n')\n"
        );
        project.write("test_waits.py", &module);
    } else {
        let config = "[suite.ex]\nrunner = \"exec\"\ncommand = [\"sh\", \"{id}\"]\ntests = [\"*.sh\"]\n";
        project.write("regatta.toml", config);
        for at in 0..TESTS {
            let script =
                format!("echo $$ > pid; while ! [ -e go ]; do sleep 0.01; done; sleep 0.5; echo ended >> '{side}'\n");
            project.write(&format!("{at}.sh"), &script);
        }
    }
    project
}

fn assert_interrupted(ended: &Ended, code: i32, name: &str, passed: u64) {
    let not_run = TESTS as u64 - passed;
    assert_eq!(
        (ended.code, ended.count("passed"), ended.count("not_run")),
        (code, passed, not_run),
        "{}",
        ended.stderr
    );
    assert_eq!((ended.count("failed"), ended.count("errors")), (0, 0), "{}", ended.stderr);
    let exit = format!("exit {code}: {name}");
    assert_told(&ended.stderr, &["NOT RUN", &format!("{not_run} not run"), &exit, "`regatta resume` goes on with it"]);
    assert_eq!(ended.summary()["outcome"], "cancelled");
}

/// The first signal, once a test runs; and then `go`.
fn once(project: &Project, mut client: Client, signal: Signal) -> Ended {
    client.wait_for("test_started", 1);
    client.signal(signal);
    client.wait_for("run_cancelled", 1);
    project.write("go", "");
    client.end()
}

#[test]
fn the_first_ctrl_c_starts_nothing_more_and_lets_running_tests_end() {
    for (runner, signal, code, name) in [
        ("py", Signal::SIGINT, 130, "interrupted"),
        ("ex", Signal::SIGINT, 130, "interrupted"),
        ("ex", Signal::SIGTERM, 143, "terminated"),
    ] {
        let project = project(runner);
        let client = Client::start(project.path(), ["run", "--slots", "1"]);
        let ended = once(&project, client, signal);
        assert_interrupted(&ended, code, name, 1);
        assert_told(&ended.stderr, &["starting nothing more; running tests may end (once more to stop them, too)"]);
        assert_eq!(project.executions().get("ended"), Some(&1), "{runner}: {}", ended.stderr);

        let left = Client::start(project.path(), ["resume"]).end();
        assert_eq!((left.code, left.count("passed")), (0, TESTS as u64 - 1), "{runner}: {}", left.stderr);
        assert_told(&left.stderr, &["Resumed run ", ": 1 passed before"]);
    }
}

#[test]
fn ctrl_c_of_a_client_reaches_the_workers_of_a_fleet() {
    let project = project("py");
    let cluster = Cluster::start(project.path(), 1, 1);
    let ended = once(&project, cluster.run(&[]), Signal::SIGINT);
    assert_interrupted(&ended, 130, "interrupted", 1);
    assert_eq!(project.executions().get("ended"), Some(&1), "{}", ended.stderr);
}

#[test]
fn the_second_ctrl_c_stops_what_runs_at_once() {
    for runner in ["py", "ex"] {
        let project = project(runner);
        let mut client = Client::start(project.path(), ["run", "--slots", "1"]);
        client.wait_for("test_started", 1);
        client.signal(Signal::SIGINT);
        client.wait_for("run_cancelled", 1);
        client.signal(Signal::SIGINT);
        let ended = client.end();
        assert_interrupted(&ended, 130, "interrupted", 0);
        assert_told(&ended.stderr, &["stopping what runs"]);
        assert_eq!(ended.stderr.matches("may end; no other test begins").count(), 1, "{}", ended.stderr);
        assert!(project.executions().is_empty(), "{runner}: a test ended: {}", ended.stderr);
        let pid = fs::read_to_string(project.path().join("pid")).expect("a test began");
        let pid = Pid::from_raw(pid.trim().parse().expect("a process id"));
        assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH), "{runner}: {pid} is still there");
    }
}
