//! Filling the shelf, beside the hot path: roles in batches, then clones, each warmed by one connection and marked.

use super::discard::Trash;
use super::{Credentials, Database, Pool, Reader, Reading, count};
use crate::limits;
use crate::server::{Error, Server, lane};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a maker does next.
enum Work {
    Owners,
    Reading,
    Readers(Arc<Reading>),
    Clone(Credentials),
    Nothing,
}

/// How long a maker rests when nothing is short: demand falls without an event, and nothing hangs on noticing it soon.
const REST: Duration = Duration::from_secs(1);

/// What makes a role a reader, besides its group.
const READ_ONLY: &str = "ALTER ROLE $role SET default_transaction_read_only = on; ";

/// How long a maker waits after a failure.
const PAUSE: Duration = Duration::from_millis(200);

impl Pool {
    /// Makes what is short until the pool closes.
    pub(super) async fn make(self: Arc<Self>, lane: usize) {
        let mut closing = self.closing.subscribe();
        while !self.is_closing() {
            let woken = self.short.notified();
            tokio::pin!(woken);
            // Registered before looking, so that no call is missed between looking and waiting.
            woken.as_mut().enable();
            let work = if self.server.breaker.is_closed() { self.next() } else { Work::Nothing };
            let done = match work {
                Work::Nothing => {
                    if tokio::time::timeout(REST, woken).await.is_err() {
                        self.shrink();
                    }
                    continue;
                }
                Work::Owners => self.make_owners(lane).await,
                Work::Reading => self.make_reading().await,
                Work::Readers(reading) => self.make_readers(lane, reading).await,
                Work::Clone(owner) => self.make_clone(lane, owner).await,
            };
            if let Err(error) = done {
                tracing::warn!(template = %self.digest, %error, "a database could not be made");
                self.shelf().trouble = error.to_string();
                let _ = tokio::time::timeout(PAUSE, closing.wait_for(|closing| *closing)).await;
            }
        }
    }

    fn next(&self) -> Work {
        let room = self.room();
        let mut shelf = self.shelf();
        if shelf.reading.is_none() && !shelf.making_readers {
            shelf.making_readers = true;
            return Work::Reading;
        }
        let wanted = shelf.demand.wanted(Instant::now());
        if shelf.owners.len() < wanted.clamp(limits::ROLES_AT_ONCE / 2, 2 * limits::ROLES_AT_ONCE)
            && !shelf.making_roles
        {
            shelf.making_roles = true;
            return Work::Owners;
        }
        if shelf.read
            && !shelf.making_readers
            && shelf.readers.len() < wanted.max(limits::ROLES_AT_ONCE)
            && let Some(reading) = shelf.reading.clone()
        {
            shelf.making_readers = true;
            return Work::Readers(reading);
        }
        // A clone that is out and expected back clean is as good as one in the making.
        let there = shelf.ready.len() + shelf.making + shelf.expected;
        let least = shelf.ready.len() + shelf.making < limits::SHELF_LEAST;
        let short = there < wanted || least || shelf.making < shelf.waiting.len();
        if short
            && shelf.ready.len() + shelf.making + shelf.out.saturating_sub(shelf.waiting.len()) < room
            && let Some(owner) = shelf.owners.pop_front()
        {
            shelf.making += 1;
            return Work::Clone(owner);
        }
        Work::Nothing
    }

    /// Throws one clone away that a burst left on the shelf: memory is for those who need it now.
    fn shrink(&self) {
        let mut shelf = self.shelf();
        if shelf.ready.len() > 2 * shelf.demand.wanted(Instant::now())
            && let Some(surplus) = shelf.ready.pop_back()
        {
            self.discard(Trash::of(surplus));
        }
    }

    /// Clones that may exist at once, less those that wait to be dropped.
    fn room(&self) -> usize {
        let bytes = self.template.bytes.max(1);
        let room = usize::try_from(self.settings.clone_bytes / bytes).unwrap_or(usize::MAX);
        let waste = self.trash.lock().map_or(0, |trash| trash.iter().filter(|one| one.database.is_some()).count());
        room.saturating_sub(waste).max(1)
    }

