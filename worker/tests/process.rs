//! Test processes end to end, with a real spawner: how they end, what of theirs is kept, and that nothing is left.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regatta_worker::process::{Command, Containment, Ending, Process, Ran, SpawnError, Spawner, Streams};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

const SPAWNER: &str = env!("CARGO_BIN_EXE_regatta-spawner");
const LONG: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_millis(200);

async fn spawner() -> Spawner {
    Spawner::start(Path::new(SPAWNER)).await.expect("the spawner starts")
}

/// Both ways to hold processes, so that each claim is made of each. Without a cgroup to be had they are the same.
async fn spawners() -> [Spawner; 2] {
    let plain = Spawner::start_without_cgroup(Path::new(SPAWNER)).await.expect("the spawner starts");
    assert!(matches!(plain.containment(), Containment::SubReaper(_)));
    [spawner().await, plain]
}

fn sh(script: &str) -> Command {
    Command::new("sh", ["-c", script])
}

async fn run(spawner: &Spawner, command: &Command) -> Ran {
    spawner.run_to_end(command, Streams::Merged, LONG, GRACE).await.expect("it starts")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the test printed text")
}

fn lives(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

/// Waits until `pid` is gone; panics after ten seconds.
async fn wait_for_the_end_of(pid: i32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while lives(pid) {
        assert!(Instant::now() < deadline, "process {pid} still lives");
        tokio::task::yield_now().await;
    }
}

/// Reads one line from a process whose pipes were taken: a process id.
async fn read_pid(process: &mut Process) -> (i32, impl Drop + use<>) {
    let mut pipes = process.take_pipes();
    let pipe = pipes.stdout.as_mut().expect("it was not taken before");
    let mut line = String::new();
    while !line.ends_with('\n') {
        line.push(char::from(pipe.read_u8().await.expect("the line comes")));
    }
    struct Held(
        #[expect(dead_code, reason = "held so that the process can go on printing")] regatta_worker::process::Pipes,
    );
    impl Drop for Held {
        fn drop(&mut self) {}
    }
    (line.trim().parse().expect("a process id"), Held(pipes))
}

#[tokio::test]
async fn an_exit_code_and_the_output_in_order_come_back() {
    let ran = run(&spawner().await, &sh("echo one; echo two >&2; echo three; exit 3")).await;
    assert_eq!(ran.exit.ending, Ending::Exited(3));
    assert!(!ran.timed_out);
    assert_eq!(ran.exit.leaked, 0);
    assert!(ran.exit.max_rss > 0);
    assert_eq!(text(ran.stdout.into_bytes()), "one\ntwo\nthree\n");
}

#[tokio::test]
async fn streams_apart_stay_apart() {
    let command = sh("echo one; echo two >&2");
    let ran = spawner().await.run_to_end(&command, Streams::Apart, LONG, GRACE).await.expect("it starts");
    assert_eq!(text(ran.stdout.into_bytes()), "one\n");
    assert_eq!(text(ran.stderr.into_bytes()), "two\n");
}

#[tokio::test]
async fn a_signal_is_told_by_name() {
    let ran = run(&spawner().await, &sh("kill -SEGV $$")).await;
    assert_eq!(ran.exit.ending, Ending::Signalled(11));
    assert_eq!(ran.exit.ending.to_string(), "signal 11 (SIGSEGV)");
}

#[tokio::test]
async fn directory_environment_and_empty_input_are_as_asked() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = sh("pwd -P; echo \"$WANTED ${HOME-none}\"; cat; readlink /proc/self/fd/0");
    command.cwd = directory.path().canonicalize().expect("it is there");
    command.env = vec![("WANTED".into(), "here".into())];
    command.env_remove = vec!["HOME".into()];
    let ran = run(&spawner().await, &command).await;
    let expected = format!("{}\nhere none\n/dev/null\n", command.cwd.display());
    assert_eq!(text(ran.stdout.into_bytes()), expected);
}

#[tokio::test]
async fn signals_of_the_spawner_are_not_inherited() {
    // Not by way of a shell: some unblock all signals in what they start.
    let command = Command::new("sed", ["-nE", r"s/^Sig(Blk|Ign):\t//p", "/proc/self/status"]);
    let ran = run(&spawner().await, &command).await;
    let printed = text(ran.stdout.into_bytes());
    let sets: Vec<u64> = printed.lines().map(|set| u64::from_str_radix(set, 16).expect("a set of signals")).collect();
    // Whoever started the tests may ignore some of the real-time ones.
    assert!(sets.len() == 2 && sets.iter().all(|set| set & 0x7fff_ffff == 0), "{printed}");
}

