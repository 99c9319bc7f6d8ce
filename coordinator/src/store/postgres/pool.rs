//! The connections over which a server is asked: few, however many ask. What fails is tried again while that may help, over another
//! connection where the first is to blame; a server that is away is tried by one who asks, not by all.
//!
//! It leaves what is asked to those who ask, and wants one thing of them: that it may be asked again when it is not known whether it
//! was carried out. The journal's writer has a connection of its own.

use super::health::{Absence, Counts, Health};
use super::{Server, Trouble, told};
use crate::store::Error;
use deadpool_postgres::{Manager, ManagerConfig, Object, PoolError, RecyclingMethod};
use regatta_runtime::backoff::Backoff;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

/// Connections at most: one for the thread that writes the tables, and three for those who read at once. Others wait for their turn.
const CONNECTIONS: usize = 4;

/// The first wait between two tries, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How one asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    /// How long a server is waited for; nothing for who would rather hear at once that it is away.
    pub(crate) patience: Option<Duration>,
    /// How long one try may take: a server that takes longer hangs.
    pub(crate) deadline: Duration,
}

/// What is done on a connection.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// How the connections to a server are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// There are never more.
    pub most: usize,
    /// So many stand.
    pub open: usize,
    /// So many of those do nothing.
    pub idle: usize,
    /// So many wait for one.
    pub waiting: usize,
}

/// How a server is, as those find who ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Where it is, without what is secret.
    pub server: Arc<str>,
    /// What is wrong, where it is away.
    pub absence: Option<Absence>,
    /// The connections over which it is asked.
    pub connections: Connections,
    /// What came of what was asked.
    pub counts: Counts,
}

/// The connections to a server, and whether it is there.
pub(super) struct Pool {
    connections: deadpool_postgres::Pool,
    turns: Semaphore,
    waiting: AtomicUsize,
    pub(super) health: Health,
}

impl Pool {
    /// Half of the `silence` that says that it has gone is what a server may fail before it is away.
    pub(super) fn new(config: &Config, name: Arc<str>, silence: Duration) -> Self {
        // Nothing is asked to find out how a connection is: what is done on it finds out, and is tried again.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config.clone(), NoTls, recycling);
        let pool = deadpool_postgres::Pool::builder(manager).max_size(CONNECTIONS);
        let connections = pool.build().expect("a pool without time-outs needs no runtime");
        let (turns, waiting) = (Semaphore::new(CONNECTIONS), AtomicUsize::new(0));
        Self { connections, turns, waiting, health: Health::new(name, silence / 2) }
    }

    pub(super) fn presence(&self, server: Arc<str>) -> Presence {
        let status = self.connections.status();
        let waiting = self.waiting.load(Ordering::Relaxed);
        let connections = Connections { most: CONNECTIONS, open: status.size, idle: status.available, waiting };
        Presence { server, absence: self.health.absence(), connections, counts: self.health.counts() }
    }

    /// One try over one connection.
    async fn once<T>(
        &self,
        server: &Server,
        deadline: Duration,
        work: &(impl for<'a> Fn(&'a mut Client) -> Work<'a, T> + Send + Sync),
    ) -> Result<T, Error> {
        let silent = |_| Error::Silent { server: server.name.clone() };
        let turn = {
            let _waits = One::of(&self.waiting);
            timeout(deadline, self.turns.acquire()).await
        };
        // That all are in use for so long says nothing of the server that those do not find out who use them.
        let _turn = turn.map_err(silent)?.expect("it is never closed");
        let began = Instant::now();
        let done = async {
            let got = timeout(server.silence(), self.connections.get()).await.map_err(silent)?;
            let mut held = Held::of(got.map_err(|error| match error {
                PoolError::Backend(error) => server.sorted(error),
                _ => Error::Silent { server: server.name.clone() },
            })?);
            let cancel = held.client().cancel_token();
            let done = timeout(deadline, work(held.client())).await.map_err(|nothing| {
                server.cancel(cancel);
                silent(nothing)
            })?;
            if !done.as_ref().is_err_and(spoils_connection) {
                held.give_back();
            }
            done
        };
        let done = done.await;
        match &done {
            Ok(_) => self.health.answered(),
            Err(error) => self.health.failed(began, error),
        }
        done
    }
}

