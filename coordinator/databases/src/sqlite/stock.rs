//! All that serves one finished template: copies that are ready, and one that readers share.

use super::files::{self, DATABASE, Stand};
use super::judge::judge;
use super::{Error, Maker, variables};
use crate::desk::{Figures, Given, judged};
use crate::lease::{Fate, Refused, Released};
use crate::pool::demand::Demand;
use crate::server::account::Account;
use crate::server::copy::Listing;
use crate::watch::{Kind, Leak};
use regatta_domain::Level;
use regatta_domain::evidence::{Evidence, Fact};
use std::collections::VecDeque;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What serves one template. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Stock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    maker: Arc<Maker>,
    /// What is copied; nobody is told where it is.
    image: Listing,
    directory: PathBuf,
    /// Whether readers can share one file.
    is_whole: bool,
    shelf: Mutex<Shelf>,
    made: AtomicU64,
    reused: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Shelf {
    ready: VecDeque<Copied>,
    reading: Option<Arc<Copied>>,
    demand: Demand,
    /// Copies that are out, and are expected back clean.
    out: usize,
    trouble: String,
    /// A copy is being made ahead.
    making: bool,
    closed: bool,
}

/// A directory with a database in it, for a lease. Dropped, it goes.
#[derive(Debug)]
pub(super) struct Copied {
    directory: PathBuf,
    mark: Stand,
    /// Since when it is out, and whether it is expected back clean.
    leased: Option<(Instant, bool)>,
}

/// What a lease holds: a copy of its own, or a name of its own for what readers share.
#[derive(Debug)]
pub(super) enum Holding {
    Own(Copied),
    Reader(Copied, Arc<Copied>),
    /// It is being looked at.
    Away,
}

impl Stock {
    /// Serves copies of what was built in `directory`, which it keeps.
    pub(super) fn begin(maker: Arc<Maker>, directory: PathBuf) -> Result<Self, Error> {
        let is_whole = Stand::look(&directory)?.is_whole();
        let image = Listing::read(&directory)?;
        let (ready, demand) = (VecDeque::new(), Demand::new(Instant::now()));
        let shelf =
            Shelf { ready, reading: None, demand, out: 0, trouble: String::new(), making: false, closed: false };
        let counts = || AtomicU64::new(0);
        let (made, reused, dropped) = (counts(), counts(), counts());
        let shelf = Mutex::new(shelf);
        let stock = Self(Arc::new(Inner { maker, image, directory, is_whole, shelf, made, reused, dropped }));
        stock.refill();
        Ok(stock)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a copy of its own: one that is ready, else one that is made now.
    pub(super) async fn take(&self, level: Level) -> Result<Given<Holding>, Refused> {
        let ready = {
            let mut shelf = self.shelf();
            shelf.demand.leased(Instant::now());
            shelf.ready.pop_front()
        };
        let mut copied = match ready {
            Some(copied) => copied,
            None => self.blocking(Self::make).await?,
        };
        let is_expected = level <= Level::Transaction;
        copied.leased = Some((Instant::now(), is_expected));
        self.shelf().out += usize::from(is_expected);
        self.refill();
        let (url, variables) = variables(&copied.database(), level == Level::Read);
        let database = copied.database().display().to_string();
        Ok(Given { holding: Holding::Own(copied), url, variables, database })
    }

    /// Gives what all readers share; where the data is not all in one file, a copy.
    pub(super) async fn read(&self) -> Result<Given<Holding>, Refused> {
        if !self.0.is_whole {
            return self.take(Level::Read).await;
        }
        let there = self.shelf().reading.clone();
        let reading = match there {
            Some(reading) => reading,
            None => {
                let fresh = Arc::new(self.blocking(|stock| stock.make().and_then(Copied::locked)).await?);
                // Two may have come at once: one of the copies serves both.
                self.shelf().reading.get_or_insert(fresh).clone()
            }
        };
        let shared = reading.clone();
        let name = self.blocking(move |stock| shared.named(stock.0.maker.home.fresh('r'))).await?;
        let (url, variables) = variables(&name.database(), true);
        let database = name.database().display().to_string();
        Ok(Given { holding: Holding::Reader(name, reading), url, variables, database })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refused> {
        let stock = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&stock)).await;
        done.map_err(|error| error.to_string())
            .and_then(|done| done.map_err(|error| error.to_string()))
            .map_err(|why| Refused::Late { why })
    }

