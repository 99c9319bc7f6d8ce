//! Private servers for exclusive tests: a copy of the template's image, started, with a superuser; destroyed afterwards.
//!
//! Once one was asked for, one or two are kept warm, so that the next test does not wait the 75 ms that one takes.

use crate::lease::{Ask, Fate, Refused, Released, Terms};
use crate::limits;
use crate::names::{self, Names};
use crate::pool::release::{end, judge, left, lost};
use crate::pool::{Credentials, variables};
use crate::server::local::{Image, Local};
use crate::server::settings::Purpose;
use crate::server::{Error, Server};
use crate::settings::Settings;
use crate::watch::{Mark, Whose};
use regatta_domain::Digest;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

/// The private servers of one template.
#[derive(Debug)]
pub(crate) struct Privates {
    local: Arc<Local>,
    image: Arc<Image>,
    digest: Digest,
    names: Arc<Names>,
    settings: Arc<Settings>,
    shelf: Mutex<Shelf>,
    short: Notify,
    /// One permit per server that exists, over all templates.
    room: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shelf {
    ready: VecDeque<Private>,
    asked: Option<Instant>,
    /// Seconds between two askers, on average.
    between: f64,
}

/// One private server.
#[derive(Debug)]
pub(crate) struct Private {
    server: Arc<Server>,
    pub(crate) database: String,
    role: Credentials,
    mark: Mark,
    _room: OwnedSemaphorePermit,
}

/// How long the one that keeps servers warm waits after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Without an asker for so long, none is kept warm any more.
const FORGET: Duration = Duration::from_secs(120);

impl Privates {
    pub(crate) fn begin(
        local: Arc<Local>,
        image: Arc<Image>,
        digest: Digest,
        names: Arc<Names>,
        settings: Arc<Settings>,
        room: Arc<Semaphore>,
    ) -> Arc<Self> {
        let privates = Arc::new(Self {
            local,
            image,
            digest,
            names,
            settings,
            shelf: Mutex::new(Shelf { between: 60.0, ..Shelf::default() }),
            short: Notify::new(),
            room,
            closing: watch::channel(false).0,
            task: Mutex::new(None),
        });
        let task = tokio::spawn(privates.clone().keep_warm());
        *privates.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        privates
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are ready.
    pub(crate) fn ready(&self) -> usize {
        self.shelf().ready.len()
    }

    /// Bytes of the image, which each server takes again.
    pub(crate) fn bytes(&self) -> u64 {
        self.image.bytes()
    }

    /// Gives a private server: a warm one, else one that is made now.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Private, Refused> {
        if let Some(ready) = self.pop() {
            return Ok(ready);
        }
        let permit = tokio::time::timeout(limits::WAIT, self.room.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            // One may have become warm while we stood in the queue for another.
            return self.pop().ok_or_else(|| Refused::Late { why: "all private servers are in use".to_owned() });
        };
        // Made by a task of its own: an asker that goes away leaves it to the next.
        let this = self.clone();
        let made = tokio::spawn(async move { this.make(permit).await }).await;
        match made {
            Ok(Ok(private)) => Ok(private),
            Ok(Err(error)) => Err(Refused::Late { why: error.to_string() }),
            Err(error) => Err(Refused::Late { why: error.to_string() }),
        }
    }

    fn pop(&self) -> Option<Private> {
        let mut shelf = self.shelf();
        let now = Instant::now();
        if let Some(asked) = shelf.asked.replace(now) {
            let between = now.duration_since(asked).as_secs_f64();
            shelf.between += (between - shelf.between) * 0.3;
        }
        let mut found = shelf.ready.pop_front();
        // A warm server may have been killed from outside; its directory goes with its guard.
        while let Some(dead) = found.take_if(|one| one.server.ended().is_none_or(|ended| *ended.borrow())) {
            drop(dead);
            found = shelf.ready.pop_front();
        }
        drop(shelf);
        self.short.notify_one();
        found
    }

