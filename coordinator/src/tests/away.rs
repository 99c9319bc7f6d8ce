//! A database that stands still under a coordinator: who only looks is told so, and what belongs to a run waits.

use super::harness::*;
use crate::Coordinator;
use crate::store::postgres::fixture::TestServer;
use crate::store::postgres::leader::Candidate;
use regatta_wire::v1;
use regatta_wire::v1::coordination_client::CoordinationClient;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tonic::Code;

const OTHER: &str = "01890000-0000-7000-8000-000000000002";

async fn tell(own: &Arc<TestServer>, word: &'static str) {
    let own = Arc::clone(own);
    spawn_blocking(move || own.tell(word)).await.unwrap();
}

async fn store(coordinator: &Coordinator) -> v1::SharedStore {
    let mut client = CoordinationClient::new(channel(coordinator).await);
    let status = client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    status.store.expect("it shares one")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_looks_is_told_at_once_that_the_database_is_away_and_runs_wait_for_it() {
    let own = Arc::new(TestServer::start());
    let server = own.database().await.with_silence(Duration::from_secs(1));
    let leadership = Candidate::new(server, "http://here").stand_by().await.unwrap();
    let coordinator = Coordinator::lead(config(None), leadership).await.unwrap();
    client(&coordinator).await.submit(request(RUN, &["a.py"])).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    let tests = worker.list(grant.token, grant.files[0].file, &["test_a"]).await;
    let list = v1::ListRunsRequest { limit: 1 };
    assert_eq!(client(&coordinator).await.list(list).await.unwrap().into_inner().runs.len(), 1);
    let before = store(&coordinator).await;
    assert_eq!((before.absence, before.most, before.waiting, before.away), (None, 4, 0, 0));

    tell(&own, "freeze").await;
    worker.report_unheard(vec![finished(grant.token, tests[0].test, v1::Outcome::Passed)]).await;
    let mut asking = client(&coordinator).await;
    let submitted = tokio::spawn(async move { asking.submit(request(OTHER, &["a.py"])).await });
    let mut looking = client(&coordinator).await;
    let looked = patiently("an error that says that it is away", async {
        loop {
            // Until it is known to be, one waits for as long as that takes.
            let refused = looking.list(list).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable, "{refused}");
            if refused.message().contains("has been away for") {
                break refused;
            }
        }
    });
    let told = looked.await;
    assert!(told.message().contains("what runs goes on once it is back"), "{told}");
    let away = store(&coordinator).await;
    let trouble = away.absence.expect("it is away").trouble;
    assert!(trouble.starts_with("does not answer in time"), "{trouble}");
    assert!(away.away == 1 && away.failed > 0, "{:?}", (away.away, away.failed));
    assert!(!submitted.is_finished());
    // Who looks for the one that leads hears why none does, once this one cannot vouch for it any more.
    let mut asking = CoordinationClient::new(channel(&coordinator).await);
    let unled = patiently("why nobody leads", async {
        loop {
            let answer = asking.leader(v1::LeaderRequest {}).await.unwrap().into_inner();
            if !answer.leads {
                break answer.away;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(unled.await.expect("it knows why").contains("has been away for"));

    tell(&own, "thaw").await;
    patiently("its submission", submitted).await.unwrap().unwrap();
    worker.report(vec![released(grant.token)]).await;
    worker.close(RUN).await;
    let events = record(watch(&mut client(&coordinator).await, RUN, 0).await);
    assert_eq!(verdicts(&events), [(0, v1::Verdict::Passed)]);
    assert_eq!(looking.list(list).await.unwrap().into_inner().runs.len(), 1);
    let after = store(&coordinator).await;
    assert_eq!((after.absence, after.waiting), (None, 0));
    coordinator.shutdown().await.unwrap();
}
