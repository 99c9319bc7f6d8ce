//! The way from threads that wait to a server that is somewhere else: work is done on a connection of a pool by the tasks of a
//! runtime, tried again while what is in the way passes, and given up when patience ends.
//!
//! It leaves what is done to those who use it, and asks one thing of them: that it may be done again when it is not known
//! whether it was.

use super::refused::{self, Refused};
use crate::store::Error;
use crate::store::postgres::Server;
use crate::store::projection::Connections;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Status};
use regatta_runtime::backoff::Backoff;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::{Instant, timeout};
use tokio_postgres::{Client, NoTls};

/// A try that takes longer has come to a server that hangs, or to nobody: the longest that is really done takes a few seconds.
const TRY: Duration = Duration::from_secs(60);

/// The first wait between two tries, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Connections at most: one for the thread that writes, and three for those who read at once. Others wait for their turn.
const CONNECTIONS: usize = 4;

/// How long a server is waited for that does not answer, before that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// By the thread that writes; nobody waits for it.
    pub write: Duration,
    /// By whoever reads: a client waits for the answer.
    pub read: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        // Longer than a server takes to restart, and than people take to notice.
        Self { write: Duration::from_secs(600), read: Duration::from_secs(30) }
    }
}

/// What is done on a connection.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refused>> + Send + 'a>>;

/// A server, and the runtime whose tasks talk to it.
#[derive(Clone)]
pub(super) struct Link {
    server: Server,
    /// When the leader began to lead that this belongs to.
    epoch: u64,
    pool: Pool,
    patience: Patience,
    /// Whether nobody waits any more.
    hurried: Arc<watch::Sender<bool>>,
    handle: Handle,
}

impl Link {
    pub(super) fn new((server, epoch): (&Server, u64), patience: Patience, handle: Handle) -> Self {
        // Nothing is asked to find out how a connection is: what is done on it finds out, and is tried again.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(server.config().clone(), NoTls, recycling);
        let pool =
            Pool::builder(manager).max_size(CONNECTIONS).build().expect("a pool without time-outs needs no runtime");
        Self { server: server.clone(), epoch, pool, patience, hurried: Arc::default(), handle }
    }

    pub(super) const fn server(&self) -> &Server {
        &self.server
    }

    /// When the leader began to lead that this belongs to.
    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// From now on everything is tried once, and what waits for its next try is tried at once.
    pub(super) fn hurry(&self) {
        self.hurried.send_replace(true);
    }

    pub(super) fn connections(&self) -> Connections {
        let Status { max_size, size, available, waiting } = self.pool.status();
        Connections { most: max_size, open: size, idle: available, waiting }
    }

    /// Reads, or does what a client waits for.
    pub(super) fn read<T: Send + 'static>(
        &self,
        work: impl for<'a> Fn(&'a mut Client) -> Work<'a, T> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        self.run(self.patience.read, work)
    }

    /// Does what nobody waits for.
    pub(super) fn write<T: Send + 'static>(
        &self,
        work: impl for<'a> Fn(&'a mut Client) -> Work<'a, T> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        self.run(self.patience.write, work)
    }

    fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl for<'a> Fn(&'a mut Client) -> Work<'a, T> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let link = self.clone();
        let done = wait(&self.handle, async move { link.patiently(patience, work).await });
        done.unwrap_or_else(|| Err(Error::Silent { server: self.server.to_string().into() }))
    }

    async fn patiently<T>(
        &self,
        patience: Duration,
        work: impl for<'a> Fn(&'a mut Client) -> Work<'a, T> + Send + Sync,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        // Jitter needs no better chance than what the keys of hash maps are drawn from.
        let mut backoff = Backoff::new(WAITS.0, WAITS.1, RandomState::new().build_hasher().finish());
        let mut hurried = self.hurried.subscribe();
        loop {
            let is_last = *hurried.borrow();
            let error = match self.once(&work).await {
                Ok(done) => {
                    if backoff.tries() > 0 {
                        tracing::info!(tries = backoff.tries(), took = ?begun.elapsed(), "{} answers again", self.server);
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            let (is_first, wait) = (backoff.tries() == 0, backoff.wait());
            if is_last || !refused::may_pass(&error) || begun.elapsed() + wait > patience {
                return Err(error);
            }
            if is_first {
                let why = crate::error::in_one_line(&error);
                tracing::warn!(why, "a query or a projection waits for the database, for {patience:?} at most");
            }
            // Either way it is tried again.
            let _over = timeout(wait, hurried.wait_for(|hurried| *hurried)).await;
        }
    }

    async fn once<T>(&self, work: &(impl for<'a> Fn(&'a mut Client) -> Work<'a, T> + Send + Sync)) -> Result<T, Error> {
        let told = |refused: Refused| refused.of(&self.server, self.epoch);
        let silent = |_| told(Refused::Silent);
        let mut connection =
            timeout(TRY, self.pool.get()).await.map_err(silent)?.map_err(|error| told(error.into()))?;
        let done = timeout(TRY, work(&mut connection)).await.map_err(silent).and_then(|done| done.map_err(told));
        if done.as_ref().is_err_and(refused::spoils_connection) {
            // What it was at may still be under way, or it leads to a server that has become a standby: closed, not handed on.
            drop(Object::take(connection));
        }
        done
    }
}

/// Waits on this thread for what tasks of a runtime do; `None` where they ended without an answer.
///
/// The work is a task of its own, not run by `Handle::block_on`: the projector's thread drives a small runtime itself, inside
/// of which another must not be entered.
fn wait<T: Send + 'static>(handle: &Handle, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (done, answer) = sync_channel(1);
    handle.spawn(async move {
        // Whoever waits does not leave before.
        let _sent = done.send(work.await);
    });
    let wait = || answer.recv().ok();
    match Handle::try_current().map(|here| (here.runtime_flavor(), here.id())) {
        // It may be a thread of the very runtime that is to do the work: another one takes its place meanwhile.
        Ok((RuntimeFlavor::MultiThread, _)) => block_in_place(wait),
        Ok((_, here)) => {
            assert_ne!(here, handle.id(), "the only thread of a runtime does not wait for what it has to do itself");
            wait()
        }
        Err(_) => wait(),
    }
}
