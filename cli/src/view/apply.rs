//! The fold: one event in, what is new about it out.

use super::{Attempt, ErrorAt, File, Late, LeaseAt, Loss, Running, Suite, Test, View};
use regatta_domain::listing::ListedFile;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::report::{CancelCause, RunOutcome};
use regatta_domain::result::{RunError, TestResult};
use regatta_domain::submission::Resumed;
use regatta_domain::{Cause, Costs, FileIx, Level, Micros, Outcome, PolicyIx, Source, SuiteIx, TestIx, Time, Verdict};
use regatta_wire::v1::{self, run_event::Event};
use regatta_wire::verdict::Closed as _;
use regatta_wire::{Invalid, needs, test_key};
use std::sync::Arc;

/// What is new about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It was handed in.
    Submitted,
    /// Files or tests joined or left the plan.
    Planned,
    /// A test left the plan: its file no longer holds it.
    Gone(TestIx),
    /// A shard was leased.
    Leased(u64),
    /// A test began.
    Started(TestIx),
    /// A test did not pass, and runs once more: its last attempt says why.
    Retried(TestIx),
    /// A test has its verdict.
    Verdict(TestIx, Verdict),
    /// A worker was lost, and the test that it ran is run again.
    Lost(TestIx),
    /// A result came too late, and was refused: the index among those of its test.
    Refused(TestIx, usize),
    /// Something went wrong beside the tests: the index of the error.
    Erred(usize),
    /// Work that takes long says how far it is.
    Note(String),
    /// It is being ended before its time.
    Cancelled(CancelCause),
    /// All verdicts are in.
    Closing,
    /// It ended.
    Ended(RunOutcome),
}

impl View {
    /// Takes an event in.
    ///
    /// # Errors
    /// When the event makes no sense: the coordinator speaks another language.
    pub(crate) fn apply(&mut self, event: v1::RunEvent) -> Result<Vec<News>, Invalid> {
        if event.seq > 0 {
            self.seq = event.seq;
        }
        let at = Time(event.at);
        self.at = at;
        let mut news = Vec::new();
        match event.event {
            Some(Event::RunSubmitted(submitted)) => {
                self.submitted = at;
                self.project = submitted.project;
                let named = submitted.suites.into_iter().zip(submitted.runners).zip(submitted.roots);
                let mut costs = submitted.costs.into_iter().map(Costs::from);
                let mut requires = submitted.requires.into_iter();
                let suite = |((name, runner), root)| Suite {
                    name,
                    runner,
                    root,
                    costs: costs.next().unwrap_or_default(),
                    requires: labels(&requires.next().unwrap_or_default()),
                };
                self.suites = named.map(suite).collect();
                let needs = submitted.needs.into_iter().map(|needs| needs::read("needs", needs.needs));
                self.needs = needs.collect::<Result<_, _>>()?;
                self.policies = submitted.policies.into_iter().map(TestPolicy::try_from).collect::<Result<_, _>>()?;
                self.resumes = submitted.resumes.map(Resumed::try_from).transpose()?;
                self.policy = submitted.policy.map(RunPolicy::try_from).transpose()?.unwrap_or_default();
                news.push(News::Submitted);
            }
            Some(Event::FilesPlanned(planned)) => {
                self.files_planned(planned)?;
                news.push(News::Planned);
            }
            Some(Event::TestsPlanned(planned)) => {
                news.push(News::Planned);
                self.tests_planned(planned, &mut news)?;
            }
            Some(Event::ShardLeased(leased)) => {
                self.first_lease.get_or_insert(at);
                self.begun |= !leased.tests.is_empty();
                if let Some(since) = self.idle_since.take() {
                    *self.waited.entry(self.scarce(&leased.tests)).or_default() += at.since(since);
                }
                self.slots.entry((leased.worker.clone(), leased.slot)).or_default();
                let lease = LeaseAt { worker: leased.worker, slot: leased.slot, discovers: leased.discover };
                self.leases.insert(leased.token, lease);
                news.push(News::Leased(leased.token));
            }
            Some(Event::TestsStarted(started)) => {
                self.begun = true;
                for test in started.tests.into_iter().map(TestIx).filter(|test| test.at() < self.tests.len()) {
                    let running = Running { since: at, worker: started.worker.clone(), slot: started.slot };
                    if self.test(test).verdict.is_none() {
                        self.running.insert(test, running);
                        news.push(News::Started(test));
                    }
                }
            }
            Some(Event::ResultsAccepted(accepted)) => self.accepted(accepted, &mut news)?,
            Some(Event::LeaseEnded(ended)) => {
                self.lease_ended(&ended, &mut news)?;
                self.idle_since = self.leases.is_empty().then_some(at);
            }
            Some(Event::ResultsRefused(refused)) => {
                for late in refused.results {
                    let outcome = Outcome::field("outcome", late.outcome)?;
                    let (token, number, duration) = (refused.token, late.attempt, Micros(late.duration));
                    if let Some(test) = self.tests.get_mut(late.test as usize) {
                        test.refused.push(Late { at, token, number, outcome, duration });
                        news.push(News::Refused(TestIx(late.test), test.refused.len() - 1));
                    }
                }
            }
            Some(Event::VerdictsGiven(given)) => {
                let cause = regatta_wire::verdict::cause("cause", given.cause)?;
                if let Some(verdict) = verdict(given.verdict)? {
                    for test in given.tests.into_iter().map(TestIx) {
                        self.give(test, verdict, cause);
                        news.push(News::Verdict(test, verdict));
                    }
                }
            }
            Some(Event::RunErred(erred)) => {
                if let Some(error) = erred.error {
                    let file = erred.file.map(FileIx);
                    if let Some(file) = file.and_then(|file| self.files.get_mut(file.at())) {
                        file.listed = true;
                    }
                    self.errors.push(ErrorAt { error: RunError::try_from(error)?, file });
                    news.push(News::Erred(self.errors.len() - 1));
                }
            }
            Some(Event::RunCancelled(cancelled)) => {
                let cause = CancelCause::field("cause", cancelled.cause)?;
                // A second word only makes an end of what still runs.
                if self.cancelled.is_none() {
                    self.cancelled = Some(cause);
                    news.push(News::Cancelled(cause));
                }
            }
            Some(Event::RunClosing(_)) => {
                self.closing = true;
                news.push(News::Closing);
            }
            Some(Event::RunEnded(ended)) => {
                let outcome = RunOutcome::field("outcome", ended.outcome)?;
                self.ended = Some(at);
                self.outcome = Some(outcome);
                self.running.clear();
                news.push(News::Ended(outcome));
            }
            Some(Event::Note(note)) => news.push(News::Note(note.text)),
            Some(Event::TestsGivenBack(_)) | None => {}
        }
        Ok(news)
    }

