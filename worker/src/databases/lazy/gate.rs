//! A port, and who comes in by it: heard, let in with the port's password, and carried to the server.
//!
//! Every user of the machine can connect to a port. The lease is taken, and the server is talked to, only for those who know the
//! password of the port; roles that a test made for itself are checked by the server, once the lease is there.

use super::address::{self, Address, NAME};
use super::greeting::{Broken, Greeting, Startup, greet};
use super::lease::{Lease, State};
use super::limits::{GREETING, SEAT, SESSIONS, SOCKETS};
use super::message::{Message, Refusal};
use super::seen::Book;
use super::server::{self, Failed, Opened};
use super::{Patience, relay};
use crate::databases::claim::until_stopped;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// A port of an attempt, for the database of one resource.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) resource: String,
    pub(super) port: u16,
    pub(super) password: String,
    pub(super) book: Book,
    seats: Semaphore,
    lease: Arc<Lease>,
}

impl Gate {
    /// Opens a port on the loopback.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn open(resource: &str, lease: &Arc<Lease>) -> io::Result<(Arc<Self>, TcpListener)> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let gate = Self {
            resource: resource.to_owned(),
            port: listener.local_addr()?.port(),
            password: address::password()?,
            book: Book::default(),
            seats: Semaphore::new(SESSIONS),
            lease: Arc::clone(lease),
        };
        Ok((Arc::new(gate), TcpListener::from_std(listener)?))
    }

    /// Lets in who comes, until the attempt has ended; those who are in.
    pub(super) async fn attend(self: Arc<Self>, listener: TcpListener, mut patience: Patience) -> JoinSet<()> {
        let mut inside = JoinSet::new();
        loop {
            let client = tokio::select! {
                biased;
                () = until_stopped(&mut patience) => return inside,
                Some(_) = inside.join_next(), if !inside.is_empty() => continue,
                client = listener.accept(), if inside.len() < SOCKETS => client,
            };
            match client {
                Ok((client, _)) => {
                    let gate = Arc::clone(&self);
                    inside.spawn(async move { gate.hear(client).await });
                }
                // The process has no descriptor left, say: whoever connects waits.
                Err(error) => {
                    tracing::warn!(port = self.port, %error, "a connection to a database could not be accepted");
                    sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// One connection, to its end.
    async fn hear(&self, mut client: TcpStream) {
        let _slower_without = client.set_nodelay(true);
        let refusal = match timeout(GREETING, greet(&mut client)).await {
            Err(_) | Ok(Err(Broken::Off)) => return,
            Ok(Err(Broken::Refused(refusal))) => Some(refusal),
            Ok(Ok(Greeting::Cancel(request))) => return self.cancel(&request).await,
            Ok(Ok(Greeting::Session(startup))) => match self.admit(&startup).await {
                Err(refusal) => Some(refusal),
                Ok(()) => match self.serve(client, startup).await {
                    None => return,
                    Some((back, refusal)) => {
                        client = back;
                        Some(refusal)
                    }
                },
            },
        };
        if let Some(refusal) = refusal {
            let _gone = refusal.told().write(&mut client).await;
            let _gone = client.shutdown().await;
        }
    }

    /// Whether whoever says this may go on.
    async fn admit(&self, startup: &Startup) -> Result<(), Refusal> {
        let user = String::from_utf8_lossy(&startup.user);
        let leased = match self.lease.state() {
            State::Taken(addresses) => addresses.get(&self.resource).cloned(),
            _ => None,
        };
        let of_port = user == NAME || leased.as_ref().is_some_and(|address| address.role == user);
        let known = startup.password == self.password.as_bytes();
        // Another role's password is known to the server alone.
        if if of_port { known } else { leased.is_some() } {
            return Ok(());
        }
        Err(Refusal::new("28P01", format!("password authentication failed for user \"{user}\"")))
    }

    /// A session; the connection and what it is to be told, where there is none.
    async fn serve(&self, client: TcpStream, startup: Startup) -> Option<(TcpStream, Refusal)> {
        let taken = tokio::select! {
            taken = self.lease.take() => taken,
            () = gone(&client) => {
                self.lease.disappoint();
                return None;
            }
        };
        let no_database = |why: &str| Refusal::new("08004", format!("there is no database for this test: {why}"));
        let addresses = match taken {
            Ok(addresses) => addresses,
            Err(why) => return Some((client, no_database(&why))),
        };
        let Some(address) = addresses.get(&self.resource) else {
            return Some((client, no_database("the coordinator named none of this resource")));
        };
        let Ok(Ok(_seat)) = timeout(SEAT, self.seats.acquire()).await else {
            let told =
                format!("too many connections for this test: {SESSIONS} are open, which is REGATTA_MAX_CONNECTIONS");
            return Some((client, Refusal::new("53300", told)));
        };
        let opened = match self.enter(address, &startup).await {
            Ok(opened) => opened,
            Err(Failed::Told(message)) => return self.tell(client, &message).await,
            Err(Failed::Away(refusal)) => {
                self.lease.disappoint();
                return Some((client, refusal));
            }
        };
        self.carry(client, opened).await;
        None
    }

    /// Opens the session at the server: as the lease's role, where the port's own was named.
    async fn enter(&self, address: &Address, startup: &Startup) -> Result<Opened, Failed> {
        let of_port = [NAME.as_bytes(), address.role.as_bytes()].contains(&startup.user.as_slice());
        let (user, password) = match of_port {
            true => (address.role.as_bytes(), address.password.as_bytes()),
            false => (startup.user.as_slice(), startup.password.as_slice()),
        };
        let named = startup.database == NAME.as_bytes();
        let database = if named { address.database.as_bytes() } else { startup.database.as_slice() };
        server::open(address, &startup.packet(user, database), user, password).await
    }

    async fn tell(&self, mut client: TcpStream, message: &Message) -> Option<(TcpStream, Refusal)> {
        let _gone = message.write(&mut client).await;
        let _gone = client.shutdown().await;
        None
    }

    async fn carry(&self, mut client: TcpStream, opened: Opened) {
        let (asks, answers) = self.book.begin();
        if client.write_all(&opened.said).await.is_ok() {
            relay::carry(client, opened.stream, asks, answers).await;
        }
    }

    /// Passes a request on to end what a session does: the server gave the key in it, and knows whether it is right. It says
    /// nothing to it but that it has heard it.
    async fn cancel(&self, request: &[u8]) {
        let State::Taken(addresses) = self.lease.state() else { return };
        let Some(address) = addresses.get(&self.resource) else { return };
        let passing = async {
            let mut server = server::connect(address).await?;
            server.write_all(request).await?;
            server.read(&mut [0]).await
        };
        let _as_if_it_was_lost = timeout(GREETING, passing).await;
    }
}

/// Comes back when whoever connected has left. What it says meanwhile is left for later.
async fn gone(client: &TcpStream) {
    match client.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        // Nobody speaks before it is answered; whoever does is not seen to leave.
        Ok(_) => std::future::pending().await,
    }
}
