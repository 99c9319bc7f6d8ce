//! A pytest process at work: its start, its connection, its end.
//!
//! It knows nothing of shards. The invariant: everything that a host said before it ended is heard before its end is.

use super::body::Body;
use super::connection::{Connection, Socket};
use super::limits::{EXIT, FINISH, GRACE, START, TRACEBACK};
use super::message::{Do, PROTOCOL, Say, Setup};
use super::settings::interpreter;
use super::zygote::{Shared, Zygote};
use super::{PytestSettings, environment};
use crate::process::{Captured, Command, Ending, Exit, Streams};
use crate::runner::attempts::Stems;
use crate::runner::{Brief, Place, exports};
use nix::sys::signal::Signal;
use regatta_domain::result::{RunError, RunErrorKind};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The host itself.
const SOURCE: &str = include_str!("regatta_host.py");

/// How it exits when it has lost its connection, and when it has said why it cannot work.
const EXIT_LOST: i32 = 86;
const EXIT_REFUSED: i32 = 87;

/// A pytest process at work.
#[derive(Debug)]
pub(super) struct Host {
    process: Body,
    connection: Connection,
    traces: PathBuf,
    ended: Option<Exit>,
    /// Tests it was asked to run.
    pub(super) ran: u32,
    /// The files it has collected: their numbers, and the digests of their listings.
    pub(super) collected: HashMap<Arc<str>, (u32, u64)>,
    /// Which databases of a shard it was started with: see [`Attempts::generation`](crate::runner::attempts::Attempts).
    pub(super) generation: u32,
    /// The number of the next file.
    files: u32,
}

/// What is heard of a host.
#[derive(Debug)]
pub(super) enum Heard {
    /// It said something.
    Said(Say),
    /// It is gone.
    Ended(Exit),
}

impl Host {
    /// Starts a host, and waits until it is ready.
    pub(super) async fn start(
        brief: &Brief,
        place: &Place,
        settings: &PytestSettings,
        shared: &Shared,
        shard: &Stems,
        number: u32,
    ) -> Result<Self, Vec<RunError>> {
        let source = place.scratch.join("regatta_host.py");
        std::fs::write(&source, SOURCE).map_err(|error| broken(place, "cannot write the pytest host", &error))?;
        let root = Path::new(&*brief.suite.root);
        let python = interpreter(root, settings, &brief.suite.env)
            .map_err(|looked| vec![environment::nowhere(root, &looked)])?;
        let mut command = Command::new(python, [source]);
        command.cwd = root.to_owned();
        command.env.extend(variables(brief, place).into_iter().map(|(name, value)| (name.into(), value.into())));
        command.memory = settings.memory_mb.map(|mb| mb.saturating_mul(1024 * 1024));
        // For one slot, a process that imports pytest and another that forks would be one too many.
        let zygote = if brief.slots > 1 { shared.get(place, command.clone(), &settings.args).await } else { None };
        if let Some(zygote) = zygote {
            let started = Self::start_from(brief, place, settings, &command, Some(&zygote), shard, number).await;
            if started.is_ok() || !zygote.is_gone() {
                return started;
            }
        }
        Self::start_from(brief, place, settings, &command, None, shard, number).await
    }

