//! Coordinators that lead, stand by, are gone or do not answer, on the loopback.

use super::*;
use regatta_wire::v1::coordination_server::{Coordination, CoordinationServer};
use regatta_wire::v1::{
    HandOverRequest, HandOverResponse, LeaderRequest, LeaderResponse, StatusRequest, StatusResponse,
    coordination_client::CoordinationClient,
};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A coordinator that says whatever it is told to say; its connections end when it is dropped.
struct Fake {
    says: watch::Sender<LeaderResponse>,
    address: String,
    _serves: oneshot::Sender<()>,
}

struct Says(watch::Receiver<LeaderResponse>);

#[tonic::async_trait]
impl Coordination for Says {
    async fn leader(&self, _: Request<LeaderRequest>) -> Result<Response<LeaderResponse>, Status> {
        Ok(Response::new(self.0.borrow().clone()))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Err(Status::unimplemented("not asked of it here"))
    }

    async fn hand_over(&self, _: Request<HandOverRequest>) -> Result<Response<HandOverResponse>, Status> {
        Err(Status::unimplemented("it does nothing but say who leads"))
    }
}

impl Fake {
    async fn start(says: LeaderResponse) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (says, told) = watch::channel(says);
        let server = tonic::transport::Server::builder().add_service(CoordinationServer::new(Says(told)));
        let (serves, dropped) = oneshot::channel::<()>();
        let dropped = async move { drop(dropped.await) };
        let serving = server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), dropped);
        tokio::spawn(async move { serving.await.unwrap() });
        Self { says, address, _serves: serves }
    }
}

fn leads() -> LeaderResponse {
    LeaderResponse { leads: true, leader: None, epoch: 7, away: None }
}

fn follows(leader: Option<&Fake>) -> LeaderResponse {
    LeaderResponse { leads: false, leader: leader.map(|fake| fake.address.clone()), epoch: 0, away: None }
}

/// Where nobody listens: a port that was free a moment ago.
async fn nobody() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap())
}

/// Who leads, of these.
async fn search(addresses: &[&str]) -> Result<String, String> {
    let addresses: Addresses = addresses.join(",").parse().unwrap();
    let found = Search::among(Arc::new(System), &addresses, None).run().await;
    found.map(|found| format!("http://{}", found.at)).map_err(|nobody| nobody.to_string())
}

#[tokio::test]
async fn of_several_the_one_that_leads_is_found_behind_one_that_is_gone() {
    let (standby, leader) = (Fake::start(follows(None)).await, Fake::start(leads()).await);
    assert_eq!(search(&[&nobody().await, &standby.address, &leader.address]).await, Ok(leader.address.clone()));
}

#[tokio::test]
async fn one_that_a_standby_names_is_asked_although_nobody_gave_its_address() {
    let leader = Fake::start(leads()).await;
    let standby = Fake::start(follows(Some(&leader))).await;
    assert_eq!(search(&[&standby.address]).await, Ok(leader.address.clone()));
}

#[tokio::test]
async fn a_connection_ends_when_another_one_leads_and_only_then() {
    let (old, new) = (Fake::start(leads()).await, Fake::start(follows(None)).await);
    let addresses: Addresses = format!("{},{}", old.address, new.address).parse().unwrap();
    let network: Arc<dyn Network> = Arc::new(System);
    let at = old.address.trim_start_matches("http://").parse().unwrap();
    let another = || guarded::does_another_lead(&network, &addresses, at);
    assert!(!another().await, "it leads");
    // Cut off from its store, it does not know whether it leads; nobody else does.
    old.says.send_replace(follows(None));
    assert!(!another().await);
    new.says.send_replace(leads());
    assert!(another().await);

    let (ours, _theirs) = tokio::io::duplex(64);
    let (end, over) = oneshot::channel::<()>();
    let mut guarded = Guarded::new(Box::new(ours), async move { drop(over.await) });
    let mut byte = [0];
    let mut read = std::pin::pin!(tokio::io::AsyncReadExt::read(&mut guarded, &mut byte));
    assert!(by_now(read.as_mut()).await.is_none(), "nothing was said yet");
    drop(end);
    assert_eq!(read.await.unwrap_err().to_string(), "another coordinator leads");
}

/// What has come of a future by now.
async fn by_now<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn where_nobody_leads_each_is_told_with_what_it_said() {
    let (gone, standby) = (nobody().await, Fake::start(follows(None)).await);
    let named = Fake::start(follows(Some(&standby))).await;
    let told = search(&[&gone, &standby.address, &named.address]).await.unwrap_err();
    let wanted = [
        format!("{gone}: Connection refused"),
        format!("{} stands by, and knows of no leader", standby.address),
        format!("{} stands by for {}", named.address, standby.address),
    ];
    assert!(wanted.iter().all(|wanted| told.contains(wanted)), "{told}");
}

#[tokio::test]
async fn one_that_takes_connections_and_says_nothing_does_not_keep_the_others_waiting() {
    // Accepted by the system, and never served.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = (format!("http://{}", silent.local_addr().unwrap()), silent);
    let leader = Fake::start(leads()).await;
    assert_eq!(search(&[&silent.0, &leader.address]).await, Ok(leader.address.clone()));
    let told = search(&[&silent.0]).await.unwrap_err();
    assert!(told.contains("did not say in 2 s whether it leads"), "{told}");
}

#[tokio::test]
async fn a_standby_is_never_given_a_connection_and_a_channel_follows_the_one_that_leads() {
    let first = Fake::start(leads()).await;
    let second = Fake::start(follows(Some(&first))).await;
    let addresses: Addresses = format!("{},{}", second.address, first.address).parse().unwrap();
    let channel = channel(addresses);
    let mut client = CoordinationClient::new(channel);
    assert!(client.leader(LeaderRequest {}).await.unwrap().into_inner().leads);

    // Its end breaks the connection; whoever calls next is brought to the other.
    second.says.send_replace(follows(None));
    drop(first);
    let refused = async {
        loop {
            match client.leader(LeaderRequest {}).await {
                // The end of the connection may take a moment to be seen.
                Ok(answer) => assert!(answer.into_inner().leads, "it is still the first"),
                Err(status) if status.message().contains("stands by") => break status,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(30), refused).await.expect("the first is gone");
    assert_eq!(status.code(), tonic::Code::Unavailable, "it may be tried again: {status:?}");
    assert!(awaits_a_leader(&status), "somebody is about to lead");
    second.says.send_replace(leads());
    assert!(client.leader(LeaderRequest {}).await.unwrap().into_inner().leads);
}

#[tokio::test]
async fn where_nobody_is_at_all_nobody_is_about_to_lead() {
    let channel = channel(nobody().await.parse().unwrap());
    let status = CoordinationClient::new(channel).leader(LeaderRequest {}).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(!awaits_a_leader(&status), "{status:?}");
}

#[tokio::test]
async fn that_nobody_can_lead_without_a_store_is_told_apart() {
    let away = "postgres://db:5432/farm has been away for 12 s".to_owned();
    let without = Fake::start(LeaderResponse { away: Some(away), ..follows(None) }).await;
    let standby = Fake::start(follows(Some(&without))).await;
    let mut client = CoordinationClient::new(channel(standby.address.parse().unwrap()));
    let status = client.leader(LeaderRequest {}).await.unwrap_err();
    assert!(awaits_a_store(&status) && awaits_a_leader(&status), "{status:?}");
    assert!(status.message().contains("waits for its store: postgres://db:5432/farm has been away"), "{status:?}");
    without.says.send_replace(leads());
    client.leader(LeaderRequest {}).await.unwrap();
}
