//! Talking to a Redis server: commands out, replies in, one at a time over one connection.
//!
//! RESP2 as far as our own few commands need it. Every wait is bounded, and so is what a reply may take.

use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpStream, UnixStream};

/// Where a server listens.
#[derive(Clone, Debug)]
pub(super) enum Address {
    /// A socket in the file system.
    Socket(PathBuf),
    /// A port on loopback.
    Port(u16),
}

/// One connection.
pub(super) struct Connection {
    stream: BufStream<Box<dyn Stream>>,
    /// A wait was cut short or failed: replies would no longer belong to their commands.
    broken: bool,
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// What a server replied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Nothing,
    Number(i64),
    Text(String),
    List(Vec<Reply>),
}

/// Why there is no reply.
#[derive(Debug)]
pub enum Error {
    /// The connection was lost, or what came over it is no reply.
    Lost(io::Error),
    /// There was none in time.
    Late,
    /// The server refused.
    Refused(String),
}

/// How long a reply to a command of ours may take. A template of a hundred megabytes is saved in a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of one text in a reply: the greatest are lists of clients, at 300 bytes each of ten thousand.
const TEXT: usize = 16 << 20;

/// Replies in one list.
const LIST: usize = 64 << 10;

/// Lists within lists; the log of refusals has two.
const DEPTH: usize = 8;

impl Connection {
    pub(super) async fn open(address: &Address) -> Result<Self, Error> {
        let opening = async {
            Ok::<Box<dyn Stream>, io::Error>(match address {
                Address::Socket(path) => Box::new(UnixStream::connect(path).await?),
                Address::Port(port) => Box::new(TcpStream::connect(("127.0.0.1", *port)).await?),
            })
        };
        let stream = tokio::time::timeout(PATIENCE, opening).await.map_err(|_| Error::Late)??;
        Ok(Self { stream: BufStream::new(stream), broken: false })
    }

    /// Sends a command, and waits for its reply.
    pub(super) async fn call(&mut self, words: &[&str]) -> Result<Reply, Error> {
        if self.broken {
            return Err(Error::Lost(io::ErrorKind::NotConnected.into()));
        }
        // Until the reply is there, whole: whoever stops waiting leaves a connection that nobody may use.
        self.broken = true;
        let reply = tokio::time::timeout(PATIENCE, self.exchange(words)).await.map_err(|_| Error::Late)?;
        self.broken = !matches!(reply, Ok(_) | Err(Error::Refused(_)));
        reply
    }

    async fn exchange(&mut self, words: &[&str]) -> Result<Reply, Error> {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.write_all(command.as_bytes()).await?;
        self.stream.flush().await?;
        read(&mut self.stream, 0).await
    }
}

async fn read(from: &mut (dyn AsyncBufRead + Send + Unpin), depth: usize) -> Result<Reply, Error> {
    let mut line = Vec::new();
    let mut bounded = (&mut *from).take(TEXT as u64);
    bounded.read_until(b'\n', &mut line).await?;
    let Some(line) = line.strip_suffix(b"\r\n").filter(|line| !line.is_empty()) else {
        return Err(malformed("a line has no end"));
    };
    let (kind, rest) = (line[0], String::from_utf8_lossy(&line[1..]).into_owned());
    let number = || rest.parse::<i64>().map_err(|_| malformed("a number is none"));
    match kind {
        b'+' => Ok(Reply::Text(rest)),
        b'-' => Err(Error::Refused(rest)),
        b':' => Ok(Reply::Number(number()?)),
        b'$' => {
            let Ok(length) = usize::try_from(number()?) else { return Ok(Reply::Nothing) };
            if length > TEXT {
                return Err(malformed("a text is too long"));
            }
            let mut text = vec![0; length + 2];
            from.read_exact(&mut text).await?;
            text.truncate(length);
            Ok(Reply::Text(String::from_utf8_lossy(&text).into_owned()))
        }
        b'*' => {
            let Ok(length) = usize::try_from(number()?) else { return Ok(Reply::Nothing) };
            if length > LIST || depth >= DEPTH {
                return Err(malformed("a list is too long or too deep"));
            }
            let mut list = Vec::new();
            for _ in 0..length {
                list.push(Box::pin(read(&mut *from, depth + 1)).await?);
            }
            Ok(Reply::List(list))
        }
        _ => Err(malformed("a reply is of no known kind")),
    }
}

fn malformed(why: &str) -> Error {
    Error::Lost(io::Error::new(io::ErrorKind::InvalidData, why))
}

impl Reply {
    /// The text, where it is one.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// What is in the list, where it is one.
    pub(super) fn list(&self) -> &[Self] {
        if let Self::List(list) = self { list } else { &[] }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(error) => write!(f, "the connection to the Redis server was lost: {error}"),
            Self::Late => f.write_str("the Redis server did not answer in time"),
            Self::Refused(why) => write!(f, "the Redis server refused: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Lost(error) = self { Some(error) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn understand(bytes: &[u8]) -> Result<Reply, Error> {
        read(&mut tokio::io::BufReader::new(bytes), 0).await
    }

    #[tokio::test]
    async fn every_kind_of_reply_is_understood() {
        let text = |text: &str| Reply::Text(text.to_owned());
        assert_eq!(understand(b"+OK\r\n").await.unwrap(), text("OK"));
        assert_eq!(understand(b":-3\r\n").await.unwrap(), Reply::Number(-3));
        assert_eq!(understand(b"$5\r\na\r\nbc\r\n").await.unwrap(), text("a\r\nbc"));
        assert_eq!(understand(b"$-1\r\n").await.unwrap(), Reply::Nothing);
        let list = Reply::List(vec![text("a"), Reply::List(vec![Reply::Number(1)])]);
        assert_eq!(understand(b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n").await.unwrap(), list);
        assert!(matches!(understand(b"-NOPERM no\r\n").await, Err(Error::Refused(why)) if why == "NOPERM no"));
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error_and_not_a_wait_or_a_crash() {
        let deep = "*1\r\n".repeat(1_000);
        for bad in ["", "\r\n", "?\r\n", ":x\r\n", "$3\r\nab", "$99999999999\r\n", "*99999999\r\n", "+OK", &deep] {
            assert!(matches!(understand(bad.as_bytes()).await, Err(Error::Lost(_))), "{bad:?}");
        }
    }
}
