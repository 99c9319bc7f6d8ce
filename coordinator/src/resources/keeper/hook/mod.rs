//! Running a hook: a process in a group of its own, bounded in time and in what is kept of its output, and nothing of it left
//! behind.

use super::provide::Provided;
use super::{Job, Stage};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};
use regatta_domain::Micros;
use regatta_domain::resource::Hook;
use regatta_runtime::backoff::Backoff;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

/// Hooks that run at once: enough for a lab, few enough for the machine of the coordinator.
pub(crate) const AT_ONCE: usize = 16;

/// The time limit of a hook that says none.
const LIMIT: Duration = Duration::from_secs(60);

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// How long a hook's output is waited for once it ended: a child that left its group may hold the pipe for ever.
const DRAIN: Duration = Duration::from_millis(100);

/// What is kept of the output for the reason of a failure.
const TAIL: usize = 4 * 1024;

/// What is read of what a preparing hook provides: a pool of ten thousand items at a hundred bytes each.
const PROVIDED: usize = 1024 * 1024;

/// The waits between tries.
const FIRST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(30);

/// A process that a hook left running, to be stopped at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pid: i32,
    /// The group of the hook.
    group: i32,
    /// When it began: tells it apart from a later process of the same number.
    began: Option<String>,
}

/// What came of a hook.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) provided: Provided,
    pub(crate) left: Option<Left>,
}

/// Runs a hook, and again where it fails and may be tried again. `permits` are those of all hooks.
///
/// # Errors
/// Why the last try failed, with the end of what it printed.
pub(crate) async fn perform(job: &Job, permits: &Semaphore) -> Result<Output, String> {
    let Some(hook) = &job.hook else { return Ok(Output::default()) };
    let mut backoff = Backoff::new(FIRST, MOST, RandomState::new().build_hasher().finish());
    for _ in 0..hook.retries {
        match attempt(job, hook, permits).await {
            Ok(output) => return Ok(output),
            Err(reason) => {
                let wait = backoff.wait();
                tracing::debug!(resource = %job.key.0, hook = job.stage.name(), %reason, ?wait, "a hook is tried again");
                tokio::time::sleep(wait).await;
            }
        }
    }
    attempt(job, hook, permits).await
}

async fn attempt(job: &Job, hook: &Hook, permits: &Semaphore) -> Result<Output, String> {
    let _permit = permits.acquire().await.map_err(|_| "the coordinator stops".to_owned())?;
    let mut child = spawn(job, hook).map_err(|error| {
        let program = hook.argv.first().map_or("", |program| program);
        format!("`{program}` cannot be started: {error}")
    })?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()));
    let printed = Printed::default();
    let reading = pin!(printed.read(&mut child));
    let mut all = Reading { reading, done: false };
    let limit = if hook.timeout == Micros::ZERO { LIMIT } else { hook.timeout.into() };
    let ended = match tokio::time::timeout(limit, all.until_ended(&mut child)).await {
        Ok(ended) => ended.map_err(|error| format!("it cannot be waited for: {error}")),
        Err(_) => {
            group.signal(Signal::SIGTERM);
            if tokio::time::timeout(GRACE, all.until_ended(&mut child)).await.is_err() {
                group.signal(Signal::SIGKILL);
                let _reaped = all.until_ended(&mut child).await;
            }
            let limit = regatta_domain::duration::text(limit.into());
            Err(format!("it took longer than {limit}, and was stopped"))
        }
    };
    let _late = tokio::time::timeout(DRAIN, all.rest()).await;
    let judged = ended.and_then(|status| judge(status, job, &printed));
    match judged {
        Ok(provided) => {
            let left = provided.pid.map(|pid| Left { pid, group: group.0.unwrap_or(pid), began: began(pid) });
            if left.is_some() {
                group.release();
            }
            Ok(Output { provided, left })
        }
        Err(why) => Err(printed.reason(&hook.argv[0], &why)),
    }
}

fn judge(status: ExitStatus, job: &Job, printed: &Printed) -> Result<Provided, String> {
    if !status.success() {
        return Err(format!("it ended with {}", told(status)));
    }
    if job.stage == Stage::Prepare { Provided::read(&printed.provided()) } else { Ok(Provided::default()) }
}

