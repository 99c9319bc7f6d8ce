//! Starting one process, by `posix_spawn`.

use crate::process::Streams;
use crate::process::protocol::{Inbox, Spawn};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The variable that tells whose descendant a process is, when its parent is gone.
pub(super) const MARK: &str = "REGATTA_PROCESS";

/// Starts what `spawn` says in a process group of its own. The outer error is a broken protocol, the inner one the
/// system's refusal.
pub(super) fn start(spawn: &Spawn, inbox: &mut Inbox) -> io::Result<io::Result<Pid>> {
    let stdout = inbox.pipe()?;
    let stderr = match spawn.streams {
        Streams::Merged => stdout.try_clone()?,
        Streams::Apart => inbox.pipe()?,
    };
    let Some((program, arguments)) = spawn.argv.split_first() else {
        return Ok(Err(io::Error::from(io::ErrorKind::InvalidInput)));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr))
        .process_group(0);
    for name in &spawn.env_remove {
        command.env_remove(name);
    }
    command.envs(spawn.env.iter().map(|(name, value)| (name, value)));
    command.env(MARK, mark(spawn.id));
    if !spawn.cwd.is_empty() {
        command.current_dir(&spawn.cwd);
    }
    Ok(limited(spawn.memory, || {
        let child = command.spawn()?;
        Ok(Pid::from_raw(i32::try_from(child.id()).expect("process ids are small")))
    }))
}

/// The mark of the process `id` of this spawner.
pub(super) fn mark(id: u64) -> String {
    format!("{}.{id}", std::process::id())
}

/// Runs `spawn` under a limit of its own on address space, which the child inherits: setting it in the child would
/// take a fork of our own, setting it afterwards would be too late.
fn limited<T>(memory: Option<u64>, spawn: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(memory) = memory else { return spawn() };
    let (soft, hard) = getrlimit(Resource::RLIMIT_AS)?;
    setrlimit(Resource::RLIMIT_AS, memory.min(hard), hard)?;
    let spawned = spawn();
    setrlimit(Resource::RLIMIT_AS, soft, hard)?;
    spawned
}
