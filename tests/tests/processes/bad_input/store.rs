//! A store that refuses: a disk that is full, a file of a newer version, one that is none, a directory that is taken; and
//! an address that is.

use super::{assert_told, sound};
use regatta_tests::harness::{Client, Cluster, Ended, Project, Said, regatta, test_python};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

/// `regatta` where no file may grow beyond so many bytes: to what it writes, a disk that is full.
fn cramped(dir: &Path, kib: u32, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    // The shell counts in blocks of 512 bytes.
    let script = format!("ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
    command.args([OsStr::new("-c"), script.as_ref(), regatta().as_os_str()]).args(args).current_dir(dir);
    command
}

/// Ended by the store, in good order.
#[track_caller]
fn assert_full(code: i32, stderr: &str) {
    let wanted = ["the disk is full, or a limit is reached, or it fails:", " cannot be written; free some space"];
    assert_told(stderr, &wanted);
    assert_told(stderr, &["nothing that was acknowledged is lost", "Exit code 3 (infrastructure)"]);
    assert_eq!(code, 3, "{stderr}");
}

/// What is remembered has kept its sense: the next run, with room, is green.
#[track_caller]
fn assert_recovers(project: &Project, tests: u64) -> Ended {
    let ended = Client::start(project.path(), ["run", "--slots", "2"]).end();
    assert_eq!((ended.code, ended.count("passed")), (0, tests), "{}", ended.stderr);
    ended
}

#[test]
fn a_disk_that_is_full_at_once_ends_the_run_and_says_so() {
    let project = sound();
    let said = Said::by_command(cramped(project.path(), 8, &["run"]));
    assert_full(said.code, &said.stderr);
    assert_told(&said.stderr, &["/.regatta/journal.db"]);
    assert_recovers(&project, 2);
}

#[test]
fn a_disk_that_fills_up_in_the_middle_ends_the_run_and_says_so() {
    let many = "import pytest\n@pytest.mark.parametrize('x', range(2000))\ndef test_many(x): pass\n";
    let project = Project::pytest(&[("test_many.py", many)], "");
    let mut command = cramped(project.path(), 200, &["run", "--slots", "1"]);
    command.args(["--format", "ndjson"]);
    let ended = Client::spawn(command).end();
    assert!(ended.events.iter().any(|event| event["event"] == "run_started"), "{}", ended.stderr);
    assert_full(ended.code, &ended.stderr);
    assert_recovers(&project, 2000);
}

#[test]
fn a_coordinator_whose_disk_is_full_stops_and_goes_on_once_there_is_room() {
    let project = Project::pytest(&[], "");
    for module in 0..4 {
        project.write(&format!("test_{module}.py"), &project.noting_module(200, 1));
    }
    let mut cluster = Cluster::start_with(project.path(), |data| {
        let mut command = cramped(project.path(), 200, &["coordinator", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(data);
        command
    });
    cluster.add_worker(2);
    let client = cluster.run(&[]);
    let said = cluster.end_of_coordinator();
    assert_full(said.code, &said.stderr);
    cluster.restart_coordinator();
    let ended = client.end();
    assert_eq!((ended.code, ended.count("passed")), (0, 800), "{}", ended.stderr);
    assert_told(&ended.stderr, &["lost the coordinator", "the coordinator is back"]);
    let again: Vec<_> = project.executions().into_iter().filter(|(_, times)| *times != 1).collect();
    assert!(again.is_empty(), "ran more than once: {again:?}");
}

/// Claims that a version of the future wrote the file.
fn from_the_future(file: &Path) {
    let pragma = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('pragma user_version = 99')";
    let done = Command::new(test_python()).args(["-c", pragma]).arg(file).status().expect("a Python is there");
    assert!(done.success());
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    for (file, known) in [("journal.db", 1), ("projection.db", 5)] {
        let project = sound();
        assert_recovers(&project, 2);
        let path = project.path().join(".regatta").join(file);
        from_the_future(&path);
        let before = fs::read(&path).expect("it is there");
        let data = project.path().join(".regatta").display().to_string();
        let cases: [&[&str]; 3] = [&["run"], &["runs"], &["coordinator", "--listen", "127.0.0.1:0", "--data", &data]];
        for args in cases {
            let said = Said::by(project.path(), args);
            let what =
                format!("{file} was written by a newer Regatta (its version is 99, this one knows up to {known})");
            let wanted = [&*what, "use that Regatta, or another data directory", "Exit code 3 (infrastructure)"];
            assert_told(&said.stderr, &wanted);
            assert_eq!((said.code, said.stderr.matches("newer Regatta").count()), (3, 1), "{args:?}: {}", said.stderr);
        }
        assert_eq!(fs::read(&path).expect("it is there"), before, "{file} was written to");
    }
}

#[test]
fn a_store_that_is_none_is_told_with_what_to_do() {
    let project = sound();
    project.write(".regatta/journal.db", &"this is no database ".repeat(1_000));
    let said = Said::by(project.path(), ["run"]);
    let wanted = ["/.regatta/journal.db is damaged: file is not a database", "move it away to start afresh"];
    assert_told(&said.stderr, &wanted);
    assert_eq!(said.code, 3, "{}", said.stderr);

    let project = sound();
    project.write(".regatta", "a file where a directory belongs");
    let said = Said::by(project.path(), ["run"]);
    assert_told(&said.stderr, &["cannot keep anything in ", "/.regatta", "Exit code 3 (infrastructure)"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
}

#[test]
fn an_address_in_use_is_told_and_the_data_of_a_coordinator_is_its_own() {
    let project = sound();
    let cluster = Cluster::start(project.path(), 0, 1);
    let address = cluster.url.trim_start_matches("http://");
    let said = Said::by(project.path(), ["coordinator", "--listen", address, "--data", "elsewhere"]);
    let what = format!("address {address} is in use by another process");
    assert_told(&said.stderr, &[&what, "listen on another address (--listen)", "Exit code 3 (infrastructure)"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(!project.path().join("elsewhere").exists(), "nothing was made before the address was had");

    let data = cluster.data().display().to_string();
    let said = Said::by(project.path(), ["coordinator", "--listen", "127.0.0.1:0", "--data", &data]);
    let what = format!("is a coordinator that works in {data}; stop it, or use another data directory");
    assert_told(&said.stderr, &[&what, "Exit code 3 (infrastructure)"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
}