fn told(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn spawn(job: &Job, hook: &Hook) -> io::Result<Child> {
    let Some((program, arguments)) = hook.argv.split_first() else {
        return Err(io::Error::other("it names no program"));
    };
    let mut command = Command::new(&**program);
    command.args(arguments.iter().map(|argument| &**argument));
    command.env("REGATTA_RESOURCE", &*job.key.0).env("REGATTA_HOOK", job.stage.name());
    command.env("REGATTA_ITEM", job.key.1.as_deref().unwrap_or_default());
    for (name, value) in &job.values {
        command.env(variable(name), &**value);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Out of the coordinator's group, so that a Ctrl-C reaches the coordinator, which decides what becomes of hooks.
    command.process_group(0).kill_on_drop(true).spawn()
}

/// The variable in which a value is told.
fn variable(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("REGATTA_VALUE_{}", name.chars().map(letter).collect::<String>())
}

/// The process group of a hook: whatever is left of it when this is dropped is killed.
struct Group(Option<i32>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // A group that is gone needs no signal.
            let _gone = killpg(Pid::from_raw(group), signal);
        }
    }

    /// What is left of it goes on.
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// What a hook printed, as far as it is kept.
#[derive(Default)]
struct Printed(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    tail: VecDeque<u8>,
    cut: bool,
    provided: Vec<u8>,
}

impl Printed {
    /// Reads both streams to their ends.
    fn read(&self, child: &mut Child) -> impl Future<Output = ()> + use<'_> {
        let (out, err) = (child.stdout.take(), child.stderr.take());
        async move {
            tokio::join!(self.take(out, true), self.take(err, false));
        }
    }

    async fn take(&self, stream: Option<impl AsyncRead + Unpin>, is_stdout: bool) {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; TAIL];
        // A stream that cannot be read has ended.
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.tail.extend(&buffer[..read]);
            let over = kept.tail.len().saturating_sub(TAIL);
            kept.cut |= over > 0;
            kept.tail.drain(..over);
            if is_stdout && kept.provided.len() + read <= PROVIDED {
                kept.provided.extend_from_slice(&buffer[..read]);
            }
        }
    }

    fn provided(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).provided.clone()
    }

    /// Why it failed, in words, with the end of what it printed.
    fn reason(&self, program: &str, why: &str) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.tail.iter().copied().collect();
        let said = String::from_utf8_lossy(&bytes);
        let (said, before) = (said.trim(), if kept.cut { "[…] " } else { "" });
        if said.is_empty() { format!("`{program}`: {why}") } else { format!("`{program}`: {why}: {before}{said}") }
    }
}

/// What is still being read of a process.
struct Reading<'a, F> {
    reading: Pin<&'a mut F>,
    done: bool,
}

impl<F: Future<Output = ()>> Reading<'_, F> {
    /// Waits for the end of the process, and reads meanwhile, so that it is never held up by a full pipe.
    async fn until_ended(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                ended = child.wait() => return ended,
                () = self.reading.as_mut(), if !self.done => self.done = true,
            }
        }
    }

    /// Reads what is left.
    async fn rest(&mut self) {
        if !self.done {
            self.reading.as_mut().await;
            self.done = true;
        }
    }
}

impl Left {
    /// Stops the process, and what is left of the hook that started it: gently at first. A process that has ended, or another
    /// one of the same number, is left alone.
    pub(crate) async fn stop(self) {
        let pid = Pid::from_raw(self.pid);
        if !self.is_there() {
            return;
        }
        let group = (getpgid(Some(pid)) == Ok(Pid::from_raw(self.group))).then(|| Pid::from_raw(self.group));
        let signal = |signal| group.map_or_else(|| kill(pid, signal), |group| killpg(group, signal));
        if signal(Signal::SIGTERM) == Err(Errno::ESRCH) {
            return;
        }
        const LOOK: Duration = Duration::from_millis(20);
        let gone = async {
            while self.is_there() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _late = tokio::time::timeout(GRACE, gone).await;
        if group.is_some() || self.is_there() {
            let _gone = signal(Signal::SIGKILL);
        }
    }

    fn is_there(&self) -> bool {
        self.began.is_some() && began(self.pid) == self.began
    }
}

/// When a process began, as the system counts it; nothing where there is none, or it has ended and is not reaped yet.
fn began(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in parentheses, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18).map(str::to_owned))?
}

#[cfg(test)]
mod tests;
