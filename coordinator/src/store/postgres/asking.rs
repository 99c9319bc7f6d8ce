//! Asking PostgreSQL from a thread: the question is put on the runtime, tried again while the server is away, and waited for.

use super::{Line, Server};
use crate::store::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// What goes into a question.
pub(crate) type Parameters = Vec<Box<dyn ToSql + Send + Sync>>;

/// Asks on behalf of threads, one question at a time. Clones share a connection.
#[derive(Clone)]
pub(crate) struct Asking {
    line: Arc<Mutex<Line>>,
    server: Server,
    runtime: Handle,
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asking").field(&self.server).finish()
    }
}

impl Asking {
    /// To be made on the runtime. A server that goes away is waited for as long as `patience`.
    pub(crate) fn new(server: Server, patience: Duration) -> Self {
        let line = Arc::new(Mutex::new(Line::new(server.clone(), patience, "")));
        Self { line, server, runtime: Handle::current() }
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// The rows that a question brings. Asked again when the connection broke, so it has to be one that may be asked twice. Waits;
    /// not to be called on the runtime.
    ///
    /// # Errors
    /// When the server refuses, or has been away for too long.
    pub(crate) fn ask(&self, sql: &'static str, parameters: Parameters) -> Result<Vec<Row>, Error> {
        let (tell, answer) = sync_channel(1);
        let line = self.line.clone();
        drop(self.runtime.spawn(async move {
            let (mut line, mut absence) = (line.lock().await, None);
            let answer = loop {
                match once(&mut line, sql, &parameters).await {
                    Ok(rows) => break Ok(rows),
                    Err(error) => {
                        if let Err(error) = line.after(error, &mut absence).await {
                            break Err(error);
                        }
                    }
                }
            };
            line.back(absence);
            // Whoever asked may have gone away.
            let _gone = tell.send(answer);
        }));
        let ended = |_| Error::io(self.server.to_string().as_ref(), std::io::Error::other("the coordinator ends"));
        answer.recv().map_err(ended)?
    }
}

async fn once(line: &mut Line, sql: &str, parameters: &Parameters) -> Result<Vec<Row>, Error> {
    let server = line.server().clone();
    let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|one| &**one as &(dyn ToSql + Sync)).collect();
    let asked = line.client().await?.query(sql, &parameters).await;
    asked.map_err(|error| server.sorted(error))
}
