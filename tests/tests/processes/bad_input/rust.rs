//! Rust tests that behave badly, with a process each and with one for all: each is blamed for what it did.

use super::assert_told;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use regatta_tests::harness::{Client, Ended, Project};
use std::fs;

const TESTS: &str = r#"
#![cfg(test)]
use std::io::Write;
use std::process::{Command, exit, id};
fn sh(script: &str) { assert!(Command::new("sh").args(["-c", script]).status().unwrap().success()) }
#[test] fn a_sound() {}
#[test] fn b_segfaults() { unsafe { std::ptr::null_mut::<u8>().write_volatile(1) } }
#[test] fn c_exits() { exit(0) }
#[test] fn d_hangs() { loop { std::thread::park() } }
#[test] fn e_prints() { for _ in 0..100 { std::io::stdout().write_all(&[b'x'; 1_000_000]).unwrap() } panic!("printed") }
#[test] fn f_odd() { std::io::stdout().write_all(b"\xff\xfe\0 odd \x1b[2J\n").unwrap(); panic!("nul \0") }
#[test] fn g_daemon() {
    sh("setsid sh -c 'echo $$ > daemon.pid; exec sleep 600' >/dev/null 2>&1 & while ! [ -s daemon.pid ]; do sleep 0.01; done")
}
#[test] fn h_killed() { sh(&format!("kill -KILL {}", id())) }
#[test] fn i_overflows() { fn down(n: u64) -> u64 { if n == 0 { 0 } else { down(n + 1) + down(n + 2) } } down(1); }
#[test] fn j_sound() {}
"#;

/// Verdict and part of the reason of each.
const WANTED: [(&str, &str, &str); 10] = [
    ("tiny::a_sound", "passed", ""),
    ("tiny::b_segfaults", "crashed", "signal 11 (SIGSEGV)"),
    ("tiny::c_exits", "crashed", "exited with code 0 before the test had ended"),
    ("tiny::d_hangs", "timed_out", "timed out after 1.000s"),
    ("tiny::e_prints", "failed", "printed"),
    ("tiny::f_odd", "failed", "nul"),
    ("tiny::g_daemon", "passed", ""),
    ("tiny::h_killed", "crashed", "signal 9 (SIGKILL): killed from outside, not by Regatta; out of memory?"),
    ("tiny::i_overflows", "crashed", "has overflowed its stack"),
    ("tiny::j_sound", "passed", ""),
];

fn assert_blamed(project: &Project, ended: &Ended, how: &str) {
    for (id, verdict, because) in WANTED {
        let (found, reason) = ended.verdict(id);
        assert_eq!(found, verdict, "{how}: {id}: {reason}: {}", ended.stderr);
        assert!(reason.contains(because), "{how}: {id}: {reason}");
    }
    assert_eq!((ended.code, ended.verdicts().len()), (1, WANTED.len()), "{how}: {}", ended.stderr);
    assert_told(
        &ended.stderr,
        &["run it again: regatta run rs 'tiny::b_segfaults'", "7 failed (1 timed out, 4 crashed)"],
    );
    assert!(ended.stderr.len() < 200_000, "{how}: {} bytes for people", ended.stderr.len());
    assert!(!ended.stderr.contains(|char: char| char.is_control() && char != '\n'), "{how}: {:?}", ended.stderr);
    let pid = fs::read_to_string(project.path().join("daemon.pid")).expect("the daemon said who it is");
    let pid = Pid::from_raw(pid.trim().parse().expect("a process id"));
    assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH), "{how}: {pid} is still there");
}

#[test]
fn rust_tests_that_behave_badly_are_blamed_and_the_others_run() {
    let project = Project::empty();
    project
        .write("Cargo.toml", "[package]\nname = \"tiny\"\nedition = \"2021\"\n[workspace]\n[lib]\ndoctest = false\n");
    project.write("src/lib.rs", TESTS);
    for isolation in ["process", "binary"] {
        project.write("regatta.toml", &format!("[suite.rs]\nrunner = \"rust\"\nisolation = \"{isolation}\"\n"));
        let ended = Client::start(project.path(), ["run", "--slots", "2", "--timeout", "1s"]).end();
        assert_blamed(&project, &ended, isolation);
        fs::remove_file(project.path().join("daemon.pid")).expect("it is there");
    }
}
