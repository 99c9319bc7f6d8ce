//! One start of the command: for one test, or for a list of them.
//!
//! When several were asked for and the command died or ran out of time, those without a result are run again, one by
//! one: nothing tells which of them was to blame.

use super::found::{Found, Report, merge, quoted, reconcile};
use super::settings::ResultFormat;
use super::template::{Values, expand};
use super::{Exec, error_of, junit, tap};
use crate::process::{Captured, Command, Ending, Exit, Ran, SpawnError, Streams};
use crate::runner::agenda::{Agenda, Killed};
use crate::runner::clock::now;
use crate::runner::reason::one_line;
use crate::runner::{FileWork, Finished, Sink, Tell, TestWork, exports};
use regatta_domain::listing::test_id;
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Micros, Nuance, Outcome, TestIx, Time};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// The longest result file that is read: GitLab takes 30 MB, Jenkins has seen larger ones.
const RESULT_BYTES: u64 = 64 * 1024 * 1024;

/// What came of one start of the command.
struct Attempt {
    ran: Ran,
    report: Option<Report>,
    limit: Micros,
    started: Time,
}

impl Exec {
    /// Runs `tests` of `file` in one start of the command, and those that it leaves open in one each.
    pub(super) async fn run(
        &mut self,
        agenda: &mut Agenda<'_>,
        file: &FileWork,
        tests: Vec<TestWork>,
    ) -> Result<(), Killed> {
        let open = self.start(agenda, file, &tests, false).await?;
        for test in tests.into_iter().filter(|test| open.contains(&test.test)) {
            agenda.until_ready(&test).await?;
            self.start(agenda, file, std::slice::from_ref(&test), true).await?;
        }
        Ok(())
    }

    /// One start of the command; says which tests are to be run alone. `begun`: their start was told already.
    async fn start(
        &mut self,
        agenda: &mut Agenda<'_>,
        file: &FileWork,
        tests: &[TestWork],
        begun: bool,
    ) -> Result<Vec<TestIx>, Killed> {
        let sink = agenda.sink();
        let (directory, mut command) = match self.prepare(file, tests) {
            Ok(prepared) => prepared,
            Err(error) => {
                let message = format!("cannot write the list of tests in {}: {error}", self.place.scratch.display());
                let error = error_of(&self.brief, RunErrorKind::Infrastructure, &message);
                sink.tell(Tell::Error { file: None, error }).await;
                return Err(Killed);
            }
        };
        let attempts = agenda.attempts().clone();
        let prepared = attempts.prepare(tests);
        command.env.extend(attempts.variables(&prepared));
        let ended = self.attend(agenda, &command, tests, begun).await;
        let report = match &ended {
            Ok(Ok((ran, ..))) => self.report(&directory.join("result"), ran).await,
            _ => None,
        };
        let _left_to_the_end_of_the_slot = fs::remove_dir_all(&directory);
        match ended? {
            Ok((ran, limit, started)) => {
                let attempt = Attempt { ran, report, limit, started };
                let (results, open) = self.results(sink, tests, attempt).await;
                let more = !open.is_empty() || agenda.expects_shared();
                attempts.end_all(prepared, results, more).await;
                Ok(open)
            }
            Err(SpawnError::Gone) => {
                let error = error_of(&self.brief, RunErrorKind::Infrastructure, &SpawnError::Gone.to_string());
                sink.tell(Tell::Error { file: None, error }).await;
                Err(Killed)
            }
            Err(error) if error.is_of_the_machine() => {
                // It may start when the machine has come to itself, or elsewhere: that says nothing about the suite.
                let at = now();
                let mut results = Vec::new();
                for test in tests {
                    if !begun {
                        sink.tell(Tell::Started { test: test.test, attempt: test.attempt }).await;
                    }
                    let found = Found { outcome: Outcome::Crashed, ..Found::named("") };
                    results.push(finished(test, found, at, Duration::ZERO, &[]).not_started(&error));
                }
                attempts.end_all(prepared, results, agenda.expects_shared()).await;
                Ok(Vec::new())
            }
            Err(error) => {
                let error = error_of(&self.brief, RunErrorKind::Runner, &error.to_string());
                sink.tell(Tell::Error { file: None, error }).await;
                Err(Killed)
            }
        }
    }

    /// A directory of its own, with the list in it, and the command.
    fn prepare(&mut self, file: &FileWork, tests: &[TestWork]) -> io::Result<(PathBuf, Command)> {
        self.starts += 1;
        let directory = self.place.scratch.join(format!("exec-{}", self.starts));
        fs::create_dir_all(&directory)?;
        let list = directory.join("tests.txt");
        if self.settings.has("{file}") {
            fs::write(&list, tests.iter().map(|test| format!("{}\n", test.name)).collect::<String>())?;
        }
        let values = Values { id: &tests[0].name, file: &list, result: &directory.join("result") };
        let argv = expand(&self.settings.command, values);
        let mut command = Command { argv: argv.into_iter().map(Into::into).collect(), ..Command::default() };
        Path::new(&*self.brief.suite.root).clone_into(&mut command.cwd);
        command.env = exports::of_slot(&self.brief, &self.place);
        if let [test] = tests {
            command.env.extend(exports::of_attempt(test_id(&file.path, &test.name), test.attempt));
        }
        Ok((directory, command))
    }

