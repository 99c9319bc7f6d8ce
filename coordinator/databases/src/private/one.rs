//! One private server: made, leased, looked at, and made ready for the next lease if it is proven to be as it was.
//!
//! It serves one lease at a time, so everything seen on it is that lease's. Two looks have to agree before it is handed on:
//! the watch's, which knows what was done, and one at how the server stands, which knows nothing of deeds and compares roles,
//! settings, databases, slots and files with those of its first day. The database of a lease that changed it is dropped, and
//! another made from the template that every such server keeps inside.
//!
//! The invariant: whatever the watch or the comparison cannot vouch for ends the server.

use super::files::Files;
use crate::audit::Picture;
use crate::lease::{Fate, Released, Terms};
use crate::limits;
use crate::names::{self, Names};
use crate::pool::Credentials;
use crate::pool::make::{settle, strategy};
use crate::pool::release::{end, judge, left, lost};
use crate::server::lane::{self, Lane};
use crate::server::process::Process;
use crate::server::refusals::Refusals;
use crate::server::{Error, Server};
use crate::template::finish::{self, Finished};
use crate::watch::{Mark, Whose};
use regatta_domain::evidence::{Evidence, Fact};
use regatta_domain::{Digest, Level};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{OnceCell, OwnedSemaphorePermit};

/// One private server, with a database for one lease.
#[derive(Debug)]
pub(crate) struct Private {
    pub(crate) server: Arc<Server>,
    pub(crate) database: String,
    oid: u32,
    pub(crate) role: Credentials,
    mark: Mark,
    /// How it stood when it was made, and where its files are.
    first: Arc<First>,
    /// Leases that it has served.
    uses: u32,
    _room: OwnedSemaphorePermit,
}

/// How a server stood when it was made.
#[derive(Debug)]
struct First {
    directory: PathBuf,
    template: u32,
    picture: Picture,
    files: Files,
}

/// What all private servers of a template have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) digest: Digest,
    pub(super) names: Arc<Names>,
    pub(super) reuses: u32,
    finished: OnceCell<Finished>,
}

/// What becomes of a server after its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It goes to the next lease with its database, whose sequences have to be set back first if this says so.
    HandOn(bool),
    /// It goes to the next lease with another database.
    Renew,
    /// It ends.
    Destroy,
}

impl Common {
    pub(super) fn new(digest: Digest, names: Arc<Names>, reuses: u32) -> Self {
        Self { digest, names, reuses, finished: OnceCell::new() }
    }

    /// Makes a database with a role of its own, which administers the server.
    async fn database(&self, server: &Server) -> Result<(String, u32, Credentials), Error> {
        let (template, owner) = (names::template(self.digest), names::owner(self.digest));
        let name = self.names.next(self.digest);
        let slow = &server.dropper;
        slow.run(&format!("CREATE DATABASE {name} TEMPLATE {template} {} OWNER {owner}", strategy(server))).await?;
        let finished = self
            .finished
            .get_or_try_init(async || {
                let inside = lane::connect(&server.inside(&name)).await?;
                let groups = (owner, names::reader(self.digest));
                finish::read(server.quick(), &inside, &template, groups).await
            })
            .await?;
        let settings: String =
            finished.settings.iter().map(|setting| format!("ALTER DATABASE {name} SET {setting}; ")).collect();
        let (role, made) = self.role();
        let rows = server
            .quick()
            .run(&format!(
                "REVOKE ALL ON DATABASE {name} FROM PUBLIC; {settings}{made}; \
                 SELECT oid FROM pg_database WHERE datname = '{name}'"
            ))
            .await?;
        let oid = oid(&rows).ok_or_else(|| Error::Unfit { why: format!("the new database {name} is not there") })?;
        settle(server, oid).await?;
        Ok((name, oid, role))
    }

    /// A role that administers, and the statement that makes it.
    fn role(&self) -> (Credentials, String) {
        let role = Credentials::fresh(&self.names, self.digest);
        let sql = format!("CREATE ROLE {} SUPERUSER LOGIN PASSWORD '{}'", role.role, role.password);
        (role, sql)
    }
}

