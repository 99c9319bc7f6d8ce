//! The simulated network, as clients and workers dial over it, and as the coordinator serves it.

use crate::tap::{Tap, Tapped};
use regatta_runtime::dial::{Connection, Network};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;
use turmoil::net::TcpStream;

/// The port that the coordinator serves.
pub(crate) const PORT: u16 = 7420;

/// The network as one host dials over it.
#[derive(Debug)]
pub(crate) struct Sea {
    /// Listens to what is said, where it is a worker's.
    pub(crate) tap: Option<Tap>,
}

#[async_trait::async_trait]
impl Network for Sea {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::new(turmoil::lookup(host), port)])
    }

    async fn connect(&self, at: SocketAddr) -> io::Result<Box<dyn Connection>> {
        let connection = TcpStream::connect(at).await?;
        Ok(match &self.tap {
            Some(tap) => Box::new(Tapped::new(connection, tap.clone())),
            None => Box::new(connection),
        })
    }
}

/// A connection that the coordinator accepted.
pub(crate) struct Served(pub(crate) TcpStream);

impl Connected for Served {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Served {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Served {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