impl Server {
    /// Does something on one of the connections, again and again while that may help. Who is `hurried` waits no longer: what is at
    /// hand is tried once more.
    ///
    /// # Errors
    /// When the server refuses, is away, or was for too long.
    pub(crate) async fn ask<T>(
        &self,
        manner: Manner,
        mut hurried: watch::Receiver<bool>,
        work: impl for<'a> Fn(&'a mut Client) -> Work<'a, T> + Send + Sync,
    ) -> Result<T, Error> {
        let (pool, begun) = (self.pool(), Instant::now());
        // Who does not wait for a server that is away, waits until it is known to be.
        let patience = manner.patience.unwrap_or(self.silence());
        // Jitter needs no better chance than what the keys of hash maps are drawn from.
        let mut backoff = Backoff::new(WAITS.0, WAITS.1, RandomState::new().build_hasher().finish());
        loop {
            let is_last = *hurried.borrow_and_update();
            let until = manner.patience.filter(|_| !is_last).map(|patience| begun + patience);
            tokio::select! {
                biased;
                admitted = pool.health.admit(until) => admitted?,
                Ok(_) = hurried.changed(), if !is_last => continue,
            }
            let watches = manner.patience.is_none() && pool.health.absence().is_none();
            let done = tokio::select! {
                biased;
                done = pool.once(self, manner.deadline, &work) => done,
                error = pool.health.away(), if watches => return Err(error),
            };
            let error = match done {
                Ok(done) => {
                    if backoff.tries() > 0 {
                        tracing::debug!(tries = backoff.tries(), took = ?begun.elapsed(), "{self} answers again");
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            let (is_first, wait) = (backoff.tries() == 0, backoff.wait());
            if is_last || !may_pass(&error) || begun.elapsed() + wait > patience {
                return Err(error);
            }
            if is_first {
                let why = crate::error::in_one_line(&error);
                tracing::debug!(why, "a question waits for the database, for {patience:?} at most");
            }
            // Either way it is tried again.
            let _over = timeout(wait, hurried.wait_for(|hurried| *hurried)).await;
        }
    }

    /// How it is, as those find who ask it.
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.pool().presence(self.name.clone())
    }

    /// Somebody else's try failed: one that has a connection of its own.
    pub(super) fn failed(&self, error: &Error) {
        self.pool().health.failed(Instant::now(), error);
    }

    /// That it is away, where it is.
    pub(crate) fn refusal(&self) -> Option<Error> {
        let absence = self.pool().health.absence()?;
        Some(Error::Away { server: self.name.clone(), absence })
    }

    /// Somebody else's try was answered, after others had failed.
    pub(super) fn answered(&self) {
        self.pool().health.answered();
    }

    /// Waits until it is away: an error that says so.
    pub(crate) async fn away(&self) -> Error {
        self.pool().health.away().await
    }
}

/// Whether trying again may help.
fn may_pass(error: &Error) -> bool {
    match error {
        // Neither the server nor the way to it: what it said is not what was asked for, or we have no password to tell.
        Error::Server { source, .. } if told::is_misunderstanding(source) => false,
        Error::Server { source, .. } if source.code().is_some_and(|code| PASSING.contains(code)) => true,
        error => error.may_pass(),
    }
}

/// What passes by itself, though the server refused for what it could tell: it gave us up, was told to, or is short of memory.
const PASSING: [SqlState; 3] =
    [SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT, SqlState::QUERY_CANCELED, SqlState::OUT_OF_MEMORY];

/// Whether another connection may do better: this one leads to a server that is gone, or has become a standby.
const fn spoils_connection(error: &Error) -> bool {
    matches!(
        error,
        Error::Server { trouble: Trouble::Unreachable | Trouble::NotReady | Trouble::ReadOnly, .. }
            | Error::Silent { .. }
    )
}

/// A connection of the pool. What it was at when it is dropped may still be under way, so it is closed then, unless it was given back.
struct Held(Option<Object>);

impl Held {
    const fn of(object: Object) -> Self {
        Self(Some(object))
    }

    fn client(&mut self) -> &mut Client {
        self.0.as_mut().expect("it is held until it is given back")
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// One more, as long as it is there.
struct One<'a>(&'a AtomicUsize);

impl<'a> One<'a> {
    fn of(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