    /// Starts a host by `command`, or as a fork of `zygote`.
    async fn start_from(
        brief: &Brief,
        place: &Place,
        settings: &PytestSettings,
        command: &Command,
        zygote: Option<&Arc<Zygote>>,
        shard: &Stems,
        number: u32,
    ) -> Result<Self, Vec<RunError>> {
        let python = command.program();
        let refuse = |message: String| {
            let place = python.display().to_string().into();
            vec![RunError { kind: RunErrorKind::Runner, place, message: message.into() }]
        };
        let (listener, socket) = Socket::bind(&place.scratch, &format!("host-{number}.sock"))
            .map_err(|error| broken(place, "cannot listen", &error))?;
        let mut process = match zygote {
            Some(zygote) => {
                let forked = zygote.fork(&place.scratch, &socket.path).await;
                Body::Forked(forked.map_err(|error| broken(place, "cannot fork a pytest host", &error))?)
            }
            None => {
                let mut command = command.clone();
                command.env.push(("REGATTA_SOCK".into(), socket.path.clone().into()));
                let spawned = place.spawner.spawn(&command, Streams::Merged).await;
                Body::Spawned(spawned.map_err(|error| match error.is_of_the_machine() {
                    // Another slot, or this one a little later, may do: the suite is not given up for it.
                    true => broken(place, "cannot start a pytest host", &io::Error::other(error)),
                    false => refuse(error.to_string()),
                })?)
            }
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.map(|(stream, _)| stream),
            exit = process.wait() => {
                let printed = text(process.take_output());
                return Err(refuse(match exit {
                    Ok(exit) => format!("`{}` did not come up ({}):\n{printed}", python.display(), exit.ending),
                    Err(error) => error.to_string(),
                }));
            }
            () = tokio::time::sleep(START) => Err(io::ErrorKind::TimedOut.into()),
        };
        let stream = accepted.map_err(|error| refuse(format!("`{}` did not come up: {error}", python.display())))?;
        drop((listener, socket));
        let connection =
            Connection::new(stream).map_err(|error| broken(place, "cannot talk to the pytest host", &error))?;
        let traces = place.scratch.join(format!("traces-{number}.txt"));
        let mut host = Self {
            process,
            connection,
            traces,
            ended: None,
            ran: 0,
            collected: HashMap::new(),
            generation: 0,
            files: 0,
        };
        let traces = host.traces.display().to_string();
        let setup = Setup {
            args: &settings.args,
            seed: brief.seed,
            slot: place.slot.0,
            slots: brief.slots,
            run: brief.run.to_string(),
            env: variables(brief, place),
            traces: &traces,
            shard,
        };
        host.connection.send(&setup).await;
        host.hello().await.map_err(|(mut errors, exit)| {
            let printed = text(host.take_output());
            if errors.is_empty() {
                let how = exit.map_or_else(|| "it hangs".to_owned(), |exit| exit.ending.to_string());
                let printed = if printed.is_empty() { " and printed nothing" } else { &format!(":\n{printed}") };
                errors = refuse(format!("pytest ended while it started ({how}){printed}"));
            }
            errors
        })?;
        Ok(host)
    }

    /// Waits for the first words; or for what is wrong.
    async fn hello(&mut self) -> Result<(), (Vec<RunError>, Option<Exit>)> {
        let mut errors = Vec::new();
        let deadline = Instant::now() + START;
        loop {
            match tokio::time::timeout_at(deadline, self.next(false)).await {
                Ok(Heard::Said(Say::Hello { protocol, version, python })) => {
                    assert_eq!(protocol, PROTOCOL, "the host was written by this binary");
                    tracing::debug!(pid = self.process.pid(), version, python, "pytest host is up");
                    return Ok(());
                }
                Ok(Heard::Said(Say::Error { place, message, .. })) => {
                    errors.push(RunError { kind: RunErrorKind::Runner, place: place.into(), message: message.into() })
                }
                Ok(Heard::Said(_)) => {}
                Ok(Heard::Ended(exit)) => return Err((errors, Some(exit))),
                Err(_) => {
                    self.kill(Duration::ZERO).await;
                    return Err((errors, None));
                }
            }
        }
    }

    /// What it says next. With `calm` it has enough to do, and what it says may be taken in some at a time. May be
    /// dropped and called again.
    pub(super) async fn next(&mut self, calm: bool) -> Heard {
        loop {
            if let Some(line) = self.connection.line() {
                match serde_json::from_slice(line) {
                    Ok(say) => return Heard::Said(say),
                    // A test has found the socket, and wrote to it: nothing of this host can be believed any more.
                    Err(error) => {
                        tracing::warn!(%error, "a pytest host said something that makes no sense");
                        self.connection.close();
                        continue;
                    }
                }
            }
            if let Some(exit) = self.ended {
                return Heard::Ended(exit);
            }
            tokio::select! {
                filled = self.connection.fill(calm) => if !filled {
                    self.ended = Some(self.exit().await);
                },
                exit = self.process.wait() => {
                    self.connection.rest();
                    self.ended = Some(exit.unwrap_or(LOST));
                }
            }
        }
    }

    /// Waits for the end of a host that closed its connection; does not wait for ever.
    async fn exit(&mut self) -> Exit {
        self.process.wait_until(Instant::now() + EXIT).await.unwrap_or(LOST)
    }

    /// A number for a file that it is to collect.
    pub(super) fn number(&mut self) -> u32 {
        self.files += 1;
        self.files
    }

    /// Asks for something.
    pub(super) async fn ask(&mut self, what: &Do<'_>) {
        self.connection.send(what).await;
    }

