//! The driver alone: what it commits together, and whom it cuts off.

use super::handle::Newcomer;
use super::start::{Started, start};
use crate::blobs::Blobs;
use crate::outage::Outage;
use crate::resources::Custody;
use crate::store::{Journal, MemoryJournal, Reader, projection};
use regatta_core::{Entry, Tuning};
use regatta_domain::{Costs, Estimate, NeedsIx, RunId, SlotIx, Token, WorkerId};
use regatta_wire::v1;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

const WORKER: WorkerId = WorkerId::from_bits(7);

fn started(journal: &MemoryJournal) -> Started {
    let (writer, _) = projection::open(None, crate::Keep::LOCAL).unwrap();
    let journal: Box<dyn Journal> = Box::new(journal.clone());
    let Ok(started) =
        start(journal, writer, Blobs::in_memory(), Tuning::LOCAL.into(), Custody::new().0, &Outage::default())
    else {
        panic!("a journal in memory can be replayed");
    };
    started
}

type Words = mpsc::Receiver<Result<v1::ToWorker, Status>>;

async fn attach(started: &Started, room: usize) -> (regatta_core::SessionId, Words, oneshot::Receiver<()>) {
    let (outgoing, words) = mpsc::channel(room);
    let (alive, closed) = oneshot::channel();
    let newcomer = |numbered| Newcomer {
        worker: WORKER,
        name: "w".to_owned(),
        version: "1".to_owned(),
        slots: 1,
        labels: Vec::new(),
        capacities: std::collections::BTreeMap::new(),
        holds: Vec::new(),
        outgoing,
        alive,
        numbered,
    };
    (started.handle.attach(newcomer).await.unwrap(), words, closed)
}

fn submission(run: u128, tests: u32) -> Box<regatta_domain::submission::Submission> {
    use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
    let test = |at: u32| TestDraft {
        name: format!("test_{at}").into(),
        key: regatta_domain::TestKey::default(),
        group: None,
        estimate: Estimate::own(regatta_domain::Micros(1_000)),
        risk: 0,
        needs: NeedsIx(0),
        policy: regatta_domain::PolicyIx(0),
        level: regatta_domain::Level::None,
        line: 7,
        ignored: false,
    };
    let file = FileDraft {
        path: "a.py".into(),
        key: regatta_domain::FileKey::default(),
        locator: "".into(),
        estimate: regatta_domain::Micros(1_000),
        tests: Some((0..tests).map(test).collect()),
        digest: 1,
    };
    let suite = regatta_domain::plan::PlannedSuite {
        name: "api".into(),
        runner: regatta_domain::RunnerKind::Pytest,
        root: "".into(),
        settings: "".into(),
        requires: Vec::new(),
        env: Vec::new(),
        databases: Vec::new(),
    };
    Box::new(Submission {
        run: RunId::from_bits(run),
        project: "shop".into(),
        resumes: None,
        policy: regatta_domain::policy::RunPolicy::default(),
        policies: vec![regatta_domain::policy::TestPolicy::default()],
        needs: Vec::new(),
        suites: vec![SuiteDraft { suite, costs: Costs::default(), discover: false, files: vec![file] }],
    })
}

#[tokio::test]
async fn a_worker_that_does_not_read_is_cut_off_and_its_lease_is_free_again() {
    let journal = MemoryJournal::default();
    let started = started(&journal);
    let handle = &started.handle;
    handle.submit(submission(1, 1), Vec::new()).await.unwrap().unwrap();
    // Room for the first word, and no more; nobody reads.
    let (session, _words, closed) = attach(&started, 1).await;
    handle.ask_for_work(WORKER, session, SlotIx(0)).await.unwrap();
    closed.await.expect_err("the session is closed");
    let present =
        handle.look(|core, sessions| (core.presence().workers().len(), sessions.iter().count())).await.unwrap();
    assert_eq!(present, (0, 0));

    // It comes back with empty hands: what it never received is granted again.
    let (session, mut words, _closed) = attach(&started, 16).await;
    handle.ask_for_work(WORKER, session, SlotIx(0)).await.unwrap();
    loop {
        let word = words.recv().await.unwrap().unwrap().message.unwrap();
        if let v1::to_worker::Message::Grant(grant) = word {
            assert_eq!(grant.token, 2);
            return;
        }
    }
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let journal = MemoryJournal::default();
    let started = started(&journal);
    let handle = started.handle.clone();
    // The driver is kept busy with a look, while a hundred runs gather behind it.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (busy, is_busy) = oneshot::channel();
    let looking = handle.clone();
    let look =
        tokio::spawn(async move { looking.look(move |_, _| busy.send(()).is_ok() && held.recv().is_ok()).await });
    // Before that, what is submitted could be taken together with the look.
    is_busy.await.unwrap();
    let submitting: Vec<_> = (0..100_u128)
        .map(|run| {
            let handle = handle.clone();
            tokio::spawn(async move { handle.submit(submission(run, 1), Vec::new()).await })
        })
        .collect();
    while handle.waiting() < 100 {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    assert!(look.await.unwrap().unwrap());
    for submitted in submitting {
        submitted.await.unwrap().unwrap().unwrap();
    }
    let commits = journal.clone().read(0, 1_000).unwrap();
    assert!(commits.len() <= 2, "{} commits", commits.len());
    assert_eq!(commits.iter().map(|commit| commit.events.len()).sum::<usize>(), 100);
}

#[tokio::test]
async fn words_of_a_connection_that_was_replaced_are_not_heard() {
    let started = started(&MemoryJournal::default());
    let handle = &started.handle;
    let (old, _old_words, old_closed) = attach(&started, 16).await;
    let (new, mut words, _closed) = attach(&started, 16).await;
    assert_ne!(old, new);
    old_closed.await.expect_err("the old connection is closed");
    handle.report(WORKER, old, 5, vec![Entry::Released { token: Token(1) }]).await.unwrap();
    handle.report(WORKER, new, 6, Vec::new()).await.unwrap();
    let mut acknowledged = Vec::new();
    while acknowledged.is_empty() {
        if let v1::to_worker::Message::Ack(ack) = words.recv().await.unwrap().unwrap().message.unwrap() {
            acknowledged.push(ack.seq);
        }
    }
    assert_eq!(acknowledged, [6]);
}
