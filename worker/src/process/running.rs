//! A process that was started, and what it prints.

use super::limits::{LEAK, READ_BYTES};
use super::protocol::Request;
use super::{Before, Captured, Command, Exit, SpawnError, Spawner, Streams};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A process that was started. Dropping it before it ended kills it, with everything it started.
#[derive(Debug)]
pub struct Process {
    id: u64,
    pid: u32,
    spawner: Spawner,
    end: oneshot::Receiver<Exit>,
    exit: Option<Exit>,
    pipes: Pipes,
    before: Before,
}

/// The read ends of a process's pipes. As long as they stay with their [`Process`], it reads them and keeps what they
/// carry, bounded.
#[derive(Debug, Default)]
pub struct Pipes {
    /// Standard output, or both streams where they are merged.
    pub stdout: Option<Receiver>,
    /// Standard error, where it is apart.
    pub stderr: Option<Receiver>,
    kept: [Captured; 2],
    buffer: Vec<u8>,
}

/// Something that was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Printed<'a> {
    /// On standard output, or on either stream where they are merged.
    Stdout(&'a [u8]),
    /// On standard error.
    Stderr(&'a [u8]),
}

/// How a process ended that was waited for, and what it printed.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub exit: Exit,
    /// Whether it was stopped because its time was up.
    pub timed_out: bool,
    /// What it printed: on both streams where they are merged.
    pub stdout: Captured,
    /// What it printed on standard error, where that is apart.
    pub stderr: Captured,
}

impl Pipes {
    /// New pipes for `streams`, and their write ends.
    pub(super) fn open(streams: Streams) -> io::Result<(Self, Vec<OwnedFd>)> {
        let mut ends = Vec::with_capacity(2);
        let mut open = || -> io::Result<Receiver> {
            let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
            ends.push(write);
            Receiver::from_owned_fd(read)
        };
        let stdout = Some(open()?);
        let stderr = match streams {
            Streams::Merged => None,
            Streams::Apart => Some(open()?),
        };
        Ok((Self { stdout, stderr, ..Self::default() }, ends))
    }

