//! Clones of one template on one server: made ahead, handed out from memory, taken back verified.
//!
//! [`Pool`] is the shelf and what everybody asks of it; `make` fills it, `demand` says how far, `release` takes back, `discard`
//! throws away. The invariant: what is on the shelf equals the template, bears a name that nobody ever had, and can be entered
//! by one role that nobody has been told of.

mod clear;
pub(crate) mod demand;
pub(crate) mod discard;
pub(crate) mod make;
pub(crate) mod release;

use crate::lease::Ask;
use crate::names::{self, Names};
use crate::server::{Error, Server};
use crate::settings::Settings;
use crate::template::finish::Finished;
use crate::watch::Mark;
use demand::Demand;
use discard::Trash;
use regatta_domain::{Digest, Level};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

/// The clones of one template on one server.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) server: Arc<Server>,
    pub(crate) template: Finished,
    /// Names of the template's relations by their files, which all clones have alike.
    relations: HashMap<u32, String>,
    pub(crate) digest: Digest,
    names: Arc<Names>,
    settings: Arc<Settings>,
    shelf: Mutex<Shelf>,
    /// Wakes the makers.
    short: Notify,
    trash: Mutex<VecDeque<Trash>>,
    /// Wakes the one that drops.
    full: Notify,
    closing: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) counts: Counts,
    /// For databases that throw themselves away.
    this: Weak<Self>,
}

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) made: AtomicU64,
    pub(crate) reused: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

/// A role and its password.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) role: String,
    pub(crate) password: String,
}

/// A clone.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) oid: u32,
    pub(crate) owner: Credentials,
    pub(crate) mark: Mark,
    /// Which watch marked it.
    pub(crate) generation: u64,
    uses: u32,
}

/// The clone that all readers share. Thrown away with the last that knows it.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) name: String,
    pub(crate) oid: u32,
    pool: Weak<Pool>,
}

/// A role that may read, and the database that it may read.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) credentials: Credentials,
    pub(crate) reading: Arc<Reading>,
    pub(crate) mark: Mark,
    pub(crate) generation: u64,
}

#[derive(Debug)]
struct Shelf {
    ready: VecDeque<Database>,
    /// Askers in the order in which they came, when nothing was ready.
    waiting: VecDeque<oneshot::Sender<Database>>,
    readers: VecDeque<Reader>,
    reading: Option<Arc<Reading>>,
    /// Roles for clones to come.
    owners: VecDeque<Credentials>,
    making: usize,
    making_roles: bool,
    making_readers: bool,
    /// Clones out, and how many of them are expected back clean.
    out: usize,
    expected: usize,
    demand: Demand,
    /// Whether anybody has asked to read, so that roles for it are worth making.
    read: bool,
    /// What the last failure to make something said.
    trouble: String,
}

