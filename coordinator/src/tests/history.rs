//! What is remembered over runs: imported, planned by, told.

use super::harness::*;
use crate::Coordinator;
use regatta_wire::v1;
use regatta_wire::v1::history_client::HistoryClient;
use regatta_wire::v1::run_event::Event;
use tonic::transport::Channel;
use tonic::{Code, Status};

const SECOND: &str = "01890000-0000-7000-8000-000000000002";
const THIRD: &str = "01890000-0000-7000-8000-000000000003";

async fn history(coordinator: &Coordinator) -> HistoryClient<Channel> {
    HistoryClient::new(channel(coordinator).await)
}

fn timing(file: &str, name: &str, ms: u64) -> v1::Timing {
    v1::Timing { file: file.to_owned(), name: name.to_owned(), mean: ms * 1_000, spread: None }
}

async fn import(coordinator: &Coordinator, timings: Vec<v1::Timing>) -> Result<(u64, u64), Status> {
    let (project, suite) = ("shop".to_owned(), "api".to_owned());
    let request = v1::ImportRequest { project, suite, environment: String::new(), timings };
    let answer = history(coordinator).await.import(tokio_stream::iter([request])).await?.into_inner();
    Ok((answer.taken, answer.measured))
}

async fn export(coordinator: &Coordinator, branch: &str) -> Vec<v1::Remembered> {
    let branch = branch.to_owned();
    let request = v1::ExportRequest { project: "shop".to_owned(), branch, ..Default::default() };
    let mut stream = history(coordinator).await.export(request).await.unwrap().into_inner();
    let mut tests = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        assert_eq!(part.suite, "api");
        tests.extend(part.tests);
    }
    tests
}

/// The tests that a run was planned with: name, milliseconds, source.
fn planned(events: &[v1::RunEvent]) -> Vec<(String, u64, v1::EstimateSource)> {
    let mut planned = Vec::new();
    for event in events {
        if let Some(Event::TestsPlanned(tests)) = &event.event {
            planned.extend(tests.tests.iter().map(|test| (test.name.clone(), test.estimate / 1_000, test.source())));
        }
    }
    planned
}

#[tokio::test]
async fn the_first_run_is_planned_by_what_was_imported() {
    let coordinator = start(None).await;
    let timings = vec![timing("a.py", "test_a", 9_000), timing("other.py", "test_x", 1)];
    assert_eq!(import(&coordinator, timings.clone()).await.unwrap(), (2, 0));
    let told = export(&coordinator, "").await;
    assert_eq!(told[0].mean, Some(9_000_000));
    assert_eq!((told[0].source(), told[0].runs, told[0].last), (v1::EstimateSource::Imported, 0, 0));

    let events = whole_run(&coordinator, RUN).await;
    let planned = planned(&events);
    assert_eq!(planned[0], ("test_a".to_owned(), 9_000, v1::EstimateSource::Imported));
    assert_ne!(planned[1].2, v1::EstimateSource::Imported);

    // What was measured since is not overridden, and what is sent again is taken again.
    assert_eq!(import(&coordinator, timings).await.unwrap(), (1, 1));
    let told = export(&coordinator, "").await;
    let told: Vec<_> = told.iter().map(|test| (test.name.as_str(), test.source(), test.last())).collect();
    let (own, imported) = (v1::EstimateSource::Own, v1::EstimateSource::Imported);
    let wanted = [
        ("test_a", own, v1::Verdict::Passed),
        ("test_b", own, v1::Verdict::Failed),
        ("test_x", imported, v1::Verdict::Unspecified),
    ];
    assert_eq!(told, wanted);
    coordinator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_branch_is_remembered_apart_also_by_a_coordinator_that_came_back() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = start(Some(directory.path())).await;
    whole_run(&coordinator, RUN).await;
    let asked = v1::SubmitRequest { branch: Some("feature".to_owned()), ..request(SECOND, &["a.py"]) };
    let events = whole_run_of(&coordinator, asked).await;
    assert!(planned(&events).iter().all(|(.., source)| *source == v1::EstimateSource::Own), "it reads the main line");
    coordinator.shutdown().await.unwrap();

    let coordinator = start(Some(directory.path())).await;
    let asked = v1::SubmitRequest { branch: Some("feature".to_owned()), ..request(THIRD, &["a.py"]) };
    whole_run_of(&coordinator, asked).await;
    let runs = |tests: Vec<v1::Remembered>| tests.iter().map(|test| test.runs).collect::<Vec<_>>();
    assert_eq!(runs(export(&coordinator, "feature").await), [3, 3]);
    assert_eq!(runs(export(&coordinator, "").await), [1, 1]);
    coordinator.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_known_tests_are_those_of_the_newest_list_of_files() {
    let coordinator = start(None).await;
    let known = async || {
        let request = v1::KnownRequest { project: "shop".to_owned(), suite: "api".to_owned() };
        let mut stream = history(&coordinator).await.known(request).await.unwrap().into_inner();
        let mut files = Vec::new();
        while let Some(part) = stream.message().await.unwrap() {
            files.extend(part.files);
        }
        files
    };
    assert_eq!(known().await, []);
    let mut client = client(&coordinator).await;
    let mut asked = request(RUN, &[]);
    asked.suites[0].discover = true;
    client.submit(asked).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let token = worker.granted().await.token;
    let file = |path: &str| v1::File { path: path.to_owned(), key: key(path), locator: String::new() };
    let discovered = v1::Discovered { token, files: vec![file("a.py"), file("b.py")] };
    worker.report(vec![v1::entry::Entry::Discovered(discovered), released(token)]).await;
    let grant = worker.granted().await;
    worker.list(grant.token, grant.files[0].file, &["test_a", "test_b"]).await;
    coordinator.projected().await;
    let told = |path: &str, listed: bool, tests: &[&str]| v1::KnownFile {
        path: path.to_owned(),
        listed,
        tests: tests.iter().map(|test| (*test).to_owned()).collect(),
    };
    assert_eq!(known().await, [told("a.py", true, &["test_a", "test_b"]), told("b.py", false, &[])]);
}

#[tokio::test]
async fn timings_of_nothing_are_refused_and_what_came_before_stays() {
    let coordinator = start(None).await;
    let status = import(&coordinator, vec![timing("", "test_a", 1)]).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "field `timings[0].file` is missing");
    assert_eq!(import(&coordinator, vec![timing("a.py", "", 0)]).await.unwrap(), (1, 0));
    assert_eq!(export(&coordinator, "").await[0].mean, Some(1), "a whole file, of no time at all");
}