    async fn attend(
        &self,
        agenda: &mut Agenda<'_>,
        command: &Command,
        tests: &[TestWork],
        begun: bool,
    ) -> Result<Result<(Ran, Micros, Time), SpawnError>, Killed> {
        let limit: Micros = tests.iter().map(|test| test.policy.timeout).sum();
        let grace = Duration::from(tests[0].policy.grace);
        let streams = if self.reads_output() { Streams::Apart } else { Streams::Merged };
        let started = now();
        let mut process = match agenda.attend(self.place.spawner.spawn(command, streams)).await? {
            Ok(process) => process,
            Err(error) => return Ok(Err(error)),
        };
        if self.reads_output() {
            process.keep_list();
        }
        for test in tests.iter().filter(|_| !begun) {
            agenda.sink().tell(Tell::Started { test: test.test, attempt: test.attempt }).await;
        }
        // A limit of centuries is none.
        let limit_here = Duration::from(limit).min(Duration::from_secs(30 * 24 * 3600));
        let ended = agenda.attend(process.run_until(Instant::now() + limit_here, grace)).await;
        let Ok(ended) = ended else {
            process.kill(grace);
            let _spawner_gone = process.wait().await;
            return Err(Killed);
        };
        Ok(ended.map(|ran| (ran, limit, started)))
    }

    /// Whether results are read from standard output.
    fn reads_output(&self) -> bool {
        self.settings.result == ResultFormat::Tap && !self.settings.has("{result}")
    }

    /// What the command reported, where that is more than its exit code.
    async fn report(&self, path: &Path, ran: &Ran) -> Option<Report> {
        let format = self.settings.result;
        if format == ResultFormat::ExitCode {
            return None;
        }
        let (path, output) = (path.to_owned(), self.reads_output().then(|| ran.stdout.clone()));
        // Large files take a while to read and parse.
        let parsed = tokio::task::spawn_blocking(move || {
            let bytes = match output {
                Some(output) => output.into_bytes(),
                None => read(&path)?,
            };
            Ok(match format {
                ResultFormat::Tap => tap::parse(&String::from_utf8_lossy(&bytes)),
                ResultFormat::Junit | ResultFormat::ExitCode => junit::parse(&bytes),
            })
        });
        let faulty = |fault: String| Report { fault: Some(fault), ..Report::default() };
        Some(match parsed.await {
            Ok(Ok(report)) => report,
            Ok(Err(fault)) => faulty(fault),
            Err(stopped) => faulty(format!("reading its results was stopped: {stopped}")),
        })
    }

    /// The results, and which tests are to be run alone; tells what is wrong beside them.
    async fn results(&self, sink: &Sink, tests: &[TestWork], attempt: Attempt) -> (Vec<Finished>, Vec<TestIx>) {
        let Attempt { ran, report, limit, started } = attempt;
        let died = died(&ran, limit);
        let output = output(ran.stdout, ran.stderr);
        let duration = ran.exit.duration;
        let Some(report) = report else {
            // An exit code speaks of one test.
            let found = by_exit_code(&ran.exit, died);
            return (vec![finished(&tests[0], found, started, duration, &output).with_exit(&ran.exit)], Vec::new());
        };
        let (results, unasked) = self.reconciled(tests, &report);
        let failed = results.iter().flatten().any(|found| !found.outcome.is_ok());
        let share = duration / u32::try_from(results.iter().flatten().count().max(1)).unwrap_or(u32::MAX);
        let (mut told, mut open) = (Vec::new(), Vec::new());
        for (test, found) in tests.iter().zip(results) {
            match found {
                Some(found) => {
                    let found = if tests.len() == 1 { whole(found, &report, &ran.exit, died.as_ref()) } else { found };
                    let took = found.duration.unwrap_or(share);
                    let is_only = tests.len() == 1;
                    let finished = finished(test, found, started, took, if is_only { &output } else { &[] });
                    told.push(if is_only { finished.with_exit(&ran.exit) } else { finished });
                }
                None if tests.len() > 1 && (died.is_some() || report.fault.is_some()) => open.push(test.test),
                None => {
                    let found = without(&report, died.as_ref(), &unasked);
                    told.push(finished(test, found, started, share, &output).with_exit(&ran.exit));
                }
            }
        }
        let bad_end = ran.exit.ending != Ending::Exited(0) && !failed && open.is_empty() && tests.len() > 1;
        if bad_end {
            let message = format!("no test failed, and the command ended with {}", ran.exit.ending);
            let error = error_of(&self.brief, RunErrorKind::Teardown, &message);
            sink.tell(Tell::Error { file: None, error }).await;
        }
        if !unasked.is_empty() {
            let message = format!("the command reported results that nobody asked for: {}", quoted(&unasked));
            let error = error_of(&self.brief, RunErrorKind::Collection, &message);
            sink.tell(Tell::Error { file: None, error }).await;
        }
        (told, open)
    }

