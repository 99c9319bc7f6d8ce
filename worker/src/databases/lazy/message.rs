//! Messages of PostgreSQL's protocol, as far as a port reads and writes them itself: until a session is open.

use super::limits::MESSAGE_BYTES;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A message: its kind, and what follows its length.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn new(kind: u8, body: &[u8]) -> Self {
        Self { kind, body: body.to_vec() }
    }

    /// As it goes over the wire.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind];
        bytes.extend(length(self.body.len() + 4));
        bytes.extend(&self.body);
        bytes
    }

    /// Reads one, to its last byte and no further.
    ///
    /// # Errors
    /// When the connection ends, or what comes is no message of a length that makes sense here.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await? as usize;
        if !(4..=MESSAGE_BYTES).contains(&length) {
            return Err(io::Error::other(format!("a message of {length} bytes where a short one belongs")));
        }
        let mut body = vec![0; length - 4];
        from.read_exact(&mut body).await?;
        Ok(Self { kind, body })
    }

    pub(super) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        to.write_all(&self.encode()).await
    }
}

/// A length or a number, as the protocol writes them.
pub(super) fn length(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

/// The number at the head of `bytes`, and the rest.
pub(super) fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*head), rest))
}

/// The bytes up to the next zero, and what follows that.
pub(super) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Why whoever connected is turned away, in the server's own terms.
#[derive(Debug)]
pub(super) struct Refusal {
    /// SQLSTATE.
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The error that a driver shows.
    pub(super) fn told(&self) -> Message {
        let mut body = Vec::new();
        for (field, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', self.code), (b'M', &self.message)] {
            body.push(field);
            body.extend(text.bytes().filter(|&byte| byte != 0));
            body.push(0);
        }
        body.push(0);
        Message { kind: b'E', body }
    }
}