    /// What it printed since this was last called, beside what pytest captured.
    pub(super) fn take_output(&mut self) -> Captured {
        self.process.take_output()
    }

    /// Where it is at, by its own account: the tracebacks of its threads.
    pub(super) async fn traceback(&mut self) -> String {
        self.process.signal(Signal::SIGUSR1);
        let deadline = Instant::now() + TRACEBACK;
        let mut before = String::new();
        loop {
            let now = std::fs::read_to_string(&self.traces).unwrap_or_default();
            if (!now.is_empty() && now == before) || Instant::now() >= deadline {
                return now;
            }
            before = now;
            let _ended = tokio::time::timeout(Duration::from_millis(10), self.process.wait()).await;
        }
    }

    /// Terminates it and, after `grace`, kills it; with everything it started. Comes back when all of it is gone.
    pub(super) async fn kill(&mut self, grace: Duration) {
        if self.ended.is_none() {
            self.process.kill(grace);
            self.ended = Some(self.process.wait().await.unwrap_or(LOST));
        }
    }

    /// Has it tear everything down, and waits for its end. What went wrong in that.
    pub(super) async fn finish(&mut self) -> Vec<(String, String)> {
        let mut errors = Vec::new();
        self.ask(&Do::Shutdown).await;
        let deadline = Instant::now() + FINISH;
        let mut bye = false;
        loop {
            match tokio::time::timeout_at(deadline, self.next(false)).await {
                Ok(Heard::Said(Say::Error { place, message, .. })) => errors.push((place, message)),
                Ok(Heard::Said(Say::Bye)) => bye = true,
                Ok(Heard::Said(_)) => {}
                Ok(Heard::Ended(exit)) => {
                    if !bye {
                        let printed = text(self.take_output());
                        errors.push(("end of the session".to_owned(), format!("{}\n{printed}", reason(&exit))));
                    }
                    return errors;
                }
                Err(_) => {
                    let traceback = self.traceback().await;
                    self.kill(GRACE).await;
                    let text = format!("still at it after {} s, and was killed\n{traceback}", FINISH.as_secs());
                    errors.push(("end of the session".to_owned(), text));
                    return errors;
                }
            }
        }
    }
}

/// How a host ended whose spawner was killed.
const LOST: Exit =
    Exit { ending: Ending::Signalled(9), duration: Duration::ZERO, leaked: 0, max_rss: 0, starved: false };

/// Something of Regatta's own does not work.
fn broken(place: &Place, what: &str, error: &io::Error) -> Vec<RunError> {
    let message = format!("{what} in `{}`: {error}", place.scratch.display());
    vec![RunError { kind: RunErrorKind::Infrastructure, place: "pytest host".into(), message: message.into() }]
}

/// Why a test is blamed for the end of its host.
pub(super) fn reason(exit: &Exit) -> String {
    match exit.ending {
        Ending::Exited(EXIT_LOST) => {
            "the pytest process lost its connection: the test closed descriptors that are not its own".to_owned()
        }
        Ending::Exited(EXIT_REFUSED) => "the pytest process gave up".to_owned(),
        Ending::Exited(code) => format!("the pytest process exited with code {code} (os._exit?)"),
        Ending::Signalled(_) => {
            let guess = exit.guess().map_or_else(String::new, |guess| format!(": {guess}"));
            format!("the pytest process was ended by {}{guess}", exit.ending)
        }
    }
}

/// What a process printed, as text.
pub(super) fn text(printed: Captured) -> String {
    String::from_utf8_lossy(&printed.into_bytes()).into_owned()
}

/// What a host finds in its environment.
fn variables(brief: &Brief, place: &Place) -> Vec<(String, String)> {
    let own = |name: &str, value: String| (name.to_owned(), value);
    let mut all = vec![
        // Suites key databases and ports on what xdist tells them.
        own("PYTEST_XDIST_WORKER", format!("gw{}", place.slot)),
        own("PYTEST_XDIST_WORKER_COUNT", brief.slots.to_string()),
        own("PYTEST_XDIST_TESTRUNUID", brief.run.to_string()),
    ];
    if std::env::var_os("PYTHONHASHSEED").is_none() {
        // So that every host of a run, and the run that repeats it, iterates over sets in the same order.
        all.push(own("PYTHONHASHSEED", (brief.seed % (1 << 32)).to_string()));
    }
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    all.extend(exports::of_slot(brief, place).into_iter().map(|(name, value)| (text(name), text(value))));
    all
}
