//! A run from its submission to its end, and what is known of it afterwards.

use super::harness::*;
use regatta_wire::v1;
use regatta_wire::v1::from_worker::Message as Says;
use regatta_wire::v1::run_event::Event;
use regatta_wire::v1::to_worker::Message as Hears;

const SECOND: &str = "01890000-0000-7000-8000-000000000002";

fn outcome(events: &[v1::RunEvent]) -> v1::RunOutcome {
    let Some(Event::RunEnded(ended)) = &events.last().unwrap().event else { panic!("a run ends: {events:?}") };
    ended.outcome()
}

#[tokio::test]
async fn a_run_goes_from_its_submission_to_its_end() {
    let coordinator = start(None).await;
    let events = whole_run(&coordinator, RUN).await;
    assert_eq!(outcome(&events), v1::RunOutcome::Red);
    assert_eq!(verdicts(&events), [(0, v1::Verdict::Passed), (1, v1::Verdict::Failed)]);
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>(), "every event once, and in order");

    // The output lies where the result says.
    let accepted = events.iter().find_map(|event| match event.event.as_ref().unwrap() {
        Event::ResultsAccepted(accepted) => Some(accepted),
        _ => None,
    });
    let output = accepted.unwrap().results[1].result.as_ref().unwrap().output.clone().unwrap();
    let mut client = client(&coordinator).await;
    let asked = v1::OutputRequest { digest: output.digest };
    let chunk = client.output(asked).await.unwrap().into_inner().message().await.unwrap().unwrap();
    assert_eq!(chunk.data, b"Traceback");

    // The same submission again is the same run.
    client.submit(request(RUN, &["a.py"])).await.unwrap();
    let runs = client.list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].tests, runs[0].passed, runs[0].failed), (2, 1, 1));
    assert_eq!(runs[0].outcome(), v1::RunOutcome::Red);
    coordinator.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_comes_too_late_is_told_once_to_whoever_asks_behind_the_end_of_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = start(Some(directory.path())).await;
    let mut client = client(&coordinator).await;
    client.submit(request(RUN, &["a.py"])).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let first = worker.granted().await;
    worker.list(first.token, first.files[0].file, &["test_a"]).await;
    // Its lease is lost, and the test passes under another one.
    worker.report(vec![v1::entry::Entry::Lost(v1::Lost { token: first.token })]).await;
    let second = worker.granted().await;
    worker.report_unheard(vec![finished(second.token, 0, v1::Outcome::Passed), released(second.token)]).await;
    worker.close(RUN).await;
    let events = record(watch(&mut client, RUN, 0).await);
    assert_eq!((outcome(&events), verdicts(&events)), (v1::RunOutcome::Green, vec![(0, v1::Verdict::Passed)]));

    for _ in 0..2 {
        worker.report(vec![finished(first.token, 0, v1::Outcome::Failed)]).await;
    }
    let end = events.last().unwrap().seq;
    let late = loop {
        let late = record(watch(&mut client, RUN, end).await);
        if !late.is_empty() {
            break late;
        }
        tokio::task::yield_now().await;
    };
    let [v1::RunEvent { seq, event: Some(Event::ResultsRefused(refused)), .. }] = &late[..] else { panic!("{late:?}") };
    assert_eq!((*seq, refused.token, &*refused.worker), (end + 1, first.token, WORKER));
    assert_eq!((refused.results.len(), refused.results[0].outcome()), (1, v1::Outcome::Failed));
    // Whoever watches from the beginning hears of nothing behind the end.
    assert_eq!(record(watch(&mut client, RUN, 0).await), events);
    coordinator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_second_run_knows_the_tests_and_how_long_they_take() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = start(Some(directory.path())).await;
    let first = whole_run(&coordinator, RUN).await;
    coordinator.shutdown().await.unwrap();

    let coordinator = start(Some(directory.path())).await;
    let mut client = client(&coordinator).await;
    client.submit(request(SECOND, &["a.py"])).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    assert!(!grant.files[0].list, "what is remembered is not listed again");
    assert_ne!(grant.files[0].remembered, 0);
    let names: Vec<&str> = grant.files[0].tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["test_a", "test_b"]);
    assert!(grant.files[0].tests.iter().all(|test| test.estimate == 5_000), "{:?}", grant.files[0].tests);

    // A run that ended in an earlier process is told in the same events, from any of them on.
    assert_eq!(watch(&mut client, RUN, 0).await, first);
    assert_eq!(watch(&mut client, RUN, 3).await, first[3..]);
    assert_eq!(watch(&mut client, RUN, first.len() as u64).await, []);
    coordinator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_rerun_takes_what_came_to_no_good_end() {
    let coordinator = start(None).await;
    whole_run(&coordinator, RUN).await;
    let mut client = client(&coordinator).await;
    let again = v1::SubmitRequest { rerun_of: Some(RUN.to_owned()), ..request(SECOND, &["a.py"]) };
    client.submit(again).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    let names: Vec<&str> = grant.files[0].tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["test_b"]);

    let unknown = v1::SubmitRequest { rerun_of: Some(WORKER.to_owned()), ..request(WORKER, &["a.py"]) };
    let status = client.submit(unknown).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert!(status.message().contains("cannot be run again"), "{status}");
}