    fn make(&self) -> Result<Copied, Error> {
        let (begun, directory) = (Instant::now(), self.0.maker.home.fresh('d'));
        let made = self
            .0
            .image
            .copy(&directory, Account::Ours)
            .and_then(|()| files::mark(&directory))
            .map(|mark| Copied { directory: directory.clone(), mark, leased: None });
        let mut shelf = self.shelf();
        match made {
            Ok(copied) => {
                shelf.demand.made(begun.elapsed());
                shelf.trouble.clear();
                self.0.made.fetch_add(1, Ordering::Relaxed);
                Ok(copied)
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&directory);
                shelf.trouble = error.to_string();
                Err(error.into())
            }
        }
    }

    /// Makes copies ahead, one after the other, as many as the rate of leases asks for.
    fn refill(&self) {
        let stock = self.clone();
        {
            let mut shelf = self.shelf();
            if shelf.making || shelf.closed || !stock.is_short(&shelf) {
                return;
            }
            shelf.making = true;
        }
        tokio::task::spawn_blocking(move || {
            loop {
                let made = stock.make();
                let mut shelf = stock.shelf();
                match made {
                    Ok(copied) if !shelf.closed => shelf.ready.push_back(copied),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "a copy of a SQLite database could not be made"),
                }
                // After a failure the next lease tries again.
                if shelf.closed || !shelf.trouble.is_empty() || !stock.is_short(&shelf) {
                    shelf.making = false;
                    return;
                }
            }
        });
    }

    fn is_short(&self, shelf: &Shelf) -> bool {
        shelf.ready.len() + shelf.out < self.wanted(shelf)
    }

    /// How many should be ready, or out and expected back: what the rate asks for, within the bytes that copies may take.
    fn wanted(&self, shelf: &Shelf) -> usize {
        let room = crate::limits::CLONE_BYTES / self.0.image.bytes.max(1);
        shelf.demand.wanted(Instant::now()).min(usize::try_from(room).unwrap_or(usize::MAX).max(1))
    }

    /// Takes the files away from the test, and looks at what it did.
    pub(super) async fn release(&self, holding: &mut Holding, declared: Level) -> Released {
        let (stock, mut taken) = (self.clone(), std::mem::replace(holding, Holding::Away));
        let looking = tokio::task::spawn_blocking(move || {
            let released = stock.look(&mut taken, declared);
            (taken, released)
        });
        let released = match looking.await {
            Ok((looked, released)) => {
                *holding = looked;
                released
            }
            Err(error) => Err(Error::Io(std::io::Error::other(error))),
        };
        released.unwrap_or_else(|error| {
            // It removed its directory, or made it something else.
            tracing::debug!(%error, "what a test did to its SQLite database could not be seen");
            let facts = [Fact::Committed, Fact::Unknown].into_iter().collect();
            judged(Evidence { facts, ..Evidence::default() }, declared, Fate::Replaced)
        })
    }

    fn look(&self, holding: &mut Holding, declared: Level) -> Result<Released, Error> {
        let name = self.0.maker.home.fresh('d');
        match holding {
            Holding::Own(copied) => copied.release(name, declared),
            Holding::Reader(named, reading) => {
                let outcome = named.release(name, declared);
                // Only a superuser's test, or one that changes permissions, can have written to it.
                let same = matches!(&outcome, Ok((_, true))) && reading.is_same();
                if !same {
                    self.shelf().reading.take_if(|current| Arc::ptr_eq(current, reading));
                }
                let fate = if same { Fate::Kept } else { Fate::Replaced };
                return outcome.map(|(released, _)| Released { fate, ..released });
            }
            Holding::Away => return Err(Error::Nothing),
        }
        .map(|(released, _)| released)
    }

    /// Takes a copy back: ready for the next test, or gone.
    pub(super) fn settle(&self, holding: Holding, fate: Fate) {
        if let Holding::Own(mut copied) = holding {
            if let Some((since, is_expected)) = copied.leased.take() {
                let mut shelf = self.shelf();
                shelf.out -= usize::from(is_expected);
                shelf.demand.held(since.elapsed());
            }
            let again = fate == Fate::HandedOn && files::mark(&copied.directory).map(|mark| copied.mark = mark).is_ok();
            let mut shelf = self.shelf();
            // One too many is nearer to what is wanted than one made anew.
            if again && !shelf.closed && shelf.ready.len() + shelf.out <= self.wanted(&shelf) {
                shelf.ready.push_back(copied);
                self.0.reused.fetch_add(1, Ordering::Relaxed);
                return;
            }
            drop(shelf);
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.refill();
    }

    pub(super) fn close(&self) {
        let mut shelf = self.shelf();
        shelf.closed = true;
        let (ready, reading) = (std::mem::take(&mut shelf.ready), shelf.reading.take());
        drop(shelf);
        drop((ready, reading));
    }

    pub(super) fn figures(&self) -> Figures {
        let shelf = self.shelf();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            bytes: self.0.image.bytes,
            pooled: shelf.ready.len(),
            server: None,
            trouble: shelf.trouble.clone(),
            made: count(&self.0.made),
            reused: count(&self.0.reused),
            dropped: count(&self.0.dropped),
            rate: shelf.demand.rate(Instant::now()),
        }
    }
}

