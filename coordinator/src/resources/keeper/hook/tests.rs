//! Real processes: hooks that succeed, fail, hang, and leave others behind.

use super::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

fn job(stage: Stage, script: &str, timeout: Micros, retries: u16) -> Job {
    let argv = ["sh", "-c", script].map(Into::into).to_vec();
    let hook = Some(Hook { argv, timeout, retries, every: Micros::ZERO });
    let values = BTreeMap::from([("serial-no".into(), "abc".into())]);
    Job { key: ("phone".into(), Some("p1".into())), stage, hook, values }
}

const LONG: Micros = Micros::from_secs(60);

async fn run(job: &Job) -> Result<Output, String> {
    perform(job, &Semaphore::new(AT_ONCE)).await
}

/// Waits until it is so.
async fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn pid_in(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'))?.trim().parse().ok()
}

#[tokio::test]
async fn a_hook_is_told_for_what_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let script =
        format!("echo $REGATTA_RESOURCE $REGATTA_ITEM $REGATTA_HOOK $REGATTA_VALUE_SERIAL_NO > {}", out.display());
    run(&job(Stage::Reset, &script, LONG, 0)).await.unwrap();
    assert_eq!(std::fs::read_to_string(out).unwrap(), "phone p1 reset abc\n");
}

#[tokio::test]
async fn a_failure_is_told_with_the_end_of_what_was_printed() {
    let told = run(&job(Stage::Reset, "echo on stdout; echo no route >&2; exit 7", LONG, 0)).await.unwrap_err();
    assert!(told.starts_with("`sh`: it ended with exit code 7: ") && told.contains("no route"), "{told}");
    let script = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo the end; exit 1";
    let told = run(&job(Stage::Reset, script, LONG, 0)).await.unwrap_err();
    assert!(told.ends_with("the end") && told.contains("[…] xxx") && told.len() < TAIL + 200, "{}", told.len());
    let mut missing = job(Stage::Reset, "", LONG, 0);
    missing.hook.as_mut().unwrap().argv = vec!["/no/such/program".into()];
    let told = run(&missing).await.unwrap_err();
    assert!(told.starts_with("`/no/such/program` cannot be started: "), "{told}");
}

#[tokio::test]
async fn a_hook_that_fails_is_tried_again_as_often_as_it_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let tries = directory.path().join("tries");
    let script = format!("echo x >> {0}; test $(wc -l < {0}) -ge 3", tries.display());
    run(&job(Stage::Reset, &script, LONG, 1)).await.expect_err("the second try fails, too");
    run(&job(Stage::Reset, &script, LONG, 0)).await.expect("the third succeeds");
    std::fs::remove_file(&tries).unwrap();
    run(&job(Stage::Reset, &script, LONG, 2)).await.expect("so it does within one");
}

#[tokio::test]
async fn a_hook_that_hangs_is_killed_with_its_children_even_if_it_ignores_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!("trap '' TERM; sleep 600 & echo $! > {}; while :; do sleep 1; done", file.display());
    let told = run(&job(Stage::Reset, &script, Micros::from_ms(200), 0)).await.unwrap_err();
    assert!(told.contains("took longer than 200ms, and was stopped"), "{told}");
    let child = pid_in(&file).unwrap();
    until("the end of the child", || began(child).is_none()).await;
}

#[tokio::test]
async fn children_that_a_hook_leaves_behind_end_with_it_and_hold_nothing_up() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    // It holds the pipe; waiting for its end would take ten minutes.
    let script = format!("sleep 600 & echo $! > {}", file.display());
    run(&job(Stage::Reset, &script, LONG, 0)).await.unwrap();
    let child = pid_in(&file).unwrap();
    until("the end of the child", || began(child).is_none()).await;
}

#[tokio::test]
async fn a_hook_that_is_given_up_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let hanging = job(Stage::Reset, &format!("sleep 600 & echo $! > {}; wait", file.display()), LONG, 0);
    let running = tokio::spawn(async move { run(&hanging).await });
    until("the child", || pid_in(&file).is_some()).await;
    running.abort();
    let child = pid_in(&file).unwrap();
    until("the end of the child", || began(child).is_none()).await;
}

#[tokio::test]
async fn what_a_preparing_hook_names_goes_on_until_it_is_stopped() {
    let script = "sleep 600 > /dev/null 2>&1 & printf '{\"pid\": %d, \"resources\": [{\"PORT\": \"1\"}]}' $!";
    let output = run(&job(Stage::Prepare, script, LONG, 0)).await.unwrap();
    let pid = output.provided.pid.unwrap();
    assert_eq!(output.provided.into_items().len(), 1);
    let left = output.left.unwrap();
    assert!(left.is_there(), "it goes on");
    let other = Left { began: Some("0".to_owned()), ..left.clone() };
    other.stop().await;
    assert!(left.is_there(), "another process of the same number is left alone");
    left.stop().await;
    until("its end", || began(pid).is_none()).await;
}

#[tokio::test]
async fn what_is_no_contract_fails_the_hook() {
    let told = run(&job(Stage::Prepare, "echo '{\"resources\": 5}'", LONG, 0)).await.unwrap_err();
    assert!(told.contains("begins like JSON"), "{told}");
    run(&job(Stage::Reset, "echo '{\"resources\": 5}'", LONG, 0)).await.expect("only what prepares is listened to");
}

#[tokio::test]
async fn no_more_hooks_run_at_once_than_may() {
    let permits = Semaphore::new(1);
    let directory = tempfile::tempdir().unwrap();
    let lock = directory.path().join("lock");
    // Two at once would find the directory of the other.
    let alone = job(Stage::Reset, &format!("mkdir {0} && sleep 0.05 && rmdir {0}", lock.display()), LONG, 0);
    let (a, b) = tokio::join!(perform(&alone, &permits), perform(&alone, &permits));
    a.unwrap();
    b.unwrap();
}
