//! All that serves one finished template: warm servers, each with the template's data in it, and one that readers share.

use super::process::{DUMP, Process};
use super::server::{Holding, Server, Shared};
use super::{Error, Maker};
use crate::desk::{Figures, Given};
use crate::lease::{Ask, Fate, Refused};
use crate::limits;
use crate::names;
use crate::pool::demand::Demand;
use regatta_domain::Level;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio::task::JoinHandle;

/// What serves one template. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Stock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    maker: Arc<Maker>,
    image: Image,
    shelf: Mutex<Shelf>,
    /// Made when somebody first reads, and again when it was lost.
    shared: tokio::sync::Mutex<Option<Arc<Shared>>>,
    short: Notify,
    closing: watch::Sender<bool>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    made: AtomicU64,
    reused: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Shelf {
    ready: VecDeque<Box<Server>>,
    demand: Demand,
    /// Servers that are out, and are expected back clean.
    out: usize,
    /// What the last failure to make one said.
    trouble: String,
    /// The process of the shared server, for people.
    reading: Option<i32>,
    closed: bool,
}

/// What servers begin with. Removed with the last that knows it.
#[derive(Debug)]
struct Image {
    file: PathBuf,
    bytes: u64,
}

/// How long the one that keeps servers warm waits, at most, before it looks again.
const PAUSE: Duration = Duration::from_secs(1);

