//! Leases: given from memory, taken back verified, ended by a fence.

use super::{Adopted, Engine, Held, Holding, Postgres};
use crate::lease::{Ask, DatabaseLease, Fate, Leased, Refused, Released, Terms, Unknown};
use crate::limits;
use crate::pool::release::lost;
use crate::pool::{Database, Pool};
use crate::server::Server;
use crate::stock::{State, Stock};
use crate::watch::Account;
use regatta_domain::evidence::Evidence;
use regatta_domain::{Level, Token};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::{oneshot, watch};

impl Postgres {
    /// Gives a database for a test. From memory, unless none is ready; then it waits, with a bound.
    ///
    /// # Errors
    /// Why there is none, and so what would help.
    pub async fn lease(&self, ask: Ask) -> Result<Leased, Refused> {
        let begun = Instant::now();
        let leased = self.0.lease(&ask, begun).await?;
        self.0.timings().0.add(begun.elapsed());
        Ok(leased)
    }

    /// Ends a lease: its connections are refused from now on, what was done is found out, and the database goes to the next test
    /// only if that is proven harmless. Asked again, it tells the same.
    ///
    /// # Errors
    /// When the lease is not known, or its outcome is forgotten.
    pub async fn release(&self, id: DatabaseLease) -> Result<Released, Unknown> {
        let mut outcome = Engine::end(&self.0, id, false).ok_or(Unknown(id))?;
        let told = outcome.wait_for(Option::is_some).await.map_err(|_| Unknown(id))?;
        told.as_deref().cloned().ok_or(Unknown(id))
    }

    /// Ends every lease and every build under a token, in the background; what asks under it from now on is refused.
    pub fn fence(&self, token: Token) {
        let engine = &self.0;
        let held: Vec<DatabaseLease> = {
            let mut leases = engine.leases();
            // Tokens only grow: what is forgotten first is what was fenced longest ago.
            if leases.fenced.len() >= limits::FENCED {
                leases.fenced.pop_first();
            }
            leases.fenced.insert(token);
            leases.held.iter().filter(|(_, held)| held.token == token).map(|(id, _)| *id).collect()
        };
        for id in held {
            let _ = Engine::end(engine, id, true);
        }
        for site in engine.registry().fence(token) {
            let this = engine.clone();
            engine.spawn(async move { this.dispose(site).await });
        }
    }

    /// Claims leases of an earlier engine on an external server, before the grace has passed. Returns those whose database is
    /// there; the others have ended.
    pub async fn adopt(&self, leases: Vec<Adopted>) -> Vec<DatabaseLease> {
        let mut adopted = Vec::new();
        for Adopted { id, token, level, database } in leases {
            let Some(external) = &self.0.external else { break };
            match external.adopt(&database).await {
                Ok(true) => {
                    let holding = Holding::Adopted(external.clone(), database);
                    let since = Instant::now();
                    let held = Held { token, level, statements: false, since, stock: None, holding };
                    self.0.leases().held.insert(id, held);
                    adopted.push(id);
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(database, %error, "a lease could not be taken over"),
            }
        }
        adopted
    }
}

impl Engine {
    async fn lease(&self, ask: &Ask, begun: Instant) -> Result<Leased, Refused> {
        if self.is_closing() {
            return Err(Refused::Closing);
        }
        if self.leases().fenced.contains(&ask.token) {
            return Err(Refused::Fenced);
        }
        if ask.level == Level::None {
            let variables = vec![("REGATTA_LEVEL".to_owned(), ask.level.name().to_owned())];
            let leased = (String::new(), variables, String::new());
            return self.register(ask, begun, None, Holding::Nothing, leased).map_err(|(refused, _)| refused);
        }
        if ask.level == Level::Exclusive && self.external.is_some() && self.local.is_none() {
            return Err(Refused::NoPrivateServer);
        }
        let key = (ask.template, self.place(ask.level));
        let stock = self.registry().stock(key, begun).ok_or(Refused::NotReady)?;
        let using = Using::begin(stock.clone());
        let leased = match ask.level {
            Level::Exclusive => self.lease_private(ask, begun, &stock).await?,
            Level::Read => self.lease_reader(ask, begun, &stock).await?,
            _ => self.lease_clone(ask, begun, &stock).await?,
        };
        // From here on it is the lease's.
        using.keep();
        Ok(leased)
    }