    fn files_planned(&mut self, planned: v1::FilesPlanned) -> Result<(), Invalid> {
        let suite = SuiteIx(u16::try_from(planned.suite).unwrap_or(u16::MAX));
        for file in planned.gone {
            if let Some(file) = self.files.get_mut(file as usize) {
                file.listed = true;
            }
        }
        for file in planned.files {
            let file = ListedFile::try_from(file)?;
            self.files.push(File { suite, path: file.path, listed: false });
        }
        Ok(())
    }

    fn tests_planned(&mut self, planned: v1::TestsPlanned, news: &mut Vec<News>) -> Result<(), Invalid> {
        let file = FileIx(planned.file);
        for ix in planned.gone.into_iter().map(TestIx) {
            if let Some(test) = self.tests.get_mut(ix.at()).filter(|test| !test.gone) {
                test.gone = true;
                self.gone += 1;
                self.estimated = self.estimated.saturating_sub(test.estimate);
                self.left = self.left.saturating_sub(test.estimate);
                news.push(News::Gone(ix));
            }
            self.running.remove(&ix);
        }
        if let Some(file) = self.files.get_mut(file.at()) {
            file.listed = true;
        }
        self.grew |= self.begun && !planned.tests.is_empty();
        for test in planned.tests {
            let ix = TestIx::nth(self.tests.len());
            self.left += Micros(test.estimate);
            self.estimated += Micros(test.estimate);
            self.tests.push(Test {
                file,
                name: test.name.into(),
                line: test.line,
                key: test_key("key", &test.key)?,
                policy: PolicyIx(u16::try_from(test.policy).unwrap_or(u16::MAX)),
                group: test.group,
                estimate: Micros(test.estimate),
                known: test.known,
                spread: u16::try_from(test.spread).unwrap_or(u16::MAX),
                source: Source::read(test.source).unwrap_or_default(),
                risk: u16::try_from(test.risk).unwrap_or(u16::MAX),
                level: Level::field("level", test.level)?,
                needs: test.needs,
                ignored: test.left_out,
                verdict: None,
                attempts: Vec::new(),
                cause: None,
                lost: Vec::new(),
                refused: Vec::new(),
                gone: false,
            });
            if test.ignored {
                self.give(ix, Verdict::Skipped, None);
                news.push(News::Verdict(ix, Verdict::Skipped));
            }
        }
        Ok(())
    }

