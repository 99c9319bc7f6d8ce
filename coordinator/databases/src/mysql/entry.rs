//! The way of one lease into a server: a user of its own, which is worth nothing afterwards, and what is seen of it at the end.

use super::changes::{Changes, Watched};
use super::journal::Journal;
use super::process::Process;
use super::verdict::{Counts, Seen, judge};
use super::wire::{Connection, Error};
use crate::desk::judged;
use crate::lease::{Fate, Released};
use crate::watch::{Kind, Leak};
use crate::{limits, names};
use regatta_domain::Level;
use regatta_domain::evidence::{Evidence, Fact};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

/// What a test is told, but for the server's address.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password: String,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    Read,
    /// Everything in its database.
    Own,
    /// Everything on the server.
    All,
}

/// A server with our connections to it, made again where they are lost.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) process: Process,
    /// For what somebody waits for.
    front: Mutex<Option<Connection>>,
    /// For copies, which take their time.
    back: Mutex<Option<Connection>>,
    books: Mutex<Books>,
}

/// What is known of leases that are out.
#[derive(Debug)]
struct Books {
    journal: Journal,
    /// Counts of users whose lines were removed from the server while they were there.
    carried: BTreeMap<String, Counts>,
    /// Leases that ended since.
    ended: u32,
}

/// What was seen at the end of a lease.
pub(super) struct Outcome {
    pub(super) evidence: Evidence,
    pub(super) statements: Vec<String>,
    pub(super) leaks: Vec<Leak>,
    pub(super) clean: bool,
}

/// Users that may pile up in the server's counts: with 6 000 it takes 26 ms to look one up, with these one.
const USERS: u32 = 500;

/// How often it is looked whether sessions have left.
const LOOK: Duration = Duration::from_millis(1);

impl Entry {
    pub(super) fn new(database: String, user: String) -> Self {
        Self { database, user, password: names::password() }
    }
}

impl Door {
    pub(super) async fn open(process: Process) -> Result<Self, Error> {
        let mut front = process.connect().await?;
        let journal = Journal::begin(&mut front).await?;
        let books = Mutex::new(Books { journal, carried: BTreeMap::new(), ended: 0 });
        Ok(Self { process, front: Mutex::new(Some(front)), back: Mutex::new(None), books })
    }

    /// Whether it can be used.
    pub(super) fn is_well(&self) -> bool {
        !self.process.has_ended()
    }