#[tokio::test]
async fn a_process_that_takes_too_long_is_killed_with_its_group() {
    for spawner in spawners().await {
        let script = "trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000";
        let limit = Duration::from_millis(300);
        let ran = spawner.run_to_end(&sh(script), Streams::Merged, limit, GRACE).await.expect("it starts");
        assert!(ran.timed_out);
        assert_eq!(ran.exit.ending, Ending::Signalled(9));
        assert!(ran.exit.duration >= limit);
        let child: i32 = text(ran.stdout.into_bytes()).trim().parse().expect("a process id");
        assert!(!lives(child));
    }
}

#[tokio::test]
async fn a_process_may_end_decently_within_its_grace() {
    let script = "trap 'echo bye; exit 7' TERM; while :; do sleep 0.01; done";
    let limit = Duration::from_millis(300);
    let ran = spawner().await.run_to_end(&sh(script), Streams::Merged, limit, LONG).await.expect("it starts");
    assert!(ran.timed_out);
    assert_eq!(ran.exit.ending, Ending::Exited(7));
    assert!(text(ran.stdout.into_bytes()).ends_with("bye\n"));
}

#[tokio::test]
async fn a_daemon_dies_with_the_process_that_left_it() {
    for spawner in spawners().await {
        // Forked twice, in a session of its own, and without the mark in its environment.
        for daemon in ["setsid sleep 1000", "env -i setsid sh -c 'sleep 1000; true'"] {
            let ran = run(&spawner, &sh(&format!("( {daemon} >/dev/null 2>&1 & echo $! )"))).await;
            assert_eq!(ran.exit.ending, Ending::Exited(0));
            assert!(ran.exit.leaked >= 1);
            let daemon: i32 = text(ran.stdout.into_bytes()).trim().parse().expect("a process id");
            assert!(!lives(daemon));
        }
    }
}

#[tokio::test]
async fn a_family_in_several_sessions_dies_to_the_last() {
    for spawner in spawners().await {
        let script = "setsid sh -c 'setsid sh -c \"sleep 1000 & echo \\$\\$ \\$!; wait\" & echo $$; wait' & wait_for=$!
                      while [ $(wc -l < out) -lt 2 ]; do :; done; exit 0";
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = sh(&format!("exec > out; {script}"));
        command.cwd = directory.path().to_owned();
        let ran = run(&spawner, &command).await;
        assert_eq!(ran.exit.ending, Ending::Exited(0));
        let printed = std::fs::read_to_string(directory.path().join("out")).expect("it was written");
        let pids: Vec<i32> = printed.split_whitespace().map(|pid| pid.parse().expect("a process id")).collect();
        assert_eq!(pids.len(), 3, "{printed}");
        assert!(pids.iter().all(|&pid| !lives(pid)), "{printed}");
        assert!(ran.exit.leaked >= 2, "each session's leader had to be killed");
    }
}

#[tokio::test]
async fn what_ends_soon_after_its_parent_is_not_called_leaked() {
    let ran = run(&spawner().await, &sh("(sleep 0.02; echo late) & echo early")).await;
    assert_eq!(ran.exit.leaked, 0);
    assert_eq!(text(ran.stdout.into_bytes()), "early\nlate\n");
}

#[tokio::test]
async fn a_leftover_that_holds_the_pipe_open_delays_the_end_only_a_little() {
    for spawner in spawners().await {
        let begun = Instant::now();
        let ran = run(&spawner, &sh("sleep 1000 & echo $!")).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(ran.exit.duration < Duration::from_secs(2));
        assert_eq!(ran.exit.leaked, 1);
        let child: i32 = text(ran.stdout.into_bytes()).trim().parse().expect("a process id");
        assert!(!lives(child));
    }
}

#[tokio::test]
async fn the_daemon_of_a_living_process_is_left_alone_when_another_ends() {
    for spawner in spawners().await {
        let mut host = spawner
            .spawn(&sh("( setsid sleep 1000 & echo $! ); read x < /dev/zero"), Streams::Merged)
            .await
            .expect("it starts");
        let (daemon, _pipes) = read_pid(&mut host).await;
        let other = run(&spawner, &sh("( setsid sleep 1000 >/dev/null 2>&1 & echo $! )")).await;
        assert_eq!(other.exit.leaked, 1);
        let others: i32 = text(other.stdout.into_bytes()).trim().parse().expect("a process id");
        assert!(!lives(others));
        assert!(lives(daemon));
        host.kill(Duration::ZERO);
        host.wait().await.expect("the spawner lives");
        assert!(!lives(daemon));
    }
}

