//! Trying again while a server is away: with backoff and jitter, for a bounded time, over a new connection.

use super::Server;
use crate::store::Error;
use regatta_runtime::backoff::Backoff;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// Waits between tries: a server that restarts is back within a second or two.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A connection that is made again when it breaks.
pub(crate) struct Line {
    server: Server,
    client: Option<Client>,
    /// For how long a server that is away is tried.
    patience: Duration,
    /// What is said to the server on each new connection.
    greeting: &'static str,
}

/// One server's absence, from the first failure on.
pub(crate) struct Absence {
    since: Instant,
    backoff: Backoff,
}

impl Line {
    pub(crate) const fn new(server: Server, patience: Duration, greeting: &'static str) -> Self {
        Self { server, client: None, patience, greeting }
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// The connection: the one that stands, or a new one.
    ///
    /// # Errors
    /// When there is none to be had at the moment.
    pub(crate) async fn client(&mut self) -> Result<&mut Client, Error> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            let client = self.server.connect().await?;
            client.batch_execute(self.greeting).await.map_err(|error| self.server.sorted(error))?;
            self.client = Some(client);
        }
        Ok(self.client.as_mut().expect("it was made just now"))
    }

    /// Something failed: waits before the next try.
    ///
    /// # Errors
    /// That failure, when it does not pass by itself, or has lasted for too long.
    pub(crate) async fn after(&mut self, failure: Error, absence: &mut Option<Absence>) -> Result<(), Error> {
        let told = match &failure {
            Error::Server { trouble, .. } => trouble.to_string(),
            Error::Silent { .. } => "does not answer in time".to_owned(),
            _ => return Err(failure),
        };
        self.server.failed(&failure);
        self.client = None;
        let seed = u64::from(std::process::id());
        let absence = absence.get_or_insert_with(|| {
            tracing::warn!(server = %self.server, "the database {told}; everything that is under way waits for it");
            Absence { since: Instant::now(), backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT, seed) }
        });
        if !failure.may_pass() || absence.since.elapsed() > self.patience {
            return Err(failure);
        }
        tokio::time::sleep(absence.backoff.wait()).await;
        Ok(())
    }

    /// It is there again, if it was away.
    pub(crate) fn back(&self, absence: Option<Absence>) {
        if let Some(absence) = absence {
            self.server.answered();
            tracing::info!(server = %self.server, away = ?absence.since.elapsed(), "the database is there again");
        }
    }
}