#[tokio::test]
async fn what_discovery_finds_joins_the_plan_and_is_remembered() {
    let coordinator = start(None).await;
    let mut client = client(&coordinator).await;
    let mut asked = request(RUN, &[]);
    asked.suites[0].discover = true;
    client.submit(asked).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    assert!(grant.discover);
    let file = |path: &str| v1::File { path: path.to_owned(), key: key(path), locator: String::new() };
    let files = vec![file("a.py"), file("b.py")];
    let discovered = v1::Discovered { token: grant.token, files: files.clone() };
    worker.report(vec![v1::entry::Entry::Discovered(discovered), released(grant.token)]).await;
    let grant = worker.granted().await;
    assert!(!grant.discover && grant.files[0].list);

    coordinator.projected().await;
    let recall = v1::RecallRequest { project: "shop".to_owned(), suite: "api".to_owned(), tree_key: "tree".to_owned() };
    let recalled = client.recall(recall).await.unwrap().into_inner();
    assert_eq!(recalled, v1::RecallResponse { exact: true, files });
}

#[tokio::test]
async fn a_filter_selects_among_what_is_listed() {
    let coordinator = start(None).await;
    let mut client = client(&coordinator).await;
    let filters = vec!["test(=test_b)".to_owned(), "!file(c.py)".to_owned()];
    client.submit(v1::SubmitRequest { filters, ..request(RUN, &["a.py", "c.py"]) }).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    let paths: Vec<&str> = grant.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["a.py"], "a file that cannot hold a selected test is not listed");
    let tests = worker.list(grant.token, grant.files[0].file, &["test_a", "test_b"]).await;
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["test_b"]);
}

#[tokio::test]
async fn a_cancelled_run_says_what_was_not_run() {
    let coordinator = start(None).await;
    whole_run(&coordinator, RUN).await;
    let mut client = client(&coordinator).await;
    client.submit(request(SECOND, &["a.py"])).await.unwrap();
    let cancel = v1::CancelRequest { run: SECOND.to_owned(), kill: true, cause: 0 };
    client.cancel(cancel.clone()).await.unwrap();
    let events = watch(&mut client, SECOND, 0).await;
    assert_eq!(verdicts(&events), [(0, v1::Verdict::NotRun), (1, v1::Verdict::NotRun)]);
    assert_eq!(outcome(&events), v1::RunOutcome::Cancelled);
    client.cancel(cancel).await.expect("what has ended may be ended again");
}

#[tokio::test]
async fn whoever_watches_is_told_what_begins_and_what_people_should_read() {
    let coordinator = start(None).await;
    let mut client = client(&coordinator).await;
    client.submit(request(RUN, &["a.py"])).await.unwrap();
    let watching = v1::WatchRequest { run: RUN.to_owned(), after: 0 };
    let mut stream = client.watch(watching).await.unwrap().into_inner();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    let tests = worker.list(grant.token, grant.files[0].file, &["test_a"]).await;
    let text = "Compiling serde".to_owned();
    worker.say(Says::Note(v1::WorkerNote { run: RUN.to_owned(), text: text.clone() })).await;
    let started = v1::Started { token: grant.token, test: tests[0].test, attempt: 1 };
    worker.report(vec![v1::entry::Entry::Started(started)]).await;
    let (mut told, mut read) = (false, false);
    while !(told && read) {
        let event = patiently("the next event", stream.message()).await.unwrap().unwrap();
        match event.event.unwrap() {
            Event::TestsStarted(started) => {
                assert_eq!((event.seq, started.tests, started.worker.as_str()), (0, vec![0], WORKER));
                told = true;
            }
            Event::Note(note) => {
                assert_eq!(note.text, text);
                read = true;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_workers_are_listed_with_what_they_do() {
    let coordinator = start(None).await;
    let mut client = client(&coordinator).await;
    client.submit(request(RUN, &["a.py"])).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    worker.granted().await;
    let mut fleet = v1::fleet_client::FleetClient::new(channel(&coordinator).await);
    let workers = fleet.workers(v1::WorkersRequest {}).await.unwrap().into_inner().workers;
    assert_eq!(workers.len(), 1);
    let known = &workers[0];
    assert_eq!((known.worker.as_str(), known.name.as_str(), known.slots, known.busy), (WORKER, "w1", 1, 1));
}

#[tokio::test]
async fn a_worker_that_connects_again_replaces_its_old_connection() {
    let coordinator = start(None).await;
    let mut before = Worker::attach(&coordinator, Vec::new()).await;
    let mut after = Worker::attach(&coordinator, Vec::new()).await;
    let status = before.end().await.expect("the old connection is told");
    assert_eq!(status.code(), tonic::Code::Unavailable);
    after.say(Says::Alive(v1::Alive::default())).await;
    let mut client = client(&coordinator).await;
    client.submit(request(RUN, &["a.py"])).await.unwrap();
    after.ask().await;
    let Hears::Brief(brief) = after.hear().await else { panic!("a run is introduced before its first grant") };
    assert_eq!((brief.run.as_str(), brief.suites[0].name.as_str(), brief.policies.len()), (RUN, "api", 1));
}

#[tokio::test]
async fn a_sign_of_life_is_answered_while_the_driver_is_busy() {
    let coordinator = start(None).await;
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let driver = coordinator.driver().clone();
    let busy = tokio::spawn(async move { driver.look(move |_, _| wait.recv().is_err()).await });
    worker.say(v1::from_worker::Message::Alive(v1::Alive { seq: 7 })).await;
    assert_eq!(worker.hear().await, v1::to_worker::Message::Heard(v1::Heard { seq: 7 }));
    drop(go_on);
    assert!(busy.await.unwrap().unwrap(), "it was let go by this test");
    // One without a number is from a worker that keeps no account, and is not answered.
    worker.say(v1::from_worker::Message::Alive(v1::Alive { seq: 0 })).await;
    worker.say(v1::from_worker::Message::Alive(v1::Alive { seq: 8 })).await;
    assert_eq!(worker.hear().await, v1::to_worker::Message::Heard(v1::Heard { seq: 8 }));
    coordinator.shutdown().await.unwrap();
}
