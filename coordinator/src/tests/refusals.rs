//! What a coordinator refuses, and how it stops when its store does.

use super::harness::*;
use crate::store::{self, Base, Batch, Durable, Journal, MemoryJournal, Reader};
use crate::{Coordinator, Error};
use regatta_domain::RunId;
use regatta_wire::v1;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

#[tokio::test]
async fn a_worker_of_another_protocol_is_told_both_versions_and_what_to_do() {
    let coordinator = start(None).await;
    let Err(status) = Worker::dial(&coordinator, 0, Vec::new()).await else { panic!("it is refused") };
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    let told = status.message();
    assert!(told.contains("speaks protocol 0 (Regatta 0.0.1)") && told.contains("this coordinator speaks 1"), "{told}");
    assert!(told.ends_with("update the worker"), "{told}");
}

#[tokio::test]
async fn a_bad_message_is_refused_and_its_field_is_named() {
    let coordinator = start(None).await;
    let mut client = client(&coordinator).await;
    let status = client.submit(v1::SubmitRequest { filters: vec!["tset(x)".to_owned()], ..request(RUN, &[]) }).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().contains("filters[0]") && status.message().contains("`test`"), "{status}");

    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let mut wrong = finished(1, 0, v1::Outcome::Passed);
    let v1::entry::Entry::Finished(finished) = &mut wrong else { unreachable!("it is that") };
    finished.result.as_mut().unwrap().attempt = 0;
    worker.report_unheard(vec![wrong]).await;
    let status = worker.end().await.expect("a worker is told what was wrong");
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let told = status.message();
    assert!(told.starts_with("field `report.entries[0].finished.result.attempt` is 0"), "{told}");
}

#[tokio::test]
async fn a_need_that_nobody_offers_is_refused_by_name_and_what_is_offered_is_told() {
    let mut config = config(None);
    config.setup.resources.insert("db".into(), 1.into());
    let coordinator = Coordinator::start(config).await.unwrap();
    let mut client = client(&coordinator).await;
    let need = |resource: &str, seats| v1::Need { resource: resource.to_owned(), seats, ..Default::default() };
    let overrides = |needs| vec![v1::PolicyOverride { filter: "tag(db)".to_owned(), needs, ..Default::default() }];
    let asked = |needs| v1::SubmitRequest { overrides: overrides(needs), ..request(RUN, &["a.py"]) };
    let status = client.submit(asked(vec![need("db", 2), need("gpu", 1)])).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    let told = status.message();
    let first = "the tests of `tag(db)` need db:2, and `db` has 1 in all";
    let second = "the tests of `tag(db)` need gpu, and there is no `gpu` among `db`";
    assert!(told.starts_with(&format!("{first}; {second}; declare what is missing")), "{told}");
    let status = client.submit(asked(vec![need("bd", 1)])).await.unwrap_err();
    assert!(status.message().contains("there is no `bd` (did you mean `db`?)"), "{status}");
    client.submit(asked(vec![need("db", 1)])).await.unwrap();
}

