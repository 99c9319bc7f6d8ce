//! Many leases of every kind at once, and then every row of every clone looked at.

use crate::world::{World, connect};
use regatta_databases::audit::Picture;
use regatta_databases::{Fate, Postgres};
use regatta_domain::Level;
use std::sync::Arc;

/// What tests do, whatever they declare: harmless, dirty, and lying.
const DEEDS: [(Level, &str); 10] = [
    (Level::Read, "SELECT * FROM accounts JOIN ledger ON true"),
    (Level::Transaction, "BEGIN; INSERT INTO accounts (name) VALUES ('a'); SELECT pay(1, 2); ROLLBACK"),
    (Level::Transaction, "BEGIN; SAVEPOINT s; DELETE FROM accounts; ROLLBACK TO s; ROLLBACK"),
    (Level::Transaction, "BEGIN; ALTER TABLE accounts ADD note text; DROP TABLE ledger; ROLLBACK"),
    (Level::Transaction, "BEGIN; SELECT * FROM accounts FOR UPDATE; ROLLBACK"),
    (Level::Isolated, "INSERT INTO accounts (name) VALUES ('kept'); UPDATE accounts SET balance = 0"),
    (Level::Isolated, "SELECT 1"),
    (Level::Transaction, "INSERT INTO ledger (amount) VALUES (1)"),
    (Level::Transaction, "CREATE TABLE left_behind (id int)"),
    (Level::Transaction, "SELECT nextval('accounts_id_seq')"),
];

#[tokio::test(flavor = "multi_thread")]
async fn after_many_mixed_leases_no_clone_on_the_shelf_differs_from_the_template() {
    let world = Arc::new(World::own().await);
    let running: Vec<_> = (0..6)
        .map(|worker| {
            let world = world.clone();
            tokio::spawn(async move {
                let (mut handed_on, mut replaced) = (0, 0);
                for at in 0..30 {
                    let (level, sql) = DEEDS[(at * 7 + worker * 3) % DEEDS.len()];
                    match world.run(level, sql).await.1.fate {
                        Fate::HandedOn => handed_on += 1,
                        Fate::Replaced => replaced += 1,
                        _ => {}
                    }
                }
                (handed_on, replaced)
            })
        })
        .collect();
    let mut fates = (0, 0);
    for worker in running {
        let (handed_on, replaced) = worker.await.unwrap();
        fates = (fates.0 + handed_on, fates.1 + replaced);
    }
    assert!(fates.0 > 60 && fates.1 > 30, "handed on and replaced: {fates:?}");
    audit(&world.postgres).await;
    world.postgres.shutdown().await;
}

/// Compares every clone on the shelf with the one that nobody may write to.
async fn audit(postgres: &Postgres) {
    let shelf = postgres.shelf(crate::world::TEMPLATE).unwrap();
    assert!(!shelf.databases.is_empty());
    let enter = async |database: &str| {
        let mut config = shelf.admin.clone();
        config.dbname(database);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let template = Picture::of(&enter(&shelf.reading).await).await.unwrap();
    for database in &shelf.databases {
        // Whatever is being handed on at this moment has another name in the next.
        let differences = template.differences(&Picture::of(&enter(database).await).await.unwrap());
        let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{database}: {told:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_finds_what_a_lease_changed() {
    let world = World::own().await;
    let leased = world.lease(Level::Isolated).await;
    connect(&leased.url).await.unwrap().batch_execute("UPDATE accounts SET balance = 7 WHERE id = 3").await.unwrap();
    let shelf = world.postgres.shelf(crate::world::TEMPLATE).unwrap();
    let mut config = shelf.admin.clone();
    let mut pictures = Vec::new();
    for database in [&shelf.reading, &leased.database] {
        let (client, connection) = config.dbname(database).connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        pictures.push(Picture::of(&client).await.unwrap());
    }
    assert!(!pictures[0].differences(&pictures[1]).is_empty());
    world.postgres.shutdown().await;
}
