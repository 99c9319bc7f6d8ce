//! The network that is dialled over: the system's, as a rule.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

/// A connection, over whatever network.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<C: AsyncRead + AsyncWrite + Unpin + Send> Connection for C {}

/// A network: names in it, and connections over it. A simulation has one of its own.
#[tonic::async_trait]
pub trait Network: Debug + Send + Sync {
    /// The addresses that a name, or a number, stands for.
    ///
    /// # Errors
    /// When it stands for none.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// Opens a connection.
    ///
    /// # Errors
    /// When nobody takes it.
    async fn connect(&self, at: SocketAddr) -> io::Result<Box<dyn Connection>>;
}

/// The network of the system.
#[derive(Clone, Copy, Debug)]
pub(super) struct System;

#[tonic::async_trait]
impl Network for System {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, at: SocketAddr) -> io::Result<Box<dyn Connection>> {
        let connection = TcpStream::connect(at).await?;
        connection.set_nodelay(true)?;
        Ok(Box::new(connection))
    }
}
