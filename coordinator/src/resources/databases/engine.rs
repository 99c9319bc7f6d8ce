//! The engine behind a database resource: started when it is first asked for, by whoever asks first.

use regatta_databases::{
    Ask, BuildId, Choice, DatabaseLease, Leased, Postgres, Prepared, Refused, Released, Settings, Status, Wanted,
};
use regatta_domain::Token;
use regatta_domain::database::{DatabaseServer, Engine as Kind};
use std::path::PathBuf;
use tokio::sync::OnceCell;

/// An engine that runs. Clones reach the same one.
#[derive(Clone, Debug)]
pub(super) enum Engine {
    Postgres(Postgres),
}

/// An engine that is started once.
#[derive(Debug)]
pub(super) struct Starting {
    server: DatabaseServer,
    directory: PathBuf,
    /// Whether what is there outlives the coordinator.
    keeps: bool,
    started: OnceCell<Engine>,
}

/// Why an engine does not start.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    /// Trying again would get the same answer.
    pub(super) for_good: bool,
}

impl Starting {
    pub(super) fn new(server: DatabaseServer, (directory, keeps): (PathBuf, bool)) -> Self {
        Self { server, directory, keeps, started: OnceCell::new() }
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
        self.started.get_or_try_init(|| self.start()).await.cloned()
    }

    async fn start(&self) -> Result<Engine, Failed> {
        if self.server.engine != Kind::Postgres {
            let why = format!("{} is not served by this coordinator", self.server.engine.name());
            return Err(Failed { why, for_good: true });
        }
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
        Postgres::start(settings).await.map(Engine::Postgres).map_err(failed)
    }
}

impl Engine {
    pub(super) async fn prepare(&self, wanted: Wanted) -> Result<Prepared, Refused> {
        let Self::Postgres(postgres) = self;
        postgres.prepare(wanted).await
    }

    pub(super) async fn built(&self, id: BuildId, outcome: Result<(), String>) -> bool {
        let Self::Postgres(postgres) = self;
        postgres.built(id, outcome).await
    }

    pub(super) async fn lease(&self, ask: Ask) -> Result<Leased, Refused> {
        let Self::Postgres(postgres) = self;
        postgres.lease(ask).await
    }

    /// How it ended; nothing where the engine does not know the lease any more.
    pub(super) async fn release(&self, id: DatabaseLease) -> Option<Released> {
        let Self::Postgres(postgres) = self;
        postgres.release(id).await.ok()
    }

    pub(super) fn fence(&self, token: Token) {
        let Self::Postgres(postgres) = self;
        postgres.fence(token);
    }

    pub(super) fn status(&self) -> Status {
        let Self::Postgres(postgres) = self;
        postgres.status()
    }

    pub(super) async fn shutdown(&self) {
        let Self::Postgres(postgres) = self;
        postgres.shutdown().await;
    }
}
