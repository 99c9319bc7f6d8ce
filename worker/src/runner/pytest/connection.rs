//! The worker's end of a socket to a Python process: JSON objects, one a line.

use super::limits::{CALM, LINE_BYTES, SOCKET_PATH_BYTES};
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncWriteExt, Interest};
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
    stream: Option<UnixStream>,
    buffer: Vec<u8>,
    /// Where the next line begins, and how far its end was looked for.
    at: usize,
    looked: usize,
    filled: Instant,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream: Some(stream), buffer: Vec::new(), at: 0, looked: 0, filled: Instant::now() }
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
            tokio::time::sleep_until(self.filled + CALM).await;
        }
        loop {
            let Some(stream) = &self.stream else { return false };
            if stream.ready(Interest::READABLE).await.is_err() {
                return false;
            }
            match self.take() {
                Some(0) => return false,
                Some(_) => {
                    self.filled = Instant::now();
                    return true;
                }
                None => {}
            }
        }
    }

    /// Takes in what is there; `None` when there is nothing yet, 0 when there never will be.
    fn take(&mut self) -> Option<usize> {
        let Some(stream) = &self.stream else { return Some(0) };
        self.buffer.drain(..self.at);
        self.looked -= self.at;
        self.at = 0;
        if self.buffer.len() > LINE_BYTES {
            return Some(0);
        }
        self.buffer.reserve(64 * 1024);
        match stream.try_read_buf(&mut self.buffer) {
            Ok(length) => Some(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(0),
        }
    }

    /// Takes in all that was said before the end.
    pub(super) fn rest(&mut self) {
        while self.take().is_some_and(|length| length > 0) {}
    }

    /// Hears nothing more.
    pub(super) fn close(&mut self) {
        self.stream = None;
    }

    /// Sends a message. A process that is gone is noticed when it is listened to.
    pub(super) async fn send(&mut self, message: &impl serde::Serialize) {
        let mut line = serde_json::to_vec(message).expect("messages are plain data");
        line.push(b'\n');
        if let Some(stream) = &mut self.stream {
            let _gone = stream.write_all(&line).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_arrive_whole_however_they_are_cut() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut connection = Connection::new(ours);
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
        let mut connection = Connection::new(ours);
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
