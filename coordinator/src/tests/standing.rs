//! One that stands by says who leads and nothing else, until it leads.

use super::harness::{Worker, patiently, start, start_as};
use crate::store::MemoryJournal;
use crate::{Coordinator, Standing};
use regatta_runtime::dial;
use regatta_wire::v1::coordination_client::CoordinationClient;
use regatta_wire::v1::runs_client::RunsClient;
use regatta_wire::{PROTOCOL, v1};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tonic::Code;
use tonic::transport::Endpoint;

#[tokio::test]
async fn a_standby_says_who_leads_refuses_the_rest_and_serves_once_it_leads() {
    let listener = Coordinator::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let listener = Arc::new(listener);
    let (tell, standing) = watch::channel(Standing::Standby { leader: Some("http://other:7420".into()) });
    let standby = tokio::spawn({
        let listener = Arc::clone(&listener);
        async move { crate::stand_by(&listener, standing).await }
    });

    // Whoever asks it straight is told where to go, and may try again.
    let direct = Endpoint::from_shared(url.clone()).unwrap().connect().await.unwrap();
    let told = CoordinationClient::new(direct.clone()).leader(v1::LeaderRequest {}).await.unwrap().into_inner();
    assert_eq!(
        told,
        v1::LeaderResponse { leads: false, leader: Some("http://other:7420".to_owned()), epoch: 0, away: None }
    );
    let refused = RunsClient::new(direct).list(v1::ListRunsRequest { limit: 1 }).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unavailable, "this coordinator stands by; http://other:7420 leads")
    );

    // One that is not certain any more that it leads is none.
    tell.send_replace(Standing::Standby { leader: None });
    let mut client = RunsClient::new(dial::channel(url.parse().unwrap()));
    let nobody = client.list(v1::ListRunsRequest { limit: 1 }).await.unwrap_err();
    assert!(dial::awaits_a_leader(&nobody), "{nobody:?}");

    tell.send_replace(Standing::Leads { until: Some(Instant::now() + Duration::from_secs(60)), epoch: 1 });
    patiently("the end of the standby", standby).await.unwrap().unwrap();
    let coordinator = start(None).await;
    let listener = patiently("the listener", async {
        let mut listener = listener;
        loop {
            match Arc::try_unwrap(listener) {
                Ok(free) => break free,
                Err(held) => listener = held,
            }
            tokio::task::yield_now().await;
        }
    });
    let listener = listener.await;
    tokio::select! {
        served = coordinator.serve(listener) => served.unwrap(),
        listed = patiently("an answer", client.list(v1::ListRunsRequest { limit: 1 })) => drop(listed.unwrap()),
    }
    coordinator.shutdown().await.unwrap();
}

/// From its hello on a worker would count on its leases for longer than the next leader waits for it.
#[tokio::test]
async fn one_that_may_not_lead_any_more_takes_no_worker_in() {
    let (tell, standing) = watch::channel(Standing::Leads { until: Some(Instant::now()), epoch: 1 });
    let coordinator = start_as(standing, Box::new(MemoryJournal::default())).await.unwrap();
    let Err(refused) = Worker::dial(&coordinator, PROTOCOL, Vec::new()).await else { panic!("it is refused") };
    let told = "this coordinator does not know whether it still leads; dial again";
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, told));
    tell.send_replace(Standing::Leads { until: Some(Instant::now() + Duration::from_secs(60)), epoch: 1 });
    drop(Worker::attach(&coordinator, Vec::new()).await);
    coordinator.shutdown().await.unwrap();
}
