//! The counter of engines whose databases are made here and thrown away: templates are prepared, leases given, taken back,
//! fenced.
//!
//! What a database is, how it is made and what is seen of it is left to a [`Craft`]. The invariants are the same for all: a lease
//! ends once, whoever ends it; what comes under a fenced token is refused; whatever was made is gone after the end.

use crate::lease::{Ask, DatabaseLease, Fate, Leased, Refused, Released, Unknown};
use crate::limits;
use crate::server::breaker::Health;
use crate::status::{Status, TemplateStatus, Timings};
use crate::template::{BuildId, BuildOrder, Claim, Place, Prepared, Registry, Wanted};
use crate::watch::Account;
use regatta_domain::evidence::{Evidence, Fact};
use regatta_domain::{Digest, Level, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How one kind of database is made and looked at.
pub(crate) trait Craft: fmt::Debug + Send + Sync + 'static {
    /// Where a template is being built.
    type Site: fmt::Debug + Send + 'static;
    /// What serves a finished template.
    type Stock: fmt::Debug + Send + Sync + 'static;
    /// What a lease holds.
    type Holding: fmt::Debug + Send + 'static;
    /// Why something could not be made.
    type Error: Error + Send;

    /// Makes an empty place to build in.
    fn open(&self, template: Digest) -> impl Future<Output = Result<Opened<Self::Site>, Self::Error>> + Send;

    /// Makes a template of what was built, and serves it.
    fn finish(
        &self,
        template: Digest,
        site: Self::Site,
    ) -> impl Future<Output = Result<Self::Stock, Self::Error>> + Send;

    /// Removes a place that nobody builds in any more.
    fn dispose(&self, site: Self::Site) -> impl Future<Output = ()> + Send;

    /// Gives a database. Whoever stops waiting leaves nothing behind.
    fn lease(
        &self,
        stock: &Self::Stock,
        ask: &Ask,
    ) -> impl Future<Output = Result<Given<Self::Holding>, Refused>> + Send;

    /// Ends a lease: what it was told is worth nothing from here on, and what it did is found out. `killed`: its owner is gone,
    /// so nobody is waited for.
    fn release(
        &self,
        stock: &Self::Stock,
        holding: &mut Self::Holding,
        ask: (Level, bool),
    ) -> impl Future<Output = Released> + Send;

    /// Does what the fate of a lease's database asks for.
    fn settle(&self, stock: &Self::Stock, holding: Self::Holding, fate: Fate) -> impl Future<Output = ()> + Send;

    /// Ends what serves a template; what leases still hold goes with them.
    fn close(&self, stock: &Self::Stock) -> impl Future<Output = ()> + Send;

    /// What the stock has to say of itself.
    fn figures(&self, stock: &Self::Stock) -> Figures;

    /// Leases that may be out at once.
    fn capacity(&self) -> u32;
}

/// A place to build in.
pub(crate) struct Opened<S> {
    pub(crate) site: S,
    pub(crate) url: String,
    pub(crate) variables: Vec<(String, String)>,
}

/// A database that was given.
pub(crate) struct Given<H> {
    pub(crate) holding: H,
    pub(crate) url: String,
    pub(crate) variables: Vec<(String, String)>,
    /// Its name.
    pub(crate) database: String,
}

/// What a stock has to say of itself.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) bytes: u64,
    pub(crate) pooled: usize,
    pub(crate) server: Option<i32>,
    pub(crate) trouble: String,
    pub(crate) made: u64,
    pub(crate) reused: u64,
    pub(crate) dropped: u64,
    pub(crate) rate: f64,
}

