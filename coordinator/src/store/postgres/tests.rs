//! Who leads, on a real server.

use super::fixture::{PATIENCE, SHARED, TestServer};
use super::leader::{Candidate, VOUCHED};
use super::{Server, Tables, migrate};
use crate::standing::Standing;
use crate::store::Error;
use crate::store::postgres::Trouble;
use std::time::{Duration, Instant};

/// Waits until something is so, which takes no longer than this on any machine that is not broken.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn count(server: &Server, sql: &str) -> i64 {
    server.connect().await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn one_leads_and_another_stands_by_until_it_resigns() {
    let server = SHARED.database().await;
    let mut first = Candidate::new(server.clone(), "http://one:7420");
    let leading = first.stand_by().await.unwrap();
    assert_eq!(leading.epoch(), 1);
    assert!(first.standing().borrow().leads_at(Instant::now()));

    let mut second = Candidate::new(server.clone(), "http://two:7420");
    let mut standing = second.standing();
    let following = tokio::spawn(async move { second.stand_by().await });
    let knows = |standing: &Standing| matches!(standing, Standing::Standby { leader: Some(leader) } if **leader == *"http://one:7420");
    standing.wait_for(knows).await.unwrap();
    assert!(!standing.borrow().leads_at(Instant::now()));

    leading.resign().await;
    let leading = following.await.unwrap().unwrap();
    assert_eq!(leading.epoch(), 2);
    assert!(standing.borrow().leads_at(Instant::now()));
    assert!(!first.standing().borrow().leads_at(Instant::now()));
}

#[tokio::test]
async fn one_that_handed_over_lets_others_go_first_and_leads_again_where_there_are_none() {
    let server = SHARED.database().await;
    let mut first = Candidate::new(server.clone(), "http://one:7420");
    first.stand_by().await.unwrap().resign().await;
    // The first one looks first, and again and again.
    let mut first = Candidate::new(server.clone(), "http://one:7420").behind_others();
    assert!(first.look().await.unwrap().is_none());
    let mut second = Candidate::new(server.clone(), "http://two:7420");
    let leading = second.stand_by().await.unwrap();
    assert_eq!(leading.epoch(), 2);
    leading.resign().await;
    assert_eq!(first.stand_by().await.unwrap().epoch(), 3);
}

#[tokio::test]
async fn a_leader_whose_epoch_is_over_hears_of_it_and_vouches_for_nothing() {
    let server = SHARED.database().await;
    let mut candidate = Candidate::new(server.clone(), "http://one:7420");
    let leading = candidate.stand_by().await.unwrap();
    // Somebody took over while this one could not be heard.
    let take = "UPDATE regatta.leader SET epoch = epoch + 1, until = clock_timestamp() + interval '1 hour'";
    server.connect().await.unwrap().batch_execute(take).await.unwrap();
    let error = leading.deposed().await;
    assert!(matches!(error, Some(Error::Deposed { epoch: 1, .. })), "{error:?}");
    assert!(!candidate.standing().borrow().leads_at(Instant::now()));
}

#[tokio::test]
async fn a_leader_that_cannot_ask_vouches_for_nothing_after_its_term_and_goes_on_when_it_can() {
    let own = TestServer::start();
    let server = own.database().await;
    let mut candidate = Candidate::new(server.clone(), "http://one:7420");
    let _leading = candidate.stand_by().await.unwrap();
    let mut standing = candidate.standing();
    own.tell("kill");
    let Standing::Leads { until: Some(until), .. } = *standing.borrow_and_update() else { panic!("it leads") };
    eventually("the end of its term", || until <= Instant::now()).await;
    assert!(!standing.borrow().leads_at(until), "it vouches for nothing that it could not ask for");
    own.tell("start");
    let _the_server_answers = own.database().await;
    // Its term has passed by the clock of the server as well, and nobody else was there to take its place.
    let pass = "UPDATE regatta.leader SET until = clock_timestamp() - interval '1 hour'";
    server.connect().await.unwrap().batch_execute(pass).await.unwrap();
    let asked_later = Instant::now() + VOUCHED;
    standing.wait_for(|standing| standing.leads_at(asked_later)).await.unwrap();
    assert_eq!(count(&server, "SELECT count(*) FROM regatta.leader WHERE until > clock_timestamp()").await, 1);
}

#[tokio::test]
async fn tables_go_forward_and_newer_ones_are_left_alone() {
    let server = SHARED.database().await;
    let mut client = server.connect().await.unwrap();
    const FIRST: &str = "CREATE TABLE regatta.test (a int)";
    const SECOND: &str = "ALTER TABLE regatta.test ADD b int DEFAULT 8";
    let tables = |steps: &'static [&'static str]| Tables { kind: "test", steps };
    let (first, second) = (tables(&[FIRST]), tables(&[FIRST, SECOND]));
    assert_eq!(migrate(&server, &mut client, &first).await.unwrap(), (0, 1));
    client.batch_execute("INSERT INTO regatta.test VALUES (7)").await.unwrap();
    migrate(&server, &mut client, &tables(&[FIRST, SECOND, "nonsense"])).await.unwrap_err();
    assert_eq!(migrate(&server, &mut client, &second).await.unwrap(), (1, 2), "nothing was left of the broken one");
    assert_eq!(migrate(&server, &mut client, &second).await.unwrap(), (2, 2));
    assert_eq!(count(&server, "SELECT sum(a + b) FROM regatta.test").await, 15);
    let error = migrate(&server, &mut client, &first).await.unwrap_err();
    assert!(
        error.to_string().contains("made by a newer Regatta (its version is 2, this one knows up to 1)"),
        "{error}"
    );
    assert_eq!(count(&server, "SELECT sum(a + b) FROM regatta.test").await, 15);
}

#[tokio::test]
async fn what_a_server_refuses_says_what_to_do() {
    let own = TestServer::start();
    let server = own.database().await;
    let trouble = |url: String| async move {
        match Server::parse(&url).unwrap().connect().await {
            Err(Error::Server { trouble, server, .. }) => (trouble, server.to_string()),
            _ => panic!("{url} is refused"),
        }
    };
    assert_eq!(trouble(own.url("regatta", "nowhere")).await.0, Trouble::NoDatabase);
    assert_eq!(trouble(own.url("nobody_here", "postgres")).await.0, Trouble::Credentials);
    server.connect().await.unwrap().batch_execute("CREATE ROLE little LOGIN").await.unwrap();
    let little = Server::parse(&own.url("little", "postgres")).unwrap();
    let mut client = little.connect().await.unwrap();
    let Err(error) = migrate(&little, &mut client, &super::leader::TABLES).await else { panic!("it may not") };
    assert!(matches!(&error, Error::Server { trouble: Trouble::NoRight, .. }), "{error:?}");
    assert!(error.to_string().contains("let it own the database"), "{error}");
    own.tell("stop");
    let (gone, said) = trouble(own.url("regatta", "postgres")).await;
    assert_eq!(gone, Trouble::Unreachable);
    assert!(gone.may_pass() && said.starts_with("postgres://regatta@"), "{said}");
}
