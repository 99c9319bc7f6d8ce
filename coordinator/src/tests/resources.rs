//! What people do with resources, over the service, with real hooks.

use super::harness::*;
use crate::Coordinator;
use regatta_domain::resource::{Hook, Hooks};
use regatta_domain::{Item, Micros, Resource};
use regatta_wire::resource::Named;
use regatta_wire::v1;
use regatta_wire::v1::resources_client::ResourcesClient;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Code, Status};

const ANN: &str = "ann";

async fn resources(coordinator: &Coordinator) -> ResourcesClient<Channel> {
    ResourcesClient::new(channel(coordinator).await)
}

fn phone(name: &str) -> Item {
    let values = BTreeMap::from([("serial".into(), format!("secret-{name}").into())]);
    Item { name: name.into(), labels: BTreeMap::from([("os".into(), "android".into())]), values }
}

fn phones() -> Resource {
    Resource::pool(vec![phone("p1"), phone("p2")])
}

fn hook(script: &str) -> Option<Hook> {
    let argv = ["sh", "-c", script].map(Into::into).to_vec();
    Some(Hook { argv, timeout: Micros::from_secs(30), retries: 0, every: Micros::ZERO })
}

fn declare(name: &str, resource: Resource) -> v1::DeclareRequest {
    let named = Named { name: name.into(), resource };
    v1::DeclareRequest { resource: Some((&named).into()), by: ANN.to_owned() }
}

fn reserve(name: &str, item: Option<&str>, seconds: u64, by: &str) -> v1::ReserveRequest {
    let item = item.map(str::to_owned);
    v1::ReserveRequest { name: name.to_owned(), item, seats: 1, time: seconds * 1_000_000, by: by.to_owned() }
}

async fn listed(client: &mut ResourcesClient<Channel>) -> Vec<v1::ResourceStatus> {
    client.list(v1::ListResourcesRequest {}).await.unwrap().into_inner().resources
}

