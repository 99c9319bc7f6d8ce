//! Coordinators that share a database: one leads, and when it does not any more, another goes on where it was.

use super::harness::*;
use crate::store::postgres::Server;
use crate::store::postgres::fixture::{SHARED, TestServer};
use crate::store::postgres::leader::Candidate;
use crate::{Coordinator, Error};
use regatta_wire::v1;
use tokio::task::spawn_blocking;

/// Leads, once that is possible.
async fn lead(server: &Server) -> Coordinator {
    let mut candidate = Candidate::new(server.clone(), "http://here");
    let leadership = patiently("its turn", candidate.stand_by()).await.unwrap();
    Coordinator::lead(config(None), leadership).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_under_another_leader_and_nothing_is_run_again() {
    let server = SHARED.database().await;
    let first = lead(&server).await;
    client(&first).await.submit(request(RUN, &["a.py"])).await.unwrap();
    let mut worker = Worker::attach(&first, Vec::new()).await;
    let grant = worker.granted().await;
    let tests = worker.list(grant.token, grant.files[0].file, &["test_a", "test_b"]).await;
    let done = vec![finished(grant.token, tests[0].test, v1::Outcome::Passed)];
    worker.report(done.clone()).await;
    drop(worker);
    kill(first).await;

    let second = lead(&server).await;
    let mut worker = Worker::attach(&second, vec![grant.token]).await;
    // The acknowledgement was lost with the first one, for all that the worker knows.
    worker.report(done).await;
    let rest = finished(grant.token, tests[1].test, v1::Outcome::Passed);
    worker.report_unheard(vec![rest, released(grant.token)]).await;
    worker.close(RUN).await;
    let mut caller = client(&second).await;
    let events = record(watch(&mut caller, RUN, 0).await);
    assert_eq!(verdicts(&events), [(0, v1::Verdict::Passed), (1, v1::Verdict::Passed)]);
    second.projected().await;
    let verdicts = "SELECT count(*) FROM regatta.verdicts";
    let verdicts: i64 = server.connect().await.unwrap().query_one(verdicts, &[]).await.unwrap().get(0);
    assert_eq!(verdicts, 2);
    second.shutdown().await.unwrap();
    // One that is shut down leaves at once.
    lead(&server).await.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_deposed_stops_and_acknowledges_nothing_more() {
    let server = SHARED.database().await;
    let old = lead(&server).await;
    client(&old).await.submit(request(RUN, &["a.py"])).await.unwrap();
    let mut worker = Worker::attach(&old, Vec::new()).await;
    let grant = worker.granted().await;
    // It cannot know: another one took its place in between two renewals.
    let end = "UPDATE regatta.leader SET until = '-infinity'";
    server.connect().await.unwrap().batch_execute(end).await.unwrap();
    let new = lead(&server).await;

    worker.report_unheard(vec![released(grant.token)]).await;
    let status = worker.end().await.expect("the worker is told");
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let error = patiently("its end", old.refused()).await;
    assert!(error.is_deposed(), "{error}");
    assert!(matches!(old.shutdown().await, Err(Error::Store(_))));

    // What it did not write, it did not do: under the new one the lease stands.
    let mut worker = Worker::attach(&new, vec![grant.token]).await;
    let tests = worker.list(grant.token, grant.files[0].file, &["test_a"]).await;
    worker.report(vec![finished(grant.token, tests[0].test, v1::Outcome::Passed), released(grant.token)]).await;
    worker.close(RUN).await;
    new.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_restarts_in_the_middle_of_a_run_is_waited_for() {
    let own = std::sync::Arc::new(TestServer::start());
    let server = own.database().await;
    let coordinator = lead(&server).await;
    client(&coordinator).await.submit(request(RUN, &["a.py"])).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    let tests = worker.list(grant.token, grant.files[0].file, &["test_a", "test_b", "test_c"]).await;
    for test in &tests {
        let telling = own.clone();
        spawn_blocking(move || telling.tell("kill")).await.unwrap();
        // Said while it is away, and acknowledged when it is there again: over the same connection, without an error.
        worker.report_unheard(vec![finished(grant.token, test.test, v1::Outcome::Passed)]).await;
        let telling = own.clone();
        spawn_blocking(move || telling.tell("start")).await.unwrap();
    }
    worker.report(vec![released(grant.token)]).await;
    worker.close(RUN).await;
    let events = record(watch(&mut client(&coordinator).await, RUN, 0).await);
    assert_eq!(verdicts(&events).len(), 3);
    coordinator.shutdown().await.unwrap();
}
