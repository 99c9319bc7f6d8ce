//! Taking back, verified: nobody can enter any more, everybody has left, what was left behind is cleared, and the WAL says what
//! was done. Only what is proven clean goes to the next test.

use super::discard::Trash;
use super::{Database, Pool, Reader, clear};
use crate::lease::{Fate, Released, Terms};
use crate::limits;
use crate::server::{Error, Server};
use crate::watch::{Account, Leak, Seen, Whose};
use regatta_domain::Level;
use regatta_domain::evidence::{Evidence, Fact};
use std::time::Duration;

/// What a clone comes to after its release.
#[derive(Debug)]
pub(crate) enum After {
    /// It goes to the next test; its sequences have to be set back first if this says so.
    HandOn(Database, bool),
    /// It is thrown away.
    Discard(Database),
}

impl Pool {
    /// Ends the lease of a clone.
    pub(crate) async fn release(&self, database: Database, terms: Terms) -> (Released, After) {
        let owner = database.owner.role.clone();
        match self.verify(&database, terms).await {
            Ok((released, seen)) => {
                let clean = released.level <= Level::Transaction && released.leaks.is_empty();
                let sequences = seen.is_some_and(|seen| seen.sequences_moved);
                match released.fate {
                    Fate::Lost => (released, After::Discard(database)),
                    _ if clean => (released, After::HandOn(database, sequences)),
                    _ => (Released { fate: Fate::Replaced, ..released }, After::Discard(database)),
                }
            }
            Err(error) => {
                tracing::warn!(database = database.name, role = owner, %error, "what a test did could not be verified");
                (lost(terms.declared), After::Discard(database))
            }
        }
    }

    /// Does what was decided, which nobody waits for.
    pub(crate) async fn settle(&self, after: After) {
        match after {
            After::HandOn(database, sequences) => self.hand_on(database, sequences).await,
            After::Discard(database) => {
                self.discard(Trash::of(database));
                self.short.notify_waiters();
            }
        }
    }

    async fn verify(&self, database: &Database, terms: Terms) -> Result<(Released, Option<Seen>), Error> {
        let (server, role) = (&self.server, &database.owner.role);
        let sessions = format!("SELECT 1 FROM pg_stat_activity WHERE datid = {} LIMIT 1", database.oid);
        let inside = server.quick().run(&format!("ALTER ROLE {role} NOLOGIN; {sessions}")).await?;
        if !inside.is_empty() && !terms.killed {
            clear::gone(server, &sessions, limits::LEAVE).await?;
        }
        let (generation, watch) = server.watch();
        let leaks = watch.leaks(database.oid, role).await.map_err(Error::Watch)?;
        // A session that was about to begin when entering was refused is missed here; the rename or the drop meets it.
        if !leaks.is_empty() {
            clear::clear(server, database.oid, &database.name).await?;
        }
        let seen = if generation == database.generation {
            let whose = terms.statements.then_some(Whose::Everybody);
            let mut seen = watch.look(&database.mark, whose).await.map_err(Error::Watch)?;
            seen.name(&self.relations);
            Some(seen)
        } else {
            None
        };
        let released = self.judge(seen.clone(), role, leaks, terms.declared);
        // Only here, where whoever was connected was this lease: readers share a database, and so their figures.
        server.saw_peak(released.evidence.peak);
        Ok((released, seen))
    }

    /// Ends the lease of a reader. The others go on reading, unless somebody wrote.
    pub(crate) async fn release_reader(&self, reader: &Reader, terms: Terms) -> Released {
        let outcome = self.verify_reader(reader, terms).await.unwrap_or_else(|error| {
            tracing::warn!(role = reader.credentials.role, %error, "what a test did could not be verified");
            lost(terms.declared)
        });
        if outcome.fate != Fate::Kept {
            self.spoil(&reader.reading);
        }
        self.discard(Trash::role(reader.credentials.role.clone()));
        outcome
    }