    async fn lease_clone(&self, ask: &Ask, begun: Instant, stock: &Arc<Stock>) -> Result<Leased, Refused> {
        let pool = up(stock)?;
        let seat = Seat::take(&pool.server)?;
        let mut place = Place::take(pool.clone(), ask.level);
        let database = place.wait().await?;
        let (url, variables) = pool.variables(ask, &database.name, &database.owner);
        let leased = (url, variables, database.name.clone());
        let holding = Holding::Clone(pool.clone(), Box::new(database));
        match self.register(ask, begun, Some(stock.clone()), holding, leased) {
            Ok(leased) => {
                place.done = true;
                seat.keep();
                Ok(leased)
            }
            Err((refused, holding)) => {
                // Nobody was told of it, so it is as good as before.
                if let Holding::Clone(pool, database) = holding {
                    pool.put(*database);
                }
                Err(refused)
            }
        }
    }

    async fn lease_reader(&self, ask: &Ask, begun: Instant, stock: &Arc<Stock>) -> Result<Leased, Refused> {
        let pool = up(stock)?;
        let seat = Seat::take(&pool.server)?;
        let reader = match pool.reader() {
            Some(reader) => reader,
            None => pool.reader_now().await.map_err(|error| self.refusal(&error))?,
        };
        let (url, variables) = pool.variables(ask, &reader.reading.name, &reader.credentials);
        let leased = (url, variables, reader.reading.name.clone());
        let holding = Holding::Reader(pool, Box::new(reader));
        let leased =
            self.register(ask, begun, Some(stock.clone()), holding, leased).map_err(|(refused, holding)| {
                if let Holding::Reader(pool, reader) = holding {
                    pool.discard(crate::pool::discard::Trash::role(reader.credentials.role));
                }
                refused
            })?;
        seat.keep();
        Ok(leased)
    }

    async fn lease_private(&self, ask: &Ask, begun: Instant, stock: &Arc<Stock>) -> Result<Leased, Refused> {
        let privates = stock.privates.clone().ok_or(Refused::NoPrivateServer)?;
        let private = privates.take().await?;
        let (url, variables) = privates.variables(ask, &private);
        let leased = (url, variables, private.database.clone());
        let holding = Holding::Private(Box::new(private));
        self.register(ask, begun, Some(stock.clone()), holding, leased).map_err(|(refused, holding)| {
            if let Holding::Private(private) = holding {
                self.spawn(private.destroy());
            }
            refused
        })
    }

    /// Writes a lease down, unless it has become void meanwhile.
    fn register(
        &self,
        ask: &Ask,
        since: Instant,
        stock: Option<Arc<Stock>>,
        holding: Holding,
        (url, variables, database): (String, Vec<(String, String)>, String),
    ) -> Result<Leased, (Refused, Holding)> {
        let mut leases = self.leases();
        // Under the lock: a fence that comes later finds the lease, one that came before is seen here.
        if leases.fenced.contains(&ask.token) {
            return Err((Refused::Fenced, holding));
        }
        if self.is_closing() {
            return Err((Refused::Closing, holding));
        }
        let id = DatabaseLease(self.next.fetch_add(1, Ordering::Relaxed));
        tracing::debug!(lease = %id, run = %ask.run, test = %ask.test, attempt = ask.attempt, database, "a database is leased");
        let Ask { token, level, statements, .. } = *ask;
        leases.held.insert(id, Held { token, level, statements, since, stock, holding });
        Ok(Leased { id, url, variables, database })
    }

    /// Ends a lease in a task of its own, once. Returns where its outcome is told, or nothing if nobody knows the lease.
    fn end(this: &Arc<Self>, id: DatabaseLease, killed: bool) -> Option<watch::Receiver<Option<Arc<Released>>>> {
        let (tell, told) = watch::channel(None);
        let held = {
            let mut leases = this.leases();
            let Some(held) = leases.held.remove(&id) else { return leases.ended.get(&id).cloned() };
            while leases.ended.len() >= limits::ENDED {
                leases.ended.pop_first();
            }
            leases.ended.insert(id, told.clone());
            held
        };
        let engine = this.clone();
        this.spawn(async move { engine.finish_lease(held, killed, tell).await });
        Some(told)
    }

