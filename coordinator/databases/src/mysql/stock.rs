//! All that serves one finished template: copies that are ready, the server they are in, and a private server for the next who
//! wants one. When more are made is left to `keeper`.

use super::craft::start;
use super::private::Private;
use super::serving::{Copied, Reader, Serving};
use super::{Error, Image, Maker, variables};
use crate::desk::{Figures, Given};
use crate::lease::{Fate, Refused, Released};
use crate::limits;
use crate::pool::demand::Demand;
use regatta_domain::{Digest, Level};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

/// What serves one template. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Stock(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) maker: Arc<Maker>,
    pub(super) template: Digest,
    pub(super) image: Image,
    /// Made anew when it was lost.
    serving: tokio::sync::Mutex<Arc<Serving>>,
    shelf: Mutex<Shelf>,
    pub(super) short: Notify,
    pub(super) closing: watch::Sender<bool>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    made: AtomicU64,
    reused: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) ready: VecDeque<Box<Copied>>,
    pub(super) demand: Demand,
    /// Copies that are out, and are expected back clean.
    pub(super) out: usize,
    pub(super) spare: Option<Box<Private>>,
    /// Somebody has asked for a whole server: the next will.
    pub(super) exclusive: bool,
    /// What the last failure to make one said.
    trouble: String,
    /// The process of the shared server, for people.
    server: i32,
    closed: bool,
}

/// What a lease holds.
#[derive(Debug)]
pub(super) enum Holding {
    Copied(Box<Copied>),
    Reader(Box<Reader>),
    Private(Box<Private>),
}

impl Stock {
    /// Serves what is in `image`.
    pub(super) async fn begin(maker: Arc<Maker>, template: Digest, image: Image) -> Result<Self, Error> {
        let serving = serve(&maker, template, &image).await?;
        let (ready, demand, trouble) = (VecDeque::new(), Demand::new(Instant::now()), String::new());
        let server = serving.door.process.pid();
        let (spare, exclusive, closed) = (None, false, false);
        let shelf = Shelf { ready, demand, out: 0, spare, exclusive, trouble, server, closed };
        let (serving, shelf) = (tokio::sync::Mutex::new(serving), Mutex::new(shelf));
        let (short, closing, keeper) = (Notify::new(), watch::channel(false).0, Mutex::default());
        let count = || AtomicU64::new(0);
        let (made, reused, dropped) = (count(), count(), count());
        let inner = Inner { maker, template, image, serving, shelf, short, closing, keeper, made, reused, dropped };
        let stock = Self(Arc::new(inner));
        let keeper = tokio::spawn(stock.clone().keep_ready());
        *stock.0.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        Ok(stock)
    }

    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives what the level asks for. Made by a task of its own, where it is not ready: if whoever asked goes away, it is put
    /// away again.
    pub(super) async fn take(&self, level: Level) -> Result<Given<Holding>, Refused> {
        let ready = self.ready(level);
        let mut holding = match ready {
            Some(holding) => holding,
            None => {
                let (tell, told) = oneshot::channel();
                let stock = self.clone();
                tokio::spawn(async move {
                    if let Err(Ok(unwanted)) = tell.send(stock.holding(level).await) {
                        stock.put_away(unwanted).await;
                    }
                });
                told.await.unwrap_or_else(|error| Err(Refused::Late { why: error.to_string() }))?
            }
        };
        if let Holding::Copied(copied) = &mut holding {
            let is_expected = level <= Level::Transaction;
            copied.leased = Some((Instant::now(), is_expected));
            self.shelf().out += usize::from(is_expected);
        }
        self.0.short.notify_one();
        let (entry, port) = match &holding {
            Holding::Copied(copied) => copied.told(),
            Holding::Reader(reader) => (&reader.entry, reader.serving.door.process.port()),
            Holding::Private(private) => private.told(),
        };
        let (url, variables) = variables(entry, port);
        let database = entry.database.clone();
        Ok(Given { holding, url, variables, database })
    }

    fn ready(&self, level: Level) -> Option<Holding> {
        let mut shelf = self.shelf();
        match level {
            Level::None | Level::Read => None,
            Level::Transaction | Level::Isolated => {
                shelf.demand.leased(Instant::now());
                shelf.pop().map(Holding::Copied)
            }
            Level::Exclusive => {
                shelf.exclusive = true;
                shelf.spare.take().filter(|spare| spare.is_well()).map(Holding::Private)
            }
        }
    }

    async fn holding(&self, level: Level) -> Result<Holding, Refused> {
        let late = |error: Error| Refused::Late { why: error.to_string() };
        let (maker, template) = (&self.0.maker, self.0.template);
        match level {
            Level::None | Level::Read => {
                let serving = self.serving().await.map_err(late)?;
                let reader = serving.reader(maker, template).await.map_err(late)?;
                Ok(Holding::Reader(Box::new(reader)))
            }
            Level::Transaction | Level::Isolated => {
                let Some(room) = room(&maker.copies).await else {
                    // One may have come back while we stood in the queue for another.
                    let late = || Refused::Late { why: format!("{} databases are in use", super::LEASES) };
                    return self.shelf().pop().map(Holding::Copied).ok_or_else(late);
                };
                self.make(room).await.map(Holding::Copied).map_err(late)
            }
            Level::Exclusive => {
                let Some(room) = room(&maker.privates).await else {
                    return Err(Refused::Late {
                        why: format!("{} private servers are in use", super::PRIVATE_SERVERS),
                    });
                };
                let private = Private::make(maker, &self.0.image, template, room).await.map_err(late)?;
                Ok(Holding::Private(Box::new(private)))
            }
        }
    }

