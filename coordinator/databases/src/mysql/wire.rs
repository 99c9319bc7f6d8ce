//! Our own connection to a server: its text protocol over its unix socket, as far as we speak it.
//!
//! We are known by the account of our process (`unix_socket`), so there is no password to keep; encryption, prepared statements
//! and local files are left out. The invariant: no reply is larger than [`REPLY`], and a connection that was left in the middle
//! of a reply is never used again.

pub(super) use super::packet::{Error, Row};
use super::packet::{is_end, number, refusal, row, word};
use crate::limits;
use std::io;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// Bytes of one reply at most: 20 000 events of a log, with the texts of their statements.
const REPLY: usize = 64 << 20;

/// Bytes of one command at most, below what a packet holds (16 MB).
pub(super) const COMMAND: usize = 8 << 20;

/// Bytes of a packet that is followed by more of the same.
const FULL: usize = 0xff_ff_ff;

/// What we can: long passwords, the protocol of 4.1, transactions, several statements and results at once, named ways to enter.
const ABILITIES: u32 = 0x1 | 0x200 | 0x2000 | 0x8000 | 0x1_0000 | 0x2_0000 | 0x8_0000;

/// `utf8mb4_general_ci`.
const CHARSET: u8 = 45;

/// In the status of a result: there is another one.
const MORE: u16 = 8;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    /// The number of the next packet.
    sequence: u8,
    /// Bytes that this reply may still have.
    left: usize,
    /// It was left in the middle of something.
    broken: bool,
}

impl Connection {
    /// Enters over the socket as `user`.
    pub(super) async fn open(socket: &Path, user: &str) -> Result<Self, Error> {
        let opening = async {
            let stream = BufReader::new(UnixStream::connect(socket).await?);
            let mut connection = Self { stream, sequence: 0, left: REPLY, broken: false };
            connection.enter(user).await?;
            Ok(connection)
        };
        timely(limits::CONNECT, opening).await
    }

    async fn enter(&mut self, user: &str) -> Result<(), Error> {
        let greeting = self.packet().await?;
        match greeting.first() {
            Some(10) => {}
            Some(0xff) => return Err(refusal(&greeting)),
            _ => return Err(Error::Garbled("a greeting of another version")),
        }
        let mut reply = ABILITIES.to_le_bytes().to_vec();
        reply.extend(u32::MAX.to_le_bytes());
        reply.push(CHARSET);
        reply.extend([0; 23]);
        reply.extend(user.as_bytes());
        // No password: who we are, the socket says.
        reply.extend([0, 0]);
        reply.extend(b"unix_socket\0");
        self.send(&reply).await?;
        // The account may name another way first; none of them takes more than a word.
        for _ in 0..4 {
            let answer = self.packet().await?;
            match answer.first() {
                Some(0) => return Ok(()),
                Some(0xff) => return Err(refusal(&answer)),
                Some(0xfe) => self.send(&[]).await?,
                _ => return Err(Error::Garbled("an answer to who we are")),
            }
        }
        Err(Error::Garbled("no end of questions who we are"))
    }

    /// Runs statements, separated by semicolons. Returns the results of those that have some. After the first that fails, none runs.
    pub(super) async fn run(&mut self, statements: &str) -> Result<Vec<Vec<Row>>, Error> {
        if self.broken {
            return Err(Error::Lost(io::ErrorKind::NotConnected.into()));
        }
        if statements.len() > COMMAND {
            return Err(Error::Garbled("a statement of more than 8 MB"));
        }
        self.broken = true;
        let ran = timely(limits::STATEMENT, self.exchange(statements)).await;
        // After a refusal the server waits for the next command, as after a result.
        self.broken = !matches!(ran, Ok(_) | Err(Error::Refused { .. }));
        ran
    }

    /// Runs one statement and returns its lines.
    pub(super) async fn rows(&mut self, statement: &str) -> Result<Vec<Row>, Error> {
        Ok(self.run(statement).await?.into_iter().next().unwrap_or_default())
    }

    /// Whether it can still be used.
    pub(super) fn is_well(&self) -> bool {
        !self.broken
    }

    async fn exchange(&mut self, statements: &str) -> Result<Vec<Vec<Row>>, Error> {
        (self.sequence, self.left) = (0, REPLY);
        let mut command = Vec::with_capacity(statements.len() + 1);
        command.push(3);
        command.extend(statements.as_bytes());
        self.send(&command).await?;
        let mut results = Vec::new();
        loop {
            let head = self.packet().await?;
            let status = match head.first() {
                Some(0) => {
                    let mut rest = &head[1..];
                    let _ = (number(&mut rest)?, number(&mut rest)?);
                    word(rest)?
                }
                Some(0xff) => return Err(refusal(&head)),
                Some(0xfb) | None => return Err(Error::Garbled("a result without columns")),
                Some(_) => {
                    let columns = number(&mut &head[..])?;
                    let (rows, status) = self.table(columns).await?;
                    results.push(rows);
                    status
                }
            };
            if status & MORE == 0 {
                return Ok(results);
            }
        }
    }

    async fn table(&mut self, columns: u64) -> Result<(Vec<Row>, u16), Error> {
        for _ in 0..columns {
            self.packet().await?;
        }
        let end = self.packet().await?;
        if !is_end(&end) {
            return Err(Error::Garbled("columns without an end"));
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.packet().await?;
            match packet.first() {
                Some(0xff) => return Err(refusal(&packet)),
                _ if is_end(&packet) => return Ok((rows, word(packet.get(3..).unwrap_or_default())?)),
                _ => rows.push(row(&packet, columns)?),
            }
        }
    }

    async fn packet(&mut self) -> Result<Vec<u8>, Error> {
        let mut whole = Vec::new();
        loop {
            let mut head = [0; 4];
            self.stream.read_exact(&mut head).await?;
            let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
            if head[3] != self.sequence {
                return Err(Error::Garbled("a packet out of turn"));
            }
            self.sequence = self.sequence.wrapping_add(1);
            self.left = self.left.checked_sub(length).ok_or(Error::Garbled("a reply of more than 64 MB"))?;
            let begun = whole.len();
            whole.resize(begun + length, 0);
            self.stream.read_exact(&mut whole[begun..]).await?;
            if length < FULL {
                return Ok(whole);
            }
        }
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(payload.len()).ok().filter(|&length| (length as usize) < FULL);
        let length = length.ok_or(Error::Garbled("a command of more than 16 MB"))?.to_le_bytes();
        let mut packet = vec![length[0], length[1], length[2], self.sequence];
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.get_mut().write_all(&packet).await?;
        Ok(())
    }
}

/// The same, within bounds.
async fn timely<T>(bound: std::time::Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(bound, work).await.unwrap_or_else(|_| Err(Error::Lost(io::ErrorKind::TimedOut.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_out_of_turn_and_greetings_of_others_are_refused() {
        for (sent, why) in [(&[1, 0, 0, 5, 10][..], "out of turn"), (&[1, 0, 0, 0, 9], "another version")] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(sent).await.unwrap();
            let stream = BufReader::new(ours);
            let mut connection = Connection { stream, sequence: 0, left: REPLY, broken: false };
            let error = connection.enter("root").await.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