/// Waits until the first resource is so.
async fn until(client: &mut ResourcesClient<Channel>, what: &str, is: impl Fn(&v1::ResourceStatus) -> bool) {
    let began = Instant::now();
    while !listed(client).await.first().is_some_and(&is) {
        assert!(began.elapsed() < Duration::from_secs(30), "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn told<T: std::fmt::Debug>(refused: Result<T, Status>, code: Code) -> String {
    let status = refused.expect_err("it is refused");
    assert_eq!(status.code(), code, "{status}");
    status.message().to_owned()
}

/// A run whose tests need an item of the pool, and the worker that was granted the first of it.
async fn leased(coordinator: &Coordinator) -> (Worker, v1::Grant) {
    let needs = vec![v1::Need { resource: "phone".to_owned(), seats: 1, ..Default::default() }];
    let overrides = vec![v1::PolicyOverride { filter: "all()".to_owned(), needs, ..Default::default() }];
    client(coordinator).await.submit(v1::SubmitRequest { overrides, ..request(RUN, &["a.py"]) }).await.unwrap();
    let mut worker = Worker::attach(coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    worker.list(grant.token, grant.files[0].file, &["test_a"]).await;
    worker.report(vec![released(grant.token)]).await;
    let grant = worker.granted().await;
    (worker, grant)
}

#[tokio::test]
async fn a_listing_tells_who_holds_and_who_waits_and_no_secrets() {
    let coordinator = start(None).await;
    let mut people = resources(&coordinator).await;
    people.declare(declare("phone", phones())).await.unwrap();
    let (_worker, grant) = leased(&coordinator).await;
    let held = &grant.holds[0];
    assert_eq!((&*held.resource, held.seats), ("phone", 1));
    assert_eq!(held.items[0].values[0].value, format!("secret-{}", held.items[0].name), "its holder is told");

    let listed = listed(&mut people).await;
    let [status] = &listed[..] else { panic!("{listed:?}") };
    assert!(status.declared_here && !status.drained);
    assert_eq!((status.total, status.taken), (2, 1));
    let hold = &status.holds[0];
    assert_eq!((&*hold.run, hold.token, &hold.items), (RUN, grant.token, &vec![held.items[0].name.clone()]));
    assert!(hold.since > 1_600_000_000_000_000, "microseconds since the epoch");
    let resource = status.resource.as_ref().unwrap();
    assert!(resource.items.iter().all(|item| item.values.is_empty() && item.labels.len() == 1), "{resource:?}");
}

#[tokio::test]
async fn what_is_declared_survives_a_restart_and_everything_is_on_record() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = start(Some(directory.path())).await;
    let mut people = resources(&coordinator).await;
    people.declare(declare("phone", phones())).await.unwrap();
    let drain =
        v1::DrainRequest { name: "phone".to_owned(), item: Some("p1".to_owned()), undo: false, by: ANN.to_owned() };
    people.drain(drain).await.unwrap();
    let reserved = people.reserve(reserve("phone", None, 60, "bob")).await.unwrap().into_inner();
    assert_eq!((reserved.item.as_deref(), reserved.held), (Some("p2"), 0));
    assert_eq!(reserved.values[0].value, "secret-p2");
    coordinator.shutdown().await.unwrap();

    let coordinator = start(Some(directory.path())).await;
    let listed = listed(&mut resources(&coordinator).await).await;
    let mut withheld: Vec<String> =
        listed[0].withheld.iter().map(|kept| format!("{} {}", kept.item.as_deref().unwrap(), kept.by)).collect();
    withheld.sort();
    assert_eq!(withheld, ["p1 drained by ann", "p2 bob"]);
    let acts = std::fs::read_to_string(directory.path().join("acts.jsonl")).unwrap();
    let acts: Vec<serde_json::Value> = acts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let did: Vec<String> = acts.iter().map(|act| format!("{} {} {}", act["by"], act["act"], act["item"])).collect();
    assert_eq!(did, ["\"ann\" \"declare\" null", "\"ann\" \"drain\" \"p1\"", "\"bob\" \"reserve\" \"p2\""]);
}

#[tokio::test]
async fn a_file_that_is_not_what_was_declared_keeps_the_coordinator_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("resources.json"), "{\"version\": 1,\n oops}").unwrap();
    let Err(error) = Coordinator::start(config(Some(directory.path()))).await else { panic!("it is refused") };
    let told = error.to_string();
    assert!(told.contains("resources.json:2:2:") && told.contains("mend the file"), "{told}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_a_sentence() {
    let mut config = config(None);
    config.setup.resources.insert("db".into(), 2.into());
    let coordinator = Coordinator::start(config).await.unwrap();
    let mut people = resources(&coordinator).await;
    people.declare(declare("phone", phones())).await.unwrap();
    let withdraw = |name: &str| v1::WithdrawRequest { name: name.to_owned(), by: ANN.to_owned() };
    let text = told(people.withdraw(withdraw("phne")).await, Code::NotFound);
    assert_eq!(text, "there is no resource `phne`; did you mean `phone`?");
    let text = told(people.withdraw(withdraw("db")).await, Code::FailedPrecondition);
    assert!(text.contains("is configured where the coordinator is started"), "{text}");
    let text = told(people.declare(declare("db", Resource::of_seats(3))).await, Code::FailedPrecondition);
    assert!(text.contains("cannot be declared anew"), "{text}");
    let twice = Resource::pool(vec![phone("p1"), phone("p1")]);
    let text = told(people.declare(declare("twice", twice)).await, Code::InvalidArgument);
    assert!(text.contains("two items called `p1`"), "{text}");
    let text = told(people.reserve(reserve("phone", None, 90_000, ANN)).await, Code::InvalidArgument);
    assert!(text.contains("24h at most, and 25h was asked for"), "{text}");
    let text = told(people.reserve(reserve("phone", Some("p3"), 60, ANN)).await, Code::NotFound);
    assert!(text.contains("no item `p3`"), "{text}");
    let text = told(people.reserve(reserve("phone", None, 0, ANN)).await, Code::NotFound);
    assert!(text.contains("ann keeps nothing of `phone`"), "{text}");
    let text = told(people.reserve(reserve("phone", None, 60, " ")).await, Code::InvalidArgument);
    assert!(text.contains("says who does it"), "{text}");
    let release = v1::ReleaseResourceRequest { name: "fone".to_owned(), item: None, by: ANN.to_owned() };
    assert!(told(people.release(release).await, Code::NotFound).contains("`fone`"));
}

#[tokio::test]
async fn what_is_released_by_force_fences_its_holder() {
    let coordinator = start(None).await;
    let mut people = resources(&coordinator).await;
    people.declare(declare("phone", Resource::pool(vec![phone("p1")]))).await.unwrap();
    let (mut worker, grant) = leased(&coordinator).await;
    let release = v1::ReleaseResourceRequest { name: "phone".to_owned(), item: None, by: ANN.to_owned() };
    assert_eq!(people.release(release).await.unwrap().into_inner().ended, 1);
    let test = grant.files[0].tests[0].test;
    worker.report_unheard(vec![finished(grant.token, test, v1::Outcome::Passed)]).await;
    let again = worker.granted().await;
    assert!(again.token > grant.token, "the test is granted anew: what its first holder said was late");
    assert_eq!(again.files[0].tests[0].test, test);
}

#[tokio::test]
async fn what_is_reserved_is_granted_to_nobody_and_is_the_persons_once_its_holder_is_done() {
    let coordinator = start(None).await;
    let mut people = resources(&coordinator).await;
    people.declare(declare("phone", Resource::pool(vec![phone("p1")]))).await.unwrap();
    let (mut worker, grant) = leased(&coordinator).await;
    let reserved = people.reserve(reserve("phone", None, 600, "bob")).await.unwrap().into_inner();
    assert_eq!((reserved.held, reserved.values.len()), (1, 0), "until then, its values are the holder's");
    worker.report(vec![released(grant.token)]).await;
    until(&mut people, "the end of the lease", |status| status.holds.is_empty()).await;
    let reserved = people.reserve(reserve("phone", None, 600, "bob")).await.unwrap().into_inner();
    assert_eq!((reserved.held, &*reserved.values[0].value), (0, "secret-p1"));
    // The test that was given back waits.
    let waits = listed(&mut people).await[0].waits.clone();
    assert_eq!((waits.len(), waits[0].tests, &*waits[0].suite), (1, 1, "api"));
    people.reserve(reserve("phone", None, 0, "bob")).await.unwrap();
    assert!(worker.granted().await.token > grant.token);
}

/// Touches a file for each time that a hook ran.
fn counting(directory: &Path, name: &str) -> String {
    format!("echo $REGATTA_ITEM >> {}", directory.join(name).display())
}

fn count(directory: &Path, name: &str) -> usize {
    std::fs::read_to_string(directory.join(name)).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn an_item_is_prepared_and_reset_and_disposed_of_by_its_hooks() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let hooks = Hooks {
        prepare: hook(&counting(at, "prepared")),
        reset: hook(&counting(at, "reset")),
        check: None,
        dispose: hook(&counting(at, "disposed")),
    };
    let coordinator = start(None).await;
    let mut people = resources(&coordinator).await;
    people.declare(declare("phone", Resource { hooks, ..Resource::pool(vec![phone("p1")]) })).await.unwrap();
    let (mut worker, grant) = leased(&coordinator).await;
    assert_eq!((count(at, "prepared"), count(at, "reset")), (1, 0));
    worker.report(vec![released(grant.token)]).await;
    until(&mut people, "the reset", |_| count(at, "reset") == 1).await;
    until(&mut people, "its end", |status| status.health.iter().all(|item| item.health() == v1::Health::Well)).await;
    coordinator.shutdown().await.unwrap();
    assert_eq!(count(at, "disposed"), 1);
}

#[tokio::test]
async fn what_cannot_be_prepared_is_ill_with_the_reason_and_no_test_fails_for_it() {
    let coordinator = start(None).await;
    let mut people = resources(&coordinator).await;
    let hooks = Hooks { prepare: hook("echo no cable; exit 3"), ..Hooks::default() };
    people.declare(declare("phone", Resource { hooks, ..Resource::pool(vec![phone("p1")]) })).await.unwrap();
    let is_ill = |status: &v1::ResourceStatus| status.health[0].health() == v1::Health::Ill;
    until(&mut people, "the end of the hook", is_ill).await;
    let status = listed(&mut people).await.remove(0);
    assert_eq!(status.health[0].reason, "`sh`: it ended with exit code 3: no cable");
    let reserved = people.reserve(reserve("phone", None, 60, "bob")).await.unwrap().into_inner();
    assert_eq!(reserved.item.as_deref(), Some("p1"), "a person may look after it");
}

#[tokio::test]
async fn a_pool_is_filled_by_its_hook_and_what_that_left_running_is_stopped_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!(
        "sleep 600 >/dev/null 2>&1 & echo $! > {}; \
         echo '{{\"pid\": '$!', \"resources\": [{{\"PORT\": \"1\"}}, {{\"PORT\": \"2\"}}]}}'",
        file.display()
    );
    let hooks = Hooks { prepare: hook(&script), ..Hooks::default() };
    let mut config = config(None);
    config.setup.resources.insert("port".into(), Resource { hooks, ..Resource::pool(Vec::new()) }.into());
    let coordinator = Coordinator::start(config.clone()).await.unwrap();
    let mut people = resources(&coordinator).await;
    let reserved = people.reserve(reserve("port", Some("1"), 60, "bob")).await.unwrap().into_inner();
    assert_eq!(reserved.values, [v1::Variable { name: "PORT".to_owned(), value: "2".to_owned() }]);
    let pid = std::fs::read_to_string(&file).unwrap();
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z")
    };
    assert!(is_there());
    coordinator.shutdown().await.unwrap();
    let began = Instant::now();
    while is_there() {
        assert!(began.elapsed() < Duration::from_secs(30), "it goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let hooks = Hooks { prepare: hook("echo no room; exit 1"), ..Hooks::default() };
    config.setup.resources.insert("port".into(), Resource { hooks, ..Resource::pool(Vec::new()) }.into());
    let Err(error) = Coordinator::start(config).await else { panic!("it is refused") };
    assert!(error.to_string().contains("the pool `port`") && error.to_string().contains("no room"), "{error}");
}