    pub(super) async fn make(&self, room: OwnedSemaphorePermit) -> Result<Box<Copied>, Error> {
        let begun = Instant::now();
        let made = async { self.serving().await?.copy(&self.0.maker, self.0.template, room).await };
        let made = made.await;
        let mut shelf = self.shelf();
        match &made {
            Ok(_) => {
                shelf.demand.made(begun.elapsed());
                shelf.trouble.clear();
                self.0.made.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => shelf.trouble = error.to_string(),
        }
        made.map(Box::new)
    }

    /// The server, started again where it was lost.
    async fn serving(&self) -> Result<Arc<Serving>, Error> {
        let mut serving = self.0.serving.lock().await;
        if !serving.is_well() && !*self.0.closing.borrow() {
            tracing::warn!(template = %self.0.template, "the MariaDB server of a template has ended; another one is started");
            *serving = serve(&self.0.maker, self.0.template, &self.0.image).await?;
            self.shelf().server = serving.door.process.pid();
        }
        Ok(serving.clone())
    }

    /// Ends a lease.
    pub(super) async fn release(&self, holding: &mut Holding, declared: Level, killed: bool) -> Released {
        match holding {
            Holding::Copied(copied) => copied.release(declared, killed).await,
            Holding::Reader(reader) => reader.release(declared, killed).await,
            Holding::Private(private) => private.release(declared, killed).await,
        }
    }

    /// Takes back what a lease held: ready for the next test, or gone.
    pub(super) async fn settle(&self, holding: Holding, fate: Fate) {
        match holding {
            Holding::Copied(mut copied) => {
                if let Some((since, is_expected)) = copied.leased.take() {
                    let mut shelf = self.shelf();
                    shelf.out -= usize::from(is_expected);
                    shelf.demand.held(since.elapsed());
                }
                let (maker, template) = (&self.0.maker, self.0.template);
                if fate == Fate::HandedOn && copied.is_well() && copied.renew(maker, template).await.is_ok() {
                    self.0.reused.fetch_add(1, Ordering::Relaxed);
                    return self.put_away(Holding::Copied(copied)).await;
                }
                self.0.dropped.fetch_add(1, Ordering::Relaxed);
                copied.remove().await;
            }
            // Its user went with the release; where there was none, it goes now.
            Holding::Reader(reader) => reader.serving.door.forget(&reader.entry).await,
            Holding::Private(private) => private.destroy().await,
        }
        self.0.short.notify_one();
    }

    /// Puts away what nobody holds.
    async fn put_away(&self, holding: Holding) {
        match holding {
            Holding::Copied(copied) => {
                let surplus = {
                    let mut shelf = self.shelf();
                    // One too many is nearer to what is wanted than one made anew.
                    if !shelf.closed && shelf.ready.len() + shelf.out <= self.wanted(&shelf) {
                        shelf.ready.push_back(copied);
                        None
                    } else {
                        Some(copied)
                    }
                };
                if let Some(surplus) = surplus {
                    surplus.remove().await;
                }
            }
            other => Box::pin(self.settle(other, Fate::Replaced)).await,
        }
    }

    pub(super) async fn close(&self) {
        self.0.closing.send_replace(true);
        let keeper = self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = keeper.await;
        }
        let (ready, spare) = {
            let mut shelf = self.shelf();
            shelf.closed = true;
            (std::mem::take(&mut shelf.ready), shelf.spare.take())
        };
        if let Some(spare) = spare {
            spare.destroy().await;
        }
        drop(ready);
        // Databases go with their server.
        self.0.serving.lock().await.door.process.kill().await;
    }

    pub(super) fn figures(&self) -> Figures {
        let shelf = self.shelf();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            bytes: self.0.image.listing.bytes,
            pooled: shelf.ready.len(),
            server: Some(shelf.server),
            trouble: shelf.trouble.clone(),
            made: count(&self.0.made),
            reused: count(&self.0.reused),
            dropped: count(&self.0.dropped),
            rate: shelf.demand.rate(Instant::now()),
        }
    }
}

async fn serve(maker: &Maker, template: Digest, image: &Image) -> Result<Arc<Serving>, Error> {
    let process = start(maker, &image.listing).await?;
    Serving::begin(process, &image.database, &image.builder, &maker.names.next(template)).await
}

async fn room(of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    tokio::time::timeout(limits::WAIT, of.clone().acquire_owned()).await.ok()?.ok()
}

impl Shelf {
    /// One that is there: its server may have been lost.
    fn pop(&mut self) -> Option<Box<Copied>> {
        while let Some(copied) = self.ready.pop_front() {
            if copied.is_well() {
                return Some(copied);
            }
        }
        None
    }
}
