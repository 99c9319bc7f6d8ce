//! A connection of ours that is made when it is needed and made again when it was lost.
//!
//! Statements of one lane go one after the other, so what may take long (`CREATE DATABASE`, `DROP DATABASE`) has lanes of its own.

use super::Error;
use super::breaker::Breaker;
use crate::limits;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

/// One connection, or the place of one.
#[derive(Debug)]
pub(crate) struct Lane {
    config: Config,
    breaker: Arc<Breaker>,
    client: Mutex<Option<Arc<Client>>>,
}

impl Lane {
    pub(crate) fn new(config: Config, breaker: Arc<Breaker>) -> Self {
        Self { config, breaker, client: Mutex::new(None) }
    }

    /// Runs statements in one round trip and returns the rows of all of them.
    ///
    /// # Errors
    /// [`Error::Down`] when the server cannot be reached or was lost meanwhile, [`Error::Statement`] when it refused.
    pub(crate) async fn run(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, Error> {
        let client = self.client().await?;
        run(&client, sql).await.inspect_err(|error| {
            if matches!(error, Error::Down { .. }) {
                self.breaker.failed(&error.to_string());
            }
        })
    }

    /// Whether it had a connection that broke, and nobody has asked for it since.
    pub(crate) fn is_lost(&self) -> bool {
        // Where somebody is at it, they find out.
        self.client.try_lock().is_ok_and(|held| held.as_ref().is_some_and(|client| client.is_closed()))
    }

    /// The connection itself, made where there is none.
    pub(crate) async fn client(&self) -> Result<Arc<Client>, Error> {
        let mut held = self.client.lock().await;
        if let Some(client) = held.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let connected = connect(&self.config).await;
        match connected {
            Ok(client) => {
                let client = Arc::new(client);
                *held = Some(client.clone());
                Ok(client)
            }
            Err(error) => {
                // A server without a free place is there, only full; everything else says that it is down.
                if matches!(error, Error::Down { .. }) {
                    self.breaker.failed(&error.to_string());
                }
                Err(error)
            }
        }
    }
}

/// Makes a connection.
pub(crate) async fn connect(config: &Config) -> Result<Client, Error> {
    match tokio::time::timeout(limits::CONNECT, config.connect(NoTls)).await {
        Ok(Ok((client, connection))) => {
            tokio::spawn(connection);
            Ok(client)
        }
        Ok(Err(error)) => Err(Error::of(error, "connecting")),
        Err(_) => Err(Error::Down { why: format!("no connection within {} s", limits::CONNECT.as_secs()) }),
    }
}

/// Runs statements on `client` in one round trip and returns the rows of all of them.
pub(crate) async fn run(client: &Client, sql: &str) -> Result<Vec<SimpleQueryRow>, Error> {
    match tokio::time::timeout(limits::STATEMENT, client.simple_query(sql)).await {
        Ok(Ok(messages)) => Ok(messages
            .into_iter()
            .filter_map(|message| if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None })
            .collect()),
        Ok(Err(error)) => Err(Error::of(error, sql)),
        Err(_) => Err(Error::Down { why: format!("no answer within {} s to {sql:?}", limits::STATEMENT.as_secs()) }),
    }
}