    async fn finish_lease(&self, held: Held, killed: bool, tell: watch::Sender<Option<Arc<Released>>>) {
        let begun = Instant::now();
        let Held { level, statements, since, stock, holding, .. } = held;
        let terms = Terms { declared: level, killed, statements };
        let told = |released: Released| {
            self.timings().1.add(begun.elapsed());
            tell.send_replace(Some(Arc::new(released)));
        };
        match holding {
            Holding::Nothing => told(nothing()),
            Holding::Clone(pool, database) => {
                let (released, after) = pool.release(*database, terms).await;
                free(&pool.server);
                told(released);
                // Until it is back on the shelf it counts as out, so that none is made in its place.
                pool.settle(after).await;
                pool.returned(level, Some(begun.duration_since(since)));
            }
            Holding::Reader(pool, reader) => {
                let released = pool.release_reader(&reader, terms).await;
                free(&pool.server);
                told(released);
            }
            Holding::Private(private) => {
                let (released, after) = private.release(terms).await;
                told(released);
                match stock.as_ref().and_then(|stock| stock.privates.as_ref()) {
                    Some(privates) => privates.settle(*private, after).await,
                    None => private.destroy().await,
                }
            }
            Holding::Adopted(external, database) => {
                let dropped = external.drop_adopted(&database).await;
                let fate = if dropped.is_ok() { Fate::Replaced } else { Fate::Lost };
                told(Released { fate, ..lost(level) });
            }
        }
        if let Some(stock) = stock {
            stock.leases.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn nothing() -> Released {
    Released {
        evidence: Evidence::default(),
        level: Level::None,
        declared: Level::None,
        leaks: Vec::new(),
        statements: Vec::new(),
        denied: false,
        fate: Fate::Kept,
        account: Account::Unwanted,
    }
}

/// The pool, if its server is up.
fn up(stock: &Stock) -> Result<Arc<Pool>, Refused> {
    match stock.pool() {
        State::Up(pool) => match Refused::down(&pool.server.breaker.health()) {
            None => Ok(pool),
            Some(down) => Err(down),
        },
        State::Down { since, why } => Err(Refused::Down { since, why }),
        State::None => Err(Refused::NotReady),
    }
}

/// A stock that is in use; given back unless it is kept.
struct Using(Option<Arc<Stock>>);

impl Using {
    fn begin(stock: Arc<Stock>) -> Self {
        stock.leases.fetch_add(1, Ordering::AcqRel);
        Self(Some(stock))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        if let Some(stock) = &self.0 {
            stock.leases.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// One of the leases that a server's connections carry; given back unless it is kept.
struct Seat(Option<Arc<Server>>);

impl Seat {
    fn take(server: &Arc<Server>) -> Result<Self, Refused> {
        let capacity = server.capacity();
        let taken = server.leased.fetch_add(1, Ordering::AcqRel);
        let seat = Self(Some(server.clone()));
        if taken < capacity { Ok(seat) } else { Err(Refused::Full { capacity }) }
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(server) = &self.0 {
            free(server);
        }
    }
}

fn free(server: &Server) {
    server.leased.fetch_sub(1, Ordering::AcqRel);
}

/// A clone, or the wait for one. Whoever stops waiting leaves what it may just have been given to the next.
struct Place {
    pool: Arc<Pool>,
    level: Level,
    got: Option<Result<Database, oneshot::Receiver<Database>>>,
    done: bool,
}

impl Place {
    fn take(pool: Arc<Pool>, level: Level) -> Self {
        let got = Some(pool.take(level));
        Self { pool, level, got, done: false }
    }

    async fn wait(&mut self) -> Result<Database, Refused> {
        let waited = match &mut self.got {
            Some(Err(waiting)) => tokio::time::timeout(limits::WAIT, waiting).await.ok().and_then(Result::ok),
            _ => None,
        };
        if let Some(database) = waited {
            self.got = None;
            return Ok(database);
        }
        match self.got.take() {
            Some(Ok(database)) => Ok(database),
            waiting => {
                // What came in the last moment is taken back when this is dropped.
                self.got = waiting;
                let down = Refused::down(&self.pool.server.breaker.health());
                Err(down.unwrap_or_else(|| Refused::Late { why: self.pool.trouble() }))
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.done {
            let given = match self.got.take() {
                Some(Ok(database)) => Some(database),
                Some(Err(mut waiting)) => {
                    waiting.close();
                    waiting.try_recv().ok()
                }
                None => None,
            };
            if let Some(database) = given {
                self.pool.put(database);
            }
            self.pool.returned(self.level, None);
        }
    }
}
