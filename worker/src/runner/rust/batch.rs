//! Many tests in one process, one after another: the tests of a binary, or the doc tests of a package.
//!
//! A test that ends is told at once, a failed one when its output is known, at the end. When the process dies, the test
//! that was running is blamed, and the rest is run again. A test that no line accounts for is run alone.
//!
//! rustdoc takes its arguments apart at spaces, and names of doc tests have some. So doc tests are chosen by their lines,
//! which may run a few more than were asked for; those are not told of.

use super::Rust;
use super::judge::{crash, failure};
use super::listing;
use super::locator::Locator;
use super::single::blank;
use super::transcript::{Said, Transcript, Verdict};
use crate::process::{Captured, Command, Ending, Exit, Pipes, Printed, Process, SpawnError, Streams};
use crate::runner::agenda::{Agenda, Killed};
use crate::runner::clock::now;
use crate::runner::reason::one_line;
use crate::runner::{FileWork, Finished, Sink, Tell, TestWork};
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{Outcome, TestIx, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The most bytes of names in one command: a single argument may have 128 KiB, all of them 2 MiB with the environment.
const NAME_BYTES: usize = 128 * 1024;

/// The most work in one command, by estimate. What a process was given cannot be stolen any more.
const WORK: Duration = Duration::from_secs(5);

/// How long the end of a process is waited for after its last test.
const LAST: Duration = Duration::from_secs(60);

/// How long the pipes of a process that has ended are read. Everything of it is dead by then, so that they end at once,
/// unless they were handed to strangers.
const HELD: Duration = Duration::from_millis(100);

impl Rust {
    /// Runs `test`, and those after it in the same file, in as few processes as it takes.
    pub(super) async fn together(
        &self,
        agenda: &mut Agenda<'_>,
        file: &Arc<FileWork>,
        locator: &Locator,
        test: TestWork,
    ) -> Result<(), Killed> {
        let mut bytes = test.name.len();
        let mut work = Duration::from(test.estimate);
        let attempts = agenda.attempts().clone();
        let is_own = attempts.is_own(&test);
        let mut tests = agenda.more(file, |next| {
            bytes += next.name.len() + 1;
            work += Duration::from(next.estimate);
            bytes <= NAME_BYTES && work <= WORK && !is_own && attempts.joins(next)
        });
        tests.insert(0, test);
        while !tests.is_empty() {
            let batch = Batch::new(tests, agenda.sink());
            let left = self.batch(agenda, file, locator, batch).await?;
            for (test, begun) in left.alone {
                match locator {
                    Locator::Binary(binary) => self.alone(agenda, file, binary, test, begun).await?,
                    Locator::Doc { .. } => missing(agenda, &test, begun).await,
                }
            }
            tests = left.again;
        }
        Ok(())
    }

    async fn batch(
        &self,
        agenda: &mut Agenda<'_>,
        file: &FileWork,
        locator: &Locator,
        mut batch: Batch<'_>,
    ) -> Result<Left, Killed> {
        agenda.until_ready(&batch.tests[0]).await?;
        let attempts = agenda.attempts().clone();
        let prepared = attempts.prepare(&batch.tests);
        batch.sharing.clone_from(&prepared.sharing);
        let mut command = self.batch_command(locator, &batch.tests);
        command.env.extend(attempts.variables(&prepared));
        let spawned = agenda.attend(self.place.spawner.spawn(&command, Streams::Apart)).await?;
        let mut process = match spawned {
            Ok(process) => process,
            Err(error @ (SpawnError::Gone | SpawnError::NotFound { .. })) => {
                let first = batch.tests.remove(0);
                self.not_started(agenda, file, &first, false, error, prepared).await?;
                return Ok(Left { again: batch.tests, alone: Vec::new() });
            }
            Err(_) => {
                attempts.put_back(&prepared);
                let alone = batch.tests.into_iter().map(|test| (test, false)).collect();
                return Ok(Left { again: Vec::new(), alone });
            }
        };
        let mut pipes = process.take_pipes();
        let Ok(ended) = agenda.attend(batch.follow(&mut process, &mut pipes)).await else {
            process.kill(Duration::from(batch.tests[0].policy.grace));
            drop(pipes);
            let _spawner_gone = process.wait().await;
            return Err(Killed);
        };
        if let Some(how) = batch.died_after_the_last(&ended) {
            let message = format!("its process {how} after its last test had ended").into();
            let error = RunError { kind: RunErrorKind::Teardown, place: file.path.clone(), message };
            agenda.sink().tell(Tell::Error { file: None, error }).await;
        }
        let (last, left) = batch.settle(ended).await;
        let more = !(left.again.is_empty() && left.alone.is_empty()) || agenda.expects_shared();
        attempts.end_all(prepared, last.into_iter().collect(), more).await;
        Ok(left)
    }

    fn batch_command(&self, locator: &Locator, tests: &[TestWork]) -> Command {
        let mut arguments: Vec<String> = Vec::new();
        match locator {
            Locator::Binary(_) => {
                arguments.push("--exact".to_owned());
                arguments.extend(tests.iter().map(|test| test.name.to_string()));
            }
            Locator::Doc { .. } => arguments.extend(lines_of(tests)),
        }
        arguments.push("--test-threads=1".to_owned());
        arguments.extend(self.settings.ignored.argument().map(str::to_owned));
        match locator {
            Locator::Binary(binary) => listing::of_binary(&self.brief, &self.settings, &self.place, binary, arguments),
            Locator::Doc { package } => {
                let mut command = self.settings.doc_tests(&self.brief.suite, package, arguments);
                command.env.extend(crate::runner::exports::of_slot(&self.brief, &self.place));
                command
            }
        }
    }
}

/// What chooses doc tests by their lines: `(line 4)` ends with `4)`, as does `(line 14)`. Nothing, which chooses all,
/// where one of them has no line.
fn lines_of(tests: &[TestWork]) -> BTreeSet<String> {
    let lines = tests.iter().map(|test| listing::doc_line(&test.name).map(|line| format!("{line})")));
    lines.collect::<Option<_>>().unwrap_or_default()
}

async fn missing(agenda: &Agenda<'_>, test: &TestWork, begun: bool) {
    let reason = Some("rustdoc was asked for it, and did not run it".to_owned());
    if !begun {
        agenda.sink().tell(Tell::Started { test: test.test, attempt: test.attempt }).await;
    }
    let finished = Finished { outcome: Outcome::Missing, reason, ..blank(test, now(), Duration::ZERO) };
    let prepared = agenda.attempts().prepare(std::slice::from_ref(test));
    agenda.attempts().end(prepared, finished, agenda.expects_shared()).await;
}

/// What is left of a batch when its process has ended.
#[derive(Debug, Default)]
struct Left {
    /// Not begun: to be given to another process.
    again: Vec<TestWork>,
    /// Not accounted for: to be run alone. Some were told to have begun.
    alone: Vec<(TestWork, bool)>,
}

/// The tests of one process.
struct Batch<'a> {
    sink: &'a Sink,
    tests: Vec<TestWork>,
    by_name: BTreeMap<Arc<str>, usize>,
    states: Vec<State>,
    transcript: Transcript,
    stderr: Captured,
    /// The test that is running.
    running: Option<usize>,
    /// When something was last said: one test ends when the next begins.
    since: (Instant, Time),
    /// All its tests were said to have ended.
    over: bool,
    /// Those that use what all tests of the shard share.
    sharing: Vec<TestIx>,
    /// The process died under a test.
    died: bool,
    /// The result that is told when the process has ended: the last of those that share, or the last of all.
    last: Option<Finished>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Pending,
    /// Its start was told, and its end was not seen.
    Begun,
    /// It failed, and its output is still to come.
    Failed(Time, Duration),
    Told,
}