impl Private {
    /// Makes the server that has just been started ready for its first lease.
    pub(super) async fn make(process: Process, common: &Common, room: OwnedSemaphorePermit) -> Result<Self, Error> {
        let directory = process.directory().to_owned();
        let server = Arc::new(Server::of(process, true).await?);
        let (database, oid, role) = common.database(&server).await?;
        let template = names::template(common.digest);
        let rows = server.quick().run(&format!("SELECT oid FROM pg_database WHERE datname = '{template}'")).await?;
        let template = self::oid(&rows).ok_or_else(|| Error::Unfit { why: format!("{template} is not there") })?;
        // Whoever knocked while it started was refused in ways that nothing of a lease is.
        let _before = server.refusals.as_ref().map(Refusals::was_odd);
        let picture = picture(server.quick(), &role, &database).await?;
        let files = files(directory.clone(), template).await?;
        let first = Arc::new(First { directory, template, picture, files });
        let mark = server.watch().1.mark(oid).await.map_err(Error::Watch)?;
        Ok(Self { server, database, oid, role, mark, first, uses: 0, _room: room })
    }

    /// Whether it still runs, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        self.server.ended().is_some_and(|ended| !*ended.borrow())
    }

    /// Ends the lease: looks at what was done, and says what is to become of the server.
    pub(crate) async fn release(&self, terms: Terms) -> (Released, After) {
        let (released, after) = self.verify(terms).await.unwrap_or_else(|error| {
            // A test that may do everything may also have ended the server.
            tracing::debug!(database = self.database, %error, "what a test did to its private server could not be seen");
            (Released { fate: Fate::Destroyed, ..lost(terms.declared) }, After::Destroy)
        });
        let fate = match after {
            _ if released.fate == Fate::Lost => Fate::Lost,
            After::HandOn(_) => Fate::HandedOn,
            After::Renew => Fate::Replaced,
            After::Destroy => Fate::Destroyed,
        };
        (Released { fate, ..released }, after)
    }

    async fn verify(&self, terms: Terms) -> Result<(Released, After), Error> {
        // Its role is left as it is: what happens to roles here is evidence. Whoever comes in after this look keeps the
        // role from being dropped, or the database from being renamed, and then the server ends.
        let is_left = !terms.killed && left(&self.server, limits::LEAVE).await?;
        let is_calm = is_left || end(&self.server).await? && !terms.killed;
        let whose = terms.statements.then_some(Whose::Everybody);
        let watch = self.server.watch().1;
        let (seen, differs) = tokio::join!(watch.look(&self.mark, whose), self.difference());
        let (mut seen, differs) = (seen.map_err(Error::Watch)?, differs?);
        if let Some(difference) = &differs {
            // A statement that failed leaves no text, but may have left a slot, or a file.
            tracing::debug!(database = self.database, difference, "a private server is not as it was");
            seen.evidence.facts.insert(Fact::ServerStatement);
        }
        let sequences = seen.sequences_moved;
        // What it left behind is found as a difference, or dies with the database or the server: nothing has leaked.
        let released = judge(&self.server, Some(seen), &self.role.role, Vec::new(), terms.declared);
        let is_odd = self.server.refusals.as_ref().is_none_or(Refusals::was_odd);
        let after = match released.level {
            _ if !is_calm || is_odd || differs.is_some() || !is_certain(&released.evidence) => After::Destroy,
            Level::Exclusive => After::Destroy,
            Level::Isolated => After::Renew,
            // Somebody was in the midst of something.
            _ if !is_left => After::Renew,
            _ => After::HandOn(sequences),
        };
        Ok((released, after))
    }

    /// What is not as it was when the server was made, if anything.
    async fn difference(&self) -> Result<Option<String>, Error> {
        let First { directory, template, picture: before, files: files_before } = &*self.first;
        let now = picture(self.server.quick(), &self.role, &self.database).await?;
        if let Some(difference) = before.differences(&now).first() {
            return Ok(Some(difference.to_string()));
        }
        let files = files(directory.clone(), *template).await?;
        Ok(files_before.difference(&files).map(str::to_owned))
    }

    /// Makes it ready for the next lease: another role, and its database under another name or another database.
    ///
    /// # Errors
    /// When it cannot be, for whatever reason: what could not be undone is not handed on. The server is to be destroyed.
    pub(super) async fn renew(self, after: After, common: &Common) -> Result<Self, (Self, Error)> {
        match self.renewed(after, common).await {
            Ok((database, oid, role, mark)) => Ok(Self { database, oid, role, mark, uses: self.uses + 1, ..self }),
            Err(error) => Err((self, error)),
        }
    }

    async fn renewed(&self, after: After, common: &Common) -> Result<(String, u32, Credentials, Mark), Error> {
        let Self { server, database: old, role: Credentials { role: former, .. }, .. } = self;
        if self.uses + 1 >= common.reuses {
            return Err(Error::Unfit { why: format!("it has served {} leases", self.uses + 1) });
        }
        let watch = server.watch().1;
        let (name, oid, role) = match after {
            After::Destroy => return Err(Error::Unfit { why: "what was done to it is not certain".to_owned() }),
            After::HandOn(sequences) => {
                if let Some(set) = common.finished.get().map(|finished| &finished.sequences)
                    && sequences
                    && !set.is_empty()
                {
                    let inside = lane::connect(&server.inside(old)).await?;
                    lane::run(&inside, set).await?;
                    drop(inside);
                    settle(server, self.oid).await?;
                }
                let name = common.names.next(common.digest);
                let (role, made) = common.role();
                // The rename fails where anybody is still inside, which is the last proof that nobody is.
                let sql = format!("{made}; ALTER DATABASE {old} RENAME TO {name}; DROP ROLE {former}");
                server.quick().run(&sql).await?;
                (name, self.oid, role)
            }
            After::Renew => {
                // From here on what is done in it is done in another database. So is a transaction that was prepared there, or
                // a slot: they keep it from being dropped.
                watch.forget(self.oid);
                server.dropper.run(&format!("DROP DATABASE {old}")).await?;
                let made = common.database(server).await?;
                server.quick().run(&format!("DROP ROLE {former}")).await?;
                made
            }
        };
        tidy(server.quick()).await?;
        let mark = watch.mark(oid).await.map_err(Error::Watch)?;
        Ok((name, oid, role, mark))
    }

    /// Ends the server and removes all that it had.
    pub(crate) async fn destroy(self) {
        if let Some(process) = self.server.take_process() {
            process.destroy().await;
        }
    }
}

