//! A connection that ends when another coordinator leads.
//!
//! One that is cut off from its store may have been followed by another one, and not know it: it refuses what it is asked, but its
//! connections stand, and whoever holds one would ask it again and again. So whoever holds one looks beside it, now and then, who
//! leads. Nothing is looked for where a store is not shared.

use super::Addresses;
use super::ask::{Answer, ask};
use super::network::{Connection, Network};
use super::search::Search;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;

/// How often it is looked: with a thousand workers, some hundred short connections a second.
const LOOKED: Duration = Duration::from_secs(5);

/// A connection, until its time is over.
pub(super) struct Guarded {
    connection: Box<dyn Connection>,
    /// None once it is.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Guarded {
    /// `connection`, until `over` ends. It is looked for that whenever somebody reads, which is always.
    pub(super) fn new(connection: Box<dyn Connection>, over: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { connection, over: Some(Box::pin(over)) }
    }

    /// Why nothing more is read or written, where that is so.
    fn ended(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        if self.over.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready()) {
            self.over = None;
        }
        let ended = || io::Error::new(io::ErrorKind::ConnectionReset, "another coordinator leads");
        self.over.is_none().then(ended)
    }
}

/// Ends when another one of the coordinators at `addresses` leads than the one at `at`.
pub(super) async fn another_leads(network: Arc<dyn Network>, addresses: Arc<Addresses>, at: SocketAddr) {
    loop {
        sleep(LOOKED).await;
        if does_another_lead(&network, &addresses, at).await {
            return;
        }
    }
}

/// Whether another one certainly leads: where nobody is known to, a connection is as good as any.
pub(super) async fn does_another_lead(network: &Arc<dyn Network>, addresses: &Addresses, at: SocketAddr) -> bool {
    if matches!(ask(&**network, at).await, Answer::Leads(_)) {
        return false;
    }
    Search::among(Arc::clone(network), addresses, None).run().await.is_ok_and(|found| found.at != at)
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.ended(cx) {
            Some(ended) => Poll::Ready(Err(ended)),
            None => Pin::new(&mut self.connection).poll_read(cx, to),
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}
