//! Asking a real server that goes away, or stands still.

use super::fixture::{SHARED, TestServer};
use super::{Asking, Connections, Counts, Server, Trouble};
use crate::store::Error;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};

/// A server that says nothing for so long hangs; half of that, and it is away.
const SILENCE: Duration = Duration::from_millis(400);

/// Longer than anything takes on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

const QUESTION: &str = "SELECT 1";

/// Asks from a thread.
fn ask(asking: &Asking, sql: &'static str) -> JoinHandle<Result<usize, Error>> {
    let asking = asking.clone();
    spawn_blocking(move || asking.ask(sql, Vec::new()).map(|rows| rows.len()))
}

/// Waits until something is so.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never {what}"));
}

/// Asks until the server is known to be away, as somebody who would rather hear that at once. What was heard on the way.
async fn found_away(server: &Server, hasty: &Asking) {
    until("known to be away", async || {
        let error = ask(hasty, QUESTION).await.unwrap().unwrap_err();
        assert!(error.may_pass(), "{error}");
        server.presence().absence.is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_told_of_at_once_and_waited_for_by_the_patient() {
    let own = TestServer::start();
    let server = own.database().await.with_silence(SILENCE);
    let patient = Asking::patiently(server.clone(), PATIENCE);
    let hasty = patient.at_once();
    assert_eq!(ask(&hasty, QUESTION).await.unwrap().unwrap(), 1);
    own.tell("freeze");
    let waits = ask(&patient, QUESTION);
    found_away(&server, &hasty).await;

    let before = server.presence();
    assert_eq!(before.absence.unwrap().trouble, Trouble::Silent);
    // It may be time for a try, which one of these makes: the others hear at once that it is away.
    let hasty: Vec<_> = (0..20).map(|_| ask(&hasty, QUESTION)).collect();
    for asked in hasty {
        let error = asked.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Away { .. } | Error::Silent { .. }), "{error:?}");
    }
    let Counts { refused, failed, .. } = server.presence().counts;
    assert!(refused - before.counts.refused >= 18, "{refused} were refused, {failed} failed");
    assert!(!waits.is_finished());

    own.tell("thaw");
    assert_eq!(waits.await.unwrap().unwrap(), 1);
    assert_eq!(server.presence().absence, None);
    assert!(server.presence().connections.open <= 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_tried_by_one_of_those_who_wait() {
    let own = TestServer::start();
    let server = own.database().await.with_silence(SILENCE);
    let patient = Asking::patiently(server.clone(), PATIENCE);
    own.tell("kill");
    let waiting: Vec<_> = (0..20).map(|_| ask(&patient, QUESTION)).collect();
    let error = tokio::time::timeout(PATIENCE, server.away()).await.unwrap();
    assert!(error.to_string().contains("cannot be reached; see that it runs"), "{error}");
    let before = server.presence().counts;
    until("tried again, and again", async || server.presence().counts.failed > before.failed + 3).await;
    own.tell("start");
    for asked in waiting {
        assert_eq!(asked.await.unwrap().unwrap(), 1);
    }
    let counts = server.presence().counts;
    assert_eq!((counts.away, server.presence().absence), (1, None), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_answered_in_time_is_given_up_with_its_connection() {
    let server = SHARED.database().await.with_silence(SILENCE);
    let hasty = Asking::patiently(server.clone(), PATIENCE).at_once();
    let error = ask(&hasty, "SELECT pg_sleep(3600)").await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Silent { .. } | Error::Away { .. }), "{error:?}");
    let client = server.connect().await.unwrap();
    let sleeps = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%' AND state = 'active'";
    until("given up by the server, too", async || client.query(sleeps, &[]).await.unwrap().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_and_who_waits_for_one_is_counted() {
    let server = SHARED.database().await;
    let asking = Asking::patiently(server.clone(), PATIENCE);
    let client = server.connect().await.unwrap();
    client.batch_execute("CREATE TABLE busy (a int)").await.unwrap();
    client.batch_execute("BEGIN; LOCK TABLE busy").await.unwrap();
    let waiting: Vec<_> = (0..7).map(|_| ask(&asking, "SELECT count(*) FROM busy")).collect();
    let used = || server.presence().connections;
    until("all in use", async || used() == Connections { most: 4, open: 4, idle: 0, waiting: 3 }).await;
    client.batch_execute("COMMIT").await.unwrap();
    for asked in waiting {
        assert_eq!(asked.await.unwrap().unwrap(), 1);
    }
    assert_eq!(used(), Connections { most: 4, open: 4, idle: 4, waiting: 0 });
}
