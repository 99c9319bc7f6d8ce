//! What each level gets, and what it does not.

use crate::world::{World, connect, elsewhere, number, state};
use regatta_databases::{Fate, names};
use regatta_domain::Level;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_test_without_a_database_gets_none() {
    let world = World::own().await;
    let leased = world.lease(Level::None).await;
    assert_eq!((leased.url.as_str(), leased.variables.len()), ("", 1));
    let released = world.release(&leased).await;
    assert_eq!((released.level, released.fate), (Level::None, Fate::Kept));
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_the_seeded_rows_and_cannot_write_whatever_it_sets() {
    let world = World::own().await;
    let (one, two) = (world.lease(Level::Read).await, world.lease(Level::Read).await);
    assert_eq!(one.database, two.database, "readers share");
    assert_ne!(one.url, two.url, "but not their roles");
    let client = connect(&one.url).await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM accounts").await, 20);
    assert_eq!(state(client.batch_execute("INSERT INTO accounts (name) VALUES ('x')").await), "25006");
    client.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    assert_eq!(state(client.batch_execute("INSERT INTO accounts (name) VALUES ('x')").await), "42501");
    assert_eq!(state(client.batch_execute("CREATE TABLE mine (id int)").await), "42501");
    assert_eq!(state(client.batch_execute("CREATE TEMP TABLE mine (id int)").await), "42501");
    drop(client);
    let told = world.release(&one).await;
    assert!(told.denied && told.level >= Level::Transaction && told.fate == Fate::Kept, "{told:?}");
    let other = connect(&two.url).await.unwrap();
    assert_eq!(number(&other, "SELECT count(*) FROM accounts").await, 20);
    drop(other);
    let told = world.release(&two).await;
    assert!(!told.denied, "what one was refused is not told of another: {told:?}");
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_not_charged_with_the_sessions_of_others() {
    let world = World::own().await;
    let (one, two) = (world.lease(Level::Read).await, world.lease(Level::Read).await);
    let (client, other) = (connect(&one.url).await.unwrap(), connect(&two.url).await.unwrap());
    other.batch_execute("BEGIN; SELECT * FROM accounts; SELECT pg_advisory_lock(42)").await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM accounts").await, 20);
    drop(client);
    let told = world.release(&one).await;
    assert!(told.leaks.is_empty() && told.fate == Fate::Kept, "{told:?}");
    let told = world.release(&two).await;
    assert!(!told.leaks.is_empty(), "its own session is open: {told:?}");
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_may_change_all_in_its_clone_and_nothing_outside() {
    let world = World::own().await;
    for level in [Level::Transaction, Level::Isolated] {
        let leased = world.lease(level).await;
        let client = connect(&leased.url).await.unwrap();
        client
            .batch_execute(
                "BEGIN; INSERT INTO accounts (name) VALUES ('x'); ALTER TABLE accounts ADD note text; DROP TABLE ledger; \
                 CREATE TABLE mine (id int); CREATE SCHEMA s; SELECT setval('accounts_id_seq', 99); ROLLBACK",
            )
            .await
            .unwrap();
        for refused in [
            "CREATE ROLE r",
            "CREATE DATABASE d",
            "ALTER SYSTEM SET work_mem = '5MB'",
            "CREATE EXTENSION pg_walinspect",
        ] {
            assert_eq!(state(client.batch_execute(refused).await), "42501", "{refused}");
        }
        drop(client);
        let told = world.release(&leased).await;
        assert!(told.denied && told.level == Level::Exclusive, "refused rights ask for a private server: {told:?}");
    }
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusive_test_may_change_the_server_and_nobody_notices() {
    let world = World::own().await;
    let (one, two) = (world.lease(Level::Exclusive).await, world.lease(Level::Exclusive).await);
    let client = connect(&one.url).await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM accounts").await, 20);
    for sql in [
        "CREATE ROLE somebody",
        "CREATE DATABASE somewhere",
        "ALTER SYSTEM SET work_mem = '5MB'",
        "SELECT pg_reload_conf()",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
    let other = connect(&two.url).await.unwrap();
    assert_eq!(number(&other, "SELECT count(*) FROM accounts").await, 20);
    assert_eq!(state(connect(&elsewhere(&two.url, "somewhere")).await), "3D000");
    drop((client, other));
    let told = world.release(&one).await;
    assert_eq!((told.level, told.fate), (Level::Exclusive, Fate::Destroyed), "{told:?}");
    let told = world.release(&two).await;
    assert_eq!(
        (told.level, told.fate),
        (Level::Read, Fate::HandedOn),
        "it only read, so it need not be exclusive, and its server is as it was: {told:?}"
    );
    assert!(connect(&one.url).await.is_err(), "the server is gone");
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_of_another_lease_is_refused() {
    let world = World::own().await;
    let (one, two) = (world.lease(Level::Isolated).await, world.lease(Level::Isolated).await);
    let reader = world.lease(Level::Read).await;
    for (as_whom, where_to) in [(&one, &two), (&two, &one), (&one, &reader), (&reader, &one)] {
        assert_eq!(state(connect(&elsewhere(&as_whom.url, &where_to.database)).await), "42501");
    }
    for database in ["postgres", "template1"] {
        assert_eq!(state(connect(&elsewhere(&one.url, database)).await), "42501", "{database}");
    }
    let template = names::template(crate::world::TEMPLATE);
    assert!(connect(&elsewhere(&one.url, &template)).await.is_err());
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_role_or_password_is_ever_given_twice() {
    let world = World::own().await;
    let (mut databases, mut urls, mut ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for at in 0..40 {
        let sql =
            if at % 3 == 0 { "DELETE FROM ledger; INSERT INTO accounts (name) VALUES ('new')" } else { "SELECT 1" };
        let (leased, _) = world.run(Level::Isolated, sql).await;
        assert!(databases.insert(leased.database.clone()), "{} again", leased.database);
        assert!(urls.insert(leased.url.clone()) && ids.insert(leased.id));
    }
    let status = world.postgres.status();
    assert!(status.reused > 0 && status.made > 0, "{status:?}");
    world.postgres.shutdown().await;
}