impl Copied {
    pub(super) fn database(&self) -> PathBuf {
        self.directory.join(DATABASE)
    }

    /// Takes the right to write away, from everybody.
    fn locked(mut self) -> Result<Self, Error> {
        fs::set_permissions(self.database(), Permissions::from_mode(0o444))?;
        fs::set_permissions(&self.directory, Permissions::from_mode(0o555))?;
        self.mark = Stand::look(&self.directory)?;
        Ok(self)
    }

    /// Another name for the same file, for one reader.
    fn named(&self, directory: PathBuf) -> Result<Self, Error> {
        fs::create_dir(&directory)?;
        // From here on it is removed, whatever fails.
        let mut named = Self { directory: directory.clone(), mark: self.mark.clone(), leased: None };
        fs::hard_link(self.database(), named.database())?;
        files::age(&directory)?;
        fs::set_permissions(&directory, Permissions::from_mode(0o555))?;
        named.mark = Stand::look(&directory)?;
        Ok(named)
    }

    /// Ends a lease of it. Says also whether the data is the same.
    fn release(&mut self, name: PathBuf, declared: Level) -> Result<(Released, bool), Error> {
        // Under another name nobody finds it any more; who has it open still does, and keeps it from being handed on.
        fs::rename(&self.directory, &name)?;
        self.directory = name;
        let holders = files::holders(&self.directory);
        let after = Stand::look(&self.directory)?;
        let mut evidence = judge(&self.mark, &after);
        let leaks: Vec<Leak> = holders.iter().flatten().map(leak).collect();
        if !leaks.is_empty() {
            evidence.facts.insert(Fact::Leaked);
        }
        // Unless it is known that nobody has it open, it is not handed on.
        let same = self.mark.is_same_data(&after);
        let clean = same && holders.is_some_and(|holders| holders.is_empty());
        let fate = if clean { Fate::HandedOn } else { Fate::Replaced };
        Ok((Released { leaks, ..judged(evidence, declared, fate) }, same))
    }

    /// Whether it is as it was when it was made.
    fn is_same(&self) -> bool {
        Stand::look(&self.directory).is_ok_and(|after| self.mark.is_same_data(&after))
    }
}

fn leak((pid, name): &(i32, String)) -> Leak {
    Leak { kind: Kind::Session, what: format!("process {pid}, {name}, has it open"), count: 1 }
}

impl Drop for Copied {
    fn drop(&mut self) {
        remove(&self.directory);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        remove(&self.directory);
    }
}

fn remove(directory: &Path) {
    let _ = fs::set_permissions(directory, Permissions::from_mode(0o700));
    let _ = fs::remove_dir_all(directory);
}
