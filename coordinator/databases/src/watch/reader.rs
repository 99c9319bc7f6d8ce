//! The questions that are put to a server, over one connection that is kept.
//!
//! Questions of one turn are sent without waiting for the answers of those before, so that a turn costs one round trip. What
//! the answers come to is left to `follower` and `verdict`.

use super::{Abilities, Error, Leak, account::Count, questions, wal};
use std::{collections::HashMap, time::Duration};
use tokio_postgres::{Client, Config, NoTls, Statement, error::SqlState, types::PgLsn};

/// Bytes of log that are read at once: some 60,000 records, 10 MB while they are read.
const WINDOW: i64 = 4 << 20;

/// The largest record there is, for which the window grows.
const LARGEST_WINDOW: i64 = 1 << 30;

/// How much of the text of a statement is read: what tells is at its beginning, or the statement is machine-made.
const TEXT_CHARS: i32 = 16 * 1024;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection, and what is asked over it.
#[derive(Debug)]
pub(super) struct Reader {
    client: Client,
    flush: Statement,
    records: Option<Statement>,
    databases: Statement,
    peaks: Statement,
    server: Statement,
    statements: Option<Statement>,
    reset: Option<Statement>,
    sweep: Option<Statement>,
    calls: Option<Statement>,
    leaks: Statement,
    /// Whether the server is leased whole, so that whatever ran in it is of interest.
    whole: bool,
}

/// The log between two places.
#[derive(Debug)]
pub(super) struct Stretch {
    /// What it says, in order.
    pub(super) records: Vec<wal::Record>,
    /// Where the next stretch begins.
    pub(super) end: PgLsn,
}

/// The counters of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Its name.
    pub(super) name: String,
    /// Sessions ever opened.
    pub(super) sessions: i64,
    /// Rows ever written, of whatever kind of table.
    pub(super) rows: i64,
    /// Sessions open now.
    pub(super) connected: i32,
    /// Transactions ever rolled back, asked to or not.
    pub(super) rollbacks: i64,
    /// Sessions ever ended from outside.
    pub(super) killed: i64,
}

/// What concerns the server as a whole. Only where a server is leased whole is more than the first two of it asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    /// When it was started, or came back after a crash: counters before and after are not comparable.
    pub(super) started: String,
    /// How often texts of statements were dropped for want of room, and when all were.
    pub(super) evicted: String,
    /// When the configuration was loaded, and the file of `ALTER SYSTEM` written.
    pub(super) settings: String,
    /// The rows of databases and of their settings, those of the watched ones left out.
    pub(super) others: String,
    /// Sessions ever opened to other databases.
    pub(super) elsewhere: i64,
    /// Changes ever made to shared catalogs, by the counters.
    pub(super) shared: i64,
    /// The next transaction id, epoch and all.
    pub(super) next_xid: i64,
}

/// Which statement: who ran it, what it is, and whether a client asked for it.
pub(super) type Key = (u32, i64, bool);

/// A statement that ran, with how often.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    /// In which database.
    pub(super) database: u32,
    /// Which it is.
    pub(super) key: Key,
    /// Who ran it.
    pub(super) user: String,
    /// Whether that was the role that watches.
    pub(super) is_ours: bool,
    /// How much.
    pub(super) count: Count,
    /// Its text.
    pub(super) text: String,
    /// Whether the text was longer.
    pub(super) is_cut: bool,
}