#[tokio::test]
async fn dropping_a_process_kills_it() {
    let spawner = spawner().await;
    let mut process = spawner.spawn(&sh("echo $$; sleep 1000"), Streams::Merged).await.expect("it starts");
    let (pid, _pipes) = read_pid(&mut process).await;
    drop(process);
    wait_for_the_end_of(pid).await;
}

#[tokio::test]
async fn a_signal_reaches_the_process_alone() {
    let spawner = spawner().await;
    let script = "trap 'echo usr1; exit 5' USR1; echo ready; while :; do sleep 0.01; done";
    let mut process = spawner.spawn(&sh(script), Streams::Merged).await.expect("it starts");
    let mut pipe = process.take_pipes().stdout.expect("it was not taken before");
    let mut ready = [0; 6];
    pipe.read_exact(&mut ready).await.expect("it says so");
    process.signal(Signal::SIGUSR1);
    assert_eq!(process.wait().await.expect("the spawner lives").ending, Ending::Exited(5));
    let mut rest = String::new();
    pipe.read_to_string(&mut rest).await.expect("the pipe is the caller's");
    assert_eq!(rest, "usr1\n");
}

#[tokio::test]
async fn closing_the_spawner_kills_everything() {
    for spawner in spawners().await {
        let mut process =
            spawner.spawn(&sh("setsid sleep 1000 & echo $!; wait"), Streams::Merged).await.expect("it starts");
        let (child, _pipes) = read_pid(&mut process).await;
        spawner.close().await;
        assert!(!lives(child));
        assert!(matches!(process.wait().await, Err(SpawnError::Gone)));
        assert!(matches!(spawner.spawn(&sh("true"), Streams::Merged).await, Err(SpawnError::Gone)));
        if let Containment::Cgroup(path) = spawner.containment() {
            assert!(!path.exists());
        }
    }
}

#[tokio::test]
async fn the_processes_of_a_killed_spawner_are_killed() {
    for spawner in spawners().await {
        let mut process = spawner.spawn(&sh("sleep 1000 & echo $!; wait"), Streams::Merged).await.expect("it starts");
        let (child, _pipes) = read_pid(&mut process).await;
        let pid = i32::try_from(spawner.pid()).expect("process ids are small");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
        assert!(matches!(process.wait().await, Err(SpawnError::Gone)));
        wait_for_the_end_of(child).await;
        if let Containment::Cgroup(path) = spawner.containment() {
            assert!(!path.exists());
        }
        let ran = run(&spawner, &sh("exit 3")).await;
        assert_eq!(ran.exit.ending, Ending::Exited(3), "another one took its place");
        assert_ne!(i32::try_from(spawner.pid()), Ok(pid));
    }
}

#[tokio::test]
async fn a_test_that_kills_its_spawner_costs_itself_and_not_its_slot() {
    let spawner = spawner().await;
    for _ in 0..2 {
        let lost = spawner.run_to_end(&sh("kill -9 $PPID; sleep 1000"), Streams::Merged, LONG, GRACE).await;
        assert!(matches!(lost, Err(SpawnError::Gone)));
        assert_eq!(run(&spawner, &sh("exit 0")).await.exit.ending, Ending::Exited(0));
    }
}

