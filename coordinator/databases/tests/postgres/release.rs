//! Taking back: what is handed on, what is not, and that nobody lingers.

use crate::world::{World, connect, number, state, until};
use regatta_databases::{Fate, Refused};
use regatta_domain::Level;
use regatta_domain::evidence::Fact;

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_clone_is_handed_on_under_another_name_and_password() {
    // Room for one clone: whoever comes next gets the same, or none.
    let world = World::with(|settings| settings.clone_bytes = 1).await;
    let first = world.lease(Level::Transaction).await;
    let client = connect(&first.url).await.unwrap();
    let oid = number(&client, "SELECT oid::int8 FROM pg_database WHERE datname = current_database()").await;
    client.batch_execute("BEGIN; INSERT INTO accounts (name) VALUES ('x'); SELECT pay(1, 5); ROLLBACK").await.unwrap();
    drop(client);
    let told = world.release(&first).await;
    assert_eq!((told.level, told.fate), (Level::Transaction, Fate::HandedOn), "{told:?}");
    let second = world.lease(Level::Transaction).await;
    let client = connect(&second.url).await.unwrap();
    assert_eq!(number(&client, "SELECT oid::int8 FROM pg_database WHERE datname = current_database()").await, oid);
    assert_ne!((&first.database, &first.url), (&second.database, &second.url));
    let next = number(&client, "SELECT nextval('accounts_id_seq')").await;
    assert_eq!(next, 21, "the sequence that a rolled-back test moved was set back");
    assert_eq!(number(&client, "SELECT nextval('ledger_id_seq')").await, 1, "and the one that was never used");
    assert!(connect(&first.url).await.is_err(), "the old name and password are worth nothing");
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_commits_is_seen_whatever_it_declared_and_its_database_is_replaced() {
    let world = World::own().await;
    for declared in [Level::Transaction, Level::Isolated] {
        let (leased, told) = world.run(declared, "INSERT INTO accounts (name) VALUES ('committed')").await;
        assert_eq!((told.level, told.declared, told.fate), (Level::Isolated, declared, Fate::Replaced), "{told:?}");
        assert!(told.evidence.facts.has(Fact::Committed));
        assert!(told.evidence.relations.iter().any(|name| name == "accounts"), "{:?}", told.evidence);
        let next = world.lease(Level::Isolated).await;
        let client = connect(&next.url).await.unwrap();
        assert_eq!(number(&client, "SELECT count(*) FROM accounts").await, 20);
        assert_ne!(next.database, leased.database);
        let dropped = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", leased.database);
        until("the database is dropped", async || number(&client, &dropped).await == 0).await;
        drop(client);
        world.release(&next).await;
    }
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_finds_nothing_after_the_release() {
    let world = World::own().await;
    for level in [Level::Read, Level::Transaction, Level::Isolated] {
        let leased = world.lease(level).await;
        let zombie = connect(&leased.url).await.unwrap();
        zombie.batch_execute("SELECT 1").await.unwrap();
        let told = world.release(&leased).await;
        assert!(!told.leaks.is_empty(), "the open session is told: {told:?}");
        assert!(zombie.batch_execute("SELECT 1").await.is_err(), "and ended");
        let again = state(connect(&leased.url).await);
        assert!(["28000", "28P01", "3D000"].contains(&again.as_str()), "{level:?}: {again}");
    }
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_ends_every_lease_of_its_token_and_refuses_new_ones() {
    let world = World::own().await;
    let mut leases = Vec::new();
    for level in [Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive] {
        leases.push(world.try_lease(level, 7).await.unwrap());
    }
    let other = world.try_lease(Level::Isolated, 8).await.unwrap();
    let mut zombies = Vec::new();
    for leased in &leases {
        zombies.push(connect(&leased.url).await.unwrap());
    }
    world.postgres.fence(regatta_domain::Token(7));
    assert_eq!(world.try_lease(Level::None, 7).await.unwrap_err(), Refused::Fenced);
    for (leased, zombie) in leases.iter().zip(&zombies) {
        until("its session is ended", async || zombie.batch_execute("SELECT 1").await.is_err()).await;
        let told = world.release(leased).await;
        assert_ne!(told.fate, Fate::HandedOn, "a session was open: {told:?}");
        assert!(connect(&leased.url).await.is_err());
    }
    connect(&other.url).await.unwrap().batch_execute("SELECT 1").await.unwrap();
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_behind_is_found_cleared_and_told() {
    let world = World::own().await;
    let before = world.lease(Level::Isolated).await;
    let watch = connect(&before.url).await.unwrap();
    let leftovers = [
        "BEGIN; INSERT INTO accounts (name) VALUES ('open')",
        "BEGIN; INSERT INTO accounts (name) VALUES ('p'); PREPARE TRANSACTION 'left'",
        "SELECT pg_advisory_lock(42)",
    ];
    for sql in leftovers {
        let leased = world.lease(Level::Transaction).await;
        let client = connect(&leased.url).await.unwrap();
        client.batch_execute(sql).await.unwrap();
        let told = world.release(&leased).await;
        assert!(!told.leaks.is_empty() && told.fate == Fate::Replaced, "{sql}: {told:?}");
        assert!(told.level >= Level::Isolated, "{sql}: {told:?}");
        let gone = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", leased.database);
        until("the database is dropped", async || number(&watch, &gone).await == 0).await;
    }
    assert_eq!(number(&watch, "SELECT count(*) FROM pg_prepared_xacts").await, 0);
    assert_eq!(number(&watch, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42").await, 0);
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_writes_all_the_same_costs_the_readers_their_database() {
    let world = World::own().await;
    let (one, other) = (world.lease(Level::Read).await, world.lease(Level::Read).await);
    let client = connect(&one.url).await.unwrap();
    // Large objects may be made by anybody, once the session is not read-only any more.
    client.batch_execute("SET default_transaction_read_only = off; SELECT lo_from_bytea(0, 'x')").await.unwrap();
    drop(client);
    let told = world.release(&one).await;
    assert_eq!((told.level, told.fate), (Level::Isolated, Fate::Replaced), "{told:?}");
    until("readers get another", async || {
        let next = world.lease(Level::Read).await;
        world.release(&next).await;
        next.database != one.database
    })
    .await;
    // Whoever was reading goes on until its own end.
    connect(&other.url).await.unwrap().batch_execute("SELECT * FROM accounts").await.unwrap();
    world.release(&other).await;
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_told_twice_ends_once_and_says_the_same() {
    let world = World::own().await;
    let leased = world.lease(Level::Isolated).await;
    connect(&leased.url).await.unwrap().batch_execute("TRUNCATE accounts CASCADE").await.unwrap();
    let (one, two) = tokio::join!(world.release(&leased), world.release(&leased));
    let three = world.release(&leased).await;
    assert_eq!(one.evidence, two.evidence);
    assert_eq!((one.fate, two.fate), (Fate::Replaced, three.fate));
    let unknown = regatta_databases::DatabaseLease(1);
    assert!(world.postgres.release(unknown).await.unwrap_err().to_string().contains("nobody"));
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_is_not_handed_on_for_ever() {
    let world = World::with(|settings| {
        settings.clone_bytes = 1;
        settings.reuses = 3;
    })
    .await;
    let mut oids = Vec::new();
    for _ in 0..6 {
        let leased = world.lease(Level::Transaction).await;
        let client = connect(&leased.url).await.unwrap();
        oids.push(number(&client, "SELECT oid::int8 FROM pg_database WHERE datname = current_database()").await);
        drop(client);
        world.release(&leased).await;
    }
    oids.sort_unstable();
    let most = oids.chunk_by(|a, b| a == b).map(<[i64]>::len).max().unwrap();
    assert!(most <= 3, "{oids:?}");
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asker_that_goes_away_costs_nobody_a_database() {
    let world = World::with(|settings| settings.clone_bytes = 1).await;
    let held = world.lease(Level::Isolated).await;
    {
        let waiting = world.lease(Level::Isolated);
        tokio::pin!(waiting);
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), &mut waiting).await;
        assert!(early.is_err(), "there is room for one");
    }
    world.release(&held).await;
    let next = world.lease(Level::Isolated).await;
    connect(&next.url).await.unwrap();
    assert_eq!(world.postgres.status().leased, 1);
    world.postgres.shutdown().await;
}
