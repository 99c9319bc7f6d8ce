//! A worker that is cut off from its coordinator lets go of what only one may use, and works on with the rest.

mod fleet;

use fleet::{Coordinator, brief, config, grant, patiently};
use regatta_wire::v1::entry::Entry;
use std::path::Path;
use std::time::Duration;

/// Short, so that the test is; what is asserted is an order, not a time.
const LEASE: Duration = Duration::from_secs(2);

/// Waits until a file is there.
async fn appears(path: &Path) {
    patiently(&path.display().to_string(), async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_nobody_answers_stops_what_holds_a_resource_and_nothing_else() {
    let place = tempfile::tempdir().expect("a directory");
    let root = place.path();
    // Says that it runs, and then waits to be let go, or stopped.
    let script = "echo $$ > \"$1.pid\"; mv \"$1.pid\" \"$1.runs\"; while [ ! -e \"$1.go\" ]; do sleep 0.02; done";
    let settings = format!(r#"{{"command": ["sh", "-c", {script:?}, "sh", "{{id}}"], "tests": ["alone", "free"]}}"#);
    let mut coordinator = Coordinator::start().await;
    let worker = coordinator.worker(config(2));
    let (mut stream, hello) = coordinator.attach(LEASE).await;
    assert_eq!(hello.holds, Vec::<u64>::new());
    stream.tell(brief(root, &settings)).await;
    stream.tell(grant(1, 0, (0, "alone"), &["device"])).await;
    stream.tell(grant(2, 1, (1, "free"), &["worker.cpu"])).await;
    appears(&root.join("alone.runs")).await;
    appears(&root.join("free.runs")).await;
    let pid: i32 =
        std::fs::read_to_string(root.join("alone.runs")).expect("it is there").trim().parse().expect("a number");

    // From here on nobody answers: the stream stands, as in a partition.
    stream.answers = false;
    patiently("the end of the stream", async { while stream.heard().await.is_some() {} }).await;

    // It dials again, and says what it holds and what is over; the test that was stopped has no result.
    let (mut stream, hello) = coordinator.attach(LEASE).await;
    assert_eq!(hello.holds, [1, 2], "of the first there is something to say, and the second it works on");
    let mut entries = Vec::new();
    while !entries.iter().any(|entry| matches!(entry, Entry::Released(released) if released.token == 1)) {
        entries.extend(stream.report(true).await);
    }
    assert!(!entries.iter().any(|entry| matches!(entry, Entry::Finished(_))), "{entries:?}");
    let gone = || nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err();
    assert!(gone(), "the process of the test is gone before its lease is released");

    std::fs::write(root.join("free.go"), "").expect("room for a file");
    let mut finished = None;
    while finished.is_none() {
        finished = stream.report(true).await.into_iter().find_map(|entry| match entry {
            Entry::Finished(finished) => Some((finished.token, finished.result.expect("a result").test)),
            _ => None,
        });
    }
    assert_eq!(finished, Some((2, 1)), "what holds nothing that is others' goes on");
    worker.kill().await;
}
