//! The worker's end of a spawner: a handle, and the task behind it that owns the socket.
//!
//! The task keeps the table of processes that live. When the spawner dies under it, it kills what it knows of (all of
//! it, where there is a cgroup) and tells every waiter that it is gone.

use super::limits::{HELLO, KILL, MESSAGE_BYTES, REQUESTS};
use super::protocol::{self, Containment, Inbox, Reply, Request, Spawn};
use super::service::cgroup;
use super::{Command, Exit, Pipes, Process, SpawnError, Streams};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// The worker's handle on the spawner of a slot. Cheap to clone; when the last clone is gone, so is the spawner, and
/// with it every process it started.
#[derive(Clone)]
pub struct Spawner {
    shared: Arc<Shared>,
}

struct Shared {
    orders: mpsc::Sender<Order>,
    next: AtomicU64,
    containment: Containment,
    pid: u32,
}

/// What handles ask of the task.
pub(super) enum Order {
    Spawn { id: u64, message: Vec<u8>, pipes: Vec<OwnedFd>, waiter: Waiter },
    Say(Request),
    Close(oneshot::Sender<()>),
}

/// Who waits for news of a process.
pub(super) struct Waiter {
    started: Option<oneshot::Sender<Result<u32, i32>>>,
    ended: oneshot::Sender<Exit>,
    pid: Option<u32>,
}

impl Spawner {
    /// Starts a spawner: `exe` is the `regatta` binary. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the process cannot be started, or is something else than a spawner.
    pub async fn start(exe: &Path) -> io::Result<Self> {
        Self::start_with(exe, &["spawner"]).await
    }

    /// Starts a spawner that makes no cgroup, as if none could be made.
    ///
    /// # Errors
    /// As [`Spawner::start`].
    pub async fn start_without_cgroup(exe: &Path) -> io::Result<Self> {
        Self::start_with(exe, &["spawner", "--without-cgroup"]).await
    }

    async fn start_with(exe: &Path, arguments: &[&str]) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        // Out of the worker's process group, so that Ctrl-C reaches the worker, which decides what becomes of tests.
        let child = std::process::Command::new(exe)
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        ours.set_nonblocking(true)?;
        let mut link =
            Link { socket: UnixStream::from_std(ours)?, inbox: Inbox::default(), child, known: BTreeMap::new() };
        let hello = tokio::time::timeout(HELLO, link.hello()).await;
        let containment = match hello {
            Ok(Ok(containment)) => containment,
            failed => {
                link.dismiss().await;
                let late = || io::Error::new(io::ErrorKind::TimedOut, "the spawner did not say hello");
                return Err(failed.map_or_else(|_| late(), |answer| answer.expect_err("success was taken above")));
            }
        };
        let (orders, inbox) = mpsc::channel(REQUESTS);
        let pid = link.child.id();
        let cgroup = containment.clone();
        tokio::spawn(async move { link.serve(inbox, &cgroup).await });
        Ok(Self { shared: Arc::new(Shared { orders, next: AtomicU64::new(1), containment, pid }) })
    }

    /// How it holds its processes.
    #[must_use]
    pub fn containment(&self) -> &Containment {
        &self.shared.containment
    }

    /// The process id of the spawner itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// Starts a process. What it prints is kept, bounded, while [`Process::wait`] is polled.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn spawn(&self, command: &Command, streams: Streams) -> Result<Process, SpawnError> {
        let refused = |source| SpawnError::Refused { program: command.program(), source };
        let (pipes, ends) = Pipes::open(streams).map_err(refused)?;
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let message = protocol::encode(&Request::Spawn(Spawn::new(id, command, streams)));
        if message.len() > MESSAGE_BYTES {
            return Err(SpawnError::too_long(command));
        }
        let (started, answer) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let waiter = Waiter { started: Some(started), ended, pid: None };
        let order = Order::Spawn { id, message, pipes: ends, waiter };
        self.shared.orders.send(order).await.map_err(|_| SpawnError::Gone)?;
        // The handle exists before the answer, so that a caller who gives up waiting leaves no process behind.
        let mut process = Process::new(id, self.clone(), pipes, end);
        match answer.await.map_err(|_| SpawnError::Gone)? {
            Ok(pid) => process.started(pid),
            Err(errno) => return Err(SpawnError::of(command, errno)),
        }
        Ok(process)
    }

    /// Kills all its processes, and comes back once they and the spawner are gone.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.shared.orders.send(Order::Close(done)).await.is_ok() {
            let _gone = closed.await;
        }
    }

    /// Passes a request on without waiting for room: there is always some, unless the spawner hangs, and then its end
    /// will be the end of its processes.
    pub(super) fn say(&self, request: Request) {
        let _full_or_gone = self.shared.orders.try_send(Order::Say(request));
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner")
            .field("pid", &self.shared.pid)
            .field("containment", &self.shared.containment)
            .finish_non_exhaustive()
    }
}

/// The task's state: the socket, the spawner as a child, and the processes that live.
struct Link {
    socket: UnixStream,
    inbox: Inbox,
    child: Child,
    known: BTreeMap<u64, Waiter>,
}

impl Link {
    async fn hello(&mut self) -> io::Result<Containment> {
        match self.next().await? {
            Some(Reply::Hello(containment)) => Ok(containment),
            _ => Err(io::Error::other("what was started as a spawner is none")),
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

    async fn serve(mut self, mut orders: mpsc::Receiver<Order>, containment: &Containment) {
        let over = loop {
            tokio::select! {
                biased;
                reply = self.next() => match reply {
                    Ok(Some(reply)) => self.tell(reply),
                    Ok(None) | Err(_) => break Over::Died,
                },
                order = orders.recv() => match order {
                    Some(Order::Spawn { id, message, pipes, waiter }) => {
                        self.known.insert(id, waiter);
                        if self.send(&message, &pipes).await.is_err() {
                            break Over::Died;
                        }
                    }
                    Some(Order::Say(request)) => {
                        if self.send(&protocol::encode(&request), &[]).await.is_err() {
                            break Over::Died;
                        }
                    }
                    Some(Order::Close(done)) => break Over::Asked(Some(done)),
                    None => break Over::Asked(None),
                },
            }
        };
        // Waiters learn of the end, by their channels closing, only after the processes ended.
        orders.close();
        if matches!(over, Over::Died) {
            self.bury(containment).await;
        }
        let known = self.dismiss().await;
        drop((known, orders));
        if let Over::Asked(Some(done)) = over {
            let _nobody_waits = done.send(());
        }
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
    async fn bury(&self, containment: &Containment) {
        tracing::warn!(pid = self.child.id(), "a spawner was killed; killing its processes");
        let groups: Vec<u32> = self.known.values().filter_map(|waiter| waiter.pid).collect();
        let leaf = match containment {
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

/// Why the task is over.
enum Over {
    /// By request, or because no handle is left.
    Asked(Option<oneshot::Sender<()>>),
    /// The spawner is gone.
    Died,
}
