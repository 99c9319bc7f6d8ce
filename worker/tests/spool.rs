//! What a worker said and nobody acknowledged survives its process, and another one tells it.

mod fleet;

use fleet::{Coordinator, brief, config, grant, patiently};
use regatta_domain::WorkerId;
use regatta_wire::v1::entry::Entry;
use regatta_worker::{Config, SpoolPlace};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn another_process_tells_what_the_first_had_not_acknowledged_and_loses_what_ran() {
    let place = tempfile::tempdir().expect("a directory");
    let root = place.path();
    let script = "echo $$ > \"$1.pid\"; [ \"$1\" = quick ] && exit; exec sleep 3600";
    let settings = format!(r#"{{"command": ["sh", "-c", {script:?}, "sh", "{{id}}"], "tests": ["quick", "long"]}}"#);
    let spool = SpoolPlace::At(root.join("spool"));
    let mut coordinator = Coordinator::start().await;
    let first = coordinator.worker(Config { spool: spool.clone(), ..config(2) });
    let (mut stream, _) = coordinator.attach(LEASE).await;
    stream.tell(brief(root, &settings)).await;
    stream.tell(grant(1, 0, (0, "quick"), &[])).await;
    stream.tell(grant(2, 1, (1, "long"), &[])).await;
    let mut said = Vec::new();
    let is_over = |said: &[Entry]| said.iter().any(|entry| matches!(entry, Entry::Released(lease) if lease.token == 1));
    let runs = |said: &[Entry]| said.iter().any(|entry| matches!(entry, Entry::Started(test) if test.token == 2));
    while !is_over(&said) || !runs(&said) {
        said.extend(stream.report(false).await);
    }
    let pid = patiently("the process of the test", async {
        loop {
            let text = std::fs::read_to_string(root.join("long.pid")).unwrap_or_default();
            match text.trim().parse::<i32>() {
                Ok(pid) => break nix::unistd::Pid::from_raw(pid),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await;
    first.kill().await;

    let worker = WorkerId::from_bits(8);
    let second = coordinator.worker(Config { worker, spool, ..config(2) });
    let (mut stream, hello) = coordinator.attach(LEASE).await;
    assert!(nix::sys::signal::kill(pid, None).is_err(), "nothing of the first runs when another speaks for it");
    assert_eq!(hello.worker, config(2).worker.to_string(), "it speaks for the one that is gone");
    assert_eq!(hello.holds, [1, 2]);
    let mut told = Vec::new();
    let is_lost = |told: &[Entry]| told.iter().any(|entry| matches!(entry, Entry::Lost(_)));
    while !is_lost(&told) {
        told.extend(stream.report(true).await);
    }
    let finished = |entry: &Entry| match entry {
        Entry::Finished(finished) => finished.result.as_ref().map(|result| (finished.token, result.test)),
        _ => None,
    };
    assert_eq!(told.iter().filter_map(finished).collect::<Vec<_>>(), [(1, 0)], "each once, {told:?}");
    let ran = told.iter().rposition(|entry| matches!(entry, Entry::Started(test) if (test.token, test.test) == (2, 1)));
    let lost = told.iter().position(|entry| matches!(entry, Entry::Lost(lost) if lost.token == 2));
    assert!(ran.expect("it ran") < lost.expect("it is lost"), "what ran is known when it is lost: {told:?}");
    second.kill().await;
}
