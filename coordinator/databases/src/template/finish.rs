//! What turns a migrated database into a template: nobody in it, nothing in it that hides from the WAL, rights for those who
//! read, and sequences that tell of their next use.

use crate::limits;
use crate::server::lane::{self, Lane};
use crate::server::{self, Error};
use std::fmt::Write;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Config};

/// A finished template, as clones need to know it.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    /// Its database.
    pub(crate) database: String,
    /// The role that owns what is in it.
    pub(crate) owner: String,
    /// The role that may read it.
    pub(crate) reader: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Settings of the database, which a clone does not inherit: `name TO value`.
    pub(crate) settings: Vec<String>,
    /// Sets every sequence to the template's value; empty without sequences.
    pub(crate) sequences: String,
}

/// Finishes `database`, which belongs to `owner`, and gives it the name `finished`.
///
/// # Errors
/// [`Error::Unfit`] with what a template may not have; what the server refuses otherwise.
pub(crate) async fn finish(
    admin: &Config,
    lane: &Lane,
    database: &str,
    finished: &str,
    comment: &str,
    (owner, reader): (&str, &str),
) -> Result<(), Error> {
    let own = lane.run("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").await?;
    let superuser = own.first().and_then(|row| row.get(0)) == Some("t");
    // Only a superuser may name the attribute, even to take it away.
    let attributes = if superuser { "NOSUPERUSER NOCREATEDB NOCREATEROLE " } else { "" };
    lane.run(&format!("ALTER ROLE {owner} {attributes}NOLOGIN PASSWORD NULL")).await?;
    empty(lane, database).await?;
    let mut config = admin.clone();
    config.dbname(database);
    let inside = lane::connect(&config).await?;
    check(&inside).await?;
    lane::run(&inside, &grants(reader)).await?;
    let sequences = sequences(&inside).await?;
    if !sequences.is_empty() {
        // A sequence logs 32 values ahead, and a use of those leaves no trace. Set to its own value it logs the next one.
        lane::run(&inside, &sequences).await?;
    }
    // Once here, so that clones begin with no hint bits to set and with statistics for the planner.
    lane::run(&inside, "VACUUM (FREEZE, ANALYZE)").await?;
    drop(inside);
    empty(lane, database).await?;
    lane.run(&format!(
        "ALTER DATABASE {database} RENAME TO {finished}; REVOKE ALL ON DATABASE {finished} FROM PUBLIC; \
         COMMENT ON DATABASE {finished} IS '{comment}'; ALTER DATABASE {finished} IS_TEMPLATE true; \
         ALTER DATABASE {finished} ALLOW_CONNECTIONS false"
    ))
    .await?;
    Ok(())
}

/// What clones of the finished template need to know. `inside` is a connection to one of them, or to itself.
pub(crate) async fn read(
    lane: &Lane,
    inside: &Client,
    database: &str,
    (owner, reader): (String, String),
) -> Result<Finished, Error> {
    let rows = lane
        .run(&format!(
            "SELECT pg_database_size(oid), NULL FROM pg_database WHERE datname = '{database}'; \
             SELECT NULL, unnest(s.setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase \
             WHERE d.datname = '{database}' AND s.setrole = 0"
        ))
        .await?;
    let bytes = rows.iter().find_map(|row| row.get(0)).and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
    let settings = rows.iter().filter_map(|row| row.get(1)).filter_map(setting).collect();
    let sequences = sequences(inside).await?;
    Ok(Finished { database: database.to_owned(), owner, reader, bytes, settings, sequences })
}

/// Leaves the descriptions of the catalogs as a file in the template, so that clones get it, too: else the first session of each
/// makes it, for 2.6 ms of 6 (a template of 50 tables in memory). Every start of a server removes it. `admin` is superuser, and
/// nobody else may be about to copy the template.
pub(crate) async fn describe(admin: &Config, lane: &Lane, template: &str) -> Result<(), Error> {
    let mut config = admin.clone();
    config.dbname(template);
    lane.run(&format!("ALTER DATABASE {template} ALLOW_CONNECTIONS true")).await?;
    let described = lane::connect(&config).await.map(drop);
    lane.run(&format!("ALTER DATABASE {template} ALLOW_CONNECTIONS false")).await?;
    described?;
    empty(lane, template).await
}

