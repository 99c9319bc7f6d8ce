//! The worker's end of a spawner: a handle that any task may hold. The task behind it is [`Link`].

use super::limits::{MESSAGE_BYTES, REQUESTS};
use super::link::{Link, Order, Waiter};
use super::protocol::{self, Containment, Request, Spawn};
use super::{Command, Pipes, Process, SpawnError, Streams};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// The worker's handle on the spawner of a slot. Cheap to clone; when the last clone is gone, so is the spawner, and
/// with it every process it started. A spawner that is killed takes its processes with it, and is started anew.
#[derive(Clone)]
pub struct Spawner {
    shared: Arc<Shared>,
}

struct Shared {
    orders: mpsc::Sender<Order>,
    next: AtomicU64,
    containment: Containment,
    pid: Arc<AtomicU32>,
}

impl Spawner {
    /// Starts a spawner: `exe` is the `regatta` binary. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the process cannot be started, or is something else than a spawner.
    pub async fn start(exe: &Path) -> io::Result<Self> {
        Self::start_holding(exe, None).await
    }

    /// Starts a spawner that holds the file `held` locked, together with others, until the last of its processes is gone, however it
    /// ends.
    ///
    /// # Errors
    /// As [`Spawner::start`], and when the file cannot be locked.
    pub async fn start_holding(exe: &Path, held: Option<&Path>) -> io::Result<Self> {
        let holding = held.iter().flat_map(|held| ["--holding".into(), held.as_os_str().to_owned()]);
        Self::start_with(exe, ["spawner".into()].into_iter().chain(holding).collect()).await
    }

    /// Starts a spawner that makes no cgroup, as if none could be made.
    ///
    /// # Errors
    /// As [`Spawner::start`].
    pub async fn start_without_cgroup(exe: &Path) -> io::Result<Self> {
        Self::start_with(exe, vec!["spawner".into(), "--without-cgroup".into()]).await
    }

    async fn start_with(exe: &Path, arguments: Vec<OsString>) -> io::Result<Self> {
        let link = Link::start(exe, arguments).await?;
        let (orders, inbox) = mpsc::channel(REQUESTS);
        let (containment, pid) = (link.containment().clone(), Arc::new(AtomicU32::new(link.pid())));
        tokio::spawn(link.serve(inbox, Arc::clone(&pid)));
        Ok(Self { shared: Arc::new(Shared { orders, next: AtomicU64::new(1), containment, pid }) })
    }

    /// How it holds its processes, as it was when it was started first.
    #[must_use]
    pub fn containment(&self) -> &Containment {
        &self.shared.containment
    }

    /// The process id of the spawner itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.shared.pid.load(Ordering::Relaxed)
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
        let waiter = Waiter::new(started, ended);
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
            .field("pid", &self.pid())
            .field("containment", &self.shared.containment)
            .finish_non_exhaustive()
    }
}
