//! PostgreSQL as the store that several coordinators share: how it is reached, and what it says when it refuses.
//!
//! Everything stands in the schema `regatta` of one database. What the tables mean is left to the journal and the projection;
//! who may write them to [`leader`].

mod asking;
#[cfg(test)]
pub(crate) mod fixture;
mod health;
pub mod leader;
mod migrate;
mod persist;
mod pool;
mod told;
mod trouble;

pub use health::{Absence, Counts};
pub use pool::{Connections, Presence};
pub use trouble::Trouble;

use super::Error;
use pool::Pool;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{CancelToken, Client, Config, NoTls};

pub(crate) use asking::{Asking, Parameters};
pub(super) use migrate::{Tables, migrate};
pub(super) use persist::Line;
pub(crate) use pool::Manner;

/// How long a connection may take to stand: a server that takes longer is as good as gone.
const CONNECT: Duration = Duration::from_secs(5);

/// A server that answers nothing on a connection for so long has gone; the connection is made again.
const SILENCE: Duration = Duration::from_secs(10);

/// The port when none is said.
const PORT: u16 = 5432;

/// A database on a PostgreSQL server. Clones are the same one, and share the connections over which it is asked.
#[derive(Clone)]
pub struct Server {
    config: Arc<Config>,
    name: Arc<str>,
    pool: Arc<OnceLock<Pool>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.name).finish()
    }
}

impl fmt::Display for Server {
    /// Where it is, without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Server {
    /// The database that a URL names: `postgres://user:password@host:port/database`.
    ///
    /// # Errors
    /// When it is no such URL, or asks for what is not spoken yet.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Url { why };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(wrong("it does not begin with postgres://".to_owned()));
        }
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| wrong(told::told(&error)))?;
        if config.get_ssl_mode() == SslMode::Require {
            let why = "TLS to the database is not spoken yet: leave sslmode out, and reach it over a trusted network or a \
                       unix socket";
            return Err(wrong(why.to_owned()));
        }
        if config.get_hosts().is_empty() {
            return Err(wrong("it names no host".to_owned()));
        }
        config.connect_timeout(CONNECT).tcp_user_timeout(SILENCE);
        config.keepalives_idle(SILENCE).keepalives_interval(SILENCE / 3).keepalives_retries(3);
        if config.get_application_name().is_none() {
            config.application_name("regatta");
        }
        let name = name(&config).into();
        Ok(Self { config: Arc::new(config), name, pool: Arc::default() })
    }

    /// The same, with this password where the URL has none.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        if self.config.get_password().is_none() {
            Arc::make_mut(&mut self.config).password(password);
        }
        self.afresh()
    }

    /// The same database, asked over connections of its own: they end with its last clone.
    #[must_use]
    pub(crate) fn afresh(&self) -> Self {
        Self { pool: Arc::default(), ..self.clone() }
    }

    fn pool(&self) -> &Pool {
        self.pool.get_or_init(|| Pool::new(&self.config, self.name.clone(), self.silence()))
    }

    /// A server that says nothing for so long has gone, or hangs.
    pub(crate) fn silence(&self) -> Duration {
        self.config.get_tcp_user_timeout().copied().unwrap_or(SILENCE)
    }

    /// How it is to be connected to.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What comes of something that is asked over a connection: an error when nothing is heard for too long. It may be done all the
    /// same; the server is told that nobody waits for it any more.
    ///
    /// # Errors
    /// When it fails, or nothing is heard of it: the connection is of no use then.
    pub(crate) async fn heard<T>(
        &self,
        client: &Client,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        if let Ok(answered) = timeout(self.silence(), asked).await {
            return answered.map_err(|error| self.sorted(error));
        }
        self.cancel(client.cancel_token());
        Err(Error::Silent { server: self.name.clone() })
    }

    /// Tells the server that nobody waits any more for what it is at on a connection.
    fn cancel(&self, token: CancelToken) {
        let server = self.clone();
        drop(tokio::spawn(async move {
            let cancelled = timeout(CONNECT, token.cancel_query(NoTls)).await;
            tracing::trace!(%server, ?cancelled, "what was not answered in time was cancelled: it may have gone, or be done");
        }));
    }

    /// The same, where another silence counts.
    #[cfg(test)]
    pub(crate) fn with_silence(mut self, silence: Duration) -> Self {
        Arc::make_mut(&mut self.config).tcp_user_timeout(silence);
        self.afresh()
    }

    /// A new connection, served by a task that ends with it.
    ///
    /// # Errors
    /// When the server is not there, says nothing, or refuses.
    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        // One that stands still takes connections, and says nothing on them.
        let connected = timeout(self.silence(), self.config.connect(NoTls)).await;
        let connected = connected.map_err(|_| Error::Silent { server: self.name.clone() })?;
        let (client, connection) = connected.map_err(|error| self.sorted(error))?;
        let server = self.clone();
        drop(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%server, error = told::told(&error), "a connection to the database broke");
            }
        }));
        Ok(client)
    }

    /// Sorts what PostgreSQL says.
    pub(crate) fn sorted(&self, error: tokio_postgres::Error) -> Error {
        Error::Server { server: self.name.clone(), trouble: Trouble::of(&error), source: error }
    }
}

fn name(config: &Config) -> String {
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| {
        let port = config.get_ports().get(at).or(config.get_ports().first()).copied().unwrap_or(PORT);
        match host {
            Host::Tcp(host) => format!("{host}:{port}"),
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    });
    let hosts: Vec<String> = hosts.collect();
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{user}{}/{database}", hosts.join(","))
}

#[cfg(test)]
mod away_tests;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod url_tests {
    use super::*;

    #[test]
    fn a_server_is_named_without_its_password() {
        let server = Server::parse("postgres://ci:secret@db.example:6432/farm").unwrap();
        assert_eq!(server.to_string(), "postgres://ci@db.example:6432/farm");
        assert!(!format!("{server:?}").contains("secret"));
        let two = Server::parse("postgresql://ci@a,b:7/farm").unwrap();
        assert_eq!(two.to_string(), "postgres://ci@a:5432,b:7/farm");
    }

    #[test]
    fn what_is_no_url_of_a_database_is_refused_with_the_reason() {
        for (url, why) in [
            ("mysql://a/b", "does not begin with postgres://"),
            ("postgres:///x", "names no host"),
            ("postgres://a:port/x", "port"),
            ("postgres://a/x?sslmode=require", "TLS"),
        ] {
            let error = Server::parse(url).unwrap_err().to_string();
            assert!(error.contains(why), "{url}: {error}");
        }
    }
}