    /// Keeps one server warm while exclusive tests come, and two while they come fast.
    async fn keep_warm(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        while !*closing.borrow() {
            let (short, cold) = {
                let shelf = self.shelf();
                let age = shelf.asked.map(|asked| asked.elapsed());
                let wanted = match age {
                    Some(age) if age < FORGET => 1 + usize::from(shelf.between < 0.5),
                    _ => 0,
                };
                (shelf.ready.len() < wanted, wanted == 0 && !shelf.ready.is_empty())
            };
            if cold {
                let unwanted = self.shelf().ready.pop_front();
                if let Some(unwanted) = unwanted {
                    unwanted.destroy().await;
                }
                continue;
            }
            if short && let Ok(permit) = self.room.clone().try_acquire_owned() {
                match self.make(permit).await {
                    Ok(private) => {
                        self.shelf().ready.push_back(private);
                        continue;
                    }
                    Err(error) => tracing::warn!(template = %self.digest, %error, "a private server could not be made"),
                }
            }
            tokio::select! {
                () = self.short.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        }
    }

    async fn make(&self, permit: OwnedSemaphorePermit) -> Result<Private, Error> {
        let process = self.local.start(&self.image, Purpose::Private).await?;
        let server = Arc::new(Server::of(process, true).await?);
        let (template, name) = (names::template(self.digest), self.names.next(self.digest));
        let role = Credentials::fresh(&self.names, self.digest);
        // The template itself becomes the test's database: nothing is to be cloned from it here.
        let rows = server
            .quick()
            .run(&format!(
                "ALTER DATABASE {template} IS_TEMPLATE false; ALTER DATABASE {template} ALLOW_CONNECTIONS true; \
                 ALTER DATABASE {template} RENAME TO {name}; \
                 CREATE ROLE {} SUPERUSER LOGIN PASSWORD '{}'; SELECT oid FROM pg_database WHERE datname = '{name}'",
                role.role, role.password
            ))
            .await?;
        let oid = rows.first().and_then(|row| row.get(0)?.parse().ok()).unwrap_or(0);
        let mark = server.watch().1.mark(oid).await.map_err(Error::Watch)?;
        Ok(Private { server, database: name, role, mark, _room: permit })
    }

    /// What a test needs to find its server.
    pub(crate) fn variables(&self, ask: &Ask, private: &Private) -> (String, Vec<(String, String)>) {
        // Its superuser may use all that the server has but what is reserved for us.
        let connections = private.server.facts.max_connections.saturating_sub(private.server.facts.reserved);
        variables(
            &private.server,
            ask,
            &private.database,
            &private.role,
            connections.min(self.settings.connection_limit),
        )
    }

    /// Ends all that are warm.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
        let ready = std::mem::take(&mut self.shelf().ready);
        for private in ready {
            private.destroy().await;
        }
    }
}

impl Private {
    /// Ends the lease: looks at what was done; the caller destroys the server afterwards.
    pub(crate) async fn release(&self, terms: Terms) -> Released {
        let released = self.verify(terms).await.unwrap_or_else(|error| {
            // A test that may do everything may also have ended the server.
            tracing::debug!(database = self.database, %error, "what a test did to its private server could not be seen");
            lost(terms.declared)
        });
        Released { fate: Fate::Destroyed, ..released }
    }

    async fn verify(&self, terms: Terms) -> Result<Released, Error> {
        // Its role is left as it is: what happens to roles here is evidence. Whoever comes in after this look meets a server
        // that is about to be gone.
        if terms.killed || !left(&self.server, limits::LEAVE).await? {
            end(&self.server).await?;
        }
        let whose = terms.statements.then_some(Whose::Everybody);
        let seen = self.server.watch().1.look(&self.mark, whose).await.map_err(Error::Watch)?;
        // What it left behind dies with the server, so nothing has leaked.
        Ok(judge(&self.server, Some(seen), &self.role.role, Vec::new(), terms.declared))
    }

    /// Ends the server and removes all that it had.
    pub(crate) async fn destroy(self) {
        if let Some(process) = self.server.take_process() {
            process.destroy().await;
        }
    }
}
