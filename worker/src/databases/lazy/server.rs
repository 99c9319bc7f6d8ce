//! The start of a connection, as the client's side of it: to the server behind a lease.

use super::address::Address;
use super::limits::{CONNECT, MESSAGES};
use super::message::{Message, Refusal, number};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// A connection to a server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Why there is no session.
#[derive(Debug)]
pub(super) enum Failed {
    /// The server says so itself: its own words.
    Told(Message),
    /// The server is away, or what is there does not speak the protocol.
    Away(Refusal),
}

/// A session that may begin, and what the server said before it did.
pub(super) struct Opened {
    pub(super) stream: Box<dyn Stream>,
    pub(super) said: Vec<u8>,
}

/// Connects to the server of `address`.
pub(super) async fn connect(address: &Address) -> io::Result<Box<dyn Stream>> {
    let Address { host, port, .. } = address;
    if host.starts_with('/') {
        return Ok(Box::new(UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?));
    }
    let stream = TcpStream::connect((host.as_str(), *port)).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// Opens a session at `address` with this first packet, as `user` with `password`.
pub(super) async fn open(address: &Address, packet: &[u8], user: &[u8], password: &[u8]) -> Result<Opened, Failed> {
    let away = |why: &str| {
        let Address { host, port, .. } = address;
        Failed::Away(Refusal::new("08006", format!("the database server at {host}:{port} is away: {why}")))
    };
    let opening = async {
        let mut stream = connect(address).await.map_err(|error| away(&error.to_string()))?;
        stream.write_all(packet).await.map_err(|error| away(&error.to_string()))?;
        let said = authenticate(&mut stream, user, password).await?.map_err(|error| away(&error.to_string()))?;
        Ok(Opened { stream, said })
    };
    timeout(CONNECT, opening).await.unwrap_or_else(|_| Err(away("no answer in 10 s")))
}

/// Answers what the server asks, until it lets the session in; what whoever waits for the session is to hear of it.
async fn authenticate(
    server: &mut Box<dyn Stream>,
    user: &[u8],
    password: &[u8],
) -> Result<io::Result<Vec<u8>>, Failed> {
    let mut said = Vec::new();
    let mut scram = None;
    for _ in 0..MESSAGES {
        let message = match Message::read(server).await {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        match message.kind {
            b'E' => return Err(Failed::Told(message)),
            b'R' => match answer(&message.body, user, password, &mut scram) {
                Ok(Answer::In) => {
                    said.extend(message.encode());
                    return Ok(Ok(said));
                }
                Ok(Answer::Say(message)) => {
                    if let Err(error) = message.write(server).await {
                        return Ok(Err(error));
                    }
                }
                Ok(Answer::Wait) => {}
                Err(error) => return Ok(Err(error)),
            },
            // Notices, and which version of the protocol it speaks.
            _ => said.extend(message.encode()),
        }
    }
    Ok(Err(io::Error::other("it talks and lets nobody in")))
}

/// What is to be done about a request of the server.
enum Answer {
    In,
    Say(Message),
    Wait,
}

fn answer(asked: &[u8], user: &[u8], password: &[u8], scram: &mut Option<ScramSha256>) -> io::Result<Answer> {
    let zero_ended = |text: &[u8]| Answer::Say(Message::new(b'p', &[text, &[0]].concat()));
    let unasked = || io::Error::other("it goes on with what it did not begin");
    let (code, rest) = number(asked).ok_or_else(unasked)?;
    Ok(match code {
        0 => Answer::In,
        3 => zero_ended(password),
        5 => {
            let salt = rest.first_chunk().ok_or_else(unasked)?;
            zero_ended(md5_hash(user, password, *salt).as_bytes())
        }
        10 => {
            if !rest.split(|&byte| byte == 0).any(|known| known == SCRAM_SHA_256.as_bytes()) {
                return Err(io::Error::other("it knows no mechanism but others than SCRAM-SHA-256"));
            }
            let begun = scram.insert(ScramSha256::new(password, ChannelBinding::unsupported()));
            let first = begun.message();
            let length = super::message::length(first.len());
            Answer::Say(Message::new(b'p', &[SCRAM_SHA_256.as_bytes(), &[0], &length, first].concat()))
        }
        11 => {
            let begun = scram.as_mut().ok_or_else(unasked)?;
            begun.update(rest)?;
            Answer::Say(Message::new(b'p', begun.message()))
        }
        12 => {
            scram.take().ok_or_else(unasked)?.finish(rest)?;
            Answer::Wait
        }
        other => {
            return Err(io::Error::other(format!(
                "it asks for authentication {other}; passwords are given as md5, SCRAM-SHA-256 or clear text"
            )));
        }
    })
}
