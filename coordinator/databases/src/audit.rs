//! Whether a database still equals another, down to the last row: the proof that a verdict was right.
//!
//! A [`Picture`] holds a hash for every table, sequence, catalog row, setting and large object, computed in the server;
//! two pictures are compared in words. Left out is what may differ between equals: statistics, sizes, the numbers of
//! files, temporary schemas, and hints that are cleared late. It is for tests and soaks, not for every release: a picture
//! reads every row. [`Picture::of_server`] is the same for what a server has besides its databases; it reads little, and is
//! taken at each release of a server that a test had for itself.

use std::fmt::{self, Write};
use std::{collections::BTreeMap, iter};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Differences that are told; a database that differs in more is a different one.
const DIFFERENCES: usize = 100;

/// Everything in a database that a test could have changed, hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// By kind and identity, which no two things share: its name, and a hash of what it is.
    items: BTreeMap<(&'static str, String), (String, String)>,
}

/// Something in which two databases differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is only in the first.
    Missing(String),
    /// It is only in the second.
    Extra(String),
    /// It is in both, and not the same.
    Changed {
        /// What.
        what: String,
        /// How it is in the first, where that is short enough to tell.
        before: String,
        /// And in the second.
        after: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "{what} is gone"),
            Self::Extra(what) => write!(f, "{what} was added"),
            Self::Changed { what, before, after } => write!(f, "{what} was {before} and is {after}"),
        }
    }
}

/// Why a picture could not be taken.
#[derive(Debug)]
pub struct Error {
    what: String,
    source: tokio_postgres::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, source } = self;
        let why = source.as_db_error().map_or_else(|| source.to_string(), |error| error.message().to_owned());
        write!(f, "{what} could not be read for an audit: {why}")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl Picture {
    /// Takes a picture of the database that `client` is connected to, as of one moment. It needs a role that may read
    /// everything, and uses up the session's transaction.
    ///
    /// # Errors
    /// When something cannot be read: it is named. The session is then left in a failed transaction, of no use but to be closed.
    pub async fn of(client: &Client) -> Result<Self, Error> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |source| Error { what, source }
        };
        client.batch_execute(BEGIN).await.map_err(failed("the database"))?;
        let mut picture = Self::default();
        for catalog in CATALOGS {
            let rows = client.query(&catalog.sql(), &[]).await.map_err(failed(catalog.name))?;
            for row in rows {
                picture.items.insert((catalog.noun, row.get(0)), (row.get(1), row.get(2)));
            }
        }
        for row in client.query(SEQUENCES, &[]).await.map_err(failed("the list of sequences"))? {
            let name: String = row.get(0);
            let sql = format!("SELECT last_value || CASE WHEN is_called THEN '' ELSE ' (not called)' END FROM {name}");
            let at = client.query_one(&sql, &[]).await.map_err(failed(&name))?;
            picture.items.insert(("the position of sequence", name.clone()), (name, at.get(0)));
        }
        for row in client.query(TABLES, &[]).await.map_err(failed("the list of tables"))? {
            let name: String = row.get(0);
            let rows = client.query_one(&rows_sql(&name), &[]).await.map_err(failed(&name))?;
            picture.items.insert(("the content of", name.clone()), (name, rows.get(0)));
        }
        let large = client.query_one(LARGE_OBJECTS, &[]).await.map_err(failed("the large objects"))?;
        picture.items.insert(("the content of", String::new()), ("the large objects".to_owned(), large.get(0)));
        client.batch_execute("COMMIT").await.map_err(failed("the database"))?;
        Ok(picture)
    }

    /// Takes a picture of what the server has besides the content of its databases: roles, settings, databases and
    /// their rights, slots, prepared transactions, and who runs in it. `client` administers. Left out is what belongs to
    /// the role and the database of these names, which one lease had; whatever else they made is in it.
    ///
    /// # Errors
    /// When something cannot be read.
    pub async fn of_server(client: &Client, role: &str, database: &str) -> Result<Self, Error> {
        let failed = |source| Error { what: "the server".to_owned(), source };
        let quoted = |name: &str| format!("'{}'", name.replace('\'', "''"));
        // Planned once in a session: planning takes longer than looking.
        let ask = format!("EXECUTE {PREPARED}({}, {})", quoted(role), quoted(database));
        let said = match client.simple_query(&ask).await {
            Err(error) if error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME) => {
                client.batch_execute(&server_sql()).await.map_err(failed)?;
                client.simple_query(&ask).await
            }
            said => said,
        };
        let said = said.map_err(failed)?;
        let mut picture = Self::default();
        for row in said {
            let SimpleQueryMessage::Row(row) = row else { continue };
            let text = |at| row.get(at).unwrap_or_default().to_owned();
            let noun = SERVER.iter().map(|(noun, ..)| *noun).find(|noun| Some(*noun) == row.get(0)).unwrap_or_default();
            picture.items.insert((noun, text(1)), (text(1), text(2)));
        }
        Ok(picture)
    }

    /// In what another one differs from this.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let words = |kind: &str, name: &str| format!("{kind} {name}");
        let mut found = Vec::new();
        for (key @ (kind, _), (name, before)) in &self.items {
            match other.items.get(key) {
                None => found.push(Difference::Missing(words(kind, name))),
                Some((_, after)) if after != before => found.push(Difference::Changed {
                    what: words(kind, name),
                    before: before.clone(),
                    after: after.clone(),
                }),
                Some(_) => {}
            }
        }
        let added = other.items.iter().filter(|(key, _)| !self.items.contains_key(key));
        found.extend(added.map(|((kind, _), (name, _))| Difference::Extra(words(kind, name))));
        found.truncate(DIFFERENCES);
        found
    }
}