    async fn make_owners(&self, lane: usize) -> Result<(), Error> {
        let owners: Vec<_> = (0..limits::ROLES_AT_ONCE).map(|_| Credentials::fresh(&self.names, self.digest)).collect();
        let made = self.server.makers[lane].run(&self.roles(&owners, &self.template.owner, "")).await;
        let mut shelf = self.shelf();
        shelf.making_roles = false;
        made?;
        shelf.owners.extend(owners);
        drop(shelf);
        self.short.notify_waiters();
        Ok(())
    }

    /// Statements that make `roles`, members of `group`.
    fn roles(&self, roles: &[Credentials], group: &str, more: &str) -> String {
        let attributes = if self.server.facts.superuser {
            "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
        } else {
            "NOCREATEDB NOCREATEROLE"
        };
        let (lock, idle) = (self.settings.lock_timeout.as_millis(), self.settings.idle_timeout.as_millis());
        let mut sql = String::new();
        for Credentials { role, password } in roles {
            let _ = write!(
                sql,
                "CREATE ROLE {role} LOGIN {attributes} CONNECTION LIMIT {} PASSWORD '{password}' IN ROLE {group}; \
                 ALTER ROLE {role} SET lock_timeout = {lock}; \
                 ALTER ROLE {role} SET idle_in_transaction_session_timeout = {idle}; {}",
                self.settings.connection_limit,
                more.replace("$role", role)
            );
            if !self.server.facts.superuser {
                let _ = write!(sql, "GRANT {role} TO CURRENT_USER; ");
            }
        }
        sql
    }

    async fn make_reading(&self) -> Result<(), Error> {
        let made =
            reading(&self.server, &self.template.database, &self.template.reader, self.names.next(self.digest)).await;
        let settings = match &made {
            Ok((name, _)) => self.apply_settings(name).await,
            Err(_) => Ok(()),
        };
        let mut shelf = self.shelf();
        shelf.making_readers = false;
        let (name, oid) = made?;
        shelf.reading = Some(Arc::new(Reading { name, oid, pool: self.this.clone() }));
        settings
    }

    pub(super) async fn apply_settings(&self, name: &str) -> Result<(), Error> {
        let sql: String =
            self.template.settings.iter().map(|setting| format!("ALTER DATABASE {name} SET {setting}; ")).collect();
        if sql.is_empty() { Ok(()) } else { self.server.quick().run(&sql).await.map(drop) }
    }

    async fn make_readers(&self, lane: usize, reading: Arc<Reading>) -> Result<(), Error> {
        let roles: Vec<_> = (0..limits::ROLES_AT_ONCE).map(|_| Credentials::fresh(&self.names, self.digest)).collect();
        let sql = self.roles(&roles, &self.template.reader, READ_ONLY);
        let made = async {
            self.server.makers[lane].run(&sql).await?;
            let (generation, watch) = self.server.watch();
            let mark = watch.mark(reading.oid).await.map_err(Error::Watch)?;
            let ready = |credentials| Reader { credentials, reading: reading.clone(), mark: mark.clone(), generation };
            let readers: Vec<_> = roles.into_iter().map(ready).collect();
            Ok::<_, Error>(readers)
        }
        .await;
        let mut shelf = self.shelf();
        shelf.making_readers = false;
        let readers = made?;
        // The clone may have been spoilt meanwhile.
        if shelf.reading.as_ref().is_some_and(|current| Arc::ptr_eq(current, &reading)) {
            shelf.readers.extend(readers);
        } else {
            drop(shelf);
            for reader in readers {
                self.discard(Trash::role(reader.credentials.role));
            }
        }
        self.short.notify_waiters();
        Ok(())
    }

