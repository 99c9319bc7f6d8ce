//! The spawner process: single-threaded, waits for requests and for the ends of children, and owns nothing else.
//!
//! It must stay small, since what it starts is forked from it, and must outlive the worker by as long as it takes to
//! kill every process. So it ignores the signals that a terminal or a service manager sends to everybody, and goes
//! when its socket closes.

pub(super) mod cgroup;
mod family;
mod orphans;
mod reap;
mod start;
mod wake;

use super::protocol::{self, Containment, Inbox, Reply, Request};
use crate::spool::hold;
use cgroup::Leaf;
use family::Family;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use wake::Wake;

/// The whole life of a spawner. Its standard input is the socket; `arguments` are those after `spawner`.
#[must_use]
pub fn spawner_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (mut without_cgroup, mut holding) = (false, None);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        without_cgroup |= argument == "--without-cgroup";
        if argument == "--holding" {
            holding = arguments.next();
        }
    }
    // Whoever waits for it knows that nothing runs any more that was started here.
    let held =
        holding.map(|path| hold(Path::new(&path)).ok_or_else(|| io::Error::other("its lock is another worker's")));
    let _held = match held.transpose() {
        Ok(held) => held,
        Err(error) => {
            eprintln!("regatta spawner: {error}");
            return ExitCode::FAILURE;
        }
    };
    match Service::open(without_cgroup).and_then(Service::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("regatta spawner: {error} (it is started by a worker, not by hand)");
            ExitCode::FAILURE
        }
    }
}

struct Service {
    socket: OwnedFd,
    signals: Wake,
    inbox: Inbox,
    family: Family,
}

impl Service {
    fn open(without_cgroup: bool) -> io::Result<Self> {
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
        nix::sys::prctl::set_child_subreaper(true)?;
        let signals = Wake::install()?;
        let leaf = if without_cgroup { Err("it was told to do without a cgroup".to_owned()) } else { Leaf::enter() };
        let (leaf, containment) = match leaf {
            Ok(leaf) => {
                let path = leaf.path().to_owned();
                (Some(leaf), Containment::Cgroup(path))
            }
            Err(reason) => (None, Containment::SubReaper(reason)),
        };
        let service = Self { socket, signals, inbox: Inbox::default(), family: Family::new(leaf) };
        service.say(&Reply::Hello(containment))?;
        Ok(service)
    }

    fn run(mut self) -> io::Result<()> {
        let served = self.serve();
        let Self { signals, family, .. } = &mut self;
        family.kill_all(|timeout| {
            let [_ended] = wait(&[signals.as_fd()], Some(timeout))?;
            signals.forget();
            Ok(())
        });
        match served {
            // The worker is gone: nobody to tell.
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(()),
            served => served,
        }
    }

    /// Serves until the worker's end of the socket closes.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let timeout = self.family.deadline().map(|at| at.saturating_duration_since(Instant::now()));
            let [asked, signalled] = wait(&[self.socket.as_fd(), self.signals.as_fd()], timeout)?;
            if signalled {
                self.signals.forget();
            }
            for ended in self.family.tend(Instant::now()) {
                self.say(&ended)?;
            }
            if asked && !self.inbox.receive(self.socket.as_fd())? {
                return Ok(());
            }
            while let Some(request) = self.inbox.next()? {
                self.answer(request)?;
            }
        }
    }

    fn answer(&mut self, request: Request) -> io::Result<()> {
        match request {
            Request::Spawn(spawn) => {
                let started = Instant::now();
                let reply = match start::start(&spawn, &mut self.inbox)? {
                    Ok(pid) => {
                        self.family.add(spawn.id, pid, started);
                        Reply::Started { id: spawn.id, pid: pid.as_raw() }
                    }
                    Err(error) => {
                        Reply::Refused { id: spawn.id, errno: error.raw_os_error().unwrap_or(Errno::EINVAL as i32) }
                    }
                };
                self.say(&reply)
            }
            Request::Kill { id, grace } => {
                self.family.kill(id, Instant::now(), grace);
                Ok(())
            }
            Request::Signal { id, signal } => {
                self.family.signal(id, signal);
                Ok(())
            }
        }
    }

    fn say(&self, reply: &Reply) -> io::Result<()> {
        let bytes = protocol::encode(reply);
        let mut at = 0;
        while at < bytes.len() {
            at += protocol::send(self.socket.as_fd(), &bytes[at..], &[])?;
        }
        Ok(())
    }
}

/// Waits until one of `fds` is readable or the time is up, and says which are.
fn wait<const N: usize>(fds: &[std::os::fd::BorrowedFd<'_>; N], timeout: Option<Duration>) -> io::Result<[bool; N]> {
    // Rounded up, or the last millisecond before a deadline would be spent spinning.
    let timeout = timeout.map_or(PollTimeout::NONE, |left| {
        PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
    });
    let mut polled = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    match poll(&mut polled, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(polled.map(|fd| fd.any().unwrap_or(false))),
        Err(error) => Err(error.into()),
    }
}
