//! The wire between a journal and its server, and who cuts it: a relay on loopback that knows as much of PostgreSQL's protocol as
//! it takes to see a statement that writes to the journal, and to do something to that one.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// What is done to the next statement that writes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// The server gets it after a while.
    Slow(Duration),
    /// The server does not get it.
    Before,
    /// The server's answer is cut off.
    After,
    /// The connection breaks, and the server gets it at that time.
    Late(When),
    /// Nothing comes back any more; with `true`, the server gets it.
    Silence(bool),
    /// As `Before`, or `After`, and no connection comes about any more.
    Away(bool),
}

/// When something comes that is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    After(Duration),
    /// When so many statements that write have gone ahead of it, before the next one.
    Behind(u32),
}

/// A relay to a server's socket.
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    relay: JoinHandle<()>,
}

#[derive(Default)]
struct Plan {
    cuts: VecDeque<Cut>,
    away: bool,
    /// What is under way still, though its connection broke, and how many go ahead of it.
    late: Vec<(u32, UnixStream, Vec<u8>)>,
}

impl Plan {
    /// What comes before the next statement that writes.
    fn overdue(&mut self) -> Vec<(u32, UnixStream, Vec<u8>)> {
        let overdue = self.late.extract_if(.., |(ahead, ..)| *ahead == 0).collect();
        self.late.iter_mut().for_each(|(ahead, ..)| *ahead -= 1);
        overdue
    }
}

impl Wire {
    pub(super) fn to(socket: &Path, runtime: &Runtime) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::<Mutex<Plan>>::default();
        let (socket, planned) = (socket.to_owned(), plan.clone());
        let relay = runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !held(&planned).away {
                    drop(tokio::spawn(relay(client, socket.clone(), planned.clone())));
                }
            }
        });
        Self { address, plan, relay }
    }

    pub(super) fn cut(&self, cut: Cut) {
        held(&self.plan).cuts.push_back(cut);
    }

    /// It is whole again.
    pub(super) fn mend(&self) {
        let mut plan = held(&self.plan);
        (plan.cuts, plan.away) = (VecDeque::new(), false);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

fn held(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Relays a connection until it breaks, or is cut.
async fn relay(mut client: TcpStream, socket: PathBuf, plan: Arc<Mutex<Plan>>) -> io::Result<()> {
    let mut server = UnixStream::connect(socket).await?;
    let (mut words, mut answers) = (Words::default(), [0; 16 * 1024]);
    loop {
        tokio::select! {
            read = client.read_buf(&mut words.bytes) => if read? == 0 { return Ok(()) },
            read = server.read(&mut answers) => match read? {
                0 => return Ok(()),
                bytes => client.write_all(&answers[..bytes]).await?,
            },
        }
        while let Some(said) = words.next() {
            let mut cut = None;
            if said.writes {
                let late = held(&plan).overdue();
                for (_, mut server, bytes) in late {
                    deliver(&mut server, &bytes).await?;
                }
                cut = held(&plan).cuts.pop_front();
            }
            match cut {
                None => server.write_all(&said.bytes).await?,
                Some(Cut::Slow(wait)) => {
                    tokio::time::sleep(wait).await;
                    server.write_all(&said.bytes).await?;
                }
                Some(Cut::Before) => return Ok(()),
                Some(Cut::After) => return deliver(&mut server, &said.bytes).await,
                Some(Cut::Late(When::After(wait))) => {
                    drop(client);
                    tokio::time::sleep(wait).await;
                    return deliver(&mut server, &said.bytes).await;
                }
                Some(Cut::Late(When::Behind(ahead))) => {
                    held(&plan).late.push((ahead, server, said.bytes));
                    return Ok(());
                }
                Some(Cut::Silence(delivered)) => {
                    if delivered {
                        deliver(&mut server, &said.bytes).await?;
                    }
                    // The other end gives up at some time.
                    while client.read(&mut answers).await? > 0 {}
                    return Ok(());
                }
                Some(Cut::Away(delivered)) => {
                    held(&plan).away = true;
                    return if delivered { deliver(&mut server, &said.bytes).await } else { Ok(()) };
                }
            }
        }
    }
}

/// The server gets it, and has done it.
async fn deliver(server: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    /// How the message begins that says that the server is ready for the next one.
    const READY: [u8; 5] = [b'Z', 0, 0, 0, 5];
    server.write_all(bytes).await?;
    let mut answer = Vec::new();
    while !answer.rchunks(6).next().is_some_and(|end| end.starts_with(&READY)) {
        if server.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// What a client says, message by message.
#[derive(Default)]
struct Words {
    bytes: Vec<u8>,
    /// Whether the first message was taken, which has no kind.
    begun: bool,
    /// Whether the statement that was prepared last writes to the journal.
    writes: bool,
    /// Of a statement that is carried out, what came before the end.
    held: Vec<u8>,
    executes: bool,
}

/// Something that can be passed on.
struct Said {
    bytes: Vec<u8>,
    /// Whether it carries out a statement that writes to the journal.
    writes: bool,
}

impl Words {
    fn next(&mut self) -> Option<Said> {
        loop {
            let kind = usize::from(self.begun);
            let length = self.bytes.get(kind..kind + 4)?;
            let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize + kind;
            if self.bytes.len() < length {
                return None;
            }
            let message: Vec<u8> = self.bytes.drain(..length).collect();
            if !std::mem::replace(&mut self.begun, true) {
                return Some(Said { bytes: message, writes: false });
            }
            if message[0] == b'P' {
                let writes = ["INSERT INTO regatta.commits", "UPDATE regatta.base"];
                self.writes = writes.iter().any(|sql| message.windows(sql.len()).any(|part| part == sql.as_bytes()));
            }
            self.executes |= message[0] == b'E';
            let ends = message[0] == b'S' || !self.writes;
            self.held.extend(message);
            // What carries a statement out goes together with what makes it count.
            if ends {
                let executes = std::mem::take(&mut self.executes);
                let writes = self.writes && executes;
                return Some(Said { bytes: std::mem::take(&mut self.held), writes });
            }
        }
    }
}