impl Reader {
    /// Connects, and prepares every question that the server can answer.
    pub(super) async fn connect(config: &Config, whole: bool) -> Result<(Self, Abilities), Error> {
        let connecting = tokio::time::timeout(CONNECT, config.connect(NoTls));
        let (client, connection) = connecting.await.map_err(|_| Error::Late("connecting"))??;
        // It ends when the client is dropped, or when the server goes away, which the next question tells.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection that watches ended");
            }
        });
        client.batch_execute(questions::SESSION).await?;
        let abilities = Abilities::find(&client).await?;
        let (records, statements, reset) =
            (abilities.wal, abilities.statements, abilities.statements && abilities.reset);
        let reader = Self {
            flush: client.prepare(if abilities.wal { questions::FLUSH } else { "SELECT '0/0'::pg_lsn" }).await?,
            records: if records { Some(client.prepare(questions::RECORDS).await?) } else { None },
            databases: client.prepare(questions::DATABASES).await?,
            peaks: client.prepare(questions::PEAKS).await?,
            server: client.prepare(&questions::whole(&abilities, whole)).await?,
            statements: if statements { Some(client.prepare(questions::STATEMENTS).await?) } else { None },
            reset: if reset { Some(client.prepare(questions::RESET).await?) } else { None },
            sweep: if reset && !whole { Some(client.prepare(questions::SWEEP).await?) } else { None },
            calls: if statements { Some(client.prepare(questions::CALLS).await?) } else { None },
            leaks: client
                .prepare(
                    &questions::LEAKS
                        .replace("{temporary}", if abilities.temporary { questions::TEMPORARY } else { "" }),
                )
                .await?,
            whole,
            client,
        };
        Ok((reader, abilities))
    }

    /// Whether the connection is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Puts everything that was written on disk, and says how far the log has to be read to have seen it.
    pub(super) async fn flush(&self) -> Result<PgLsn, Error> {
        Ok(self.client.query_one(&self.flush, &[]).await?.get(0))
    }

    /// The log from here on, as far as one window reaches. Wider by `doublings` where a record did not fit.
    pub(super) async fn stretch(&self, from: PgLsn, doublings: u32) -> Result<Option<Stretch>, Error> {
        let Some(records) = &self.records else { return Ok(None) };
        let window = WINDOW.checked_shl(doublings).filter(|&window| window <= LARGEST_WINDOW).unwrap_or(LARGEST_WINDOW);
        let rows = self.client.query(records, &[&from, &window]).await?;
        let mut stretch = Stretch { records: Vec::new(), end: from };
        for row in rows {
            if let Some(end) = row.get::<_, Option<PgLsn>>(5) {
                stretch.end = end;
                continue;
            }
            let (xid, manager, kind): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
            let read = wal::Row { xid, manager, kind, description: row.get(3), blocks: row.get(4) }.read();
            stretch.records.extend(read);
        }
        Ok(Some(stretch))
    }

    /// The counters of these databases; those that are gone are not among them.
    pub(super) async fn databases(&self, databases: &[u32]) -> Result<HashMap<u32, Counters>, Error> {
        if databases.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = self.client.query(&self.databases, &[&databases]).await?;
        let counters = |row: &tokio_postgres::Row| Counters {
            name: row.get(1),
            sessions: row.get(2),
            rows: row.get(3),
            connected: row.get(4),
            rollbacks: row.get(5),
            killed: row.get(6),
        };
        Ok(rows.iter().map(|row| (row.get(0), counters(row))).collect())
    }

    /// Sessions open now, of the databases that have any.
    pub(super) async fn peaks(&self) -> Result<Vec<(u32, i64)>, Error> {
        let rows = self.client.query(&self.peaks, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// What concerns the server, apart from the databases that are watched.
    pub(super) async fn whole(&self, watched: &[u32]) -> Result<Whole, Error> {
        let row = self.client.query_one(&self.server, &[&watched]).await?;
        Ok(Whole {
            started: row.get(0),
            evicted: row.get(1),
            settings: row.get(2),
            others: row.get(3),
            elsewhere: row.get(4),
            shared: row.get(5),
            next_xid: row.get(6),
        })
    }

    /// Every statement that ran in these databases since they were last reset; on a server that is leased whole, in any.
    pub(super) async fn statements(&self, databases: &[u32]) -> Result<Vec<Ran>, Error> {
        let Some(statements) = self.statements.as_ref().filter(|_| !databases.is_empty()) else {
            return Ok(Vec::new());
        };
        let rows = self.client.query(statements, &[&databases, &TEXT_CHARS, &self.whole]).await?;
        let ran = |row: &tokio_postgres::Row| Ran {
            database: row.get(0),
            key: (row.get(1), row.get(2), row.get(3)),
            count: Count { calls: row.get(4), rows: row.get(7), time: row.get(8) },
            text: row.get(5),
            is_cut: row.get(6),
            user: row.get(9),
            is_ours: row.get(10),
        };
        Ok(rows.iter().map(ran).collect())
    }

    /// How much every statement ran in these databases, without the texts, which cost most.
    pub(super) async fn counts(&self, databases: &[u32]) -> Result<Vec<(u32, Key, Count)>, Error> {
        let Some(calls) = self.calls.as_ref().filter(|_| !databases.is_empty()) else { return Ok(Vec::new()) };
        let rows = self.client.query(calls, &[&databases]).await?;
        let count = |row: &tokio_postgres::Row| Count { calls: row.get(4), rows: row.get(5), time: row.get(6) };
        Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)), count(row))).collect())
    }

    /// Lets the server forget the statements of these databases.
    pub(super) async fn reset(&self, databases: &[u32]) -> Result<(), Error> {
        if let Some(reset) = self.reset.as_ref().filter(|_| !databases.is_empty()) {
            self.client.query(reset, &[&databases]).await?;
        }
        Ok(())
    }

    /// Lets the server forget the statements in these databases of roles that are gone.
    pub(super) async fn sweep(&self, databases: &[u32]) -> Result<(), Error> {
        if let Some(sweep) = self.sweep.as_ref().filter(|_| !databases.is_empty()) {
            self.client.query(sweep, &[&databases]).await?;
        }
        Ok(())
    }

    /// Whether any transaction with an id in this range committed. More of them than can be asked for count as committed.
    pub(super) async fn any_committed(&self, from: i64, to: i64) -> Result<bool, Error> {
        const AT_ONCE: i64 = 10_000;
        match to - from {
            ..=0 => Ok(false),
            AT_ONCE.. => Ok(true),
            _ => Ok(self.client.query_one(questions::COMMITTED, &[&from, &(to - 1)]).await?.get(0)),
        }
    }

    /// What is left on the server of a lease.
    pub(super) async fn leaks(&self, database: u32, role: &str) -> Result<Vec<Leak>, Error> {
        let rows = self.client.query(&self.leaks, &[&database, &role]).await?;
        Ok(rows.iter().filter_map(|row| Leak::told(row.get(0), row.get(1), row.get(2))).collect())
    }
}

/// Whether an error says that the log is no longer there, or cannot be understood from here on.
pub(super) fn is_gap(error: &Error) -> bool {
    let Error::Postgres(error) = error else { return false };
    let Some(error) = error.as_db_error() else { return false };
    *error.code() == SqlState::UNDEFINED_FILE
        || error.message().contains("could not find a valid record")
        || error.message().contains("could not read WAL")
        || error.message().contains("has already been removed")
}
