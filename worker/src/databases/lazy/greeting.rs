//! The start of a connection, as the server's side of it: who is there, and with which password.
//!
//! TLS is declined (`N`), as a server without it does: the way is the loopback, and drivers that prefer TLS go on without. The
//! password is asked for in clear text, which every driver speaks and nobody but the superuser could listen to.

use super::limits::STARTUP_BYTES;
use super::message::{Message, Refusal, length, number, string};
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// The request for a password in clear text.
const CLEARTEXT: &[u8] = &[0, 0, 0, 3];

/// What whoever connected wants.
#[derive(Debug)]
pub(super) enum Greeting {
    /// A session.
    Session(Startup),
    /// The end of what a session does: the whole request, and the key in it.
    Cancel(Vec<u8>),
}

/// Who wants a session, and how.
#[derive(Debug)]
pub(super) struct Startup {
    version: u32,
    pub(super) user: Vec<u8>,
    pub(super) database: Vec<u8>,
    pub(super) password: Vec<u8>,
    /// Everything else: `application_name`, `options`, ...
    others: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why there is nobody to talk to.
#[derive(Debug)]
pub(super) enum Broken {
    /// It is gone, or does not speak the protocol: told nothing, as the server does.
    Off,
    /// It is told why.
    Refused(Refusal),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Off
    }
}

/// Hears who is there.
pub(super) async fn greet(client: &mut TcpStream) -> Result<Greeting, Broken> {
    // TLS, then GSS or the other way round, and then in earnest.
    for _ in 0..3 {
        let size = client.read_u32().await? as usize;
        if !(8..=STARTUP_BYTES).contains(&size) {
            return Err(Broken::Off);
        }
        let mut packet = vec![0; size - 4];
        client.read_exact(&mut packet).await?;
        let (code, rest) = number(&packet).ok_or(Broken::Off)?;
        match code {
            TLS | GSS if rest.is_empty() => client.write_all(b"N").await?,
            CANCEL => return Ok(Greeting::Cancel([&length(size)[..], &packet].concat())),
            version if version >> 16 == 3 => {
                let mut startup = Startup::parse(version, rest)?;
                Message::new(b'R', CLEARTEXT).write(client).await?;
                let answer = Message::read(client).await?;
                let password = string(&answer.body).filter(|_| answer.kind == b'p').ok_or(Broken::Off)?.0;
                startup.password = password.to_vec();
                return Ok(Greeting::Session(startup));
            }
            version if (1..=9).contains(&(version >> 16)) => {
                let told = format!("unsupported frontend protocol {}.{}", version >> 16, version & 0xffff);
                return Err(Broken::Refused(Refusal::new("0A000", told)));
            }
            _ => return Err(Broken::Off),
        }
    }
    Err(Broken::Off)
}

impl Startup {
    fn parse(version: u32, mut rest: &[u8]) -> Result<Self, Broken> {
        let mut startup =
            Self { version, user: Vec::new(), database: Vec::new(), password: Vec::new(), others: Vec::new() };
        let broken = || Broken::Refused(Refusal::new("08P01", "invalid startup packet layout"));
        loop {
            let (name, after) = string(rest).ok_or_else(broken)?;
            if name.is_empty() {
                break;
            }
            let (value, after) = string(after).ok_or_else(broken)?;
            rest = after;
            match name {
                b"user" => startup.user = value.to_vec(),
                b"database" => startup.database = value.to_vec(),
                _ => startup.others.push((name.to_vec(), value.to_vec())),
            }
        }
        if startup.user.is_empty() {
            let told = "no PostgreSQL user name specified in startup packet";
            return Err(Broken::Refused(Refusal::new("28000", told)));
        }
        if startup.database.is_empty() {
            startup.database = startup.user.clone();
        }
        Ok(startup)
    }

    /// The packet that asks the server for the same, as `user` and of `database`.
    pub(super) fn packet(&self, user: &[u8], database: &[u8]) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        let own: [(&[u8], &[u8]); 2] = [(b"user", user), (b"database", database)];
        let others = self.others.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        for (name, value) in own.into_iter().chain(others) {
            for part in [name, value] {
                body.extend(part);
                body.push(0);
            }
        }
        body.push(0);
        [&length(body.len() + 4)[..], &body].concat()
    }
}
