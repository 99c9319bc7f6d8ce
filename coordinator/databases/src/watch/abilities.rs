//! What can be seen of a server, found out once, when watching begins.
//!
//! A server of our own shows everything. A managed one may refuse the log or the statements; what is left then is told in
//! words, and evidence carries which sources it had.

use super::Error;
use tokio_postgres::{Client, types::PgLsn};

/// What can be seen of a server, and why the rest cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// `server_version_num`, such as 150018.
    pub version: u32,
    /// The write-ahead log, through `pg_walinspect`.
    pub wal: bool,
    /// The texts of all statements, also of those that functions run, through `pg_stat_statements`.
    pub statements: bool,
    /// The counters of databases, with sessions (PostgreSQL 14 or later).
    pub counters: bool,
    /// Whether the statements of one database can be forgotten.
    pub(super) reset: bool,
    /// When the file of `ALTER SYSTEM` was written.
    pub(super) files: bool,
    /// The list of temporary files.
    pub(super) temporary: bool,
    missing: Vec<String>,
    /// Why statements cannot be seen, and what would help.
    blind: String,
}

impl Abilities {
    /// What is missing, why, and what would help, a sentence each; empty where everything can be seen.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Why statements are not counted, and what would help; empty where they are.
    pub(super) fn without_statements(&self) -> String {
        self.blind.clone()
    }

    /// Whether the statements of a database can be forgotten before a lease.
    pub(super) const fn resets(&self) -> bool {
        self.statements && self.reset
    }

    /// Looks at what the connection is allowed, and creates the extensions where it may.
    pub(super) async fn find(client: &Client) -> Result<Self, Error> {
        let row = client.query_one(ABOUT, &[]).await?;
        let version = u32::try_from(row.get::<_, i32>(0)).unwrap_or(0);
        if version < OLDEST {
            return Err(Error::Old(row.get(0)));
        }
        let mut found = Self { version, counters: row.get(1), ..Self::default() };
        let (reads_stats, has_wal): (bool, bool) = (row.get(2), row.get(5));
        (found.files, found.temporary) = (row.get(3), row.get(4));
        if !found.counters {
            found.lack("counters", "set track_counts = on");
        }
        match found.log(client).await {
            Ok(()) if has_wal => found.wal = true,
            Ok(()) => found.lack("the WAL", "set wal_level = replica"),
            Err(why) => {
                let needs = "it needs PostgreSQL 15 or later, the extension pg_walinspect, and a superuser or a member of \
                             pg_read_server_files";
                found.lack("the WAL", &format!("{why}; {needs}"));
            }
        }
        match extension(client, "pg_stat_statements", TRY_STATEMENTS).await {
            Ok(()) if reads_stats => found.statements(client).await?,
            Ok(()) => found.lack(STATEMENTS, "grant pg_read_all_stats to the role that watches"),
            Err(why) => found.lack(STATEMENTS, &format!("{why}; add pg_stat_statements to shared_preload_libraries")),
        }
        Ok(found)
    }

    /// Reads a little of the log.
    async fn log(&self, client: &Client) -> Result<(), String> {
        let lsn: PgLsn = client.query_one(MESSAGE, &[]).await.map_err(|error| told(&error))?.get(0);
        let attempt = format!("SELECT count(*) FROM pg_get_wal_records_info('{lsn}', pg_current_wal_flush_lsn())");
        extension(client, "pg_walinspect", &attempt).await
    }

    async fn statements(&mut self, client: &Client) -> Result<(), Error> {
        let row = client.query_one(TRACKED, &[]).await?;
        let (all, reset): (bool, bool) = (row.get(0), row.get(1));
        self.reset = reset;
        self.statements = all;
        if !all {
            self.lack(STATEMENTS, "set pg_stat_statements.track = all and pg_stat_statements.track_utility = on");
        }
        Ok(())
    }

    fn lack(&mut self, what: &str, why: &str) {
        let told = format!("{what} cannot be seen: {why}");
        if what == STATEMENTS {
            self.blind.clone_from(&told);
        }
        self.missing.push(told);
    }
}

/// Creates an extension where that is allowed and needed, and tries it.
async fn extension(client: &Client, name: &str, attempt: &str) -> Result<(), String> {
    let create = format!("CREATE EXTENSION IF NOT EXISTS {name}");
    let created = client.batch_execute(&create).await;
    match (client.batch_execute(attempt).await, created) {
        (Ok(()), _) => Ok(()),
        // Why it could not be made says more than that it is not there.
        (Err(_), Err(error)) | (Err(error), Ok(())) => Err(told(&error)),
    }
}

fn told(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// What is lacking where statements are.
const STATEMENTS: &str = "statements";

/// The first version that counts sessions and tells which statements were nested.
const OLDEST: u32 = 140_000;

const ABOUT: &str = "
    SELECT current_setting('server_version_num')::int,
           current_setting('track_counts')::bool,
           pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
           has_function_privilege('pg_stat_file(text, boolean)', 'execute'),
           has_function_privilege('pg_ls_tmpdir()', 'execute'),
           current_setting('wal_level') <> 'minimal'";

/// Something to read; what is returned is where the log ended before.
const MESSAGE: &str = "SELECT pg_current_wal_insert_lsn() FROM pg_logical_emit_message(true, 'regatta', '')";

const TRY_STATEMENTS: &str = "SELECT 1 FROM pg_stat_statements(false) LIMIT 1";

const TRACKED: &str = "
    SELECT current_setting('pg_stat_statements.track') = 'all' AND current_setting('pg_stat_statements.track_utility')::bool,
           (SELECT bool_and(has_function_privilege(oid, 'execute')) FROM pg_proc WHERE proname = 'pg_stat_statements_reset')";
