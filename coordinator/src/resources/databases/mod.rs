//! The databases that attempts are handed: engines, one for each database resource, and who holds what under which lease.
//!
//! A database belongs to an attempt under a live lease of a shard; with the lease, everything goes back. It leaves making,
//! watching and clearing databases to `regatta-databases`, and who may have one at all to the core, which grants seats.

mod claims;
mod engine;
mod health;
#[cfg(test)]
mod tests;
mod told;

pub(crate) use health::attend;

use super::live::{Live, LiveLease};
use claims::{Claim, Claims, Handed};
use engine::{Engine, Starting};
use regatta_databases::{Ask, BuildId, Place, Prepared, Refused, Released, Wanted};
use regatta_domain::database::{Per, PlannedDatabase};
use regatta_domain::resource::Resource;
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{Level, RunId, TestIx, Token};
use regatta_runtime::backoff::Backoff;
use regatta_wire::{Failure, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long a call waits for somebody else's build before it answers that there is nothing yet.
const BUILD_WAIT: Duration = Duration::from_secs(5);

/// Runs and databases of which it is remembered that a warning was said: more than there are at once.
const WARNED: usize = 1_024;

/// Between two tries to reach a server that was away when it was first asked for: as [`regatta_databases::limits::BACKOFF`].
const SEEK: (Duration, Duration) = regatta_databases::limits::BACKOFF;

/// After this whoever had to be told "later" asks again.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// The databases of a coordinator. Clones reach the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Databases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    live: Live,
    /// Where servers of our own are kept that do not fit into memory.
    directory: PathBuf,
    /// Whether what is there outlives the coordinator.
    keeps: bool,
    /// What is declared, by name.
    declared: Mutex<BTreeMap<Arc<str>, Arc<Resource>>>,
    engines: tokio::sync::Mutex<BTreeMap<Arc<str>, Arc<Starting>>>,
    claims: Mutex<Claims>,
    /// The runs that were told of servers which count no statements.
    warned: Mutex<BTreeSet<(RunId, Arc<str>)>>,
    /// The coordinator ends: nothing is started any more.
    closing: AtomicBool,
}

impl Inner {
    /// Whether the server of an engine is the one that is declared.
    fn is_declared(&self, name: &Arc<str>, starting: &Starting) -> bool {
        let declared = lock(&self.declared);
        declared
            .get(name)
            .and_then(|resource| resource.server.as_ref())
            .is_some_and(|server| server == starting.server())
    }
}

/// What whoever asks for databases is told.
enum Answer {
    Handed(Vec<(String, String)>),
    Build { order: u64, resource: Arc<str>, variables: Vec<(String, String)> },
    Later(String),
    Never(RunError),
}

/// Why a database cannot be had.
enum Lack {
    /// Somebody has to build its template first.
    Build(u64, Vec<(String, String)>),
    /// Not now.
    Now(String),
    /// Not at all.
    Ever(String),
}