    fn accepted(&mut self, accepted: v1::ResultsAccepted, news: &mut Vec<News>) -> Result<(), Invalid> {
        self.begun = true;
        let slot = self.leases.get(&accepted.token).map(|lease| (lease.worker.clone(), lease.slot));
        for accepted in accepted.results {
            let Some(result) = accepted.result else { continue };
            let result = TestResult::try_from(result)?;
            let verdict = verdict(accepted.verdict)?;
            let ix = result.test;
            self.running.remove(&ix);
            if let Some(busy) = slot.as_ref().and_then(|slot| self.slots.get_mut(slot)) {
                *busy += result.duration;
            }
            let observation = result.observation.map(|seen| self.once(seen));
            let Some(test) = self.tests.get_mut(ix.at()) else { continue };
            test.attempts.push(Attempt {
                number: result.attempt,
                outcome: result.outcome,
                nuance: result.nuance,
                cause: result.cause.or_else(|| result.outcome.cause(result.nuance)),
                exit: result.exit,
                started: result.started,
                duration: result.duration,
                reason: result.reason,
                output: result.output,
                observation,
                slot: slot.clone(),
            });
            let cause = test.attempts.iter().rev().find_map(|attempt| attempt.cause);
            match verdict {
                Some(verdict) => {
                    self.give(ix, verdict, cause);
                    news.push(News::Verdict(ix, verdict));
                }
                None => news.push(News::Retried(ix)),
            }
        }
        Ok(())
    }

    /// What tests need that were waited for, if they need anything.
    fn scarce(&self, tests: &[u32]) -> Option<Arc<str>> {
        let first = tests.first().map(|&test| TestIx(test)).filter(|test| test.at() < self.tests.len());
        first.and_then(|test| self.needs_of(test).first()).map(|need| Arc::clone(&need.resource))
    }

    fn lease_ended(&mut self, ended: &v1::LeaseEnded, news: &mut Vec<News>) -> Result<(), Invalid> {
        let lease = self.leases.remove(&ended.token);
        let slot = lease.as_ref().map(|lease| (lease.worker.clone(), lease.slot));
        let cause = ended.cause();
        if matches!(cause, v1::LeaseEnd::WorkerLost | v1::LeaseEnd::Overdue) {
            self.lost += 1;
        }
        self.revoked += u32::from(cause == v1::LeaseEnd::Revoked);
        if matches!(cause, v1::LeaseEnd::WorkerLost | v1::LeaseEnd::Overdue | v1::LeaseEnd::Revoked)
            && let Some(lease) = lease
        {
            self.running.retain(|_, running| running.worker != lease.worker || running.slot != lease.slot);
        }
        let Some(blamed) = ended.blamed.map(TestIx).filter(|test| test.at() < self.tests.len()) else { return Ok(()) };
        let untold = if cause == v1::LeaseEnd::Overdue { Cause::Timeout } else { Cause::WorkerLost };
        let why = regatta_wire::verdict::cause("why", ended.why)?.unwrap_or(untold);
        let loss = Loss { number: ended.attempt, cause: why, ran: Micros(ended.ran), slot };
        self.tests[blamed.at()].lost.push(loss);
        match verdict(ended.verdict)? {
            Some(verdict) => {
                self.give(blamed, verdict, Some(why));
                news.push(News::Verdict(blamed, verdict));
            }
            None => news.push(News::Lost(blamed)),
        }
        Ok(())
    }

    /// A test has its verdict, and why, where it is none that passes.
    fn give(&mut self, test: TestIx, verdict: Verdict, cause: Option<Cause>) {
        self.running.remove(&test);
        if let Some(test) = self.tests.get_mut(test.at()).filter(|test| test.verdict.is_none()) {
            test.verdict = Some(verdict);
            test.cause = cause.filter(|_| !verdict.is_ok());
            self.left = self.left.saturating_sub(test.estimate);
            self.counts.add(verdict);
        }
    }
}

/// The labels of a list with commas.
fn labels(list: &str) -> Vec<String> {
    list.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect()
}

/// A verdict on the wire, where one was reached.
fn verdict(value: i32) -> Result<Option<Verdict>, Invalid> {
    if value == 0 { Ok(None) } else { Verdict::field("verdict", value).map(Some) }
}
