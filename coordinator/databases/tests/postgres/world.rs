//! An engine with a template, and the hands of a test.

use regatta_databases::{Ask, Choice, Leased, Place, Postgres, Prepared, Refused, Released, Settings, Wanted};
use regatta_domain::{Digest, Level, RunId, TestIx, Token};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// A schema with rows, a sequence that was used, and one that was not.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE accounts (id bigserial PRIMARY KEY, name text UNIQUE, balance int NOT NULL DEFAULT 0);
    CREATE TABLE ledger (id bigserial PRIMARY KEY, account bigint REFERENCES accounts, amount int);
    INSERT INTO accounts (name, balance) SELECT 'account ' || n, n FROM generate_series(1, 20) n;
    CREATE FUNCTION pay(who bigint, sum int) RETURNS void LANGUAGE sql AS
        $$ INSERT INTO ledger (account, amount) VALUES (who, sum) $$;";

pub(crate) const TEMPLATE: Digest = Digest([0xa1; 32]);
pub(crate) const RUN: RunId = RunId::from_bits(1);

/// An engine, and the directory of its servers.
pub(crate) struct World {
    pub(crate) postgres: Postgres,
    _directory: TempDir,
}

impl World {
    /// With servers of our own, and the template built.
    pub(crate) async fn own() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let world = Self::empty(change).await;
        world.build(TEMPLATE, SCHEMA).await;
        world
    }

    /// With servers of our own, and nothing built.
    pub(crate) async fn empty(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = directory();
        let mut settings = settings(directory.path());
        change(&mut settings);
        let postgres = Postgres::start(settings).await.unwrap();
        Self { postgres, _directory: directory }
    }

    /// Beside an external server, and nothing built.
    pub(crate) async fn beside(url: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let server = Choice::External { url: url.to_owned() };
        Self::empty(|settings| {
            settings.server = server;
            change(settings);
        })
        .await
    }

    /// Builds a template from `sql`.
    pub(crate) async fn build(&self, template: Digest, sql: &str) {
        self.build_at(template, Place::Shared, sql).await;
    }

    pub(crate) async fn build_at(&self, template: Digest, place: Place, sql: &str) {
        match self.postgres.prepare(wanted(template, place, 1, RUN)).await.unwrap() {
            Prepared::Build(order) => {
                connect(&order.url).await.unwrap().batch_execute(sql).await.unwrap();
                assert!(self.postgres.built(order.id, Ok(())).await, "{:?}", self.why(template).await);
            }
            Prepared::Ready => {}
            other => panic!("{other:?}"),
        }
    }

    async fn why(&self, template: Digest) -> Prepared {
        self.postgres.prepare(wanted(template, Place::Shared, 1, RUN)).await.unwrap()
    }

    pub(crate) async fn try_lease(&self, level: Level, token: u64) -> Result<Leased, Refused> {
        self.postgres.lease(ask(level, token)).await
    }

    pub(crate) async fn lease(&self, level: Level) -> Leased {
        self.try_lease(level, 1).await.unwrap()
    }

    pub(crate) async fn release(&self, leased: &Leased) -> Released {
        self.postgres.release(leased.id).await.unwrap()
    }

    /// Leases, runs `sql` over one connection, closes it, and releases.
    pub(crate) async fn run(&self, level: Level, sql: &str) -> (Leased, Released) {
        let leased = self.lease(level).await;
        let client = connect(&leased.url).await.unwrap();
        let _ = client.batch_execute(sql).await;
        drop(client);
        let released = self.release(&leased).await;
        (leased, released)
    }
}

pub(crate) fn ask(level: Level, token: u64) -> Ask {
    Ask {
        token: Token(token),
        run: RUN,
        test: TestIx(7),
        attempt: 1,
        level,
        template: TEMPLATE,
        application: "run:shard:test".to_owned(),
        statements: false,
    }
}

pub(crate) fn wanted(template: Digest, place: Place, token: u64, run: RunId) -> Wanted {
    Wanted { template, place, extensions: Vec::new(), token: Token(token), run }
}

/// A directory in memory that servers' users may pass through, of this test alone: orphans of others are not its business.
pub(crate) fn directory() -> TempDir {
    let parent = if Path::new("/dev/shm").is_dir() { Path::new("/dev/shm").to_owned() } else { std::env::temp_dir() };
    let directory = tempfile::Builder::new().prefix("rg-test-").tempdir_in(parent).unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    directory
}

pub(crate) fn settings(directory: &Path) -> Settings {
    Settings { memory: None, directory: directory.to_owned(), grace: Duration::from_millis(50), ..Settings::default() }
}

pub(crate) async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The state with which a server refused.
pub(crate) fn state<T>(outcome: Result<T, tokio_postgres::Error>) -> String {
    match outcome {
        Ok(_) => "it worked".to_owned(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()),
    }
}

/// The one number that `sql` asks for.
pub(crate) async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Waits until `holds`, as long as anything here may take.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The same URL for another database.
pub(crate) fn elsewhere(url: &str, database: &str) -> String {
    let (before, after) = url.rsplit_once('/').unwrap();
    let query = after.split_once('?').map(|(_, query)| query).unwrap_or_default();
    format!("{before}/{database}?{query}")
}
