//! Beside a server that is there: used within its means, left as it was, survived when it falls.

use crate::outside::Outside;
use crate::world::{SCHEMA, TEMPLATE, World, connect, number, until};
use regatta_databases::{Adopted, DatabaseLease, Fate, Health, Place, Refused};
use regatta_domain::{Level, Token};

/// What is on the server that bears our prefix.
const OURS: &str = "SELECT (SELECT count(*) FROM pg_database WHERE datname LIKE 'rg\\_%' AND NOT datistemplate) \
                    + (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'rg\\_%\\_%\\_%')";

#[tokio::test(flavor = "multi_thread")]
async fn an_external_server_serves_every_level_and_is_left_as_it_was() {
    let outside = Outside::start(&[]).await;
    let world = World::beside(&outside.url(), |_| {}).await;
    world.build(TEMPLATE, SCHEMA).await;
    for level in [Level::Read, Level::Transaction, Level::Isolated] {
        let leased = world.lease(level).await;
        let client = connect(&leased.url).await.unwrap();
        assert_eq!(number(&client, "SELECT count(*) FROM accounts").await, 20);
        drop(client);
        world.release(&leased).await;
    }
    let (_, told) = world.run(Level::Isolated, "INSERT INTO accounts (name) VALUES ('x')").await;
    assert_eq!((told.level, told.fate), (Level::Isolated, Fate::Replaced), "{told:?}");
    // A private server is built for when it is wanted first.
    assert_eq!(world.try_lease(Level::Exclusive, 1).await.unwrap_err(), Refused::NotReady);
    world.build_at(TEMPLATE, Place::Private, SCHEMA).await;
    let (_, told) = world.run(Level::Exclusive, "CREATE ROLE somebody").await;
    assert_eq!(told.fate, Fate::Destroyed);
    world.postgres.shutdown().await;
    let client = connect(&outside.url()).await.unwrap();
    assert_eq!(number(&client, OURS).await, 0);
    assert_eq!(number(&client, "SELECT count(*) FROM pg_database WHERE datistemplate AND datname LIKE 'rg%'").await, 1);
    // The next engine finds the template, and has nothing to build.
    let next = World::beside(&outside.url(), |_| {}).await;
    next.build(TEMPLATE, "SELECT 1 / 0").await;
    next.lease(Level::Isolated).await;
    next.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_is_told_as_down_and_used_again_when_it_is_back() {
    let mut outside = Outside::start(&[]).await;
    let world = World::beside(&outside.url(), |_| {}).await;
    world.build(TEMPLATE, SCHEMA).await;
    let held = world.lease(Level::Transaction).await;
    outside.kill();
    until("it is told as down", async || {
        matches!(world.try_lease(Level::Isolated, 1).await, Err(Refused::Down { .. }))
    })
    .await;
    assert_ne!(world.postgres.status().health, Health::Up);
    let told = world.release(&held).await;
    assert_eq!(told.fate, Fate::Lost, "what happened to it is unknown: {told:?}");
    assert!(told.level >= Level::Isolated, "and so counts as dirty: {told:?}");
    outside.run().await;
    until("it is used again", async || {
        let Ok(leased) = world.try_lease(Level::Isolated, 1).await else { return false };
        let works = connect(&leased.url).await.is_ok();
        let _ = world.postgres.release(leased.id).await;
        works
    })
    .await;
    assert_eq!(world.postgres.status().health, Health::Up);
    let client = connect(&outside.url()).await.unwrap();
    let dropped = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", held.database);
    until("what was leased then is dropped", async || number(&client, &dropped).await == 0).await;
    drop(client);
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_twenty_connections_carries_what_it_can_and_says_so() {
    let outside = Outside::start(&["max_connections=20", "max_wal_senders=2"]).await;
    let world = World::beside(&outside.url(), |_| {}).await;
    world.build(TEMPLATE, SCHEMA).await;
    let capacity = world.postgres.status().capacity;
    assert_eq!(capacity, 1, "20 x 80 % less 3 reserved and 8 of ours is 5, which is one lease");
    let held = world.lease(Level::Isolated).await;
    let refused = world.try_lease(Level::Read, 1).await.unwrap_err();
    assert_eq!(refused, Refused::Full { capacity: 1 });
    assert!(refused.to_string().contains("max_connections"), "{refused}");
    // Somebody else takes all that is left.
    let mut others = Vec::new();
    while let Ok(client) = connect(&outside.url()).await {
        others.push(client);
    }
    let told = world.release(&held).await;
    assert!([Fate::HandedOn, Fate::Replaced].contains(&told.fate), "{told:?}");
    drop(others);
    until("it goes on", async || world.try_lease(Level::Isolated, 1).await.is_ok()).await;
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_engine_left_is_removed_except_for_what_is_claimed() {
    let outside = Outside::start(&[]).await;
    let client = connect(&outside.url()).await.unwrap();
    for sql in [
        "CREATE ROLE rg_aaaaaaaa_old_1 LOGIN",
        "CREATE ROLE rg_aaaaaaaa_old_2 LOGIN",
        "CREATE DATABASE rg_aaaaaaaa_old_3 OWNER rg_aaaaaaaa_old_1",
        "CREATE DATABASE rg_aaaaaaaa_old_4 OWNER rg_aaaaaaaa_old_2",
        "CREATE DATABASE rg_not_ours",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
    let zombie = connect(&crate::world::elsewhere(&outside.url(), "rg_aaaaaaaa_old_3")).await.unwrap();
    zombie.batch_execute("BEGIN; CREATE TABLE t (id int); PREPARE TRANSACTION 'old'").await.unwrap();
    // Long enough for the claim below to come first.
    let world = World::beside(&outside.url(), |settings| settings.grace = std::time::Duration::from_secs(1)).await;
    let claim = |id, database: &str| Adopted {
        id: DatabaseLease(id),
        token: Token(5),
        level: Level::Isolated,
        database: database.to_owned(),
    };
    let claims = vec![claim(11, "rg_aaaaaaaa_old_4"), claim(12, "rg_aaaaaaaa_old_9"), claim(13, "postgres")];
    assert_eq!(world.postgres.adopt(claims).await, [DatabaseLease(11)]);
    let old = "SELECT count(*) FROM pg_database WHERE datname = 'rg_aaaaaaaa_old_3'";
    until("the orphan is dropped", async || number(&client, old).await == 0).await;
    until("so is its role", async || {
        number(&client, "SELECT count(*) FROM pg_roles WHERE rolname = 'rg_aaaaaaaa_old_1'").await == 0
    })
    .await;
    assert!(zombie.batch_execute("SELECT 1").await.is_err());
    let kept = "SELECT count(*) FROM pg_database WHERE datname IN ('rg_aaaaaaaa_old_4', 'rg_not_ours')";
    assert_eq!(number(&client, kept).await, 2);
    let told = world.postgres.release(DatabaseLease(11)).await.unwrap();
    assert_eq!(told.fate, Fate::Replaced);
    assert_eq!(number(&client, kept).await, 1);
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_on_one_server_leave_each_other_alone() {
    let outside = Outside::start(&[]).await;
    let one = World::beside(&outside.url(), |_| {}).await;
    one.build(TEMPLATE, SCHEMA).await;
    let held = one.lease(Level::Isolated).await;
    let two = World::beside(&outside.url(), |settings| settings.grace = std::time::Duration::ZERO).await;
    two.build(TEMPLATE, SCHEMA).await;
    let (leased, told) = two.run(Level::Transaction, "BEGIN; INSERT INTO ledger (amount) VALUES (1); ROLLBACK").await;
    assert_ne!(leased.database, held.database);
    assert_eq!(told.fate, Fate::HandedOn, "{told:?}");
    two.postgres.shutdown().await;
    connect(&held.url).await.unwrap().batch_execute("SELECT * FROM accounts").await.unwrap();
    one.postgres.shutdown().await;
}