    async fn make_clone(&self, lane: usize, owner: Credentials) -> Result<(), Error> {
        let begun = Instant::now();
        let name = self.names.next(self.digest);
        let role = owner.role.clone();
        let made = self.clone_and_mark(lane, &name, owner).await;
        let mut shelf = self.shelf();
        shelf.making -= 1;
        match made {
            Ok(database) => {
                shelf.demand.made(begun.elapsed());
                shelf.trouble.clear();
                drop(shelf);
                count(&self.counts.made);
                self.put(database);
                Ok(())
            }
            Err(error) => {
                drop(shelf);
                self.discard(Trash { database: Some(name), roles: vec![role], tries: 0 });
                Err(error)
            }
        }
    }

    async fn clone_and_mark(&self, lane: usize, name: &str, owner: Credentials) -> Result<Database, Error> {
        let lane = &self.server.makers[lane];
        let strategy = strategy(&self.server);
        // On its own: it may not stand in a transaction with others.
        lane.run(&format!(
            "CREATE DATABASE {name} TEMPLATE {} {strategy} OWNER {} CONNECTION LIMIT {}",
            self.template.database, owner.role, self.settings.connection_limit
        ))
        .await?;
        let settings: String =
            self.template.settings.iter().map(|setting| format!("ALTER DATABASE {name} SET {setting}; ")).collect();
        let oid = oid(lane
            .run(&format!(
                "REVOKE ALL ON DATABASE {name} FROM PUBLIC; {settings}\
                 COMMENT ON DATABASE {name} IS 'regatta clone of {}'; {}",
                self.digest,
                find(name)
            ))
            .await?)?;
        if self.shelf().waiting.is_empty() {
            // The first connection to a clone pays 7 ms for reading its catalogs into memory; nobody waits for it here.
            let inside = lane::connect(&self.server.inside(name)).await?;
            lane::run(&inside, "SELECT count(*) FROM pg_class WHERE relkind = 'r'").await?;
            drop(inside);
            settle(&self.server, oid).await?;
        }
        let (generation, watch) = self.server.watch();
        let mark = watch.mark(oid).await.map_err(Error::Watch)?;
        Ok(Database { name: name.to_owned(), oid, owner, mark, generation, uses: 0 })
    }