    async fn line<'a>(&self, of: &'a Mutex<Option<Connection>>) -> Result<MappedMutexGuard<'a, Connection>, Error> {
        let mut line = of.lock().await;
        if !line.as_ref().is_some_and(Connection::is_well) {
            *line = Some(self.process.connect().await?);
        }
        Ok(MutexGuard::map(line, |line| line.as_mut().expect("it was made right before")))
    }

    /// Our connection for copies.
    pub(super) async fn back(&self) -> Result<MappedMutexGuard<'_, Connection>, Error> {
        self.line(&self.back).await
    }

    /// Lets a user in, who is watched from now on.
    pub(super) async fn admit(&self, entry: &Entry, rights: Rights) -> Result<(), Error> {
        let Entry { database, user, password } = entry;
        let watched = Watched { database: database.clone(), alone: rights == Rights::All };
        self.books.lock().await.journal.watch(user, watched);
        let (rights, on) = match rights {
            Rights::Read => ("SELECT, SHOW VIEW", super::definition::pattern(database)),
            Rights::Own => ("ALL PRIVILEGES", super::definition::pattern(database)),
            Rights::All => ("ALL PRIVILEGES", "*".to_owned()),
        };
        let option = if on == "*" { "WITH GRANT OPTION" } else { "" };
        let most = limits::CONNECTION_LIMIT;
        let statements = format!(
            "CREATE USER `{user}`@`127.0.0.1` IDENTIFIED BY '{password}' WITH MAX_USER_CONNECTIONS {most}; \
             GRANT {rights} ON {on}.* TO `{user}`@`127.0.0.1` {option}"
        );
        self.line(&self.front).await?.run(&statements).await.map(drop)
    }

    /// Shuts a user out that nobody was told of.
    pub(super) async fn forget(&self, entry: &Entry) {
        self.books.lock().await.journal.take(&entry.user);
        if let Err(error) = self.drop_user(&entry.user).await {
            tracing::warn!(user = entry.user, %error, "a database user of ours could not be removed");
        }
    }

    async fn drop_user(&self, user: &str) -> Result<(), Error> {
        self.line(&self.front).await?.run(&format!("DROP USER IF EXISTS `{user}`@`127.0.0.1`")).await.map(drop)
    }

    /// Shuts a user out and ends its sessions, and says what it did.
    pub(super) async fn verify(&self, entry: &Entry, declared: Level, killed: bool) -> Result<Outcome, Error> {
        let user = &*entry.user;
        self.drop_user(user).await?;
        let patience = if killed { Duration::ZERO } else { limits::LEAVE };
        let mut leaks = Vec::new();
        let mut is_gone = true;
        let left = self.left(user, patience).await?;
        if !left.is_empty() {
            leaks = leaks_of(&left);
            for (session, _) in &left {
                // One that has just left by itself is refused.
                let _ = self.line(&self.front).await?.run(&format!("KILL {session}")).await;
            }
            is_gone = self.left(user, limits::TERMINATE).await?.is_empty();
        }
        let (counts, changes) = self.look_up(user).await?;
        for transaction in &changes.prepared {
            leaks.push(Leak { kind: Kind::Prepared, what: transaction.clone(), count: 1 });
            if let Err(error) = self.line(&self.front).await?.run(&format!("XA ROLLBACK {transaction}")).await {
                tracing::debug!(transaction, %error, "a prepared transaction was not rolled back");
            }
        }
        let Seen { mut evidence, clean } = judge(&counts, &changes, &leaks, declared);
        if !is_gone {
            evidence.facts.insert(Fact::Unknown);
        }
        let Changes { texts: statements, .. } = changes;
        Ok(Outcome { evidence, statements, leaks, clean: clean && is_gone })
    }

    /// What the server counted of a user, and what is in its log. Nothing is known of that user afterwards.
    async fn look_up(&self, user: &str) -> Result<(Counts, Changes), Error> {
        let mut books = self.books.lock().await;
        let mut front = self.line(&self.front).await?;
        let mut counts = Counts::read(&front.rows(&Counts::query(user)).await?);
        counts.add(books.carried.remove(user).unwrap_or_default());
        books.journal.advance(&mut front).await?;
        let changes = books.journal.take(user);
        books.ended += 1;
        if books.ended >= USERS {
            // What is counted between the two is lost: at worst one lease of many looks as if it had rolled nothing back. What
            // is committed is in the log, whatever the counts say.
            let told = front.run(&format!("{}; FLUSH USER_STATISTICS", Counts::ALL)).await?;
            for (user, counts) in told.iter().flatten().filter_map(Counts::of_user) {
                if books.journal.is_watched(&user) {
                    books.carried.entry(user).or_default().add(counts);
                }
            }
            books.ended = 0;
        }
        Ok((counts, changes))
    }

    /// The sessions of a user that are still there when `patience` has passed, and what they are doing.
    async fn left(&self, user: &str, patience: Duration) -> Result<Vec<(String, String)>, Error> {
        let query = format!(
            "SELECT p.ID, CASE WHEN t.trx_id IS NOT NULL THEN 'in a transaction' ELSE LOWER(p.COMMAND) END \
             FROM information_schema.PROCESSLIST p LEFT JOIN information_schema.INNODB_TRX t \
             ON t.trx_mysql_thread_id = p.ID WHERE p.USER = '{user}'"
        );
        let until = Instant::now() + patience;
        loop {
            let rows = self.line(&self.front).await?.rows(&query).await?;
            if rows.is_empty() || Instant::now() >= until {
                let session = |row: super::wire::Row| {
                    let mut fields = row.into_iter().flatten();
                    Some((fields.next()?, fields.next()?))
                };
                return Ok(rows.into_iter().filter_map(session).collect());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Runs one statement of ours and returns its lines.
    pub(super) async fn rows(&self, statement: &str) -> Result<Vec<super::wire::Row>, Error> {
        self.line(&self.front).await?.rows(statement).await
    }
}

fn leaks_of(left: &[(String, String)]) -> Vec<Leak> {
    let mut kinds: BTreeMap<&str, i64> = BTreeMap::new();
    left.iter().for_each(|(_, doing)| *kinds.entry(doing).or_default() += 1);
    let leak = |(doing, count): (&str, i64)| {
        let kind = if doing == "in a transaction" { Kind::InTransaction } else { Kind::Session };
        Leak { kind, what: doing.to_owned(), count }
    };
    kinds.into_iter().map(leak).collect()
}

impl Outcome {
    pub(super) fn told(self, declared: Level, fate: Fate) -> Released {
        let Self { evidence, statements, leaks, .. } = self;
        Released { leaks, statements, ..judged(evidence, declared, fate) }
    }
}

/// The outcome of a lease whose server cannot be asked.
pub(super) fn unseen(declared: Level, facts: &[Fact], fate: Fate) -> Released {
    let evidence = Evidence { facts: facts.iter().copied().collect(), ..Evidence::default() };
    let released = judged(evidence, declared, fate);
    Released { level: released.level.max(declared), ..released }
}
