//! The worker's end of a socket to a Python process: JSON objects, one a line.

use super::limits::{CALM, LINE_BYTES, READ_BYTES, SOCKET_PATH_BYTES};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

/// A socket in the file system, for as long as nobody has connected.
pub(super) struct Socket {
    pub(super) path: PathBuf,
    /// Where the scratch directory's own path is too long for a socket.
    _directory: Option<tempfile::TempDir>,
}

impl Socket {
    /// Listens in `scratch`, under this name.
    pub(super) fn bind(scratch: &Path, name: &str) -> io::Result<(UnixListener, Self)> {
        let mut directory = None;
        let mut path = scratch.join(name);
        if path.as_os_str().len() > SOCKET_PATH_BYTES {
            let short = tempfile::tempdir()?;
            path = short.path().join("sock");
            directory = Some(short);
        }
        Ok((UnixListener::bind(&path)?, Self { path, _directory: directory }))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// The worker's end.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    /// Where the next line begins, and how far its end was looked for.
    at: usize,
    looked: usize,
    filled: Instant,
}

/// A socket that the runtime watches, or does not: whatever arrives at one that it watches wakes a thread, whether
/// anybody waits for it or not, and for trivial tests that would be a wake-up each.
#[derive(Debug)]
enum Stream {
    Watched(UnixStream),
    Unwatched(StdUnixStream),
    Closed,
}

impl Stream {
    /// The socket, watched; `None` when it is closed.
    fn watch(&mut self) -> Option<&mut UnixStream> {
        *self = match std::mem::replace(self, Self::Closed) {
            Self::Unwatched(stream) => UnixStream::from_std(stream).map_or(Self::Closed, Self::Watched),
            other => other,
        };
        match self {
            Self::Watched(stream) => Some(stream),
            _ => None,
        }
    }

    fn unwatch(&mut self) {
        *self = match std::mem::replace(self, Self::Closed) {
            Self::Watched(stream) => stream.into_std().map_or(Self::Closed, Self::Unwatched),
            other => other,
        };
    }

    /// Reads what is there behind what is in `buffer` already.
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let before = buffer.len();
        buffer.resize(before + READ_BYTES, 0);
        let space = &mut buffer[before..];
        let read = match self {
            Self::Watched(stream) => stream.try_read(space),
            Self::Unwatched(stream) => stream.read(space),
            Self::Closed => Ok(0),
        };
        buffer.truncate(before + read.as_ref().copied().unwrap_or(0));
        read
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Watched(stream) => stream.try_write(bytes),
            Self::Unwatched(stream) => stream.write(bytes),
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Connection {
    /// # Errors
    /// When the runtime does not let go of the socket.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        let stream = Stream::Unwatched(stream.into_std()?);
        Ok(Self { stream, buffer: Vec::new(), at: 0, looked: 0, filled: Instant::now() })
    }

    /// The next whole line, if there is one.
    pub(super) fn line(&mut self) -> Option<&[u8]> {
        let Some(end) = self.buffer[self.looked..].iter().position(|byte| *byte == b'\n') else {
            self.looked = self.buffer.len();
            return None;
        };
        let line = self.at..self.looked + end;
        self.at = line.end + 1;
        self.looked = self.at;
        Some(&self.buffer[line])
    }

    /// Waits for more, and takes it in; `false` when no more will come. With `calm` it waits a little longer, for more
    /// at a time. May be dropped and called again.
    pub(super) async fn fill(&mut self, calm: bool) -> bool {
        if calm {
            self.stream.unwatch();
            tokio::time::sleep_until(self.filled + CALM).await;
            self.filled = Instant::now();
            if let Some(length) = self.take() {
                return length > 0;
            }
        }
        loop {
            let Some(stream) = self.stream.watch() else { return false };
            if stream.readable().await.is_err() {
                return false;
            }
            if let Some(length) = self.take() {
                self.filled = Instant::now();
                return length > 0;
            }
        }
    }

    /// Takes in what is there; `None` when there is nothing yet, 0 when there never will be.
    fn take(&mut self) -> Option<usize> {
        if !self.make_room() {
            return Some(0);
        }
        match self.stream.read(&mut self.buffer) {
            Ok(length) => Some(length),
            Err(error) if is_passing(&error) => None,
            Err(_) => Some(0),
        }
    }

    /// Lets go of the lines that were read; `false` where one is longer than any may be.
    fn make_room(&mut self) -> bool {
        self.buffer.drain(..self.at);
        self.looked -= self.at;
        self.at = 0;
        self.buffer.len() <= LINE_BYTES
    }

    /// Takes in all that was said before the end.
    pub(super) fn rest(&mut self) {
        while self.take().is_some_and(|length| length > 0) {}
    }

    /// Hears nothing more.
    pub(super) fn close(&mut self) {
        self.stream = Stream::Closed;
    }

    /// Sends a message. A process that is gone is noticed when it is listened to.
    pub(super) async fn send(&mut self, message: &impl serde::Serialize) {
        let mut line = serde_json::to_vec(message).expect("messages are plain data");
        line.push(b'\n');
        let _gone = self.write(&line).await;
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if is_passing(&error) => match self.stream.watch() {
                    Some(stream) => stream.writable().await?,
                    None => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether an error means no more than that it has to be tried again.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn lines_arrive_whole_however_they_are_cut() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut connection = Connection::new(ours).unwrap();
        for part in ["on", "e\ntwo\nth", "ree\n", "lost"] {
            theirs.write_all(part.as_bytes()).await.unwrap();
            assert!(connection.fill(false).await);
        }
        drop(theirs);
        for line in ["one", "two", "three"] {
            assert_eq!(connection.line(), Some(line.as_bytes()));
        }
        assert_eq!(connection.line(), None);
        assert!(!connection.fill(true).await);
    }

    #[tokio::test]
    async fn a_line_without_end_is_the_end() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut connection = Connection::new(ours).unwrap();
        let flood = async { while theirs.write_all(&[b'x'; 64 * 1024]).await.is_ok() {} };
        let hear = async {
            while connection.fill(false).await {
                assert_eq!(connection.line(), None);
            }
            connection.close();
        };
        tokio::join!(flood, hear);
        assert!(connection.buffer.len() <= LINE_BYTES + 1024 * 1024);
    }
}