    /// What is printed next; `None` once both streams have ended. Loses nothing when it is dropped while it waits.
    pub async fn next(&mut self) -> Option<Printed<'_>> {
        Some(match self.read().await? {
            (0, length) => Printed::Stdout(&self.buffer[..length]),
            (_, length) => Printed::Stderr(&self.buffer[..length]),
        })
    }

    /// Reads until both have ended, and keeps it. Loses nothing when it is dropped while it waits.
    async fn drain(&mut self) {
        while let Some((stream, length)) = self.read().await {
            self.kept[stream].push(&self.buffer[..length]);
        }
    }

    /// Fills the buffer: from which stream, and how far.
    async fn read(&mut self) -> Option<(usize, usize)> {
        loop {
            let stream = match (&self.stdout, &self.stderr) {
                (None, None) => return None,
                (stdout, stderr) => tokio::select! {
                    () = readable(stdout) => 0,
                    () = readable(stderr) => 1,
                },
            };
            let pipe = if stream == 0 { &mut self.stdout } else { &mut self.stderr };
            if self.buffer.is_empty() {
                self.buffer = vec![0; READ_BYTES];
            }
            match pipe.as_ref()?.try_read(&mut self.buffer) {
                Ok(0) => *pipe = None,
                Ok(length) => return Some((stream, length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => *pipe = None,
            }
        }
    }
}

async fn readable(pipe: &Option<Receiver>) {
    match pipe {
        // A failure to wait shows when it is read.
        Some(pipe) => drop(pipe.readable().await),
        None => std::future::pending().await,
    }
}

impl Process {
    pub(super) fn new(id: u64, spawner: Spawner, pipes: Pipes, end: oneshot::Receiver<Exit>) -> Self {
        Self { id, pid: 0, spawner, end, exit: None, pipes, before: Before::now() }
    }

    pub(super) fn started(&mut self, pid: u32) {
        self.pid = pid;
    }

    /// Its process id, which is also its group's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The pipes, to be read by the caller from now on. A caller who takes them must read them, or the process blocks.
    pub fn take_pipes(&mut self) -> Pipes {
        std::mem::take(&mut self.pipes)
    }

    /// Keeps its standard output up to the bound of a list, where head and tail are not enough.
    pub fn keep_list(&mut self) {
        self.pipes.kept[0] = Captured::list();
    }

    /// Waits for its end, and reads what it prints meanwhile. May be dropped and called again.
    ///
    /// # Errors
    /// [`SpawnError::Gone`] when the spawner was killed.
    pub async fn wait(&mut self) -> Result<Exit, SpawnError> {
        let exit = match self.exit {
            Some(exit) => exit,
            None => {
                let mut open = true;
                loop {
                    tokio::select! {
                        biased;
                        exit = &mut self.end => {
                            let exit = exit.map_err(|_| SpawnError::Gone)?;
                            break *self.exit.insert(self.before.judge(exit));
                        }
                        () = self.pipes.drain(), if open => open = false,
                    }
                }
            }
        };
        // Whatever could hold the pipes open is dead, unless it was handed out of the family: then this is all of it.
        let _held_open = tokio::time::timeout(LEAK, self.pipes.drain()).await;
        Ok(exit)
    }

    /// Waits for its end until `deadline`, then terminates it and, after `grace`, kills it; says whether it had to.
    /// May be dropped and called again.
    ///
    /// # Errors
    /// [`SpawnError::Gone`] when the spawner was killed.
    pub async fn wait_until(&mut self, deadline: Instant, grace: Duration) -> Result<(Exit, bool), SpawnError> {
        if let Ok(exit) = tokio::time::timeout_at(deadline, self.wait()).await {
            return Ok((exit?, false));
        }
        self.kill(grace);
        Ok((self.wait().await?, true))
    }

    /// As [`Process::wait_until`], and hands over what it printed.
    ///
    /// # Errors
    /// [`SpawnError::Gone`] when the spawner was killed.
    pub async fn run_until(&mut self, deadline: Instant, grace: Duration) -> Result<Ran, SpawnError> {
        let (exit, timed_out) = self.wait_until(deadline, grace).await?;
        let [stdout, stderr] = self.take_output();
        Ok(Ran { exit, timed_out, stdout, stderr })
    }

    /// Terminates its group (SIGTERM) and, after `grace`, kills it with everything it started. Does not wait.
    pub fn kill(&self, grace: Duration) {
        self.spawner.say(Request::Kill { id: self.id, grace });
    }

    /// Sends it a signal, and to it alone.
    pub fn signal(&self, signal: Signal) {
        self.spawner.say(Request::Signal { id: self.id, signal: signal as i32 });
    }

    /// What it printed since this was last called: on standard output (or both streams), and on standard error.
    pub fn take_output(&mut self) -> [Captured; 2] {
        std::mem::take(&mut self.pipes.kept)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.exit.is_some() || !matches!(self.end.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        if !ended {
            self.kill(Duration::ZERO);
        }
    }
}

impl Spawner {
    /// Starts a process and waits for its end, at most for `limit`; then it is terminated and, after `grace`, killed.
    /// Dropped while it waits, it kills at once.
    ///
    /// # Errors
    /// When the process cannot be started, or the spawner was killed.
    pub async fn run_to_end(
        &self,
        command: &Command,
        streams: Streams,
        limit: Duration,
        grace: Duration,
    ) -> Result<Ran, SpawnError> {
        let deadline = Instant::now() + limit;
        self.spawn(command, streams).await?.run_until(deadline, grace).await
    }

    /// Starts a process that prints a list, and keeps all of its standard output, apart from the other; the rest is as
    /// in [`Spawner::run_to_end`].
    ///
    /// # Errors
    /// When the process cannot be started, or the spawner was killed.
    pub async fn list(&self, command: &Command, limit: Duration, grace: Duration) -> Result<Ran, SpawnError> {
        let deadline = Instant::now() + limit;
        let mut process = self.spawn(command, Streams::Apart).await?;
        process.keep_list();
        process.run_until(deadline, grace).await
    }
}
