//! A process per test: nothing to parse, a crash harms nobody else, and what it printed is its own.

use super::Rust;
use super::judge::judge;
use super::listing;
use super::locator::Binary;
use crate::process::{Command, SpawnError, Streams};
use crate::runner::agenda::{Agenda, Killed};
use crate::runner::attempts::Prepared;
use crate::runner::clock::now;
use crate::runner::{FileWork, Finished, Tell, TestWork, exports};
use regatta_domain::listing::test_id;
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{Nuance, Outcome, Time};
use std::time::Duration;
use tokio::time::Instant;

impl Rust {
    /// Runs `test` in a process of its own. `begun`: its start was told already.
    pub(super) async fn alone(
        &self,
        agenda: &mut Agenda<'_>,
        file: &FileWork,
        binary: &Binary,
        test: TestWork,
        begun: bool,
    ) -> Result<(), Killed> {
        let sink = agenda.sink();
        agenda.until_ready(&test).await?;
        let attempts = agenda.attempts().clone();
        let prepared = attempts.prepare(std::slice::from_ref(&test));
        let mut command = self.command(file, binary, &test);
        command.env.extend(attempts.variables(&prepared));
        let started = now();
        let deadline = Instant::now() + Duration::from(test.policy.timeout);
        let spawned = agenda.attend(self.place.spawner.spawn(&command, Streams::Merged)).await?;
        let mut process = match spawned {
            Ok(process) => process,
            Err(error) => return self.not_started(agenda, file, &test, begun, error, prepared).await,
        };
        if !begun {
            sink.tell(Tell::Started { test: test.test, attempt: test.attempt }).await;
        }
        let grace = Duration::from(test.policy.grace);
        let ended = agenda.attend(process.run_until(deadline, grace)).await;
        let Ok(ended) = ended else {
            process.kill(grace);
            let _spawner_gone = process.wait().await;
            return Err(Killed);
        };
        let finished = match ended {
            Ok(ran) => {
                let limit = ran.timed_out.then_some(test.policy.timeout);
                let judged = judge(&test.name, &ran.exit, limit, ran.stdout.into_bytes());
                let finished = Finished {
                    outcome: judged.outcome,
                    reason: judged.reason,
                    output: judged.output,
                    ..blank(&test, started, ran.exit.duration)
                };
                finished.with_exit(&ran.exit)
            }
            Err(error) => {
                let finished = Finished { outcome: Outcome::Crashed, ..blank(&test, started, Duration::ZERO) };
                finished.not_started(&error)
            }
        };
        attempts.end(prepared, finished, agenda.expects_shared()).await;
        Ok(())
    }

    fn command(&self, file: &FileWork, binary: &Binary, test: &TestWork) -> Command {
        let mut arguments = vec!["--exact".to_owned(), test.name.to_string(), "--nocapture".to_owned()];
        arguments.extend(self.settings.ignored.argument().map(str::to_owned));
        let mut command = listing::of_binary(&self.brief, &self.settings, &self.place, binary, arguments);
        command.env.extend(exports::of_attempt(test_id(&file.path, &test.name), test.attempt));
        command
    }

    /// The test was not begun. When the spawner is gone nothing else will be either, and the coordinator gives what is
    /// left to others.
    pub(super) async fn not_started(
        &self,
        agenda: &mut Agenda<'_>,
        file: &FileWork,
        test: &TestWork,
        begun: bool,
        error: SpawnError,
        prepared: Prepared,
    ) -> Result<(), Killed> {
        let sink = agenda.sink();
        if matches!(error, SpawnError::Gone) {
            let message = error.to_string().into();
            let error = RunError { kind: RunErrorKind::Infrastructure, place: file.path.clone(), message };
            sink.tell(Tell::Error { file: None, error }).await;
            return Err(Killed);
        }
        let outcome = match error {
            SpawnError::NotFound { .. } | SpawnError::NoDirectory { .. } => Outcome::Missing,
            _ => Outcome::Crashed,
        };
        if !begun {
            sink.tell(Tell::Started { test: test.test, attempt: test.attempt }).await;
        }
        let finished = Finished { outcome, ..blank(test, now(), Duration::ZERO) }.not_started(&error);
        agenda.attempts().end(prepared, finished, agenda.expects_shared()).await;
        Ok(())
    }
}

/// A result of `test` to be filled in.
pub(super) fn blank(test: &TestWork, started: Time, duration: Duration) -> Finished {
    Finished {
        test: test.test,
        attempt: test.attempt,
        outcome: Outcome::Passed,
        nuance: Nuance::Plain,
        cause: None,
        exit: None,
        started,
        duration,
        reason: None,
        output: Vec::new(),
        observation: None,
    }
}
