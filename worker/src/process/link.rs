//! The task behind a [`Spawner`](super::Spawner): owns the socket, and the table of processes that live.
//!
//! When the spawner dies under it, it kills what it knows of (all of it, where there is a cgroup), tells every waiter, and
//! starts another: a test that kills its own spawner costs itself, not its slot.

use super::Exit;
use super::limits::{HELLO, KILL, RESTART};
use super::protocol::{self, Containment, Inbox, Reply, Request};
use super::service::cgroup;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// What handles ask of the task.
pub(super) enum Order {
    /// Start a process.
    Spawn {
        /// Which.
        id: u64,
        /// The request, encoded.
        message: Vec<u8>,
        /// The write ends of its pipes.
        pipes: Vec<OwnedFd>,
        /// Who waits for it.
        waiter: Waiter,
    },
    /// Pass a request on.
    Say(Request),
    /// Kill everything and end, and then say so.
    Close(oneshot::Sender<()>),
}

/// Who waits for news of a process.
pub(super) struct Waiter {
    started: Option<oneshot::Sender<Result<u32, i32>>>,
    ended: oneshot::Sender<Exit>,
    pid: Option<u32>,
}

impl Waiter {
    /// Hears of the start, or why there was none, and then of the end.
    pub(super) fn new(started: oneshot::Sender<Result<u32, i32>>, ended: oneshot::Sender<Exit>) -> Self {
        Self { started: Some(started), ended, pid: None }
    }
}

/// A connected spawner, and the processes that live.
pub(super) struct Link {
    exe: PathBuf,
    arguments: Vec<OsString>,
    socket: UnixStream,
    inbox: Inbox,
    child: Child,
    containment: Containment,
    known: BTreeMap<u64, Waiter>,
}

/// Why a spawner is over.
enum Over {
    /// By request, or because no handle is left.
    Asked(Option<oneshot::Sender<()>>),
    /// It is gone.
    Died,
}

