//! A process that has imported pytest and its plugins, and forks hosts for all slots of a worker.
//!
//! Eight interpreters that start pytest on two cores take more than a second before the first test runs; one that imports
//! it, and eight forks, 0.4 s. It is an optimisation and nothing else: where it does not come up, each
//! slot starts its host by itself. A zygote belongs to one suite of one run, whose environment it has.
//!
//! It runs below the spawner of the slot that needed it first. The invariant is the spawner's: an [`Exit`] is told only
//! after everything that the host left behind is dead too.

use super::connection::{Connection, Socket};
use super::limits::{READ_BYTES, REQUESTS, START};
use crate::process::{Before, Captured, Command, Ending, Exit, Process, SpawnError, Streams};
use crate::runner::{Brief, Place};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::time::Instant;

/// What a zygote is asked.
#[derive(Debug, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Do {
    /// Fork a host that connects to `sock`, and prints to `stdout`.
    Fork { id: u64, sock: PathBuf, stdout: PathBuf },
    /// Send a signal to a host, or to its group.
    Kill { id: u64, signal: i32, group: bool },
}

/// What a zygote says.
#[derive(Debug, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
enum Say {
    Ready,
    Forked {
        id: u64,
        pid: u32,
    },
    Ended {
        id: u64,
        status: i32,
        rss: u64,
        leaked: u32,
    },
    #[serde(other)]
    Other,
}

/// What handles ask of the task that owns the connection.
#[derive(Debug)]
enum Order {
    Fork { id: u64, sock: PathBuf, stdout: PathBuf, forked: oneshot::Sender<u32>, ended: oneshot::Sender<Exit> },
    Kill { id: u64, signal: i32, group: bool },
}

/// A zygote, shared by the slots. When the last slot lets go of it, it goes, and its hosts with it.
#[derive(Debug)]
pub(super) struct Zygote {
    orders: mpsc::Sender<Order>,
    next: AtomicU64,
}

/// Where the slots of a worker find the zygote of a suite, or that there is none to be had.
#[derive(Debug, Default)]
pub(super) struct Shared(OnceCell<Option<Arc<Zygote>>>);

/// The suites that are being run in this process. Slots know nothing of each other: this, and the brief, is all that they
/// share.
static SUITES: Mutex<Vec<(Weak<Brief>, Weak<Shared>)>> = Mutex::new(Vec::new());

impl Shared {
    /// That of this suite.
    pub(super) fn of(brief: &Arc<Brief>) -> Arc<Self> {
        let mut suites = SUITES.lock().unwrap_or_else(PoisonError::into_inner);
        suites.retain(|(brief, shared)| brief.strong_count() > 0 && shared.strong_count() > 0);
        let known = suites.iter().find(|(of, _)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(brief)));
        known.and_then(|(_, shared)| shared.upgrade()).unwrap_or_else(|| {
            let shared = Arc::default();
            suites.push((Arc::downgrade(brief), Arc::downgrade(&shared)));
            shared
        })
    }

    /// The zygote; started by whoever asks first, while the others wait.
    pub(super) async fn get(&self, place: &Place, command: Command, args: &[String]) -> Option<Arc<Zygote>> {
        let start = async {
            match Zygote::start(place, command, args).await {
                Ok(zygote) => Some(Arc::new(zygote)),
                Err(error) => {
                    tracing::debug!(%error, "no zygote; each slot starts its own pytest");
                    None
                }
            }
        };
        let zygote = self.0.get_or_init(|| start).await.clone();
        zygote.filter(|zygote| !zygote.is_gone())
    }
}