impl State {
    /// Its end was not seen.
    fn is_open(&self) -> bool {
        matches!(self, Self::Pending | Self::Begun)
    }
}

/// How the process of a batch ended.
struct Ended {
    exit: Option<Exit>,
    /// The running test exceeded its limit.
    timed_out: bool,
}

impl<'a> Batch<'a> {
    fn new(tests: Vec<TestWork>, sink: &'a Sink) -> Self {
        let by_name = tests.iter().enumerate().map(|(at, test)| (Arc::clone(&test.name), at)).collect();
        let states = vec![State::Pending; tests.len()];
        let since = (Instant::now(), now());
        let (transcript, stderr) = (Transcript::default(), Captured::default());
        Self {
            sink,
            tests,
            by_name,
            states,
            transcript,
            stderr,
            running: None,
            since,
            over: false,
            sharing: Vec::new(),
            died: false,
            last: None,
        }
    }

    /// Reads what the process prints until it has ended, and stops it when a test exceeds its limit.
    async fn follow(&mut self, process: &mut Process, pipes: &mut Pipes) -> Ended {
        let (mut exit, mut timed_out, mut open) = (None, false, true);
        let mut gone = false;
        while open || (exit.is_none() && !gone) {
            let deadline = if timed_out { None } else { Some(self.deadline()) };
            tokio::select! {
                biased;
                // First, since a process that prints without end always has something to be read.
                () = sleep_until(deadline) => {
                    timed_out = true;
                    let running = self.running.unwrap_or(0);
                    process.kill(Duration::from(self.tests[running].policy.grace));
                }
                printed = pipes.next(), if open => match printed {
                    Some(printed) => self.hear(printed).await,
                    None => open = false,
                },
                ended = process.wait(), if exit.is_none() && !gone => match ended {
                    Ok(ended) => {
                        exit = Some(ended);
                        let _held_open = tokio::time::timeout(HELD, self.read(pipes)).await;
                        open = false;
                    }
                    Err(_) => (gone, open) = (true, false),
                },
            }
        }
        Ended { exit, timed_out }
    }

