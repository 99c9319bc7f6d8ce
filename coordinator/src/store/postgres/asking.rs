//! Asking PostgreSQL from a thread: the question is put on the runtime, and its answer waited for.

use super::{Manner, Server};
use crate::store::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// What goes into a question.
pub(crate) type Parameters = Vec<Box<dyn ToSql + Send + Sync>>;

/// Asks on behalf of threads.
#[derive(Clone)]
pub(crate) struct Asking {
    server: Server,
    manner: Manner,
    runtime: Handle,
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asking").field(&self.server).finish()
    }
}

impl Asking {
    /// To be made on the runtime. A server that goes away is waited for as long as `patience`.
    pub(crate) fn patiently(server: Server, patience: Duration) -> Self {
        let manner = Manner { patience: Some(patience), deadline: server.silence() };
        Self { server, manner, runtime: Handle::current() }
    }

    /// The same, for who would rather hear at once that the server is away.
    pub(crate) fn at_once(&self) -> Self {
        Self { manner: Manner { patience: None, ..self.manner }, ..self.clone() }
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// The rows that a question brings. Asked again when the connection broke, so it has to be one that may be asked twice. Waits;
    /// not to be called on the runtime.
    ///
    /// # Errors
    /// When the server refuses, does not answer in time, is away, or was for too long.
    pub(crate) fn ask(&self, sql: &'static str, parameters: Parameters) -> Result<Vec<Row>, Error> {
        let (tell, answer) = sync_channel(1);
        let (server, manner, parameters) = (self.server.clone(), self.manner, Arc::new(parameters));
        drop(self.runtime.spawn(async move {
            // Nobody hurries it: who ends the coordinator ends the journal first.
            let (_hurry, hurried) = watch::channel(false);
            let asked = server.ask(manner, hurried, |client| {
                let (server, parameters) = (server.clone(), Arc::clone(&parameters));
                Box::pin(async move {
                    let parameters = parameters.iter().map(|one| &**one as &(dyn ToSql + Sync)).collect::<Vec<_>>();
                    client.query(sql, &parameters).await.map_err(|error| server.sorted(error))
                })
            });
            // Whoever asked may have gone away.
            let _gone = tell.send(asked.await);
        }));
        let ended = |_| Error::io(self.server.to_string().as_ref(), std::io::Error::other("the coordinator ends"));
        answer.recv().map_err(ended)?
    }
}
