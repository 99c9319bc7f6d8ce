//! Tests that commit: each expects to be the first to do so.

use crate::database::{code, connect, most, number, pool, url};
use sqlx::postgres::{PgAdvisoryLock, PgListener};
use sqlx::{Either, Executor};

async fn what_a_pool_commits_others_see() {
    let pool = pool(3).await;
    pool.execute("INSERT INTO account (email) VALUES ('kept@example.org')").await.unwrap();
    let mut other = connect().await;
    assert_eq!(number(&mut other, "SELECT id FROM account WHERE email = 'kept@example.org'").await, 51);
    pool.close().await;
}

async fn a_listener_hears_what_was_said_here_and_no_more() {
    let mut listener = PgListener::connect(&url()).await.unwrap();
    listener.listen("words").await.unwrap();
    let mut db = connect().await;
    for word in ["NOTIFY words, 'hello'", "NOTIFY words, 'end'"] {
        db.execute(word).await.unwrap();
    }
    assert_eq!(listener.recv().await.unwrap().payload(), "hello");
    assert_eq!(listener.recv().await.unwrap().payload(), "end");
}

async fn migrations_are_run_once() {
    static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
    let pool = pool(2).await;
    MIGRATOR.run(&pool).await.unwrap();
    MIGRATOR.run(&pool).await.unwrap();
    assert_eq!(number(&pool, "SELECT count(*) FROM _sqlx_migrations").await, 2);
    assert_eq!(number(&pool, "SELECT count(*) FROM audit").await, 1);
    pool.close().await;
}

async fn a_lock_is_held_by_one_connection() {
    let lock = PgAdvisoryLock::new("stock-taking");
    let Either::Left(held) = lock.try_acquire(connect().await).await.unwrap() else { panic!("it is free") };
    let Either::Right(other) = lock.try_acquire(connect().await).await.unwrap() else { panic!("it is held") };
    held.release_now().await.unwrap();
    assert!(lock.try_acquire(other).await.unwrap().is_left());
}

async fn of_two_that_read_what_the_other_writes_one_is_refused() {
    let (mut db, mut other) = (connect().await, connect().await);
    let begin = "BEGIN ISOLATION LEVEL SERIALIZABLE";
    for connection in [&mut db, &mut other] {
        connection.execute(begin).await.unwrap();
        assert_eq!(number(connection, "SELECT sum(balance)::bigint FROM account").await, 50_000);
    }
    db.execute("UPDATE account SET balance = 0 WHERE id = 1").await.unwrap();
    db.execute("COMMIT").await.unwrap();
    let wrote = other.execute("UPDATE account SET balance = 0 WHERE id = 2").await;
    let refused = match wrote {
        Ok(_) => other.execute("COMMIT").await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(code(&refused), "40001");
}

async fn what_is_prepared_outlives_its_connection() {
    let name = std::env::var("REGATTA_NAMESPACE").unwrap_or_else(|_| "shop".to_owned());
    let mut db = connect().await;
    db.execute("BEGIN").await.unwrap();
    db.execute("UPDATE account SET balance = 7 WHERE id = 1").await.unwrap();
    db.execute(format!("PREPARE TRANSACTION '{name}'").as_str()).await.unwrap();
    drop(db);
    let mut other = connect().await;
    other.execute(format!("COMMIT PREPARED '{name}'").as_str()).await.unwrap();
    assert_eq!(number(&mut other, "SELECT sum(balance)::bigint FROM account").await, 49_007);
}

async fn a_view_is_refreshed() {
    let pool = pool(2).await;
    pool.execute("TRUNCATE entry RESTART IDENTITY; INSERT INTO entry (account, amount) VALUES (1, 7)").await.unwrap();
    pool.execute("REFRESH MATERIALIZED VIEW total").await.unwrap();
    assert_eq!(number(&pool, "SELECT sum(amount)::bigint FROM total").await, 7);
    assert_eq!(number(&pool, "SELECT max(id) FROM entry").await, 1);
    pool.close().await;
}

/// Not twice: it takes as many connections as a test may.
#[tokio::test]
async fn the_next_connection_after_the_last_is_refused() {
    if std::env::var_os("REGATTA_MAX_CONNECTIONS").is_none() {
        return;
    }
    let mut open = Vec::new();
    for _ in 0..most() {
        open.push(connect().await);
    }
    let refused = sqlx::Connection::connect(&url()).await as Result<sqlx::PgConnection, _>;
    assert_eq!(code(&refused.unwrap_err()), "53300");
    for connection in open {
        sqlx::Connection::close(connection).await.unwrap();
    }
}

twice! {
    what_a_pool_commits_others_see,
    a_listener_hears_what_was_said_here_and_no_more,
    migrations_are_run_once,
    a_lock_is_held_by_one_connection,
    of_two_that_read_what_the_other_writes_one_is_refused,
    what_is_prepared_outlives_its_connection,
    a_view_is_refreshed,
}
