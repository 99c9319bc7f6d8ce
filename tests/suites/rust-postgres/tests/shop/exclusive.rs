//! Tests that change the server itself. `sqlx::test` does: it makes a database for each test.

use crate::database::{connect, number, options, url};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, Row};

async fn a_role_is_made_and_used() {
    let mut db = connect().await;
    db.execute("CREATE ROLE auditor").await.unwrap();
    db.execute("GRANT SELECT ON account TO auditor").await.unwrap();
    db.execute("SET ROLE auditor").await.unwrap();
    assert_eq!(number(&mut db, "SELECT count(*) FROM account").await, 50);
    assert!(db.execute("DELETE FROM account").await.is_err());
}

async fn a_database_is_made_and_dropped() {
    let mut db = connect().await;
    db.execute("CREATE DATABASE tenant").await.unwrap();
    let tenant = PgPoolOptions::new().max_connections(2).connect_with(options().database("tenant")).await.unwrap();
    tenant.execute("CREATE TABLE t (n int)").await.unwrap();
    tenant.close().await;
    db.execute("DROP DATABASE tenant").await.unwrap();
}

async fn a_setting_of_the_server_is_changed() {
    let mut db = connect().await;
    db.execute("ALTER SYSTEM SET work_mem = '7MB'").await.unwrap();
    db.execute("SELECT pg_reload_conf()").await.unwrap();
    let mut shown = String::new();
    for _ in 0..200 {
        let mut fresh: PgConnection = Connection::connect(&url()).await.unwrap();
        shown = fresh.fetch_one("SHOW work_mem").await.unwrap().get(0);
        if shown == "7MB" {
            break;
        }
    }
    assert_eq!(shown, "7MB");
}

twice! { a_role_is_made_and_used, a_database_is_made_and_dropped, a_setting_of_the_server_is_changed }

#[sqlx::test]
async fn a_database_of_its_own_is_migrated(pool: PgPool) {
    assert_eq!(number(&pool, "SELECT count(*) FROM audit").await, 1);
}

#[sqlx::test]
async fn a_database_of_its_own_is_written(pool: PgPool) {
    pool.execute("INSERT INTO audit (what) VALUES ('written')").await.unwrap();
    assert_eq!(number(&pool, "SELECT max(id) FROM audit").await, 2);
}

#[sqlx::test(migrations = false)]
async fn a_database_of_its_own_is_empty(pool: PgPool) {
    assert_eq!(number(&pool, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await, 0);
}
