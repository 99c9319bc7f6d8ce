//! Private servers for exclusive tests and for those under observation: a copy of the template's image, started, with a
//! superuser, for one lease at a time.
//!
//! [`one`] is a server: after each lease it is handed on if it is proven to be as it was, else destroyed; [`files`] is the part of
//! that proof which the server does not tell. Here they stand on a shelf. Once one was asked for, one more than is in use is kept
//! warm, so that no test waits the 75 ms that it takes to start one.

mod files;
mod one;

pub(crate) use one::{After, Private};

use crate::lease::{Ask, Refused};
use crate::limits;
use crate::names::Names;
use crate::pool::variables;
use crate::server::Error;
use crate::server::local::{Image, Local};
use crate::server::settings::Purpose;
use crate::settings::Settings;
use one::Common;
use regatta_domain::Digest;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

/// The private servers of one template.
#[derive(Debug)]
pub(crate) struct Privates {
    local: Arc<Local>,
    image: Arc<Image>,
    common: Common,
    settings: Arc<Settings>,
    shelf: Mutex<Shelf>,
    /// Wakes those that make.
    short: Notify,
    /// One permit per server that exists, over all templates.
    room: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shelf {
    ready: VecDeque<Private>,
    /// Askers in the order in which they came, when nothing was ready.
    waiting: VecDeque<oneshot::Sender<Private>>,
    /// Servers that are being made, and such as are made ready for another lease.
    coming: usize,
    asked: Option<Instant>,
    closed: bool,
    /// What the last failure to make one said.
    trouble: String,
}

/// What somebody who makes servers does next.
enum Work {
    Make(OwnedSemaphorePermit),
    End(Private),
    Nothing,
}

/// How long one that makes servers waits after a failure, and at most while nothing is short.
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
            common: Common::new(digest, names, settings.reuses),
            settings,
            shelf: Mutex::default(),
            short: Notify::new(),
            room,
            closing: watch::channel(false).0,
            tasks: Mutex::default(),
        });
        let tasks = (0..limits::PRIVATE_MAKERS).map(|_| tokio::spawn(privates.clone().keep_warm())).collect();
        *privates.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        privates
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are ready.
    pub(crate) fn ready(&self) -> usize {
        self.shelf().ready.len()
    }

    /// Those that are ready: how we enter each, with the names of its database and of the role of its next lease.
    pub(crate) fn shown(&self) -> Vec<(tokio_postgres::Config, String, String)> {
        let shown = |one: &Private| (one.server.admin.clone(), one.database.clone(), one.role.role.clone());
        self.shelf().ready.iter().map(shown).collect()
    }

    /// Bytes of the image, which each server takes again.
    pub(crate) fn bytes(&self) -> u64 {
        self.image.bytes()
    }

    /// Gives a private server: one that is ready, else the next that is.
    pub(crate) async fn take(&self) -> Result<Private, Refused> {
        let mut got = match self.pop() {
            Ok(ready) => return Ok(ready),
            Err(got) => got,
        };
        if let Ok(Ok(private)) = tokio::time::timeout(limits::WAIT, &mut got).await {
            return Ok(private);
        }
        // It may have come in the last moment.
        got.close();
        got.try_recv().map_err(|_| {
            let why = self.shelf().trouble.clone();
            Refused::Late { why: if why.is_empty() { "all private servers are in use".to_owned() } else { why } }
        })
    }

    /// Takes one from the shelf, or a place in the queue.
    fn pop(&self) -> Result<Private, oneshot::Receiver<Private>> {
        let mut shelf = self.shelf();
        shelf.asked = Some(Instant::now());
        let mut found = shelf.ready.pop_front();
        // It may have been killed from outside; its directory goes with its guard.
        while let Some(dead) = found.take_if(|one| !one.is_up()) {
            drop(dead);
            found = shelf.ready.pop_front();
        }
        let taken = found.ok_or_else(|| {
            let (give, got) = oneshot::channel();
            shelf.waiting.push_back(give);
            got
        });
        drop(shelf);
        self.short.notify_waiters();
        taken
    }

    /// Puts a server where the next asker finds it. It comes back where nobody may have it any more.
    fn put(&self, mut private: Private) -> Option<Private> {
        let mut shelf = self.shelf();
        if shelf.closed {
            return Some(private);
        }
        while let Some(waiting) = shelf.waiting.pop_front() {
            match waiting.send(private) {
                Ok(()) => return None,
                Err(back) => private = back,
            }
        }
        // What was used last is warm in every cache.
        shelf.ready.push_front(private);
        None
    }

    /// Takes a server back whose lease has ended, and does what was decided about it.
    pub(crate) async fn settle(&self, private: Private, after: After) {
        self.shelf().coming += 1;
        let rest = if after == After::Destroy {
            Some(private)
        } else {
            match private.renew(after, &self.common).await {
                Ok(private) => self.put(private),
                Err((private, error)) => {
                    tracing::debug!(database = private.database, %error, "a private server is not handed on");
                    Some(private)
                }
            }
        };
        self.shelf().coming -= 1;
        self.short.notify_waiters();
        if let Some(private) = rest {
            private.destroy().await;
            self.short.notify_waiters();
        }
    }

    /// Makes what is short until all of it closes.
    async fn keep_warm(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        while !*closing.borrow() {
            let woken = self.short.notified();
            tokio::pin!(woken);
            // Registered before looking, so that no call is missed between looking and waiting.
            woken.as_mut().enable();
            match self.next() {
                Work::Make(permit) => {
                    let made = self.make(permit).await;
                    self.shelf().coming -= 1;
                    match made {
                        Ok(private) => {
                            self.shelf().trouble.clear();
                            if let Some(late) = self.put(private) {
                                late.destroy().await;
                            }
                        }
                        Err(error) => {
                            tracing::warn!(template = %self.common.digest, %error, "a private server could not be made");
                            self.shelf().trouble = error.to_string();
                            let _ = tokio::time::timeout(PAUSE, closing.wait_for(|closing| *closing)).await;
                        }
                    }
                }
                Work::End(unwanted) => unwanted.destroy().await,
                Work::Nothing => {
                    tokio::select! {
                        () = woken => {}
                        () = tokio::time::sleep(PAUSE) => {}
                        _ = closing.wait_for(|closing| *closing) => {}
                    }
                }
            }
        }
    }

    fn next(&self) -> Work {
        let mut shelf = self.shelf();
        shelf.waiting.retain(|waiting| !waiting.is_closed());
        let is_wanted = shelf.asked.is_some_and(|asked| asked.elapsed() < FORGET);
        if !is_wanted && let Some(unwanted) = shelf.ready.pop_back() {
            return Work::End(unwanted);
        }
        let wanted = shelf.waiting.len() + usize::from(is_wanted);
        if shelf.ready.len() + shelf.coming < wanted
            && let Ok(permit) = self.room.clone().try_acquire_owned()
        {
            shelf.coming += 1;
            return Work::Make(permit);
        }
        Work::Nothing
    }

    async fn make(&self, permit: OwnedSemaphorePermit) -> Result<Private, Error> {
        let process = self.local.start(&self.image, Purpose::Private).await?;
        Private::make(process, &self.common, permit).await
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

    /// Ends all that are ready, and whatever comes back from now on.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        let ready = {
            let mut shelf = self.shelf();
            shelf.closed = true;
            shelf.waiting.clear();
            std::mem::take(&mut shelf.ready)
        };
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            let _ = task.await;
        }
        for private in ready {
            private.destroy().await;
        }
    }
}
