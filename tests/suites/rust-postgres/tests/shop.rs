//! Tests of a shop's database by sqlx, at every level: the level stands in the name.

use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
use sqlx::{Connection, Executor, Row};

async fn connect() -> PgConnection {
    let url = std::env::var("DATABASE_URL").expect("the test was handed a database");
    PgConnection::connect(&url).await.expect("the database takes connections")
}

async fn number(connection: &mut PgConnection, query: &str) -> i64 {
    sqlx::query(query).fetch_one(connection).await.expect(query).get(0)
}

macro_rules! many {
    ($($name:ident = $run:ident),+ $(,)?) => { $(#[tokio::test] async fn $name() { $run().await; })+ };
}

async fn reads() {
    let mut db = connect().await;
    assert_eq!(number(&mut db, "SELECT count(*) FROM account").await, 50);
    assert_eq!(number(&mut db, "SELECT count(*) FROM entry").await, 500);
}

async fn rolls_back() {
    let mut db = connect().await;
    let mut tx = db.begin().await.unwrap();
    tx.execute("INSERT INTO account (email) VALUES ('new@example.org')").await.unwrap();
    assert_eq!(number(&mut tx, "SELECT count(*) FROM account").await, 51);
    tx.rollback().await.unwrap();
}

async fn commits() {
    let url = std::env::var("DATABASE_URL").unwrap();
    let pool = PgPoolOptions::new().max_connections(3).connect(&url).await.unwrap();
    pool.execute("INSERT INTO account (email) VALUES ('kept@example.org')").await.unwrap();
    let mut other = connect().await;
    assert_eq!(number(&mut other, "SELECT id FROM account WHERE email = 'kept@example.org'").await, 51);
    pool.close().await;
}

async fn listens() {
    let url = std::env::var("DATABASE_URL").unwrap();
    let mut listener = PgListener::connect(&url).await.unwrap();
    listener.listen("words").await.unwrap();
    connect().await.execute("NOTIFY words, 'hello'").await.unwrap();
    assert_eq!(listener.recv().await.unwrap().payload(), "hello");
}

async fn makes_a_role() {
    connect().await.execute("CREATE ROLE auditor").await.unwrap();
}

many! {
    read_1 = reads, read_2 = reads, read_3 = reads, read_4 = reads, read_5 = reads, read_6 = reads,
    transaction_1 = rolls_back, transaction_2 = rolls_back, transaction_3 = rolls_back, transaction_4 = rolls_back,
    isolated_1 = commits, isolated_2 = commits, isolated_3 = commits, isolated_4 = commits,
    isolated_5 = listens, isolated_6 = listens,
    exclusive_1 = makes_a_role, exclusive_2 = makes_a_role,
}

#[test]
fn none_1() {
    assert_eq!(1000 % 7, 6);
}
