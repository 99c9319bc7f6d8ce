//! Engines whose server is away when they are first asked for.

use super::*;
use crate::store::postgres::fixture::{PATIENCE, TestServer};
use regatta_databases::Health;
use regatta_domain::database::{DatabaseServer, Engine as Kind};
use std::time::Instant;

fn declare(databases: &Databases, url: &str) {
    let server = DatabaseServer { engine: Kind::Postgres, url: Some(url.into()), programs: None };
    databases.declare([("app".into(), Arc::new(Resource { server: Some(server), ..Resource::of_seats(9) }))]);
}

/// Waits until a resource is as is said, or until nothing is known of it.
async fn until(databases: &Databases, what: &str, is_so: impl Fn(Option<&Health>) -> bool) {
    let began = Instant::now();
    while !is_so(databases.status().await.get("app").map(|status| &status.health)) {
        assert!(began.elapsed() < PATIENCE, "it is not {what}: {:?}", databases.status().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_when_it_is_first_asked_for_is_down_and_found_once_it_is_there() {
    let server = TestServer::start();
    let _it_answers = server.database().await;
    let (url, folder) = (server.url("regatta", "postgres"), tempfile::tempdir().unwrap());
    server.tell("stop");
    let databases = Databases::new(Live::default(), (folder.path().to_owned(), false));
    declare(&databases, &url);
    assert!(databases.status().await.is_empty(), "nobody has asked for it");
    let Err(Lack::Now(why)) = databases.engine(&"app".into()).await else { panic!("it is away") };
    assert!(why.contains("cannot be reached"), "{why}");
    until(&databases, "down", |health| matches!(health, Some(Health::Down { .. }))).await;
    // Nobody asks again: while it is down, nobody is granted its databases.
    server.tell("start");
    until(&databases, "up", |health| health == Some(&Health::Up)).await;
    assert!(databases.engine(&"app".into()).await.is_ok());
    databases.shutdown().await;
}

#[tokio::test]
async fn what_is_declared_anew_is_not_down_for_what_the_server_before_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::new(Live::default(), (folder.path().to_owned(), false));
    declare(&databases, "postgres://nobody@127.0.0.1:1/nothing");
    assert!(matches!(databases.engine(&"app".into()).await, Err(Lack::Now(_))));
    until(&databases, "down", |health| matches!(health, Some(Health::Down { .. }))).await;
    declare(&databases, "postgres://nobody@127.0.0.1:2/nothing");
    until(&databases, "unknown", |health| health.is_none()).await;
}
