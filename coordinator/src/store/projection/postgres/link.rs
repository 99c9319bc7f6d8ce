//! The way from threads that wait to a server that is somewhere else: work is done by the tasks of a runtime, over the connections
//! by which the server is asked.
//!
//! It leaves what is done to those who use it, and asks one thing of them: that it may be done again when it is not known
//! whether it was.

use super::refused::Refused;
use crate::store::Error;
use crate::store::postgres::{Manner, Server};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio_postgres::Client;

/// A try that takes longer has come to a server that hangs, or to nobody: the longest that is really done takes a few seconds.
const TRY: Duration = Duration::from_secs(60);

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
    patience: Patience,
    /// Whether who reads would rather hear at once that the server is away.
    at_once: bool,
    /// Whether nobody waits any more.
    hurried: Arc<watch::Sender<bool>>,
    handle: Handle,
}

impl Link {
    pub(super) fn new((server, epoch): (&Server, u64), patience: Patience, handle: Handle) -> Self {
        Self { server: server.clone(), epoch, patience, at_once: false, hurried: Arc::default(), handle }
    }

    /// The same, for who would rather hear at once that the server is away.
    pub(super) fn at_once(&self) -> Self {
        Self { at_once: true, ..self.clone() }
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

    /// Reads, or does what a client waits for.
    pub(super) fn read<T: Send + 'static>(
        &self,
        work: impl for<'a> Fn(&'a mut Client) -> Work<'a, T> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let patient = Manner { patience: Some(self.patience.read), deadline: TRY };
        self.run(if self.at_once { Manner { patience: None, deadline: self.server.silence() } } else { patient }, work)
    }

    /// Does what nobody waits for.
    pub(super) fn write<T: Send + 'static>(
        &self,
        work: impl for<'a> Fn(&'a mut Client) -> Work<'a, T> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        self.run(Manner { patience: Some(self.patience.write), deadline: TRY }, work)
    }

    fn run<T: Send + 'static>(
        &self,
        manner: Manner,
        work: impl for<'a> Fn(&'a mut Client) -> Work<'a, T> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let (link, hurried) = (self.clone(), self.hurried.subscribe());
        let done = wait(&self.handle, async move {
            let asked = link.server.ask(manner, hurried, |client| {
                let (doing, server, epoch) = (work(client), link.server.clone(), link.epoch);
                Box::pin(async move { doing.await.map_err(|refused| refused.of(&server, epoch)) })
            });
            asked.await
        });
        done.unwrap_or_else(|| Err(Error::Silent { server: self.server.to_string().into() }))
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
