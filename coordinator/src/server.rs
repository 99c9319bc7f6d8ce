//! What serves connections: from a network, and from within the process. All of it ends with the coordinator.

use crate::grpc;
use crate::standing::Standing;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::service::Routes;
use tonic::transport::server::Connected;

/// What may be under way in a connection within the process: a few of its messages.
const DUPLEX_BYTES: usize = 1024 * 1024;

/// Connections within the process that wait to be accepted.
const DIALLED: usize = 16;

/// How long connections have to end once everything on them was told so.
const END: Duration = Duration::from_secs(5);

/// Everything that serves.
#[derive(Debug)]
pub(crate) struct Servers {
    stop: watch::Sender<bool>,
    within: Mutex<Option<Within>>,
}

/// The server of connections within the process.
#[derive(Debug)]
struct Within {
    dial: mpsc::Sender<DuplexStream>,
    task: JoinHandle<()>,
}

impl Default for Servers {
    fn default() -> Self {
        Self { stop: watch::Sender::new(false), within: Mutex::default() }
    }
}

impl Servers {
    /// Serves connections as they come, until everything stops.
    pub(crate) async fn serve<C>(
        &self,
        routes: Routes,
        incoming: impl Stream<Item = io::Result<C>>,
    ) -> Result<(), tonic::transport::Error>
    where
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let serving = grpc::server().add_routes(routes).serve_with_incoming_shutdown(incoming, self.stopping());
        tokio::select! {
            served = serving => served,
            () = self.stopped_for_long() => Ok(()),
        }
    }

    /// Opens a connection within the process, and begins to serve such connections at the first.
    pub(crate) fn dial(&self, routes: impl FnOnce() -> Routes) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(DUPLEX_BYTES);
        let mut within = self.within.lock().unwrap_or_else(PoisonError::into_inner);
        let within = within.get_or_insert_with(|| {
            let (dial, dialled) = mpsc::channel(DIALLED);
            let incoming = ReceiverStream::new(dialled).map(Ok::<_, io::Error>);
            let serving = grpc::server().add_routes(routes());
            let serving = serving.serve_with_incoming_shutdown(incoming, self.stopping());
            let task = tokio::spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "connections within the process cannot be served");
                }
            });
            Within { dial, task }
        });
        if within.dial.try_send(theirs).is_err() {
            tracing::warn!("too many connections within the process wait to be accepted; this one is closed");
        }
        ours
    }

    /// Accepts nothing more, and gives what is served a moment to end.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        let within = self.within.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Within { mut task, .. }) = within
            && tokio::time::timeout(END, &mut task).await.is_err()
        {
            task.abort();
        }
    }

    /// Ends everything as a kill would.
    #[cfg(test)]
    pub(crate) fn kill(&self) {
        if let Some(within) = self.within.lock().unwrap_or_else(PoisonError::into_inner).take() {
            within.task.abort();
        }
    }

    fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            // Without a sender there is nobody left to serve for.
            let _gone = stop.wait_for(|stop| *stop).await;
        }
    }

    async fn stopped_for_long(&self) {
        self.stopping().await;
        tokio::time::sleep(END).await;
    }
}

/// Tells those who connect to `listener` who leads, and serves nothing else, until `standing` says that this coordinator does, or
/// whoever decides that is gone. Nobody accepts connections any more then, and the listener is free for [`Coordinator::serve`];
/// those that were accepted are asked to end.
///
/// # Errors
/// When connections cannot be served.
///
/// [`Coordinator::serve`]: crate::Coordinator::serve
pub async fn stand_by(listener: &Arc<TcpListener>, standing: watch::Receiver<Standing>) -> Result<(), crate::Error> {
    let mut told = standing.clone();
    let leads = async move {
        let _gone = told.wait_for(|standing| matches!(standing, Standing::Leads { .. })).await;
    };
    let (accepting, over) = oneshot::channel();
    let incoming = Accepted { listener: Arc::clone(listener), _accepting: Some(accepting) };
    let serving = grpc::server().add_routes(grpc::coordination::standby(&standing));
    let mut serving = tokio::spawn(serving.serve_with_incoming_shutdown(incoming, leads));
    tokio::select! {
        served = &mut serving => match served {
            Ok(served) => served.map_err(|error| crate::Error::Serve(Arc::new(error))),
            Err(_) => Err(crate::Error::Failed { thread: "standby" }),
        },
        // Nobody waits for those who were told where to go.
        _ = over => Ok(()),
    }
}

/// The connections that a listener accepts, which is free for others afterwards.
pub(crate) struct Accepted {
    listener: Arc<TcpListener>,
    /// Tells by its end that nothing is accepted any more.
    _accepting: Option<oneshot::Sender<()>>,
}

impl Accepted {
    pub(crate) const fn new(listener: Arc<TcpListener>) -> Self {
        Self { listener, _accepting: None }
    }
}

impl Stream for Accepted {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(cx).map(|accepted| Some(accepted.map(|(connection, _)| connection)))
    }
}
