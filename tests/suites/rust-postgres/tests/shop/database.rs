//! The database that the test was handed.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Row};
use std::env;

/// Its address.
pub fn url() -> String {
    env::var("DATABASE_URL").expect("the test was handed a database")
}

/// Its address, to be changed.
pub fn options() -> PgConnectOptions {
    url().parse().expect("the address is one")
}

pub async fn connect() -> PgConnection {
    options().connect().await.expect("the database takes connections")
}

/// How many connections the test may open.
pub fn most() -> u32 {
    env::var("REGATTA_MAX_CONNECTIONS").map_or(20, |most| most.parse().expect("a number"))
}

pub async fn pool(connections: u32) -> PgPool {
    let options = PgPoolOptions::new().max_connections(connections.min(most()));
    options.connect(&url()).await.expect("the database takes connections")
}

pub async fn number<'a>(on: impl sqlx::PgExecutor<'a>, query: &'static str) -> i64 {
    sqlx::query(query).fetch_one(on).await.expect(query).get(0)
}

/// The code that the server gave an error.
pub fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}