impl Zygote {
    /// Starts one; `command` is that of a host, `args` what its pytest is given.
    async fn start(place: &Place, mut command: Command, args: &[String]) -> io::Result<Self> {
        let (listener, socket) = Socket::bind(&place.scratch, "zygote.sock")?;
        command.env.push(("REGATTA_SOCK".into(), socket.path.clone().into()));
        command.env.push(("REGATTA_ZYGOTE".into(), serde_json::to_string(args)?.into()));
        let mut process = place.spawner.spawn(&command, Streams::Merged).await.map_err(io::Error::other)?;
        let ready = async {
            let (stream, _) = listener.accept().await?;
            let mut connection = Connection::new(stream)?;
            loop {
                if let Some(line) = connection.line() {
                    return match serde_json::from_slice(line)? {
                        Say::Ready => Ok(connection),
                        said => Err(io::Error::other(format!("it said {said:?}"))),
                    };
                }
                if !connection.fill(false).await {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        };
        let connection = tokio::select! {
            ready = ready => ready?,
            exit = process.wait() => return Err(io::Error::other(format!("it ended: {exit:?}"))),
            () = tokio::time::sleep(START) => return Err(io::ErrorKind::TimedOut.into()),
        };
        let (orders, inbox) = mpsc::channel(REQUESTS);
        tokio::spawn(Task { connection, process, waiters: BTreeMap::new() }.serve(inbox));
        Ok(Self { orders, next: AtomicU64::new(1) })
    }

    /// Whether it ended, and every host of it.
    pub(super) fn is_gone(&self) -> bool {
        self.orders.is_closed()
    }

    /// Forks a host that connects to `sock`. What it prints comes through a pipe in `scratch`.
    pub(super) async fn fork(self: &Arc<Self>, scratch: &Path, sock: &Path) -> io::Result<Forked> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let fifo = scratch.join(format!("printed-{id}"));
        nix::unistd::mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let printed = pipe::OpenOptions::new().open_receiver(&fifo)?;
        let (forked, started) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let order = Order::Fork { id, sock: sock.to_owned(), stdout: fifo.clone(), forked, ended };
        let gone = || io::Error::other("the zygote is gone");
        self.orders.send(order).await.map_err(|_| gone())?;
        // The handle exists before the answer, so that a caller who gives up waiting leaves no process behind.
        let mut host = Forked {
            id,
            pid: 0,
            zygote: Arc::clone(self),
            end,
            exit: None,
            printed: Some(printed),
            fifo,
            kept: Captured::default(),
            kill_at: None,
        };
        host.pid = started.await.map_err(|_| gone())?;
        Ok(host)
    }
}

/// The task that owns the connection and the process.
struct Task {
    connection: Connection,
    process: Process,
    waiters: BTreeMap<u64, Waiter>,
}

/// Who waits for news of a host.
struct Waiter {
    forked: Option<oneshot::Sender<u32>>,
    ended: oneshot::Sender<Exit>,
    since: Instant,
    before: Before,
}

impl Task {
    /// Serves until nobody holds the zygote any more, or it ended. Those who wait learn of the end by their channels.
    async fn serve(mut self, mut inbox: mpsc::Receiver<Order>) {
        loop {
            while let Some(line) = self.connection.line() {
                match serde_json::from_slice(line) {
                    Ok(say) => Self::hear(&mut self.waiters, say),
                    Err(error) => tracing::warn!(%error, "a zygote said something that makes no sense"),
                }
            }
            tokio::select! {
                filled = self.connection.fill(false) => if !filled { return },
                _exit = self.process.wait() => return,
                order = inbox.recv() => match order {
                    Some(order) => self.ask(order).await,
                    None => return,
                },
            }
        }
    }

    async fn ask(&mut self, order: Order) {
        let what = match order {
            Order::Fork { id, sock, stdout, forked, ended } => {
                let (since, before) = (Instant::now(), Before::now());
                self.waiters.insert(id, Waiter { forked: Some(forked), ended, since, before });
                Do::Fork { id, sock, stdout }
            }
            Order::Kill { id, signal, group } => Do::Kill { id, signal, group },
        };
        self.connection.send(&what).await;
    }