impl Link {
    /// Starts a spawner and waits for its hello.
    pub(super) async fn start(exe: &Path, arguments: Vec<OsString>) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        // Out of the worker's process group, so that Ctrl-C reaches the worker, which decides what becomes of tests.
        let child = Command::new(exe)
            .args(&arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        ours.set_nonblocking(true)?;
        let socket = UnixStream::from_std(ours)?;
        let containment = Containment::SubReaper(String::new());
        let (exe, inbox, known) = (exe.to_owned(), Inbox::default(), BTreeMap::new());
        let mut link = Self { exe, arguments, socket, inbox, child, containment, known };
        let hello = tokio::time::timeout(HELLO, link.next()).await;
        let failure = match hello {
            Ok(Ok(Some(Reply::Hello(containment)))) => {
                link.containment = containment;
                return Ok(link);
            }
            Ok(Ok(_)) => io::Error::other("what was started as a spawner is none"),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "the spawner did not say hello"),
        };
        link.dismiss().await;
        Err(failure)
    }

    pub(super) fn containment(&self) -> &Containment {
        &self.containment
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Serves orders until no handle is left. `pid` follows the spawner's process id.
    pub(super) async fn serve(mut self, mut orders: mpsc::Receiver<Order>, pid: Arc<AtomicU32>) {
        loop {
            match self.relay(&mut orders).await {
                Over::Asked(done) => {
                    orders.close();
                    // Waiters learn of the end, by their channels closing, only after the processes ended.
                    let known = self.dismiss().await;
                    drop((known, orders));
                    if let Some(done) = done {
                        let _nobody_waits = done.send(());
                    }
                    return;
                }
                Over::Died => {
                    self.bury().await;
                    let (exe, arguments) = (self.exe.clone(), self.arguments.clone());
                    drop(self.dismiss().await);
                    // Something that kills spawners as fast as they start must not keep the machine busy.
                    tokio::time::sleep(RESTART).await;
                    match Self::start(&exe, arguments).await {
                        Ok(link) => self = link,
                        Err(error) => {
                            tracing::error!(%error, "a spawner was killed, and another cannot be started");
                            return;
                        }
                    }
                    pid.store(self.pid(), Ordering::Relaxed);
                }
            }
        }
    }

    /// Passes orders on, and news back, until one side ends.
    async fn relay(&mut self, orders: &mut mpsc::Receiver<Order>) -> Over {
        loop {
            let sent = tokio::select! {
                biased;
                reply = self.next() => match reply {
                    Ok(Some(reply)) => {
                        self.tell(reply);
                        Ok(())
                    }
                    Ok(None) | Err(_) => return Over::Died,
                },
                order = orders.recv() => match order {
                    Some(Order::Spawn { id, message, pipes, waiter }) => {
                        self.known.insert(id, waiter);
                        self.send(&message, &pipes).await
                    }
                    Some(Order::Say(request)) => self.send(&protocol::encode(&request), &[]).await,
                    Some(Order::Close(done)) => return Over::Asked(Some(done)),
                    None => return Over::Asked(None),
                },
            };
            if sent.is_err() {
                return Over::Died;
            }
        }
    }

    /// The next message; `None` once the spawner is gone. Loses nothing when it is dropped while it waits.
    async fn next(&mut self) -> io::Result<Option<Reply>> {
        loop {
            if let Some(reply) = self.inbox.next()? {
                return Ok(Some(reply));
            }
            self.socket.readable().await?;
            let (socket, inbox) = (&self.socket, &mut self.inbox);
            match socket.try_io(Interest::READABLE, || inbox.receive(socket.as_fd())) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    async fn send(&mut self, bytes: &[u8], mut pipes: &[OwnedFd]) -> io::Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            let socket = &self.socket;
            match socket.try_io(Interest::WRITABLE, || protocol::send(socket.as_fd(), &bytes[at..], pipes)) {
                Ok(sent) => (at, pipes) = (at + sent, &[]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn tell(&mut self, reply: Reply) {
        match reply {
            Reply::Hello(_) => {}
            Reply::Started { id, pid } => {
                let pid = pid.unsigned_abs();
                if let Some(waiter) = self.known.get_mut(&id) {
                    waiter.pid = Some(pid);
                    let waits = waiter.started.take().is_some_and(|started| started.send(Ok(pid)).is_ok());
                    tracing::trace!(id, pid, waits, "process started");
                }
            }
            Reply::Refused { id, errno } => {
                if let Some(started) = self.known.remove(&id).and_then(|waiter| waiter.started) {
                    let _nobody_waits = started.send(Err(errno));
                }
            }
            Reply::Ended { id, exit } => {
                if let Some(waiter) = self.known.remove(&id) {
                    let _nobody_waits = waiter.ended.send(exit);
                }
            }
        }
    }

    /// The spawner died by itself: kills what it can no longer kill.
    async fn bury(&self) {
        tracing::warn!(pid = self.child.id(), "a spawner was killed; killing its processes");
        let groups: Vec<u32> = self.known.values().filter_map(|waiter| waiter.pid).collect();
        let leaf = match &self.containment {
            Containment::Cgroup(leaf) => Some(leaf.clone()),
            Containment::SubReaper(_) => None,
        };
        let killed = tokio::task::spawn_blocking(move || {
            for pid in groups {
                let group = Pid::from_raw(i32::try_from(pid).expect("process ids are small"));
                let _ended_already = killpg(group, Signal::SIGKILL);
            }
            if let Some(leaf) = leaf {
                cgroup::destroy(&leaf);
            }
        });
        let _runtime_is_ending = killed.await;
    }

    /// Closes the socket, which makes the spawner kill everything and exit, and reaps it. Hands back who waited.
    async fn dismiss(self) -> BTreeMap<u64, Waiter> {
        let Self { socket, mut child, known, .. } = self;
        drop(socket);
        let reaped = tokio::task::spawn_blocking(move || {
            // The spawner bounds its own killing; one that hangs beyond that is killed itself.
            let deadline = Instant::now() + 2 * KILL;
            while matches!(child.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    let _gone = child.kill();
                    let _status = child.wait();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let _runtime_is_ending = reaped.await;
        known
    }
}
