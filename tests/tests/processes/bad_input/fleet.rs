//! A fleet that is not there, or is of another version.

use super::{assert_told, sound};
use regatta_tests::harness::{Client, Cluster, Said};
use regatta_wire::v1::fleet_client::FleetClient;
use regatta_wire::v1::fleet_server::{Fleet, FleetServer};
use regatta_wire::{PROTOCOL, v1};
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// Nobody listens here: the port is reserved, and needs a privilege.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn a_coordinator_that_is_not_there_is_told_and_nothing_is_run() {
    let project = sound();
    let cases: [&[&str]; 5] = [&["run"], &["rerun"], &["watch"], &["workers"], &["cancel", "latest"]];
    for args in cases {
        let said = Said::by(project.path(), args.iter().chain(&["--on", NOBODY]));
        let what = format!("cannot reach the coordinator at {NOBODY}");
        let wanted =
            [&*what, "Connection refused", "start one with `regatta coordinator", "Exit code 3 (infrastructure)"];
        assert_told(&said.stderr, &wanted);
        assert_eq!(said.code, 3, "{args:?}: {}", said.stderr);
        // In words for people, each once.
        assert!(!said.stderr.contains("ConnectError"), "{args:?}: {}", said.stderr);
        assert_eq!(said.stderr.matches("Connection refused").count(), 1, "{args:?}: {}", said.stderr);
    }
    assert!(!project.path().join(".regatta").exists(), "nothing was run here");
}

#[test]
fn a_coordinator_that_shares_its_store_with_nobody_hands_nothing_over() {
    let project = sound();
    let cluster = Cluster::start(project.path(), 0, 1);
    let hand_over = |on: &str| Said::by(project.path(), ["coordinator", "handover", "--on", on]);
    let said = hand_over(&cluster.url);
    assert_told(&said.stderr, &["does not hand over", "in a directory of its own", "stop it with SIGTERM"]);
    assert_eq!((said.code, &*said.stdout), (2, ""), "{}", said.stderr);
    let said = hand_over(NOBODY);
    assert_told(&said.stderr, &["no coordinator leads", "Connection refused"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
}

#[test]
fn with_a_fallback_a_coordinator_that_is_not_there_means_running_here() {
    let project = sound();
    let ended = Client::start(project.path(), ["run", "--on", NOBODY, "--fallback", "local"]).end();
    assert_eq!((ended.code, ended.count("passed")), (0, 2), "{}", ended.stderr);
    assert_told(&ended.stderr, &[&format!("warning: no answer from {NOBODY}"), "running here"]);
}

#[test]
fn what_is_no_address_is_refused_as_it_was_typed() {
    let project = sound();
    for (on, what) in [("ftp://ci", "a coordinator is http://HOST:PORT"), ("https://ci:1", "plain HTTP/2 only")] {
        let said = Said::by(project.path(), ["run", "--on", on]);
        assert_told(&said.stderr, &[on, what]);
        assert_eq!(said.code, 2, "{}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_another_protocol_is_refused_with_both_versions() {
    let project = sound();
    let cluster = Cluster::start(project.path(), 0, 1);
    let channel = Endpoint::from_shared(cluster.url.clone()).expect("it is a URL").connect_lazy();
    let mut client = FleetClient::new(channel);
    for (protocol, help) in [(PROTOCOL + 1, "update the coordinator, or run an older worker"), (0, "update the worker")]
    {
        let hello = v1::Hello { protocol, version: "9.9.9".to_owned(), slots: 1, ..Default::default() };
        let hello = v1::FromWorker { message: Some(v1::from_worker::Message::Hello(hello)) };
        let status = client.session(tokio_stream::once(hello)).await.expect_err("it is refused");
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
        let theirs = format!("the worker speaks protocol {protocol} (Regatta 9.9.9)");
        assert_told(status.message(), &[&theirs, &format!("this coordinator speaks {PROTOCOL} (Regatta "), help]);
    }
    // It takes those of its own all the same.
    let mut cluster = cluster;
    cluster.add_worker(1);
    let ended = tokio::task::spawn_blocking(move || cluster.run(&[]).end()).await.expect("it does not panic");
    assert_eq!((ended.code, ended.count("passed")), (0, 2), "{}", ended.stderr);
}

/// A coordinator of another version, which refuses every worker.
struct Other;

const REFUSAL: &str =
    "the worker speaks protocol 1 (Regatta 0.1.0), this coordinator speaks 7 (Regatta 9.9.9); update the worker";

#[tonic::async_trait]
impl Fleet for Other {
    type SessionStream = ReceiverStream<Result<v1::ToWorker, Status>>;

    async fn session(&self, _: Request<Streaming<v1::FromWorker>>) -> Result<Response<Self::SessionStream>, Status> {
        Err(Status::failed_precondition(REFUSAL))
    }

    async fn workers(&self, _: Request<v1::WorkersRequest>) -> Result<Response<v1::WorkersResponse>, Status> {
        Err(Status::unimplemented("it has none"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_refused_leaves_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback has room");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let serving =
        Server::builder().add_service(FleetServer::new(Other)).serve_with_incoming(TcpListenerStream::new(listener));
    let serving = tokio::spawn(serving);
    let project = sound();
    let said = tokio::task::spawn_blocking(move || Said::by(project.path(), ["worker", "--on", &url, "--slots", "1"]));
    let said = said.await.expect("it does not panic");
    serving.abort();
    assert_told(&said.stderr, &["the coordinator refuses this worker", REFUSAL, "Exit code 3 (infrastructure)"]);
    assert_eq!((said.code, said.stderr.matches(REFUSAL).count()), (3, 1), "{}", said.stderr);
}