/// In what one database differs from another. For many clones of one template take its [`Picture`] once.
///
/// # Errors
/// As [`Picture::of`].
pub async fn differences(template: &Client, clone: &Client) -> Result<Vec<Difference>, Error> {
    Ok(Picture::of(template).await?.differences(&Picture::of(clone).await?))
}

/// One moment for all questions, and one way to write values whatever the settings of the database.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL search_path = pg_catalog;
    SET LOCAL row_security = off;
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL timezone = 'UTC';
    SET LOCAL datestyle = 'ISO';
    SET LOCAL intervalstyle = 'postgres';
    SET LOCAL extra_float_digits = 3;
    SET LOCAL bytea_output = 'hex'";

const SEQUENCES: &str =
    "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'S' AND relpersistence <> 't' ORDER BY 1";

/// Overflow tables are read with the tables that they belong to, partitions one by one, foreign tables not at all.
const TABLES: &str = "
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'm') AND relpersistence <> 't' AND relispopulated
      AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1";

/// The sum of hashes does not depend on the order of rows, and the number of rows tells those that hash to nothing.
fn rows_sql(table: &str) -> String {
    format!(
        "SELECT count(*) || ' rows, hash ' || coalesce(sum(hashtextextended(regatta_row::text, 0)::numeric), 0)
         FROM ONLY {table} AS regatta_row"
    )
}

const LARGE_OBJECTS: &str = "
    SELECT count(*) || ' pages, hash ' ||
           coalesce(sum(hashtextextended(loid || ' ' || pageno || ' ' || encode(data, 'hex'), 0)::numeric), 0)
    FROM pg_largeobject";

/// A catalog, and how its rows are told apart, named, and compared. Names cost more than hashes where there are thousands:
/// what `initdb` made is told by its short name.
struct Catalog {
    name: &'static str,
    noun: &'static str,
    /// What tells its rows apart: numbers, which a copy shares with its original.
    key: &'static str,
    /// What people call one.
    called: &'static str,
    /// Columns in which equals may differ.
    volatile: &'static str,
    /// Which rows count.
    only: &'static str,
}

impl Catalog {
    fn sql(&self) -> String {
        let Self { name, key, called, volatile, only, .. } = self;
        // A row as text is cheaper, where all of it counts.
        let row = if volatile.is_empty() { "c" } else { &format!("(to_jsonb(c) - '{{{volatile}}}'::text[])") };
        format!("SELECT ({key})::text, ({called})::text, md5({row}::text) FROM {name} c WHERE {only}")
    }
}

const fn catalog(name: &'static str, noun: &'static str, key: &'static str, called: &'static str) -> Catalog {
    Catalog { name, noun, key, called, volatile: "", only: "true" }
}

