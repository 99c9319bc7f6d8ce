//! A session: bytes both ways, until one side has ended.

use super::limits::READ;
use super::seen::{Answers, Asks};
use super::server::Stream;
use std::io;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::TcpStream;

/// Carries a session that has begun. What goes by is looked at before it goes on, so that nothing is answered unseen.
pub(super) async fn carry(
    mut client: TcpStream,
    server: Box<dyn Stream>,
    mut asks: Asks<'_>,
    mut answers: Answers<'_>,
) {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = split(server);
    let mut up = pin!(pump(from_client, to_server, |bytes| asks.look(bytes)));
    let mut down = pin!(pump(from_server, to_client, |bytes| answers.look(bytes)));
    tokio::select! {
        ended = &mut up => {
            // A client that has left: the server ends the session when it has read so far. One that broke off: both ends go.
            if ended.is_ok() {
                let _server_gone = down.await;
            }
        }
        _server_gone = &mut down => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut look: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; READ];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        look(&buffer[..read]);
        to.write_all(&buffer[..read]).await?;
    }
}