/// Whether nothing that may have been done was out of sight, and nothing is under way.
fn is_certain(evidence: &Evidence) -> bool {
    let sources = evidence.sources;
    let open = [Fact::Unknown, Fact::Open, Fact::Prepared, Fact::Leaked];
    sources.wal
        && sources.statements
        && sources.counters
        && sources.log
        && !open.iter().any(|fact| evidence.facts.has(*fact))
}

async fn picture(lane: &Lane, role: &Credentials, database: &str) -> Result<Picture, Error> {
    let client = lane.client().await?;
    let taken = tokio::time::timeout(limits::STATEMENT, Picture::of_server(&client, &role.role, database)).await;
    let unfit = |why: String| Error::Unfit { why };
    taken
        .map_err(|_| unfit("it did not say in time how it stands".to_owned()))?
        .map_err(|error| unfit(error.to_string()))
}

async fn files(directory: PathBuf, template: u32) -> Result<Files, Error> {
    let looking = tokio::task::spawn_blocking(move || Files::look(&directory, template));
    Ok(looking.await.map_err(std::io::Error::other)??)
}

/// Writes down what is only in the log once that has grown: it lies in memory, and goes only with a checkpoint.
async fn tidy(lane: &Lane) -> Result<(), Error> {
    let long = format!(
        "SELECT 1 FROM pg_control_checkpoint() WHERE pg_wal_lsn_diff(pg_current_wal_lsn(), redo_lsn) > {}",
        limits::PRIVATE_LOG
    );
    if !lane.run(&long).await?.is_empty() {
        lane.run("CHECKPOINT").await?;
    }
    Ok(())
}

fn oid(rows: &[tokio_postgres::SimpleQueryRow]) -> Option<u32> {
    rows.first()?.get(0)?.parse().ok()
}