    fn hear(waiters: &mut BTreeMap<u64, Waiter>, say: Say) {
        match say {
            Say::Forked { id, pid } => {
                if let Some(forked) = waiters.get_mut(&id).and_then(|waiter| waiter.forked.take()) {
                    let _nobody_waits = forked.send(pid);
                }
            }
            Say::Ended { id, status, rss, leaked } => {
                if let Some(Waiter { ended, since, before, .. }) = waiters.remove(&id) {
                    let (ending, duration, max_rss) = (ending(status), since.elapsed(), rss * 1024);
                    let exit = Exit { ending, duration, leaked, max_rss, starved: false };
                    let _nobody_waits = ended.send(before.judge(exit));
                }
            }
            Say::Ready | Say::Other => {}
        }
    }
}

/// What `wait` says of a process.
fn ending(status: i32) -> Ending {
    match WaitStatus::from_raw(Pid::from_raw(1), status) {
        Ok(WaitStatus::Exited(_, code)) => Ending::Exited(code),
        Ok(WaitStatus::Signaled(_, signal, _)) => Ending::Signalled(signal as i32),
        // A signal without a name (a real-time one).
        _ => Ending::Signalled(status & 0x7f),
    }
}

/// A host that was forked; to be dealt with like a [`Process`].
#[derive(Debug)]
pub(super) struct Forked {
    id: u64,
    pid: u32,
    zygote: Arc<Zygote>,
    end: oneshot::Receiver<Exit>,
    exit: Option<Exit>,
    printed: Option<pipe::Receiver>,
    fifo: PathBuf,
    kept: Captured,
    kill_at: Option<Instant>,
}

impl Forked {
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end, and reads what it prints meanwhile. May be dropped and called again.
    pub(super) async fn wait(&mut self) -> Result<Exit, SpawnError> {
        while self.exit.is_none() {
            let kill_at = self.kill_at;
            let overdue = async move {
                match kill_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                exit = &mut self.end => self.exit = Some(exit.map_err(|_| SpawnError::Gone)?),
                () = overdue => {
                    self.kill_at = None;
                    self.send(Signal::SIGKILL, true);
                }
                () = drain(&mut self.printed, &mut self.kept) => {}
            }
        }
        // Nothing that could write to it lives: what is there is all.
        if let Some(printed) = &self.printed {
            let mut buffer = vec![0; READ_BYTES];
            while let Ok(length @ 1..) = printed.try_read(&mut buffer) {
                self.kept.push(&buffer[..length]);
            }
            self.printed = None;
        }
        Ok(self.exit.expect("it was just waited for"))
    }

    /// Terminates its group and, after `grace`, kills it; the latter while it is waited for.
    pub(super) fn kill(&mut self, grace: Duration) {
        if grace.is_zero() {
            self.send(Signal::SIGKILL, true);
        } else {
            self.send(Signal::SIGTERM, true);
            self.kill_at = Some(Instant::now() + grace);
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.send(signal, false);
    }

    fn send(&self, signal: Signal, group: bool) {
        let order = Order::Kill { id: self.id, signal: signal as i32, group };
        let _full_or_gone = self.zygote.orders.try_send(order);
    }

    pub(super) fn take_output(&mut self) -> Captured {
        std::mem::take(&mut self.kept)
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.fifo);
        if self.exit.is_none() {
            self.send(Signal::SIGKILL, true);
        }
    }
}

/// Reads until nothing writes any more, which does not mean that nothing will: then it waits for ever.
async fn drain(printed: &mut Option<pipe::Receiver>, kept: &mut Captured) {
    let mut buffer = Vec::new();
    while let Some(pipe) = printed {
        if pipe.readable().await.is_err() {
            *printed = None;
            break;
        }
        if buffer.is_empty() {
            buffer = vec![0; READ_BYTES];
        }
        match pipe.try_read(&mut buffer) {
            Ok(0) => *printed = None,
            Ok(length) => kept.push(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => *printed = None,
        }
    }
    std::future::pending().await
}