    /// When the running test exceeds its limit, or the process its patience between tests.
    fn deadline(&self) -> Instant {
        let pending = || self.states.iter().position(State::is_open);
        let limit = match self.running.or_else(pending) {
            Some(at) => Duration::from(self.tests[at].policy.timeout),
            None => LAST,
        };
        self.since.0 + limit
    }

    async fn read(&mut self, pipes: &mut Pipes) {
        while let Some(printed) = pipes.next().await {
            self.hear(printed).await;
        }
    }

    async fn hear(&mut self, printed: Printed<'_>) {
        let said = match printed {
            Printed::Stdout(bytes) => self.transcript.read(bytes),
            Printed::Stderr(bytes) => {
                self.stderr.push(bytes);
                return;
            }
        };
        for said in said {
            match said {
                Said::Running => self.since = (Instant::now(), now()),
                Said::Began(name) => self.begin(&name).await,
                Said::Ended(name, result) => self.end(&name, result).await,
                Said::Summary => self.over = true,
            }
        }
    }

    /// The test called `name`, where it has not ended yet.
    fn open(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied().filter(|&at| self.states[at].is_open())
    }

    async fn tell_start(&mut self, at: usize) {
        if std::mem::replace(&mut self.states[at], State::Begun) == State::Pending {
            let test = &self.tests[at];
            self.sink.tell(Tell::Started { test: test.test, attempt: test.attempt }).await;
        }
    }

    async fn begin(&mut self, name: &str) {
        self.since = (Instant::now(), now());
        self.running = self.open(name);
        if let Some(at) = self.running {
            self.tell_start(at).await;
        }
    }

    async fn end(&mut self, name: &str, result: Verdict) {
        let (begun, started) = std::mem::replace(&mut self.since, (Instant::now(), now()));
        let duration = begun.elapsed();
        self.running = None;
        let Some(at) = self.open(name) else { return };
        self.tell_start(at).await;
        let outcome = match result {
            Verdict::Ok => Outcome::Passed,
            Verdict::Ignored => Outcome::Skipped,
            Verdict::Failed => {
                self.states[at] = State::Failed(started, duration);
                return;
            }
        };
        self.states[at] = State::Told;
        let finished = Finished { outcome, ..blank(&self.tests[at], started, duration) };
        self.tell(finished).await;
    }