    /// A role that may read, made now because none was ready.
    pub(crate) async fn reader_now(&self) -> Result<Reader, Error> {
        let until = Instant::now() + limits::WAIT;
        let reading = loop {
            if let Some(reading) = self.shelf().reading.clone() {
                break reading;
            }
            if Instant::now() > until || self.is_closing() {
                return Err(Error::Unfit { why: self.trouble() });
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let credentials = Credentials::fresh(&self.names, self.digest);
        let sql = self.roles(std::slice::from_ref(&credentials), &self.template.reader, READ_ONLY);
        self.server.quick().run(&sql).await?;
        let (generation, watch) = self.server.watch();
        let mark = watch.mark(reading.oid).await.map_err(Error::Watch)?;
        Ok(Reader { credentials, reading, mark, generation })
    }

    /// An owner for a clone that is handed on: from the shelf, else made now.
    pub(super) async fn owner(&self) -> Result<Credentials, Error> {
        if let Some(owner) = self.shelf().owners.pop_front() {
            self.short.notify_waiters();
            return Ok(owner);
        }
        let owner = Credentials::fresh(&self.names, self.digest);
        self.server.quick().run(&self.roles(std::slice::from_ref(&owner), &self.template.owner, "")).await?;
        Ok(owner)
    }

    /// Gives a clean clone a new name and a new owner, and puts it back.
    pub(super) async fn hand_on(&self, mut database: Database, sequences: bool) {
        database.uses += 1;
        if database.uses >= self.settings.reuses || self.is_closing() {
            return self.discard(Trash::of(database));
        }
        let (old, role) = (database.name.clone(), database.owner.role.clone());
        match self.rename(database, sequences).await {
            Ok(database) => {
                count(&self.counts.reused);
                self.put(database);
            }
            Err((error, name)) => {
                tracing::warn!(database = old, %error, "a clean database could not be handed on; it is replaced");
                self.discard(Trash { database: Some(name), roles: vec![role], tries: 0 });
                self.short.notify_waiters();
            }
        }
    }

    async fn rename(&self, mut database: Database, sequences: bool) -> Result<Database, (Error, String)> {
        let old = database.name.clone();
        let failed = |error| (error, old.clone());
        if sequences && !self.template.sequences.is_empty() {
            let inside = lane::connect(&self.server.inside(&old)).await.map_err(failed)?;
            lane::run(&inside, &self.template.sequences).await.map_err(failed)?;
            drop(inside);
            settle(&self.server, database.oid).await.map_err(failed)?;
        }
        let owner = self.owner().await.map_err(failed)?;
        let name = self.names.next(self.digest);
        // One transaction. The rename fails where anybody is still inside, which is the last proof that nobody is.
        let renamed = self
            .server
            .quick()
            .run(&format!(
                "ALTER DATABASE {old} RENAME TO {name}; ALTER DATABASE {name} OWNER TO {}; DROP ROLE {}",
                owner.role, database.owner.role
            ))
            .await;
        if let Err(error) = renamed {
            self.discard(Trash::role(owner.role));
            return Err((error, old));
        }
        let role = std::mem::replace(&mut database.owner, owner).role;
        tracing::trace!(from = old, to = name, role, "a clean database is handed on");
        let (generation, watch) = self.server.watch();
        database.mark = watch.mark(database.oid).await.map_err(|error| (Error::Watch(error), name.clone()))?;
        database.generation = generation;
        database.name = name;
        Ok(database)
    }
}

/// The names of all relations of the template that `inside` is a connection to a clone of, by their files.
pub(super) async fn relations(inside: &tokio_postgres::Client) -> Result<HashMap<u32, String>, Error> {
    let rows = lane::run(
        inside,
        "SELECT pg_relation_filenode(oid) FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'i', 't', 'm', 'S')",
    );
    let files: Vec<u32> = rows.await?.iter().filter_map(|row| row.get(0)?.parse().ok()).collect();
    crate::watch::names(inside, &files).await.map_err(Error::Watch)
}

/// Makes the clone that readers share.
pub(super) async fn reading(
    server: &Server,
    template: &str,
    reader: &str,
    name: String,
) -> Result<(String, u32), Error> {
    let lane = server.quick();
    lane.run(&format!("CREATE DATABASE {name} TEMPLATE {template} {}", strategy(server))).await?;
    let rows = lane
        .run(&format!(
            "REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {reader}; \
             COMMENT ON DATABASE {name} IS 'regatta readers of {template}'; {}",
            find(&name)
        ))
        .await?;
    let oid = oid(rows)?;
    Ok((name, oid))
}

/// Waits until our own session on a database has gone: what it did must not be taken for the test's.
pub(crate) async fn settle(server: &Server, oid: u32) -> Result<(), Error> {
    let until = Instant::now() + limits::TERMINATE;
    while Instant::now() < until {
        let rows = server.quick().run(&format!("SELECT 1 FROM pg_stat_activity WHERE datid = {oid} LIMIT 1")).await?;
        if rows.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err(Error::Unfit { why: format!("somebody stays connected to the new database {oid}") })
}

/// How a clone is copied: file by file where nothing is flushed, through the WAL where a checkpoint would cost more.
pub(crate) fn strategy(server: &Server) -> &'static str {
    match (server.facts.major >= 15, server.facts.fsync) {
        (false, _) => "",
        (true, false) => "STRATEGY FILE_COPY",
        (true, true) => "STRATEGY WAL_LOG",
    }
}

fn find(name: &str) -> String {
    format!("SELECT oid FROM pg_database WHERE datname = '{name}'")
}

fn oid(rows: Vec<tokio_postgres::SimpleQueryRow>) -> Result<u32, Error> {
    rows.first()
        .and_then(|row| row.get(0)?.parse().ok())
        .ok_or_else(|| Error::Unfit { why: "a database that was just made is not there".to_owned() })
}
