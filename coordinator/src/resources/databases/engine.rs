//! The engine behind a database resource: started when it is first asked for, by whoever asks first.

use super::told;
use regatta_databases::{
    Ask, BuildId, Choice, DatabaseLease, Leased, Postgres, Prepared, Refused, Released, Settings, Status, Throwaway,
    Wanted, mysql, redis, sqlite,
};
use regatta_domain::Token;
use regatta_domain::database::{DatabaseServer, Engine as Kind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::OnceCell;

/// An engine that runs. Clones reach the same one.
#[derive(Clone, Debug)]
pub(super) enum Engine {
    Postgres(Postgres),
    Throwaway(Kind, Throwaway),
}

/// An engine that is started once.
#[derive(Debug)]
pub(super) struct Starting {
    server: DatabaseServer,
    directory: PathBuf,
    /// Whether what is there outlives the coordinator.
    keeps: bool,
    started: OnceCell<Engine>,
    /// Why it did not start when it was tried last, where it may start yet; and since when that is so.
    away: Mutex<Option<(SystemTime, String)>>,
    /// Somebody tries to start it again and again.
    sought: AtomicBool,
}

/// Why an engine does not start.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    /// Trying again would get the same answer.
    pub(super) for_good: bool,
}

impl Starting {
    pub(super) fn new(server: DatabaseServer, (directory, keeps): (PathBuf, bool)) -> Self {
        Self {
            server,
            directory,
            keeps,
            started: OnceCell::new(),
            away: Mutex::default(),
            sought: AtomicBool::new(false),
        }
    }

    pub(super) const fn server(&self) -> &DatabaseServer {
        &self.server
    }

    /// The engine, where it runs.
    pub(super) fn running(&self) -> Option<Engine> {
        self.started.get().cloned()
    }

    /// The engine; whoever comes while it starts waits.
    pub(super) async fn engine(&self) -> Result<Engine, Failed> {
        let started = self.started.get_or_try_init(|| self.start()).await.cloned();
        let why = started.as_ref().err().filter(|failed| !failed.for_good).map(|failed| failed.why.clone());
        let mut away = self.away();
        let since = away.as_ref().map_or_else(SystemTime::now, |(since, _)| *since);
        *away = why.map(|why| (since, why));
        drop(away);
        started
    }

    /// Why it is not there yet, where it was asked for and may come: its server is away.
    pub(super) fn away(&self) -> MutexGuard<'_, Option<(SystemTime, String)>> {
        // Each use leaves what is inside whole.
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody tries to start it again and again. From now on somebody does.
    pub(super) fn is_sought(&self) -> bool {
        self.sought.swap(true, Ordering::AcqRel)
    }

    /// Nobody tries any more; whoever asks is the next to.
    pub(super) fn give_up(&self) {
        *self.away() = None;
        self.sought.store(false, Ordering::Release);
    }

    /// How it is; nothing where nobody has asked for it.
    pub(super) fn status(&self) -> Option<Status> {
        let away = || self.away().clone().map(|(since, why)| Status::away(since, why));
        self.running().map(|engine| engine.status()).or_else(away)
    }

    async fn start(&self) -> Result<Engine, Failed> {
        let kind = self.server.engine;
        let throwaway = match kind {
            Kind::Postgres => return self.postgres().await.map(Engine::Postgres),
            Kind::Mysql => self.mysql().await,
            Kind::Redis => self.redis().await,
            Kind::Sqlite => self.sqlite().await,
        };
        Ok(Engine::Throwaway(kind, throwaway?))
    }

    async fn postgres(&self) -> Result<Postgres, Failed> {
        let server = self.server.url.as_ref().map_or(Choice::Own, |url| Choice::External { url: url.to_string() });
        // A server of our own that cannot be started will not be startable in a minute; one that is away may be back.
        let for_good = matches!(server, Choice::Own);
        let settings = Settings {
            server,
            binaries: self.server.programs.as_ref().map(|path| PathBuf::from(&**path)),
            images: self.keeps.then(|| self.directory.join("images")),
            directory: self.directory.clone(),
            ..Settings::default()
        };
        let failed = |error: regatta_databases::Error| Failed { why: error.to_string(), for_good };
        Postgres::start(settings).await.map_err(failed)
    }