/// `name=value` of the catalog as `name TO value` of a statement.
fn setting(stored: &str) -> Option<String> {
    let (name, value) = stored.split_once('=')?;
    // Lists of names are stored with the quotes they need; as a literal they would be one name.
    let list =
        matches!(name, "search_path" | "temp_tablespaces" | "local_preload_libraries" | "session_preload_libraries");
    let quoted = format!("'{}'", value.replace('\'', "''"));
    Some(format!("{name} TO {}", if list && !value.is_empty() { value } else { &quoted }))
}

/// Ends every session on `database`, and waits until they have gone.
async fn empty(lane: &Lane, database: &str) -> Result<(), Error> {
    let until = Instant::now() + limits::TERMINATE;
    loop {
        let rows = lane
            .run(&format!(
                "SELECT backend_type, coalesce(nullif(application_name, ''), usename, ''), \
                 CASE WHEN backend_type = 'client backend' THEN pg_terminate_backend(pid) END \
                 FROM pg_stat_activity WHERE datname = '{database}'"
            ))
            .await?;
        let Some(row) = rows.first() else { return Ok(()) };
        if Instant::now() > until {
            let who = format!("{} ({})", row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
            return Err(Error::Unfit {
                why: format!(
                    "the template is still held by a {who}. Background workers of extensions keep a template from being \
                     copied: stop them at the end of the migrations (TimescaleDB: `SELECT _timescaledb_functions.stop_background_workers()`)"
                ),
            });
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Refuses what cannot be verified later.
async fn check(inside: &Client) -> Result<(), Error> {
    let rows = lane::run(
        inside,
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relpersistence = 'u' AND c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_' ORDER BY 1 LIMIT 10",
    )
    .await?;
    let unlogged: Vec<&str> = rows.iter().filter_map(|row| row.get(0)).collect();
    if unlogged.is_empty() {
        return Ok(());
    }
    Err(Error::Unfit {
        why: format!(
            "writes to unlogged tables leave no trace in the WAL, so a database with them cannot be verified: {}. \
             End the migrations for tests with `ALTER TABLE ... SET LOGGED`",
            unlogged.join(", ")
        ),
    })
}

/// Reading rights on all that is there. Schemas are told apart by name: what PostgreSQL owns is readable already.
fn grants(reader: &str) -> String {
    format!(
        "DO $regatta$ DECLARE s name; BEGIN \
         FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP \
         EXECUTE format('GRANT USAGE ON SCHEMA %I TO {reader}', s); \
         EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO {reader}', s); \
         EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO {reader}', s); \
         END LOOP; END $regatta$"
    )
}

/// The statement that sets every sequence to the value that it has now.
async fn sequences(inside: &Client) -> Result<String, Error> {
    let names = lane::run(
        inside,
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'S' AND c.relpersistence = 'p' ORDER BY 1",
    )
    .await?;
    let mut ask = String::new();
    for name in names.iter().filter_map(|row| row.get(0)) {
        let union = if ask.is_empty() { "" } else { " UNION ALL " };
        let _ = write!(ask, "{union}SELECT '{}', last_value, is_called FROM {name}", name.replace('\'', "''"));
    }
    if ask.is_empty() {
        return Ok(ask);
    }
    let mut set = String::new();
    for row in lane::run(inside, &ask).await? {
        let (Some(name), Some(value), Some(called)) = (row.get(0), row.get(1), row.get(2)) else { continue };
        let begin = if set.is_empty() { "SELECT " } else { ", " };
        let _ = write!(set, "{begin}setval('{}'::regclass, {value}, {})", name.replace('\'', "''"), called == "t");
    }
    Ok(set)
}

/// Makes the group roles of a template, if they are not there yet.
pub(crate) async fn groups(server: &server::Facts, lane: &Lane, owner: &str, reader: &str) -> Result<(), Error> {
    for role in [owner, reader] {
        match lane.run(&format!("CREATE ROLE {role} NOLOGIN")).await {
            Err(error) if !error.is("42710") => return Err(error),
            _ => {}
        }
        if !server.superuser {
            lane.run(&format!("GRANT {role} TO CURRENT_USER")).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_database_are_written_as_they_were_meant() {
        assert_eq!(setting("search_path=\"$user\", app").unwrap(), "search_path TO \"$user\", app");
        assert_eq!(setting("TimeZone=Europe/Berlin").unwrap(), "TimeZone TO 'Europe/Berlin'");
        assert_eq!(setting("my.x=it's=5").unwrap(), "my.x TO 'it''s=5'");
        assert_eq!(setting("search_path=").unwrap(), "search_path TO ''");
    }
}
