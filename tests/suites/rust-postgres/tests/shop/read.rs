//! Tests that read what was seeded: whoever commits beside them is noticed.

use crate::database::{connect, number, pool};
use futures_util::{StreamExt, TryStreamExt, future};
use sqlx::{Connection, Executor, Row};

async fn the_seed_is_all_there_is() {
    let mut db = connect().await;
    assert_eq!(number(&mut db, "SELECT count(*) FROM account").await, 50);
    assert_eq!(number(&mut db, "SELECT count(*) FROM entry").await, 500);
    assert_eq!(number(&mut db, "SELECT sum(balance)::bigint FROM account").await, 50_000);
    assert_eq!(number(&mut db, "SELECT count(*) FROM job WHERE state = 'new'").await, 20);
}

async fn rows_come_as_a_stream() {
    let mut db = connect().await;
    let rows = sqlx::query("SELECT id FROM entry ORDER BY id").fetch(&mut db);
    let ids: Vec<i64> = rows.map_ok(|row| row.get::<i64, _>(0)).try_collect().await.unwrap();
    assert_eq!(ids, (1..=500).collect::<Vec<i64>>());
}

async fn a_pool_reads_side_by_side() {
    let pool = pool(3).await;
    let counts = future::join_all((0..9).map(|_| number(&pool, "SELECT count(*) FROM account"))).await;
    assert!(counts.iter().all(|&count| count == 50), "{counts:?}");
    assert!(pool.size() <= 3);
    pool.close().await;
}

async fn a_statement_is_prepared_once() {
    let mut db = connect().await;
    for id in 1..=20_i64 {
        let entries: i64 = sqlx::query("SELECT count(*) FROM entry WHERE account = $1")
            .bind(id)
            .fetch_one(&mut db)
            .await
            .unwrap()
            .get(0);
        assert_eq!(entries, 10);
    }
    let prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%FROM entry WHERE account = $1'";
    assert_eq!(number(&mut db, prepared).await, 1);
}

async fn a_cursor_is_read_in_parts() {
    let mut db = connect().await;
    let mut tx = db.begin().await.unwrap();
    tx.execute("DECLARE all_entries CURSOR FOR SELECT id FROM entry ORDER BY id").await.unwrap();
    for _ in 0..5 {
        assert_eq!(tx.fetch_all("FETCH 100 FROM all_entries").await.unwrap().len(), 100);
    }
    assert!(tx.fetch_all("FETCH 100 FROM all_entries").await.unwrap().is_empty());
    tx.rollback().await.unwrap();
}

async fn accounts_are_copied_out() {
    let mut db = connect().await;
    let parts = db.copy_out_raw("COPY account TO STDOUT").await.unwrap();
    let lines: usize = parts
        .map(|part| part.unwrap().iter().filter(|&&byte| byte == b'\n').count())
        .collect::<Vec<_>>()
        .await
        .iter()
        .sum();
    assert_eq!(lines, 50);
}

twice! {
    the_seed_is_all_there_is,
    rows_come_as_a_stream,
    a_pool_reads_side_by_side,
    a_statement_is_prepared_once,
    a_cursor_is_read_in_parts,
    accounts_are_copied_out,
}
