//! What worker and spawner say to each other: length-prefixed messages over a unix socket pair, the write ends of a
//! process's pipes beside them.
//!
//! Both ends are the same binary, so the encoding may change at will. File descriptors arrive with or before the first
//! byte of the message that they belong to, and in order, so a queue of them is enough.

use super::limits::MESSAGE_BYTES;
use super::{Command, Exit, Streams};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

/// What the worker asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Start a process. One pipe comes along, or two ([`Streams`]).
    Spawn(Spawn),
    /// Terminate a process and, after the grace, kill it with all it started.
    Kill {
        /// The process.
        id: u64,
        /// Between the two.
        grace: Duration,
    },
    /// Send a signal to a process alone.
    Signal {
        /// The process.
        id: u64,
        /// The signal.
        signal: i32,
    },
}

/// A process to start: [`Command`] in a form that travels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spawn {
    pub(super) id: u64,
    pub(super) argv: Vec<OsString>,
    pub(super) cwd: OsString,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) env_remove: Vec<OsString>,
    pub(super) memory: Option<u64>,
    pub(super) streams: Streams,
}

impl Spawn {
    pub(super) fn new(id: u64, command: &Command, streams: Streams) -> Self {
        Self {
            id,
            argv: command.argv.clone(),
            cwd: command.cwd.clone().into_os_string(),
            env: command.env.clone(),
            env_remove: command.env_remove.clone(),
            memory: command.memory,
            streams,
        }
    }
}

/// What the spawner answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It is there, and this is how it holds its processes.
    Hello(Containment),
    /// A process was started.
    Started {
        /// Which.
        id: u64,
        /// Its process id, which is its group's as well.
        pid: i32,
    },
    /// A process could not be started.
    Refused {
        /// Which.
        id: u64,
        /// The system's reason.
        errno: i32,
    },
    /// A process ended, and nothing of it is left.
    Ended {
        /// Which.
        id: u64,
        /// How.
        exit: Exit,
    },
}

/// How a spawner sees to it that no process outlives its purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Containment {
    /// A cgroup of its own at this path, which the kernel kills as a whole, and the sub-reaper.
    Cgroup(PathBuf),
    /// The sub-reaper alone, since a cgroup could not be made for this reason. It holds as long as the spawner lives.
    SubReaper(String),
}

impl fmt::Display for Containment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cgroup(path) => write!(f, "cgroup v2 ({})", path.display()),
            Self::SubReaper(reason) => write!(f, "sub-reaper ({reason})"),
        }
    }
}

/// The bytes of a message.
pub(super) fn encode(message: &impl Serialize) -> Vec<u8> {
    let bytes = postcard::to_extend(message, vec![0; 4]).expect("messages are plain data");
    framed(bytes)
}

fn framed(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Sends as much of `bytes` as goes now, with `pipes` beside the first of them.
pub(super) fn send(socket: BorrowedFd<'_>, bytes: &[u8], pipes: &[OwnedFd]) -> io::Result<usize> {
    let raw: Vec<RawFd> = pipes.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let rights = if raw.is_empty() { &rights[..0] } else { &rights[..] };
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], rights, MsgFlags::MSG_NOSIGNAL, None) {
            Err(Errno::EINTR) => {}
            sent => return Ok(sent?),
        }
    }
}

/// What has arrived and was not yet read.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    pipes: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Takes in what has arrived, without waiting; `false` at the end of the stream.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let mut rights = nix::cmsg_space!([RawFd; 4]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut rights), flags)?;
        for part in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = part {
                // SAFETY: the kernel has just made these descriptors for us, and nobody else knows of them.
                self.pipes.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        let length = message.bytes;
        self.bytes.extend_from_slice(&buffer[..length]);
        Ok(length > 0)
    }

    /// The next whole message, if there is one.
    pub(super) fn next<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        let Some(prefix) = self.bytes.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*prefix) as usize;
        if length > MESSAGE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message exceeds its bound"));
        }
        if self.bytes.len() < 4 + length {
            return Ok(None);
        }
        let message = postcard::from_bytes(&self.bytes[4..4 + length])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.bytes.drain(..4 + length);
        Ok(Some(message))
    }

    /// The next descriptor that came along.
    pub(super) fn pipe(&mut self) -> io::Result<OwnedFd> {
        self.pipes.pop_front().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a message lost its pipe"))
    }
}