    /// Tells a result. The last waits for what comes after the process.
    async fn tell(&mut self, finished: Finished) {
        // The one that is blamed comes last, even where others were not begun.
        let ended = || self.died || self.states.iter().all(|state| *state == State::Told);
        let waits = if self.sharing.is_empty() { ended() } else { self.sharing.contains(&finished.test) };
        let told = if waits { self.last.replace(finished) } else { Some(finished) };
        if let Some(told) = told {
            self.sink.tell(Tell::Finished(told)).await;
        }
    }

    /// How the process ended, if it ended badly when there was no test left to blame.
    fn died_after_the_last(&self, ended: &Ended) -> Option<String> {
        let exit = ended.exit.filter(|_| self.over && self.running.is_none())?;
        match exit.ending {
            Ending::Exited(0 | 101) => None,
            _ if ended.timed_out => Some("did not end, and was killed,".to_owned()),
            ending => Some(format!("died with {ending}")),
        }
    }

    /// Tells what only the end shows; says which result is not told yet, and what is left.
    async fn settle(mut self, ended: Ended) -> (Option<Finished>, Left) {
        let stderr = std::mem::take(&mut self.stderr).into_bytes();
        self.tell_failed().await;
        let begun = self.states.contains(&State::Told);
        let whole = self.over && matches!(ended.exit.map(|exit| exit.ending), Some(Ending::Exited(0 | 101)));
        let blamed = if whole { None } else { self.running };
        if let Some(at) = blamed {
            self.died = true;
            let finished = self.blame(at, &ended, stderr);
            self.states[at] = State::Told;
            self.tell(finished).await;
        }
        let last = self.last.take();
        let open = self.tests.into_iter().zip(self.states).filter(|(_, state)| state.is_open());
        // A process that died before any test began would do so again.
        let left = if whole || (blamed.is_none() && !begun) {
            Left { alone: open.map(|(test, state)| (test, state == State::Begun)).collect(), ..Left::default() }
        } else {
            let (alone, again): (Vec<_>, Vec<_>) = open.partition(|(_, state)| *state == State::Begun);
            Left {
                alone: alone.into_iter().map(|(test, _)| (test, true)).collect(),
                again: again.into_iter().map(|(test, _)| test).collect(),
            }
        };
        (last, left)
    }

    async fn tell_failed(&mut self) {
        for at in 0..self.tests.len() {
            let State::Failed(started, duration) = self.states[at] else { continue };
            self.states[at] = State::Told;
            let test = &self.tests[at];
            let output = self.transcript.take_section(&test.name);
            let reason = if self.over {
                failure(&output)
            } else {
                "failed; its output was lost with the process, which died before the end".to_owned()
            };
            let finished =
                Finished { outcome: Outcome::Failed, reason: Some(reason), output, ..blank(test, started, duration) };
            self.tell(finished).await;
        }
    }

    fn blame(&self, at: usize, ended: &Ended, output: Vec<u8>) -> Finished {
        let test = &self.tests[at];
        let (begun, started) = self.since;
        let (outcome, reason) = match ended.exit {
            _ if ended.timed_out => (Outcome::TimedOut, format!("timed out after {}", test.policy.timeout)),
            Some(Exit { ending: Ending::Exited(code), .. }) => {
                (Outcome::Crashed, format!("the process exited with code {code} before the test had ended"))
            }
            Some(exit) => (Outcome::Crashed, crash(&exit, &output)),
            None => (Outcome::Crashed, String::new()),
        };
        let reason = Some(one_line(&reason));
        let finished = Finished { outcome, reason, output, ..blank(test, started, begun.elapsed()) };
        match &ended.exit {
            Some(exit) => finished.with_exit(exit),
            None => finished.not_started(&SpawnError::Gone),
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