#[tokio::test]
async fn what_is_not_known_is_said_to_be_so() {
    let coordinator = start(None).await;
    let mut client = client(&coordinator).await;
    let watching = v1::WatchRequest { run: RUN.to_owned(), after: 0 };
    let status = client.watch(watching).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert!(status.message().contains("`regatta runs` lists"), "{status}");
    let cancel = v1::CancelRequest { run: RUN.to_owned(), ..Default::default() };
    assert_eq!(client.cancel(cancel).await.unwrap_err().code(), tonic::Code::NotFound);
    let output = v1::OutputRequest { digest: "0".repeat(64) };
    assert_eq!(client.output(output).await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_second_coordinator_is_refused_by_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let _first = start(Some(directory.path())).await;
    let Err(error) = Coordinator::start(config(Some(directory.path()))).await else { panic!("it is refused") };
    assert!(error.to_string().contains(&format!("process {} is a coordinator", std::process::id())), "{error}");
}

#[tokio::test]
async fn a_second_coordinator_may_wait_for_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let first = start(Some(directory.path())).await;
    let waiting = crate::Config { when_held: crate::WhenHeld::Wait, ..config(Some(directory.path())) };
    let (second, _) = tokio::join!(Coordinator::start(waiting), first.shutdown());
    second.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    start(Some(directory.path())).await.shutdown().await.unwrap();
    let file = directory.path().join("journal.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 7").unwrap();
    let Err(error) = Coordinator::start(config(Some(directory.path()))).await else { panic!("it is refused") };
    assert!(error.to_string().contains("its version is 7, this one knows up to 1"), "{error}");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let listener = Coordinator::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let Err(error) = Coordinator::listen(address).await else { panic!("it is refused") };
    assert_eq!(
        error.to_string(),
        format!("address {address} is in use by another process; stop it, or listen on another address (--listen)")
    );
}

/// A journal whose disk is full after some commits.
#[derive(Clone)]
struct Filling {
    journal: MemoryJournal,
    room: Arc<AtomicU64>,
    durable: Arc<watch::Sender<Durable>>,
}

impl Journal for Filling {
    fn append(&mut self, batch: Batch) -> u64 {
        let taken = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1));
        if taken.is_err() {
            let full = store::Error::Full { file: PathBuf::from("journal.db"), source: None };
            self.durable.send_modify(|durable| durable.refused = Some(Arc::new(full)));
            return self.durable.borrow().seq + 1;
        }
        let seq = self.journal.append(batch);
        self.durable.send_modify(|durable| durable.seq = seq);
        seq
    }

    fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.subscribe()
    }

    fn base(&self) -> Base {
        self.journal.base()
    }

    fn trim(&mut self, base: Base, live: Vec<RunId>) {
        self.journal.trim(base, live);
    }

    fn settle(&mut self) -> Result<(), Arc<store::Error>> {
        self.durable.borrow().refused.clone().map_or(Ok(()), Err)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, store::Error> {
        self.journal.reader()
    }
}

#[tokio::test]
async fn when_the_store_refuses_everything_stops_and_nothing_is_said_ahead_of_disk() {
    let durable = Arc::default();
    let journal = Filling { journal: MemoryJournal::default(), room: Arc::new(AtomicU64::new(1)), durable };
    let coordinator = start_with(Box::new(journal.clone())).await.unwrap();
    let mut caller = client(&coordinator).await;
    caller.submit(request(RUN, &["a.py"])).await.unwrap();
    let watching = v1::WatchRequest { run: RUN.to_owned(), after: 0 };
    let mut stream = caller.watch(watching).await.unwrap().into_inner();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;

    // The grant cannot be made durable, so it is never sent.
    worker.ask().await;
    let status = worker.end().await.expect("the worker is told");
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(status.message().contains("store refuses"), "{status}");

    let Error::Store(refused) = patiently("the refusal", coordinator.refused()).await else {
        panic!("the store refuses")
    };
    assert!(matches!(*refused, store::Error::Full { .. }), "{refused:?}");
    let watched = loop {
        match patiently("the end of the watch", stream.message()).await {
            Ok(event) => assert!(event.is_some(), "a watch does not end without a word"),
            Err(status) => break status,
        }
    };
    assert!(watched.message().contains("the disk is full"), "{watched}");
    let status = caller.submit(request(WORKER, &[])).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(matches!(coordinator.shutdown().await, Err(Error::Store(_))));

    // With room again, it goes on from what was durable.
    journal.room.store(u64::MAX, Ordering::Relaxed);
    journal.durable.send_modify(|durable| durable.refused = None);
    let coordinator = start_with(Box::new(journal)).await.unwrap();
    let grant = Worker::attach(&coordinator, Vec::new()).await.granted().await;
    assert_eq!(grant.run, RUN);
}