const CATALOGS: &[Catalog] = &[
    Catalog { only: "nspname !~ '^pg_(toast_)?temp_'", ..catalog("pg_namespace", "schema", "c.oid", "nspname") },
    Catalog {
        volatile: "relpages,reltuples,relallvisible,relallfrozen,relhasindex,relhasrules,relhastriggers,relhassubclass,\
                   relfrozenxid,relminmxid,relfilenode",
        only: "relpersistence <> 't'",
        ..catalog("pg_class", "relation", "c.oid", "c.oid::regclass")
    },
    Catalog {
        only: "(SELECT relpersistence <> 't' FROM pg_class r WHERE r.oid = attrelid)",
        ..catalog("pg_attribute", "column", "attrelid || ' ' || attnum", "attrelid::regclass || '.' || attname")
    },
    Catalog {
        volatile: "indcheckxmin",
        only: "(SELECT relpersistence <> 't' FROM pg_class r WHERE r.oid = indexrelid)",
        ..catalog("pg_index", "index", "indexrelid", "indexrelid::regclass")
    },
    Catalog {
        only: "typnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_')",
        ..catalog("pg_type", "type", "c.oid", "c.oid::regtype")
    },
    Catalog {
        only: "connamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_')",
        ..catalog("pg_constraint", "constraint", "c.oid", "conname")
    },
    Catalog {
        only: "(SELECT relpersistence <> 't' FROM pg_class r WHERE r.oid = adrelid)",
        ..catalog("pg_attrdef", "default", "c.oid", "adrelid::regclass || ', column ' || adnum")
    },
    catalog("pg_proc", "function", "c.oid", "CASE WHEN c.oid < 16384 THEN proname ELSE c.oid::regprocedure::text END"),
    catalog("pg_trigger", "trigger", "c.oid", "tgname || ' on ' || tgrelid::regclass"),
    catalog("pg_policy", "policy", "c.oid", "polname || ' on ' || polrelid::regclass"),
    catalog("pg_rewrite", "rule", "c.oid", "rulename || ' on ' || ev_class::regclass"),
    catalog("pg_sequence", "sequence", "seqrelid", "seqrelid::regclass"),
    catalog("pg_inherits", "child", "inhrelid || ' ' || inhseqno", "inhrelid::regclass"),
    catalog("pg_partitioned_table", "partitioned table", "partrelid", "partrelid::regclass"),
    catalog("pg_enum", "label", "c.oid", "enumlabel"),
    catalog("pg_range", "range", "rngtypid", "rngtypid::regtype"),
    catalog("pg_extension", "extension", "c.oid", "extname"),
    catalog("pg_statistic_ext", "statistics", "c.oid", "stxname"),
    catalog("pg_event_trigger", "event trigger", "c.oid", "evtname"),
    catalog("pg_publication", "publication", "c.oid", "pubname"),
    catalog("pg_publication_rel", "publication of", "c.oid", "prrelid::regclass"),
    catalog("pg_default_acl", "default rights", "c.oid", "c.oid"),
    catalog("pg_operator", "operator", "c.oid", "oprname"),
    catalog("pg_opclass", "operator class", "c.oid", "opcname"),
    catalog("pg_opfamily", "operator family", "c.oid", "opfname"),
    catalog("pg_aggregate", "aggregate", "aggfnoid::oid", "aggfnoid"),
    catalog("pg_cast", "cast", "c.oid", "castsource::regtype || ' to ' || casttarget::regtype"),
    catalog("pg_collation", "collation", "c.oid", "collname"),
    catalog("pg_conversion", "conversion", "c.oid", "conname"),
    catalog("pg_language", "language", "c.oid", "lanname"),
    catalog("pg_am", "access method", "c.oid", "amname"),
    catalog("pg_foreign_data_wrapper", "foreign data wrapper", "c.oid", "fdwname"),
    catalog("pg_foreign_server", "foreign server", "c.oid", "srvname"),
    catalog("pg_foreign_table", "foreign table", "ftrelid", "ftrelid::regclass"),
    catalog("pg_user_mapping", "user mapping", "c.oid", "c.oid"),
    catalog("pg_ts_config", "text search configuration", "c.oid", "cfgname"),
    catalog("pg_ts_dict", "text search dictionary", "c.oid", "dictname"),
    catalog("pg_transform", "transform", "c.oid", "trftype::regtype"),
    catalog("pg_largeobject_metadata", "large object", "c.oid", "c.oid"),
    catalog(
        "pg_description",
        "comment",
        "objoid || ' ' || classoid || ' ' || objsubid",
        "'on ' || CASE WHEN objoid < 16384 THEN objoid::text
                       ELSE coalesce(pg_describe_object(classoid, objoid, objsubid), objoid::text) END",
    ),
    catalog("pg_seclabel", "label of security", "objoid || ' ' || classoid || ' ' || objsubid || provider", "provider"),
    Catalog {
        volatile: "setdatabase",
        only: "setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
        ..catalog(
            "pg_db_role_setting",
            "settings",
            "setrole",
            "CASE setrole WHEN 0 THEN 'of the database' ELSE 'of a role' END",
        )
    },
];

