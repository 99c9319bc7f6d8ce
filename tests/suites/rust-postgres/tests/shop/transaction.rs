//! Tests that write, and roll everything back.

use crate::database::{code, connect, number, pool};
use sqlx::{Connection, Executor};

async fn what_is_dropped_is_rolled_back() {
    let pool = pool(1).await;
    let mut tx = pool.begin().await.unwrap();
    tx.execute("INSERT INTO account (email) VALUES ('new@example.org')").await.unwrap();
    assert_eq!(number(&mut *tx, "SELECT count(*) FROM account").await, 51);
    drop(tx);
    assert_eq!(number(&pool, "SELECT count(*) FROM account").await, 50);
    pool.close().await;
}

async fn a_savepoint_takes_back_a_part() {
    let mut db = connect().await;
    let mut tx = db.begin().await.unwrap();
    tx.execute("DELETE FROM entry WHERE account = 3").await.unwrap();
    let mut inner = tx.begin().await.unwrap();
    inner.execute("DELETE FROM account WHERE id = 3").await.unwrap();
    inner.rollback().await.unwrap();
    assert_eq!(number(&mut *tx, "SELECT count(*) FROM account").await, 50);
    assert_eq!(number(&mut *tx, "SELECT count(*) FROM entry").await, 490);
    tx.rollback().await.unwrap();
}

async fn an_email_is_unique() {
    let mut db = connect().await;
    let mut tx = db.begin().await.unwrap();
    tx.execute("INSERT INTO account (email) VALUES ('twice@example.org')").await.unwrap();
    let again = tx.execute("INSERT INTO account (email) VALUES ('twice@example.org')").await.unwrap_err();
    assert_eq!(code(&again), "23505");
    tx.rollback().await.unwrap();
}

async fn ids_go_on_after_the_seeded_ones() {
    let mut db = connect().await;
    let mut tx = db.begin().await.unwrap();
    assert_eq!(number(&mut *tx, "INSERT INTO account (email) VALUES ('id@example.org') RETURNING id").await, 51);
    assert_eq!(number(&mut *tx, "SELECT nextval('ticket')").await, 1);
    tx.rollback().await.unwrap();
}

async fn accounts_are_copied_in() {
    let mut db = connect().await;
    let mut tx = db.begin().await.unwrap();
    let mut copy = tx.copy_in_raw("COPY account (email, balance) FROM STDIN").await.unwrap();
    copy.send(b"one@example.org\t1\ntwo@example.org\t2\n".as_slice()).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 2);
    assert_eq!(number(&mut *tx, "SELECT count(*) FROM account").await, 52);
    tx.rollback().await.unwrap();
}

async fn a_column_can_be_added() {
    let mut db = connect().await;
    let mut tx = db.begin().await.unwrap();
    tx.execute("ALTER TABLE account ADD COLUMN nick text").await.unwrap();
    assert_eq!(number(&mut *tx, "SELECT count(*) FROM account WHERE nick IS NULL").await, 50);
    tx.rollback().await.unwrap();
}

async fn a_job_is_taken_once() {
    let (mut db, mut other) = (connect().await, connect().await);
    let next = "SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
    let (mut mine, mut theirs) = (db.begin().await.unwrap(), other.begin().await.unwrap());
    assert_eq!((number(&mut *mine, next).await, number(&mut *theirs, next).await), (1, 2));
    mine.rollback().await.unwrap();
    theirs.rollback().await.unwrap();
}

twice! {
    what_is_dropped_is_rolled_back,
    a_savepoint_takes_back_a_part,
    an_email_is_unique,
    ids_go_on_after_the_seeded_ones,
    accounts_are_copied_in,
    a_column_can_be_added,
    a_job_is_taken_once,
}