impl Pool {
    /// Begins a pool of the finished template: makes the clone for readers, learns from it, and starts the makers.
    pub(crate) async fn begin(
        server: Arc<Server>,
        digest: Digest,
        (database, owner, reader): (String, String, String),
        names: Arc<Names>,
        settings: Arc<Settings>,
    ) -> Result<Arc<Self>, Error> {
        // Others may be copying from one that is there already.
        if server.is_ours() {
            crate::template::finish::describe(&server.admin, server.quick(), &database).await?;
        }
        let reading = make::reading(&server, &database, &reader, names.next(digest)).await?;
        let inside = crate::server::lane::connect(&server.inside(&reading.0)).await?;
        let template = crate::template::finish::read(server.quick(), &inside, &database, (owner, reader)).await?;
        let relations = make::relations(&inside).await?;
        drop(inside);
        make::settle(&server, reading.1).await?;
        let pool = Arc::new_cyclic(|this: &Weak<Self>| Self {
            shelf: Mutex::new(Shelf {
                ready: VecDeque::new(),
                waiting: VecDeque::new(),
                readers: VecDeque::new(),
                reading: Some(Arc::new(Reading { name: reading.0, oid: reading.1, pool: this.clone() })),
                owners: VecDeque::new(),
                making: 0,
                making_roles: false,
                making_readers: false,
                out: 0,
                expected: 0,
                demand: Demand::new(Instant::now()),
                read: false,
                trouble: String::new(),
            }),
            server,
            template,
            relations,
            digest,
            names,
            settings,
            short: Notify::new(),
            trash: Mutex::new(VecDeque::new()),
            full: Notify::new(),
            closing: watch::channel(false).0,
            tasks: Mutex::new(Vec::new()),
            counts: Counts::default(),
            this: this.clone(),
        });
        let shared = pool.shelf().reading.as_ref().map(|reading| reading.name.clone()).unwrap_or_default();
        pool.apply_settings(&shared).await?;
        let mut tasks: Vec<_> =
            (0..pool.server.makers.len()).map(|lane| tokio::spawn(pool.clone().make(lane))).collect();
        tasks.push(tokio::spawn(pool.clone().discard_all()));
        *pool.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        Ok(pool)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a clone from the shelf, or a place in the queue. This is the hot path: nothing is waited for here.
    pub(crate) fn take(&self, level: Level) -> Result<Database, oneshot::Receiver<Database>> {
        let generation = self.server.watch().0;
        let mut shelf = self.shelf();
        shelf.demand.leased(Instant::now());
        shelf.out += 1;
        if level == Level::Transaction {
            shelf.expected += 1;
        }
        while let Some(database) = shelf.ready.pop_front() {
            if database.generation == generation {
                drop(shelf);
                self.short.notify_waiters();
                return Ok(database);
            }
            self.discard(Trash::of(database));
        }
        let (give, got) = oneshot::channel();
        shelf.waiting.push_back(give);
        drop(shelf);
        self.short.notify_waiters();
        Err(got)
    }

    /// A clone that was out, or for which somebody waited in vain, is no longer.
    pub(crate) fn returned(&self, level: Level, held: Option<Duration>) {
        let mut shelf = self.shelf();
        shelf.out = shelf.out.saturating_sub(1);
        if level == Level::Transaction {
            shelf.expected = shelf.expected.saturating_sub(1);
        }
        if let Some(held) = held {
            shelf.demand.held(held);
        }
        shelf.waiting.retain(|waiting| !waiting.is_closed());
        drop(shelf);
        self.short.notify_waiters();
    }

    /// Puts a clone where the next asker finds it.
    pub(crate) fn put(&self, database: Database) {
        let mut database = database;
        let mut shelf = self.shelf();
        while let Some(waiting) = shelf.waiting.pop_front() {
            match waiting.send(database) {
                Ok(()) => return,
                Err(back) => database = back,
            }
        }
        shelf.ready.push_back(database);
    }

    /// Takes a role that may read, if one is ready.
    pub(crate) fn reader(&self) -> Option<Reader> {
        let generation = self.server.watch().0;
        let mut shelf = self.shelf();
        shelf.read = true;
        let mut found = shelf.readers.pop_front();
        while let Some(reader) = found.take_if(|reader| reader.generation != generation) {
            self.discard(Trash::role(reader.credentials.role));
            found = shelf.readers.pop_front();
        }
        drop(shelf);
        self.short.notify_waiters();
        found
    }

    /// Somebody wrote where all read: the clone is not given to readers any more.
    fn spoil(&self, reading: &Arc<Reading>) {
        let mut shelf = self.shelf();
        if shelf.reading.as_ref().is_some_and(|current| Arc::ptr_eq(current, reading)) {
            let readers = std::mem::take(&mut shelf.readers);
            let old = shelf.reading.take();
            drop(shelf);
            for reader in readers {
                self.discard(Trash::role(reader.credentials.role));
            }
            drop(old);
            self.short.notify_waiters();
        }
    }

    /// What the last failure to make something said.
    pub(crate) fn trouble(&self) -> String {
        self.shelf().trouble.clone()
    }

    /// Leases per second, clones that are ready, clones that are out.
    pub(crate) fn figures(&self) -> (f64, usize, usize) {
        let shelf = self.shelf();
        (shelf.demand.rate(Instant::now()), shelf.ready.len(), shelf.out)
    }

    /// The clone of the readers, and all that is on the shelf now.
    pub(crate) fn ready(&self) -> (String, Vec<String>) {
        let shelf = self.shelf();
        let reading = shelf.reading.as_ref().map(|reading| reading.name.clone()).unwrap_or_default();
        (reading, shelf.ready.iter().map(|database| database.name.clone()).collect())
    }

    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Stops making and dropping, and waits until nobody is at it. What exists then is left to the caller: it ends the server,
    /// or sweeps it.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        self.short.notify_waiters();
        self.full.notify_waiters();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            let _ = task.await;
        }
    }

    /// The variables and the URL under which a test finds `database`.
    pub(crate) fn variables(
        &self,
        ask: &Ask,
        database: &str,
        as_whom: &Credentials,
    ) -> (String, Vec<(String, String)>) {
        variables(&self.server, ask, database, as_whom, self.settings.connection_limit)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.discard(Trash::database(std::mem::take(&mut self.name)));
        }
    }
}

impl Credentials {
    /// A role that nobody ever had.
    pub(crate) fn fresh(names: &Names, digest: Digest) -> Self {
        Self { role: names.next(digest), password: names::password() }
    }
}

/// The variables and the URL under which a test finds `database` on `server`.
pub(crate) fn variables(
    server: &Server,
    ask: &Ask,
    database: &str,
    as_whom: &Credentials,
    connections: u32,
) -> (String, Vec<(String, String)>) {
    let Credentials { role, password } = as_whom;
    let url = format!("postgresql://{role}:{password}@{}:{}/{database}?sslmode=disable", server.host, server.port);
    let mut application = ask.application.clone();
    application.truncate((0..=63).rev().find(|&at| ask.application.is_char_boundary(at)).unwrap_or(0));
    let said = [
        ("DATABASE_URL", url.clone()),
        ("PGHOST", server.host.clone()),
        ("PGPORT", server.port.to_string()),
        ("PGUSER", role.clone()),
        ("PGPASSWORD", password.clone()),
        ("PGDATABASE", database.to_owned()),
        ("PGSSLMODE", "disable".to_owned()),
        ("PGCONNECT_TIMEOUT", "10".to_owned()),
        ("PGAPPNAME", application),
        ("REGATTA_LEVEL", ask.level.name().to_owned()),
        ("REGATTA_MAX_CONNECTIONS", connections.to_string()),
    ];
    (url, said.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