impl Databases {
    pub(crate) fn new(live: Live, (directory, keeps): (PathBuf, bool)) -> Self {
        let (declared, engines) = (Mutex::default(), tokio::sync::Mutex::default());
        let (claims, warned, closing) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Inner { live, directory, keeps, declared, engines, claims, warned, closing }))
    }

    /// These are the database resources from now on. An engine whose server has changed is replaced when nothing is held of it.
    pub(crate) fn declare(&self, databases: impl IntoIterator<Item = (Arc<str>, Arc<Resource>)>) {
        *lock(&self.0.declared) = databases.into_iter().collect();
    }

    /// Hands the databases of its suite to an attempt.
    ///
    /// # Errors
    /// When the lease is not live.
    pub(crate) async fn acquire(&self, asked: v1::AcquireRequest) -> Result<v1::AcquireResponse, Failure> {
        let claim = Claim::new(asked.token, asked.test, asked.attempt);
        let level = told::level(asked.level)?;
        let lease = self.live(claim.token)?;
        if let Some(handed) = self.claims().get(&claim) {
            return Ok(told::handed(handed.variables.clone()));
        }
        let answer = self.hand(claim, level, &lease).await;
        if matches!(answer, Answer::Handed(_)) && self.0.live.get(claim.token).is_none() {
            // It ended meanwhile; what ended it may have come before there was anything to take back.
            self.end(claim.token).await;
            return Err(stale(claim.token));
        }
        Ok(told::answer(answer, ASK_AGAIN))
    }

    async fn hand(&self, claim: Claim, level: Level, lease: &LiveLease) -> Answer {
        let mut handed = Handed { level, leases: Vec::new(), variables: Vec::new() };
        for planned in lease.databases.iter().filter(|planned| claim.takes(planned.per)) {
            match self.lease(claim, level, lease, planned).await {
                Ok((engine, leased)) => {
                    let named = engine.named(&planned.resource, &leased);
                    told::add(&mut handed.variables, leased.variables);
                    handed.variables.extend(named);
                    handed.leases.push((Arc::clone(&planned.resource), engine, leased.id));
                }
                Err(lack) => {
                    // All of them or none: nobody waits with some in hand.
                    for (_, engine, id) in handed.leases {
                        let _nothing_was_done = engine.release(id).await;
                    }
                    let resource = Arc::clone(&planned.resource);
                    return match lack {
                        Lack::Build(order, variables) => Answer::Build { order, resource, variables },
                        Lack::Now(why) => Answer::Later(format!("{resource}: {why}")),
                        // As final as a suite that cannot be built: each of its tests would get the same answer.
                        Lack::Ever(message) => Answer::Never(RunError {
                            kind: RunErrorKind::Build,
                            place: resource,
                            message: message.into(),
                        }),
                    };
                }
            }
        }
        let variables = handed.variables.clone();
        self.claims().put(claim, handed);
        Answer::Handed(variables)
    }

    /// One database, of one resource.
    async fn lease(
        &self,
        claim: Claim,
        level: Level,
        lease: &LiveLease,
        planned: &PlannedDatabase,
    ) -> Result<(Engine, regatta_databases::Leased), Lack> {
        let engine = self.engine(&planned.resource).await?;
        let wanted = Wanted {
            template: planned.template,
            place: if level == Level::Exclusive { Place::Private } else { Place::Shared },
            extensions: planned.extensions.iter().map(ToString::to_string).collect(),
            token: claim.token,
            run: lease.run,
        };
        match engine.prepare(wanted).await.map_err(lack)? {
            Prepared::Ready => {}
            Prepared::Build(order) => {
                let number = self.claims().order(Arc::clone(&planned.resource), order.id);
                return Err(Lack::Build(number, order.variables));
            }
            Prepared::Building(other) => {
                let _ended_or_not = timeout(BUILD_WAIT, other.ended()).await;
                return Err(Lack::Now("its template is being built".to_owned()));
            }
            Prepared::Failed { log, .. } => return Err(Lack::Ever(told::failed_build(planned, &log))),
        }
        let ask = Ask {
            token: claim.token,
            run: lease.run,
            test: claim.test.unwrap_or_default(),
            attempt: claim.attempt,
            level,
            template: planned.template,
            application: told::application(lease.run, claim),
            // What all tests of a shard asked together says nothing of any of them.
            statements: lease.statements && claim.test.is_some(),
        };
        let leased = engine.lease(ask).await.map_err(lack)?;
        Ok((engine, leased))
    }

    /// The engine behind a resource, started where nobody has asked for it before.
    async fn engine(&self, name: &Arc<str>) -> Result<Engine, Lack> {
        let declared = lock(&self.0.declared).get(name).cloned();
        let Some(server) = declared.as_ref().and_then(|resource| resource.server.clone()) else {
            return Err(Lack::Ever("it is not declared as a database any more".to_owned()));
        };
        let starting = {
            let mut engines = self.0.engines.lock().await;
            let known = engines.get(name).filter(|starting| *starting.server() == server).cloned();
            known.unwrap_or_else(|| {
                let starting = Arc::new(Starting::new(server, (self.0.directory.join(&**name), self.0.keeps)));
                engines.insert(Arc::clone(name), Arc::clone(&starting));
                starting
            })
        };
        // While it is away, one looks for it, and not everybody who asks.
        if let Some((_, why)) = starting.away().clone() {
            return Err(Lack::Now(why));
        }
        starting.engine().await.map_err(|failed| {
            if failed.for_good {
                return Lack::Ever(failed.why);
            }
            self.seek(name, &starting);
            Lack::Now(failed.why)
        })
    }

    /// Tries again and again to start an engine whose server is away, since nobody is granted its databases meanwhile, and so nobody
    /// would ask. Until it has started, or is not wanted any more.
    fn seek(&self, name: &Arc<str>, starting: &Arc<Starting>) {
        if starting.is_sought() {
            return;
        }
        tracing::warn!(resource = %name, "a database server cannot be reached: what needs it waits");
        let (databases, name, starting) = (Arc::downgrade(&self.0), Arc::clone(name), Arc::clone(starting));
        let mut backoff = Backoff::new(SEEK.0, SEEK.1, u64::from(std::process::id()));
        drop(tokio::spawn(async move {
            loop {
                tokio::time::sleep(backoff.wait()).await;
                let Some(inner) = databases.upgrade() else { return };
                if !inner.is_declared(&name, &starting) || inner.closing.load(Ordering::Acquire) {
                    return starting.give_up();
                }
                match starting.engine().await {
                    Err(failed) if !failed.for_good => {}
                    Ok(engine) if inner.closing.load(Ordering::Acquire) => return engine.shutdown().await,
                    Ok(_) | Err(_) => return,
                }
            }
        }));
    }

    /// Takes back what an attempt was handed, and says what it did with it.
    ///
    /// # Errors
    /// When the lease is not live.
    pub(crate) async fn release(&self, asked: v1::ReleaseRequest) -> Result<v1::ReleaseResponse, Failure> {
        let claim = Claim::new(asked.token, asked.test, asked.attempt);
        let run = self.live(claim.token)?.run;
        let handed = self.claims().get(&claim).cloned();
        let Some(Handed { level, leases, variables }) = handed else {
            // Another coordinator handed them out, and they are gone with it.
            return Ok(v1::ReleaseResponse { observation: Some(told::lost()) });
        };
        let mut released: Vec<(Arc<str>, Option<Released>)> = Vec::with_capacity(leases.len());
        for (resource, engine, id) in leases {
            let mut of_one = engine.release(id).await;
            if let (Engine::Postgres(_), Some(of_one)) = (&engine, &mut of_one) {
                let traffic = asked.traffic.iter().filter(|traffic| *traffic.resource == *resource);
                told::add_traffic(of_one, traffic, &resource, &variables);
            }
            released.push((resource, of_one));
        }
        let observation = told::observation(level, &released, |resource| self.is_first(run, resource));
        Ok(v1::ReleaseResponse { observation: Some((&observation).into()) })
    }

    /// Whether nobody in the run was told yet that a server counts no statements.
    fn is_first(&self, run: RunId, resource: &Arc<str>) -> bool {
        let mut warned = lock(&self.0.warned);
        if warned.len() >= WARNED {
            warned.pop_first();
        }
        warned.insert((run, Arc::clone(resource)))
    }

    /// A template was built, or could not be.
    ///
    /// # Errors
    /// When the lease is not live.
    pub(crate) async fn built(&self, asked: v1::BuiltRequest) -> Result<v1::BuiltResponse, Failure> {
        self.live(Token(asked.token))?;
        let ordered = self.claims().ordered(asked.order);
        if let Some((resource, id)) = ordered
            && let Ok(engine) = self.engine(&resource).await
        {
            engine.built(id, asked.failure.map_or(Ok(()), Err)).await;
        }
        Ok(v1::BuiltResponse {})
    }

    /// The lease of a shard has ended: everything under it is taken back.
    pub(crate) async fn end(&self, token: Token) {
        self.claims().forget(token);
        for engine in self.running().await {
            engine.fence(token);
        }
    }

    /// How the engines are that were asked for, by resource: those of servers that are declared, whatever was before.
    pub(crate) async fn status(&self) -> BTreeMap<Arc<str>, regatta_databases::Status> {
        let engines = self.0.engines.lock().await;
        let declared = engines.iter().filter(|(name, starting)| self.0.is_declared(name, starting));
        declared.filter_map(|(name, starting)| Some((Arc::clone(name), starting.status()?))).collect()
    }

    /// Everything that was started ends, and everything that was made goes.
    pub(crate) async fn shutdown(&self) {
        self.0.closing.store(true, Ordering::Release);
        for engine in self.running().await {
            engine.shutdown().await;
        }
    }

    async fn running(&self) -> Vec<Engine> {
        self.0.engines.lock().await.values().filter_map(|starting| starting.running()).collect()
    }

    fn live(&self, token: Token) -> Result<LiveLease, Failure> {
        self.0.live.get(token).ok_or_else(|| stale(token))
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        lock(&self.0.claims)
    }
}

fn stale(token: Token) -> Failure {
    Failure::Unfit(format!("the lease {token} is not live: nothing is handed out or taken back under it"))
}

fn lack(refused: Refused) -> Lack {
    let why = refused.to_string();
    match refused {
        Refused::NoPrivateServer => Lack::Ever(why),
        Refused::NotReady
        | Refused::Down { .. }
        | Refused::Full { .. }
        | Refused::Late { .. }
        | Refused::Fenced
        | Refused::Closing => Lack::Now(why),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each use leaves what is inside whole, even if the thread that made it came to grief later.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Claim {
    /// Whether such a database goes to a claim of this kind.
    fn takes(&self, per: Per) -> bool {
        self.test.is_none() == (per == Per::Shard)
    }

    fn new(token: u64, test: Option<u32>, attempt: u32) -> Self {
        Self { token: Token(token), test: test.map(TestIx), attempt: u16::try_from(attempt).unwrap_or(u16::MAX) }
    }
}

/// An order to build a template, as it is named on the wire.
type Ordered = (Arc<str>, BuildId);
