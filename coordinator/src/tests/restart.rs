//! A coordinator that is killed comes back by replay, and nothing that was acknowledged is lost or done again.

use super::harness::*;
use regatta_wire::v1;
use regatta_wire::v1::run_event::Event;

#[tokio::test]
async fn a_result_that_was_committed_and_not_acknowledged_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = start(Some(directory.path())).await;
    client(&coordinator).await.submit(request(RUN, &["a.py"])).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    let tests = worker.list(grant.token, grant.files[0].file, &["test_a", "test_b"]).await;
    let first = vec![finished(grant.token, tests[0].test, v1::Outcome::Passed)];
    worker.report_unheard(first.clone()).await;
    // Committed: the watcher sees it. The acknowledgement is never read.
    let watching = v1::WatchRequest { run: RUN.to_owned(), after: 0 };
    let mut stream = client(&coordinator).await.watch(watching).await.unwrap().into_inner();
    let mut seen = 0;
    loop {
        let event = patiently("the result", stream.message()).await.unwrap().unwrap();
        seen = seen.max(event.seq);
        if matches!(event.event, Some(Event::ResultsAccepted(_))) {
            break;
        }
    }
    drop((worker, stream));
    kill(coordinator).await;

    let coordinator = start(Some(directory.path())).await;
    let mut worker = Worker::attach(&coordinator, vec![grant.token]).await;
    worker.report(first).await;
    let second = finished(grant.token, tests[1].test, v1::Outcome::Passed);
    worker.report_unheard(vec![second, released(grant.token)]).await;
    worker.close(RUN).await;

    let mut client = client(&coordinator).await;
    let whole = record(watch(&mut client, RUN, 0).await);
    assert_eq!(verdicts(&whole), [(0, v1::Verdict::Passed), (1, v1::Verdict::Passed)]);
    let seqs: Vec<u64> = whole.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=whole.len() as u64).collect::<Vec<_>>(), "numbers go on over a restart");
    // Whoever watched goes on where the stream broke.
    assert_eq!(record(watch(&mut client, RUN, seen).await), whole[usize::try_from(seen).unwrap()..]);
    coordinator.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_was_asked_of_a_run_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = start(Some(directory.path())).await;
    let asked = v1::SubmitRequest { filters: vec!["test(=test_b)".to_owned()], ..request(RUN, &["a.py"]) };
    client(&coordinator).await.submit(asked).await.unwrap();
    kill(coordinator).await;

    let coordinator = start(Some(directory.path())).await;
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    let tests = worker.list(grant.token, grant.files[0].file, &["test_a", "test_b"]).await;
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["test_b"]);
}

#[tokio::test]
async fn a_projection_that_was_lost_is_made_again_from_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = start(Some(directory.path())).await;
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    client(&coordinator).await.submit(request(RUN, &["a.py"])).await.unwrap();
    let grant = worker.granted().await;
    let tests = worker.list(grant.token, grant.files[0].file, &["test_a"]).await;
    worker.report(vec![finished(grant.token, tests[0].test, v1::Outcome::Passed)]).await;
    drop(worker);
    kill(coordinator).await;
    for suffix in ["", "-wal", "-shm"] {
        // Not all of them are there.
        let _gone = std::fs::remove_file(directory.path().join(format!("projection.db{suffix}")));
    }

    let coordinator = start(Some(directory.path())).await;
    let mut worker = Worker::attach(&coordinator, vec![grant.token]).await;
    worker.report_unheard(vec![released(grant.token)]).await;
    worker.close(RUN).await;
    let events = record(watch(&mut client(&coordinator).await, RUN, 0).await);
    assert_eq!(verdicts(&events), [(0, v1::Verdict::Passed)]);
    assert!(matches!(events.last().unwrap().event, Some(Event::RunEnded(_))));
}

#[tokio::test]
async fn a_journal_of_ended_runs_is_empty_and_tokens_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = start(Some(directory.path())).await;
    whole_run(&coordinator, RUN).await;
    coordinator.shutdown().await.unwrap();
    let journal = crate::store::SqliteJournal::open(&directory.path().join("journal.db")).unwrap();
    let mut reader = crate::store::Journal::reader(&journal).unwrap();
    assert_eq!(reader.read(0, 10).unwrap(), []);

    let coordinator = start(Some(directory.path())).await;
    let second = "01890000-0000-7000-8000-000000000002";
    client(&coordinator).await.submit(request(second, &["a.py"])).await.unwrap();
    let grant = Worker::attach(&coordinator, Vec::new()).await.granted().await;
    assert!(grant.token > 1, "a token is never used twice: {}", grant.token);
}

#[tokio::test]
async fn a_run_that_a_killed_process_left_is_abandoned_where_that_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = start(Some(directory.path())).await;
    client(&coordinator).await.submit(request(RUN, &["a.py"])).await.unwrap();
    Worker::attach(&coordinator, Vec::new()).await.granted().await;
    kill(coordinator).await;

    // At once, and not only when the worker that died with it has been silent for long enough.
    let config = crate::Config { abandon: true, ..config(Some(directory.path())) };
    let coordinator = crate::Coordinator::start(config).await.unwrap();
    let events = watch(&mut client(&coordinator).await, RUN, 0).await;
    let cause = events.iter().find_map(|event| match &event.event {
        Some(Event::RunCancelled(cancelled)) => Some(cancelled.cause()),
        _ => None,
    });
    assert_eq!(cause, Some(v1::CancelCause::Abandoned));
    assert!(matches!(events.last().unwrap().event, Some(Event::RunEnded(_))));
}

/// Ends a coordinator as a kill would, as far as that goes within a process: nobody is told, nothing is tidied up.
pub(super) async fn kill(coordinator: crate::Coordinator) {
    let crate::Coordinator { parts, servers, driver, lock: _lock, .. } = coordinator;
    servers.kill();
    drop(parts);
    let driver = driver.into_inner().unwrap().unwrap();
    patiently("the end of the driver", driver.ended()).await.unwrap();
}

/// Connections outlive the driver by a moment. Clients that ask in it were told that their run was lost.
#[tokio::test]
async fn whoever_asks_for_a_run_while_the_coordinator_leaves_may_ask_the_next_one() {
    let coordinator = start(None).await;
    let mut client = client(&coordinator).await;
    client.submit(request(RUN, &["a.py"])).await.unwrap();
    coordinator.parts.driver.stop().await;
    let watching = v1::WatchRequest { run: RUN.to_owned(), after: 0 };
    let refused = client.watch(watching).await.expect_err("nobody follows it any more");
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
}