    async fn mysql(&self) -> Result<Throwaway, Failed> {
        if self.server.url.is_some() {
            let why = "a MySQL or MariaDB server that is there already is not served: what a test did to it could not be told from \
                       what others do; leave out `url`, and a MariaDB is started for the tests";
            return Err(for_good(why.to_owned()));
        }
        let settings = mysql::Settings {
            programs: self.server.programs.as_ref().map(|path| PathBuf::from(&**path)),
            directory: self.directory.clone(),
            ..mysql::Settings::default()
        };
        mysql::start(settings).await.map_err(|error| for_good(error.to_string()))
    }

    async fn redis(&self) -> Result<Throwaway, Failed> {
        if self.server.url.is_some() {
            let why = "a Redis that is there already is not served: what a test did to it could not be told from what others \
                       do; leave out `url`, and each test gets a server that is started for it";
            return Err(for_good(why.to_owned()));
        }
        let settings = redis::Settings {
            program: self.server.programs.as_ref().map(|path| PathBuf::from(&**path)),
            directory: self.directory.clone(),
            ..redis::Settings::default()
        };
        redis::start(settings).await.map_err(|error| for_good(error.to_string()))
    }

    async fn sqlite(&self) -> Result<Throwaway, Failed> {
        if self.server.url.is_some() {
            let why = "a SQLite database has no server to name by `url`; leave it out, and let `build` make the file";
            return Err(for_good(why.to_owned()));
        }
        let settings = sqlite::Settings { directory: self.directory.clone(), ..sqlite::Settings::default() };
        sqlite::start(settings).await.map_err(|error| for_good(error.to_string()))
    }
}

/// Trying again would get the same answer.
fn for_good(why: String) -> Failed {
    Failed { why, for_good: true }
}

impl Engine {
    pub(super) async fn prepare(&self, wanted: Wanted) -> Result<Prepared, Refused> {
        match self {
            Self::Postgres(postgres) => postgres.prepare(wanted).await,
            Self::Throwaway(_, throwaway) => throwaway.prepare(wanted).await,
        }
    }

    pub(super) async fn built(&self, id: BuildId, outcome: Result<(), String>) -> bool {
        match self {
            Self::Postgres(postgres) => postgres.built(id, outcome).await,
            Self::Throwaway(_, throwaway) => throwaway.built(id, outcome).await,
        }
    }

    pub(super) async fn lease(&self, ask: Ask) -> Result<Leased, Refused> {
        match self {
            Self::Postgres(postgres) => postgres.lease(ask).await,
            Self::Throwaway(_, throwaway) => throwaway.lease(ask).await,
        }
    }

    /// What names a database under this resource: its URL; of a file, its path as well.
    pub(super) fn named(&self, resource: &str, leased: &Leased) -> Vec<(String, String)> {
        let url = (told::variable(resource, "URL"), leased.url.clone());
        let path = matches!(self, Self::Throwaway(Kind::Sqlite, _))
            .then(|| (told::variable(resource, "PATH"), leased.database.clone()));
        std::iter::once(url).chain(path).collect()
    }

    /// How it ended; nothing where the engine does not know the lease any more.
    pub(super) async fn release(&self, id: DatabaseLease) -> Option<Released> {
        match self {
            Self::Postgres(postgres) => postgres.release(id).await.ok(),
            Self::Throwaway(_, throwaway) => throwaway.release(id).await.ok(),
        }
    }

    pub(super) fn fence(&self, token: Token) {
        match self {
            Self::Postgres(postgres) => postgres.fence(token),
            Self::Throwaway(_, throwaway) => throwaway.fence(token),
        }
    }

    pub(super) fn status(&self) -> Status {
        match self {
            Self::Postgres(postgres) => postgres.status(),
            Self::Throwaway(_, throwaway) => throwaway.status(),
        }
    }

    pub(super) async fn shutdown(&self) {
        match self {
            Self::Postgres(postgres) => postgres.shutdown().await,
            Self::Throwaway(_, throwaway) => throwaway.shutdown().await,
        }
    }
}