    async fn verify_reader(&self, reader: &Reader, terms: Terms) -> Result<Released, Error> {
        let (server, role) = (&self.server, &reader.credentials.role);
        server.quick().run(&format!("ALTER ROLE {role} NOLOGIN")).await?;
        let theirs = format!("FROM pg_stat_activity WHERE usename = '{role}'");
        if !terms.killed {
            clear::gone(server, &format!("SELECT 1 {theirs} LIMIT 1"), limits::LEAVE).await?;
        }
        let (generation, watch) = server.watch();
        // Only what is there under its role: in the database of all readers, others are still at work.
        let leaks: Vec<Leak> = watch.leaks(NO_DATABASE, role).await.map_err(Error::Watch)?;
        let ended = format!("SELECT pg_terminate_backend(pid) {theirs}");
        if !clear::gone(server, &ended, limits::TERMINATE).await? {
            return Err(Error::Unfit { why: format!("sessions of {role} do not end although they were terminated") });
        }
        let seen = if generation == reader.generation {
            let whose = terms.statements.then(|| Whose::Role(role.clone()));
            Some(watch.look(&reader.mark, whose).await.map_err(Error::Watch)?)
        } else {
            None
        };
        let mut released = self.judge(seen, role, leaks, terms.declared);
        // A refused right means something else here: a reader has fewer than an owner, so it only says that it wanted to write.
        if released.evidence.facts.has(Fact::Denied) {
            let kept = released.evidence.facts.iter().filter(|fact| *fact != Fact::Denied);
            released.evidence.facts = kept.chain([Fact::ReadOnlyViolation]).collect();
            released.level = released.evidence.level();
        }
        let wrote = [Fact::Wrote, Fact::Committed, Fact::Bare, Fact::Ddl, Fact::Sequence, Fact::Unknown];
        let touched = wrote.into_iter().any(|fact| released.evidence.facts.has(fact));
        released.fate = match released.fate {
            Fate::Lost => Fate::Lost,
            _ if touched => Fate::Replaced,
            _ => Fate::Kept,
        };
        Ok(released)
    }

    fn judge(&self, seen: Option<Seen>, role: &str, leaks: Vec<Leak>, declared: Level) -> Released {
        judge(&self.server, seen, role, leaks, declared)
    }
}

/// An object id that no database has.
const NO_DATABASE: u32 = u32::MAX;

/// Puts together what was seen.
pub(crate) fn judge(server: &Server, seen: Option<Seen>, role: &str, leaks: Vec<Leak>, declared: Level) -> Released {
    let (mut evidence, statements, account) = match seen {
        Some(seen) => (seen.evidence, seen.statements, seen.account),
        None => (unknown(), Vec::new(), Account::Unwanted),
    };
    let refused = server.refusals.as_ref().map(|refusals| refusals.take(role));
    evidence.sources.log = refused.is_some();
    let refused = refused.unwrap_or_default();
    if refused.denied {
        evidence.facts.insert(Fact::Denied);
    }
    if refused.read_only {
        evidence.facts.insert(Fact::ReadOnlyViolation);
    }
    if refused.violated {
        // A row that broke a rule inside a transaction left nothing else behind, but somebody wanted to write it.
        evidence.facts.insert(Fact::Asked);
    }
    if !leaks.is_empty() {
        evidence.facts.insert(Fact::Leaked);
    }
    let denied = evidence.facts.has(Fact::Denied) || evidence.facts.has(Fact::ReadOnlyViolation);
    let level = evidence.level();
    // What a full disk made of it is nobody's doing, and nobody knows all of it.
    let fate = if refused.no_disk { Fate::Lost } else { Fate::HandedOn };
    Released { level, evidence, declared, leaks, statements, denied, fate, account }
}

/// The outcome of a lease whose database cannot be asked any more.
pub(crate) fn lost(declared: Level) -> Released {
    let evidence = unknown();
    let level = evidence.level().max(declared);
    let (leaks, statements, account) = (Vec::new(), Vec::new(), Account::Unwanted);
    Released { evidence, level, declared, leaks, statements, denied: false, fate: Fate::Lost, account }
}

fn unknown() -> Evidence {
    Evidence { facts: [Fact::Unknown].into_iter().collect(), ..Evidence::default() }
}

/// Everybody but us on the server of one lease.
const OTHERS: &str = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> current_user";

/// Waits until nobody but us has a session on the server of one lease, at most as long as those may take to leave.
pub(crate) async fn left(server: &Server, patience: Duration) -> Result<bool, Error> {
    clear::gone(server, &format!("SELECT 1 {OTHERS} LIMIT 1"), patience).await
}

/// Ends everybody but us on the server of one lease.
pub(crate) async fn end(server: &Server) -> Result<bool, Error> {
    clear::gone(server, &format!("SELECT pg_terminate_backend(pid) {OTHERS}"), limits::TERMINATE).await
}