/// In the test's own process started anew, this is the worker that is killed: it starts a daemon and waits for ever.
#[tokio::test]
async fn nothing_survives_a_worker_that_is_killed() {
    if std::env::var_os("REGATTA_TEST_WORKER").is_some() {
        let spawner = spawner().await;
        let mut process =
            spawner.spawn(&sh("setsid sleep 1000 & echo $!; wait"), Streams::Merged).await.expect("it starts");
        let (child, _pipes) = read_pid(&mut process).await;
        println!("\nprocesses {} {} {child}", spawner.pid(), process.pid());
        return std::future::pending().await;
    }
    let mut worker = std::process::Command::new(std::env::current_exe().expect("it runs"))
        .args(["--exact", "nothing_survives_a_worker_that_is_killed", "--nocapture"])
        .env("REGATTA_TEST_WORKER", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(worker.stdout.take().expect("it is piped")).lines();
    let line = lines.map(|line| line.expect("text")).find(|line| line.starts_with("processes ")).expect("it says so");
    worker.kill().expect("it lives");
    worker.wait().expect("it was killed");
    for pid in line.split(' ').skip(1) {
        wait_for_the_end_of(pid.parse().expect("a process id")).await;
    }
}

#[tokio::test]
async fn a_hundred_megabytes_of_output_are_bounded() {
    let ran = run(&spawner().await, &sh("echo first; head -c 100000000 /dev/zero; echo last")).await;
    assert_eq!(ran.exit.ending, Ending::Exited(0));
    assert_eq!(ran.stdout.total(), 100_000_011);
    let bytes = ran.stdout.into_bytes();
    assert!(bytes.len() < 300_000);
    assert!(bytes.starts_with(b"first\n"));
    assert!(bytes.ends_with(b"last\n"));
    assert!(bytes.windows(11).any(|window| window == b"bytes cut ."));
}

#[tokio::test]
async fn bytes_that_are_no_text_come_back_as_they_are() {
    let ran = run(&spawner().await, &sh("printf '\\377\\000\\376x'")).await;
    assert_eq!(ran.stdout.into_bytes(), [0xff, 0, 0xfe, b'x']);
}

#[tokio::test]
async fn a_process_that_closes_its_output_is_still_waited_for() {
    let ran = run(&spawner().await, &sh("exec >&- 2>&-; sleep 0.1; exit 4")).await;
    assert_eq!(ran.exit.ending, Ending::Exited(4));
    assert!(ran.exit.duration >= Duration::from_millis(100));
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let spawner = spawner().await;
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").expect("it can be written");
    let refused = async |command: &Command| {
        spawner.spawn(command, Streams::Merged).await.map(|process| process.pid()).expect_err("it cannot start")
    };
    let plain = |program: &str| Command::new(program, [""; 0]);

    let error = refused(&plain("regatta-no-such-program")).await;
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error}");
    assert!(error.to_string().starts_with("cannot start `regatta-no-such-program`: no such program;"), "{error}");

    let error = refused(&plain(script.to_str().expect("text"))).await;
    assert!(matches!(error, SpawnError::Denied { .. }), "{error}");

    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("it is ours");
    let error = refused(&plain(script.to_str().expect("text"))).await;
    assert!(matches!(error, SpawnError::NoInterpreter { .. }), "{error}");

    let error = refused(&Command { cwd: "/no/such/directory".into(), ..sh("true") }).await;
    assert!(matches!(error, SpawnError::NoDirectory { .. }), "{error}");

    // One argument beyond 128 KiB, arguments beyond what the system takes, and beyond what is even sent.
    for (count, length) in [(1, 200_000), (100, 100_000), (100, 120_000)] {
        let error = refused(&Command::new("true", (0..count).map(|_| "x".repeat(length)))).await;
        assert!(matches!(error, SpawnError::TooLong { .. }), "{error}");
    }

    let error = refused(&sh("a\0b")).await;
    assert!(matches!(error, SpawnError::Refused { .. }), "{error}");
    assert_eq!(run(&spawner, &sh("exit 0")).await.exit.ending, Ending::Exited(0), "the spawner is none the worse");
}

#[tokio::test]
async fn a_memory_limit_holds_for_the_process_and_not_for_the_spawner() {
    let spawner = spawner().await;
    let script = "ulimit -v; exec head -c 400000000 /dev/zero | tail -n 1 | wc -c";
    let limited = run(&spawner, &Command { memory: Some(256 * 1024 * 1024), ..sh(script) }).await;
    let printed = text(limited.stdout.into_bytes());
    assert!(printed.starts_with("262144\n"), "{printed}");
    assert!(!printed.contains("400000000"), "{printed}");
    let free = run(&spawner, &sh("ulimit -v")).await;
    assert_eq!(text(free.stdout.into_bytes()), "unlimited\n");
}

#[tokio::test]
async fn something_else_than_a_spawner_is_refused() {
    let error = Spawner::start(Path::new("/bin/true")).await.expect_err("it says no hello");
    assert_eq!(error.to_string(), "what was started as a spawner is none");
    assert!(Spawner::start(Path::new("/no/such/binary")).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spawning_stays_cheap() {
    let spawner = spawner().await;
    let count = 500;
    let begun = Instant::now();
    for _ in 0..count {
        let ran = run(&spawner, &Command::new("/bin/true", [""; 0])).await;
        assert_eq!(ran.exit.ending, Ending::Exited(0));
    }
    let each = begun.elapsed() / count;
    println!("{each:?} for each of {count} processes");
    // Far above what it takes, and far below a fork from a large process; the measurement is printed.
    assert!(each < Duration::from_millis(20));
}

#[test]
fn the_spawner_refuses_to_be_started_by_hand() {
    let mut child =
        std::process::Command::new(SPAWNER).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("text");
    assert!(!child.wait().expect("it ends").success());
    assert!(said.contains("started by a worker"), "{said}");
}