/// Gives and takes back.
#[derive(Debug)]
pub(crate) struct Desk<C: Craft> {
    craft: C,
    registry: Mutex<Templates<C>>,
    leases: Mutex<Leases<C>>,
    next: AtomicU64,
    timings: Mutex<(Timings, Timings)>,
    closing: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

/// All templates: those being built, and those that are served.
type Templates<C> = Registry<<C as Craft>::Site, Arc<Served<<C as Craft>::Stock>>>;

/// A finished template, and how many leases of it are out.
#[derive(Debug)]
struct Served<S> {
    stock: S,
    leases: AtomicUsize,
}

#[derive(Debug)]
struct Leases<C: Craft> {
    held: BTreeMap<DatabaseLease, Held<C>>,
    /// Those that are ending or have ended, by what came of them.
    ended: BTreeMap<DatabaseLease, watch::Receiver<Option<Arc<Released>>>>,
    fenced: BTreeSet<Token>,
}

#[derive(Debug)]
struct Held<C: Craft> {
    token: Token,
    level: Level,
    /// None at level none.
    what: Option<(Using<C::Stock>, C::Holding)>,
}

/// A template in use: it is not removed meanwhile.
#[derive(Debug)]
struct Using<S>(Arc<Served<S>>);

impl<S> Using<S> {
    fn begin(served: Arc<Served<S>>) -> Self {
        served.leases.fetch_add(1, Ordering::AcqRel);
        Self(served)
    }
}

impl<S> Drop for Using<S> {
    fn drop(&mut self) {
        self.0.leases.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<C: Craft> Desk<C> {
    pub(crate) fn new(craft: C) -> Arc<Self> {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let leases = Leases { held: BTreeMap::new(), ended: BTreeMap::new(), fenced: BTreeSet::new() };
        Arc::new(Self {
            craft,
            registry: Mutex::new(Registry::new()),
            leases: Mutex::new(leases),
            // The second of the start, and a count of four billion leases: later engines give greater numbers.
            next: AtomicU64::new((begun << 32) | 1),
            timings: Mutex::default(),
            closing: watch::channel(false).0,
            tasks: Mutex::new(JoinSet::new()),
        })
    }

    fn registry(&self) -> MutexGuard<'_, Templates<C>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, Leases<C>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timings(&self) -> MutexGuard<'_, (Timings, Timings)> {
        self.timings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Runs something in the background; [`Self::shutdown`] waits for it.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Says what is to be done so that tests can have databases from a template.
    pub(crate) async fn prepare(self: &Arc<Self>, wanted: Wanted) -> Result<Prepared, Refused> {
        if self.is_closing() {
            return Err(Refused::Closing);
        }
        let key = (wanted.template, Place::Shared);
        let claim = {
            // Under the lock of the leases, so that a fence is either seen here or finds the build.
            let leases = self.leases();
            if leases.fenced.contains(&wanted.token) {
                return Err(Refused::Fenced);
            }
            self.registry().claim(key, wanted.token, wanted.run, Instant::now())
        };
        match claim {
            Claim::Ready => Ok(Prepared::Ready),
            Claim::Building(building) => Ok(Prepared::Building(building)),
            Claim::Failed { log, told } => Ok(Prepared::Failed { log, told }),
            Claim::Build(id) => {
                // A task of its own: whoever asked may go away, and the place is then disposed of by its fence.
                let desk = self.clone();
                let opening = tokio::spawn(async move { desk.open(id, wanted.template).await });
                opening.await.unwrap_or_else(|error| Err(Refused::Late { why: error.to_string() }))
            }
        }
    }

    async fn open(&self, id: BuildId, template: Digest) -> Result<Prepared, Refused> {
        let Opened { site, url, variables } = match self.craft.open(template).await {
            Ok(opened) => opened,
            Err(error) => {
                self.registry().forget((template, Place::Shared));
                return Err(Refused::Late { why: error.to_string() });
            }
        };
        let late = self.registry().opened(id, site);
        if let Err(site) = late {
            self.craft.dispose(site).await;
            return Err(Refused::Fenced);
        }
        Ok(Prepared::Build(BuildOrder { id, template, url, variables }))
    }

    /// The build that was ordered has ended: well, or with this log. Returns whether the template is ready now.
    pub(crate) async fn built(self: &Arc<Self>, id: BuildId, outcome: Result<(), String>) -> bool {
        let Some((key, run, site)) = self.registry().finishing(id) else { return false };
        let desk = self.clone();
        let finishing = tokio::spawn(async move {
            let finished = match outcome {
                Err(log) => {
                    desk.craft.dispose(site).await;
                    Err(log)
                }
                Ok(()) => desk.craft.finish(key.0, site).await.map_err(|error| error.to_string()),
            };
            match finished {
                Err(log) => {
                    desk.registry().failed(key, run, &log, Instant::now());
                    false
                }
                Ok(stock) if desk.is_closing() => {
                    desk.craft.close(&stock).await;
                    false
                }
                Ok(stock) => {
                    let served = Arc::new(Served { stock, leases: AtomicUsize::new(0) });
                    desk.registry().ready(key, served, Instant::now());
                    desk.prune(key).await;
                    true
                }
            }
        });
        finishing.await.unwrap_or(false)
    }

    /// Forgets that a template could not be built.
    pub(crate) fn retry(&self, template: Digest) {
        self.registry().retry(template);
    }

    /// Ends the templates that were used longest ago while there are too many. None in use goes, nor the newest.
    async fn prune(&self, newest: (Digest, Place)) {
        loop {
            let stocks = self.registry().stocks();
            let bytes: u64 = stocks.iter().map(|(_, served)| self.craft.figures(&served.stock).bytes).sum();
            if stocks.len() <= limits::TEMPLATES && bytes <= limits::TEMPLATE_BYTES {
                return;
            }
            let is_idle = |served: &Served<C::Stock>| served.leases.load(Ordering::Acquire) == 0;
            let Some((key, served)) = stocks.into_iter().find(|(key, served)| *key != newest && is_idle(served)) else {
                return;
            };
            self.registry().forget(key);
            tracing::info!(template = %key.0, "a template that was not used for the longest is removed");
            self.craft.close(&served.stock).await;
        }
    }

    /// Gives a database for a test.
    pub(crate) async fn lease(&self, ask: &Ask) -> Result<Leased, Refused> {
        let begun = Instant::now();
        if self.is_closing() {
            return Err(Refused::Closing);
        }
        if self.leases().fenced.contains(&ask.token) {
            return Err(Refused::Fenced);
        }
        let mut leased =
            Leased { id: DatabaseLease(0), url: String::new(), variables: Vec::new(), database: String::new() };
        let mut what = None;
        if ask.level != Level::None {
            let served = self.registry().stock((ask.template, Place::Shared), begun).ok_or(Refused::NotReady)?;
            let using = Using::begin(served);
            let given = self.craft.lease(&using.0.stock, ask).await?;
            (leased.url, leased.variables, leased.database) = (given.url, given.variables, given.database);
            what = Some((using, given.holding));
        }
        leased.variables.push(("REGATTA_LEVEL".to_owned(), ask.level.name().to_owned()));
        let held = Held { token: ask.token, level: ask.level, what };
        match self.register(held) {
            Ok(id) => leased.id = id,
            Err((refused, what)) => {
                if let Some((using, holding)) = what {
                    // Nobody was told of it.
                    self.craft.settle(&using.0.stock, holding, Fate::Replaced).await;
                }
                return Err(refused);
            }
        }
        tracing::debug!(lease = %leased.id, run = %ask.run, test = %ask.test, attempt = ask.attempt, database = leased.database, "a database is leased");
        self.timings().0.add(begun.elapsed());
        Ok(leased)
    }

    /// Writes a lease down, unless it has become void meanwhile.
    #[expect(clippy::type_complexity, reason = "what was to be written down comes back")]
    fn register(&self, held: Held<C>) -> Result<DatabaseLease, (Refused, Option<(Using<C::Stock>, C::Holding)>)> {
        let mut leases = self.leases();
        // Under the lock: a fence that comes later finds the lease, one that came before is seen here.
        if leases.fenced.contains(&held.token) {
            return Err((Refused::Fenced, held.what));
        }
        if self.is_closing() {
            return Err((Refused::Closing, held.what));
        }
        let id = DatabaseLease(self.next.fetch_add(1, Ordering::Relaxed));
        leases.held.insert(id, held);
        Ok(id)
    }

    /// Ends a lease; asked again, it tells the same.
    pub(crate) async fn release(self: &Arc<Self>, id: DatabaseLease) -> Result<Released, Unknown> {
        let mut outcome = self.end(id, false).ok_or(Unknown(id))?;
        let told = outcome.wait_for(Option::is_some).await.map_err(|_| Unknown(id))?;
        told.as_deref().cloned().ok_or(Unknown(id))
    }

    /// Ends every lease and every build under a token, in the background; what asks under it from now on is refused.
    pub(crate) fn fence(self: &Arc<Self>, token: Token) {
        let held: Vec<DatabaseLease> = {
            let mut leases = self.leases();
            // Tokens only grow: what is forgotten first is what was fenced longest ago.
            if leases.fenced.len() >= limits::FENCED {
                leases.fenced.pop_first();
            }
            leases.fenced.insert(token);
            leases.held.iter().filter(|(_, held)| held.token == token).map(|(id, _)| *id).collect()
        };
        for id in held {
            let _ = self.end(id, true);
        }
        for site in self.registry().fence(token) {
            let desk = self.clone();
            self.spawn(async move { desk.craft.dispose(site).await });
        }
    }

    /// Ends a lease in a task of its own, once. Returns where its outcome is told, or nothing if nobody knows the lease.
    fn end(self: &Arc<Self>, id: DatabaseLease, killed: bool) -> Option<watch::Receiver<Option<Arc<Released>>>> {
        let (tell, told) = watch::channel(None);
        let held = {
            let mut leases = self.leases();
            let Some(held) = leases.held.remove(&id) else { return leases.ended.get(&id).cloned() };
            while leases.ended.len() >= limits::ENDED {
                leases.ended.pop_first();
            }
            leases.ended.insert(id, told.clone());
            held
        };
        let desk = self.clone();
        self.spawn(async move {
            let begun = Instant::now();
            let tell = |released: Released| {
                desk.timings().1.add(begun.elapsed());
                tell.send_replace(Some(Arc::new(released)));
            };
            match held.what {
                None => tell(nothing()),
                Some((using, mut holding)) => {
                    let stock = &using.0.stock;
                    let released = desk.craft.release(stock, &mut holding, (held.level, killed)).await;
                    let fate = released.fate;
                    tell(released);
                    desk.craft.settle(stock, holding, fate).await;
                }
            }
        });
        Some(told)
    }

    /// How the engine is.
    pub(crate) fn status(&self) -> Status {
        let (lease, release) = {
            let timings = self.timings();
            (timings.0.percentiles(), timings.1.percentiles())
        };
        let leased = u32::try_from(self.leases().held.len()).unwrap_or(u32::MAX);
        let capacity = self.craft.capacity();
        let (made, reused, dropped, rate, pooled, templates) = (0, 0, 0, 0.0, 0, Vec::new());
        let health = Health::Up;
        let mut status =
            Status { health, capacity, leased, pooled, templates, made, reused, dropped, rate, lease, release };
        for ((template, _), served) in self.registry().stocks() {
            let figures = self.craft.figures(&served.stock);
            status.made += figures.made;
            status.reused += figures.reused;
            status.dropped += figures.dropped;
            status.rate += figures.rate;
            status.pooled += figures.pooled;
            let leased = served.leases.load(Ordering::Relaxed);
            let Figures { bytes, pooled, server, trouble, .. } = figures;
            status.templates.push(TemplateStatus { template, bytes, pooled, private: 0, leased, server, trouble });
        }
        status
    }

    /// Ends: nothing new is given, all leases end, and everything that was made goes.
    pub(crate) async fn shutdown(&self) {
        self.closing.send_replace(true);
        let held = std::mem::take(&mut self.leases().held);
        let stocks = self.registry().stocks();
        let sites = self.registry().abandon();
        for (using, holding) in held.into_values().filter_map(|held| held.what) {
            // Whatever a test is still doing there ends with the database.
            self.craft.settle(&using.0.stock, holding, Fate::Destroyed).await;
        }
        for (_, served) in stocks {
            self.craft.close(&served.stock).await;
        }
        for site in sites {
            self.craft.dispose(site).await;
        }
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}

/// What is told of a lease: the level and the denial that follow from what was seen.
pub(crate) fn judged(evidence: Evidence, declared: Level, fate: Fate) -> Released {
    let denied = evidence.facts.has(Fact::Denied) || evidence.facts.has(Fact::ReadOnlyViolation);
    let (leaks, statements, account) = (Vec::new(), Vec::new(), Account::Unwanted);
    Released { level: evidence.level(), evidence, declared, leaks, statements, denied, fate, account }
}

/// Of a lease that held nothing, there is nothing to see.
fn nothing() -> Released {
    Released { level: Level::None, ..judged(Evidence::default(), Level::None, Fate::Kept) }
}