/// What a server has besides its databases: what it is, its name, how it is, and where that is found. `$role` and `$own`
/// stand for the names of one lease, which another one has otherwise.
const SERVER: [(&str, &str, &str, &str); 16] = [
    ("role", "rolname", "to_jsonb(r)", "pg_authid r WHERE rolname <> $role"),
    (
        "member",
        "roleid::regrole || ', ' || member::regrole || ', ' || grantor::regrole",
        "to_jsonb(m)",
        "pg_auth_members m",
    ),
    ("database", "datname", "to_jsonb(d) - '{datfrozenxid,datminmxid}'::text[]", "pg_database d WHERE datname <> $own"),
    ("tablespace", "spcname", "to_jsonb(t)", "pg_tablespace t"),
    (
        "setting of a role or database",
        "setdatabase || ', ' || setrole",
        "to_jsonb(s)",
        "pg_db_role_setting s WHERE setdatabase NOT IN (SELECT oid FROM pg_database WHERE datname = $own)",
    ),
    (
        "comment",
        "classoid || ', ' || objoid",
        "description",
        "pg_shdescription WHERE (classoid, objoid) NOT IN (SELECT 1262::oid, oid FROM pg_database WHERE datname = $own)",
    ),
    ("label of security", "provider || ', ' || classoid || ', ' || objoid", "label", "pg_shseclabel"),
    ("origin", "roname", "roident", "pg_replication_origin"),
    ("subscription", "subname", "oid", "pg_subscription"),
    ("replication slot", "slot_name", "slot_type", "pg_replication_slots"),
    ("prepared transaction", "gid", "owner", "pg_prepared_xacts"),
    // Of no session: a prepared transaction holds its locks without one.
    ("lock", "locktype || ' ' || mode", "count(*)", "pg_locks WHERE pid IS NULL GROUP BY locktype, mode"),
    (
        "setting",
        "name",
        "reset_val || ' ' || pending_restart",
        "pg_settings WHERE source NOT IN ('default', 'client', 'session', 'override', 'environment variable', 'user', 'database')",
    ),
    (
        "reset of counters",
        "coalesce(datname, 'of the server')",
        "coalesce(stats_reset::text, 'never')",
        "pg_stat_database WHERE datname IS DISTINCT FROM $own",
    ),
    ("reset of counters of the", "'background writer'", "coalesce(stats_reset::text, 'never')", "pg_stat_bgwriter"),
    // Those of the server itself come up one after the other, and those of clients come and go; a worker that somebody
    // started stays.
    (
        "process",
        "backend_type",
        "''",
        "pg_stat_activity WHERE backend_type NOT IN ('client backend', 'parallel worker', 'io worker', 'checkpointer', \
         'background writer', 'walwriter', 'walsummarizer', 'archiver', 'startup', 'autovacuum launcher', \
         'logical replication launcher', 'slotsync worker') GROUP BY backend_type",
    ),
];

/// The name of the question for all of it, in the session that asks.
const PREPARED: &str = "regatta_server";

/// Prepares the question, of the names that `$role` and `$own` stand for.
fn server_sql() -> String {
    let mut sql = format!("PREPARE {PREPARED}(name, name) AS ");
    for ((noun, name, value, place), union) in SERVER.iter().zip(iter::once("").chain(iter::repeat(" UNION ALL "))) {
        let _ = write!(sql, "{union}SELECT '{noun}', ({name})::text, ({value})::text FROM {place}");
    }
    sql.replace("$role", "$1").replace("$own", "$2")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(items: &[(&'static str, &str, &str)]) -> Picture {
        let items =
            items.iter().map(|&(kind, name, hash)| ((kind, name.to_owned()), (name.to_owned(), hash.to_owned())));
        Picture { items: items.collect() }
    }

    #[test]
    fn differences_are_told_in_words() {
        let before = picture(&[("table", "a", "1"), ("table", "b", "1"), ("column", "c", "1")]);
        let after = picture(&[("table", "a", "1"), ("table", "b", "2"), ("table", "d", "1")]);
        let words: Vec<String> = before.differences(&after).iter().map(ToString::to_string).collect();
        assert_eq!(words, ["column c is gone", "table b was 1 and is 2", "table d was added"]);
        assert_eq!(before.differences(&before), []);
    }
}