    /// A result for each test, and the names of results that nobody asked for. The suite that is a test, and the TAP of
    /// one test (whose lines are its parts, and have names of their own), is the sum of what is reported.
    fn reconciled(&self, tests: &[TestWork], report: &Report) -> (Vec<Option<Found>>, Vec<String>) {
        if let Some(reason) = report.skipped.as_ref().filter(|_| report.found.is_empty()) {
            let skipped = |test: &TestWork| {
                let reason = Some(reason.clone());
                Some(Found { outcome: Outcome::Skipped, reason, ..Found::named(&test.name) })
            };
            return (tests.iter().map(skipped).collect(), Vec::new());
        }
        let asked: Vec<&str> = tests.iter().map(|test| &*test.name).collect();
        let reconciled = reconcile(&asked, report);
        let is_sum = !self.settings.has_names() || self.settings.result == ResultFormat::Tap;
        match (&asked[..], &reconciled.asked[..]) {
            ([name], [None]) if is_sum => (vec![merge(name, report.found.iter())], Vec::new()),
            _ => (reconciled.asked, reconciled.unasked),
        }
    }
}

/// How the process died, if it did not end by itself: the outcome of what was running, and why.
fn died(ran: &Ran, limit: Micros) -> Option<(Outcome, String)> {
    match ran.exit.ending {
        _ if ran.timed_out => Some((Outcome::TimedOut, format!("timed out after {limit}"))),
        ending @ Ending::Signalled(_) => {
            let guess = ran.exit.guess().map(|guess| format!(": {guess}")).unwrap_or_default();
            Some((Outcome::Crashed, format!("{ending}{guess}")))
        }
        Ending::Exited(_) => None,
    }
}

fn by_exit_code(exit: &Exit, died: Option<(Outcome, String)>) -> Found {
    let (outcome, reason) = match (died, exit.ending) {
        (Some((outcome, reason)), _) => (outcome, Some(reason)),
        (None, Ending::Exited(0)) => (Outcome::Passed, None),
        (None, ending) => (Outcome::Failed, Some(ending.to_string())),
    };
    Found { outcome, reason, ..Found::named("") }
}

/// The result of the only test of a start, of which all of the report and the way it ended speak.
fn whole(found: Found, report: &Report, exit: &Exit, died: Option<&(Outcome, String)>) -> Found {
    if !found.outcome.is_ok() {
        return found;
    }
    let worse = match (died, &report.fault, exit.ending) {
        (Some((outcome, reason)), ..) => Some((*outcome, reason.clone())),
        (None, Some(fault), _) => Some((Outcome::Failed, fault.clone())),
        (None, None, Ending::Exited(0)) => None,
        (None, None, ending) => Some((Outcome::Failed, format!("nothing failed, and the command ended with {ending}"))),
    };
    match worse {
        Some((outcome, reason)) => Found { outcome, reason: Some(reason), nuance: Nuance::Plain, ..found },
        None => found,
    }
}

/// What a test is that has no result.
fn without(report: &Report, died: Option<&(Outcome, String)>, unasked: &[String]) -> Found {
    let (outcome, reason) = match (died, &report.fault) {
        (Some((outcome, reason)), _) => (*outcome, reason.clone()),
        (None, Some(fault)) => (Outcome::Missing, fault.clone()),
        (None, None) if unasked.is_empty() => (Outcome::Missing, "its results hold nothing".to_owned()),
        (None, None) => (Outcome::Missing, format!("its results do not hold it; they hold {}", quoted(unasked))),
    };
    Found { outcome, reason: Some(reason), ..Found::named("") }
}

fn finished(test: &TestWork, found: Found, started: Time, duration: Duration, printed: &[u8]) -> Finished {
    let mut output = printed.to_vec();
    if !found.text.trim().is_empty() {
        if !output.is_empty() && !output.ends_with(b"\n") {
            output.push(b'\n');
        }
        output.extend_from_slice(found.text.as_bytes());
    }
    Finished {
        test: test.test,
        attempt: test.attempt,
        outcome: found.outcome,
        nuance: found.nuance,
        cause: None,
        exit: None,
        started,
        duration,
        reason: found.reason.as_deref().map(one_line),
        output,
        observation: None,
    }
}

/// What was printed on both streams, bounded as the output of an attempt is: a list may have been longer.
fn output(stdout: Captured, stderr: Captured) -> Vec<u8> {
    let mut all = Captured::default();
    all.append(stdout);
    all.append(stderr);
    all.into_bytes()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(RESULT_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(length) if length as u64 > RESULT_BYTES => Err("its result file is larger than 64 MiB".to_owned()),
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("it wrote no result file".to_owned()),
        Err(error) => Err(format!("its result file cannot be read: {error}")),
    }
}