impl Stock {
    /// Keeps what a builder has saved, and begins to serve it.
    pub(super) fn begin(maker: Arc<Maker>, builder: &Process) -> Result<Self, Error> {
        let file = maker.home.fresh('i');
        std::fs::rename(builder.directory().join(DUMP), &file)?;
        let bytes = std::fs::metadata(&file)?.len();
        let shelf = Shelf {
            ready: VecDeque::new(),
            demand: Demand::new(Instant::now()),
            out: 0,
            trouble: String::new(),
            reading: None,
            closed: false,
        };
        let stock = Self(Arc::new(Inner {
            maker,
            image: Image { file, bytes },
            shelf: Mutex::new(shelf),
            shared: tokio::sync::Mutex::new(None),
            short: Notify::new(),
            closing: watch::channel(false).0,
            keeper: Mutex::new(None),
            made: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }));
        let keeper = tokio::spawn(stock.clone().keep_warm());
        *stock.0.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        Ok(stock)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a server of its own: a warm one, else one that is made now.
    pub(super) async fn take(&self, level: Level) -> Result<Given<Holding>, Refused> {
        let mut server = self.any().await?;
        let is_expected = level <= Level::Transaction;
        server.leased = Some((Instant::now(), is_expected));
        self.shelf().out += usize::from(is_expected);
        self.0.short.notify_one();
        Ok(server.given())
    }

    async fn any(&self) -> Result<Box<Server>, Refused> {
        let warm = {
            let mut shelf = self.shelf();
            shelf.demand.leased(Instant::now());
            shelf.pop()
        };
        if let Some(server) = warm {
            return Ok(server);
        }
        let room = tokio::time::timeout(limits::WAIT, self.0.maker.room.clone().acquire_owned()).await;
        let Ok(Ok(room)) = room else {
            // One may have come back while we stood in the queue for another.
            let late = || Refused::Late { why: format!("{} servers are in use", super::SERVERS) };
            return self.shelf().pop().ok_or_else(late);
        };
        // Made by a task of its own: if whoever asked goes away, it ends by itself.
        let stock = self.clone();
        match tokio::spawn(async move { stock.make(room).await }).await {
            Ok(Ok(server)) => Ok(server),
            Ok(Err(error)) => Err(Refused::Late { why: error.to_string() }),
            Err(error) => Err(Refused::Late { why: error.to_string() }),
        }
    }

    async fn make(&self, room: OwnedSemaphorePermit) -> Result<Box<Server>, Error> {
        let (begun, inner) = (Instant::now(), &self.0);
        let password = names::password();
        let made = async {
            let (process, admin) = inner.maker.start(Some(&inner.image.file), &password).await?;
            Server::of(process, admin, password.clone(), room).await.map(Box::new)
        };
        let made = made.await;
        let mut shelf = self.shelf();
        match &made {
            Ok(_) => {
                shelf.demand.made(begun.elapsed());
                shelf.trouble.clear();
                inner.made.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => shelf.trouble = error.to_string(),
        }
        made
    }

    /// Lets one more read.
    pub(super) async fn reader(&self, ask: &Ask) -> Result<Given<Holding>, Refused> {
        let late = |error: Error| Refused::Late { why: error.to_string() };
        let shared = {
            let mut shared = self.0.shared.lock().await;
            match shared.as_ref().filter(|shared| shared.is_well()) {
                Some(well) => well.clone(),
                None => {
                    let (process, admin) =
                        self.0.maker.start(Some(&self.0.image.file), &names::password()).await.map_err(late)?;
                    let fresh = Shared::of(process, admin).await.map_err(late)?;
                    self.shelf().reading = Some(fresh.pid());
                    // The last one ends when its last reader does.
                    *shared = Some(fresh.clone());
                    fresh
                }
            }
        };
        shared.admit(super::server::user(&self.0.maker.names, ask)).await.map_err(late)
    }

    /// Takes a server back: warm for the next test, or ended.
    pub(super) async fn settle(&self, holding: Holding, fate: Fate) {
        let Holding::Server(mut server) = holding else { return };
        if let Some((since, is_expected)) = server.leased.take() {
            let mut shelf = self.shelf();
            shelf.out -= usize::from(is_expected);
            shelf.demand.held(since.elapsed());
        }
        if fate == Fate::HandedOn && server.is_well() && server.renew().await.is_ok() {
            let mut shelf = self.shelf();
            // One too many is nearer to what is wanted than one made anew.
            if !shelf.closed && shelf.ready.len() + shelf.out <= shelf.wanted() {
                shelf.ready.push_back(server);
                self.0.reused.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
        server.destroy().await;
        self.0.short.notify_one();
    }

    /// Keeps as many warm as the rate of leases asks for, while there is room.
    async fn keep_warm(self) {
        let mut closing = self.0.closing.subscribe();
        while !*closing.borrow() {
            let (short, surplus) = {
                let mut shelf = self.shelf();
                let wanted = shelf.wanted();
                let there = shelf.ready.len() + shelf.out;
                (there < wanted, if there > wanted + 1 { shelf.ready.pop_front() } else { None })
            };
            if let Some(surplus) = surplus {
                surplus.destroy().await;
                continue;
            }
            if short && let Ok(room) = self.0.maker.room.clone().try_acquire_owned() {
                match self.make(room).await {
                    Ok(server) => {
                        self.shelf().ready.push_back(server);
                        continue;
                    }
                    Err(error) => tracing::warn!(%error, "a Redis server could not be made"),
                }
            }
            tokio::select! {
                () = self.0.short.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        }
    }

    pub(super) async fn close(&self) {
        self.0.closing.send_replace(true);
        let keeper = self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = keeper.await;
        }
        let ready = {
            let mut shelf = self.shelf();
            shelf.closed = true;
            std::mem::take(&mut shelf.ready)
        };
        for server in ready {
            server.destroy().await;
        }
        // Its process ends with the last that reads.
        self.0.shared.lock().await.take();
    }

    pub(super) fn figures(&self) -> Figures {
        let shelf = self.shelf();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            bytes: self.0.image.bytes,
            pooled: shelf.ready.len(),
            server: shelf.reading.or_else(|| shelf.ready.front().map(|server| server.pid())),
            trouble: shelf.trouble.clone(),
            made: count(&self.0.made),
            reused: count(&self.0.reused),
            dropped: count(&self.0.dropped),
            rate: shelf.demand.rate(Instant::now()),
        }
    }
}

impl Shelf {
    /// One that is there: it may have been killed from outside.
    fn pop(&mut self) -> Option<Box<Server>> {
        while let Some(server) = self.ready.pop_front() {
            if server.is_well() {
                return Some(server);
            }
        }
        None
    }

    fn wanted(&self) -> usize {
        self.demand.wanted(Instant::now()).min(super::WARM)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}
