//! What the core's events mean to whoever watches, and to the tables.
//!
//! The translator folds the same events into a state of its own, and looks at it before and after each: so that every
//! verdict is said, also those that follow from a rule and not from a result, and indexes are those of the core. It decides
//! nothing. Its invariant, asserted: the verdicts that were said are the verdicts that the core counts.

use super::before::{Before, left_out};
use super::meter::Meter;
use crate::store::projection::{Row, Scope};
use prost::Message as _;
use regatta_core::state::Place;
use regatta_core::{Accepted, Blamed, Event, LeaseEnd, Refused, Run, State, Then, Work};
use regatta_domain::evidence::{Evidence, Observed};
use regatta_domain::history::Queried;
use regatta_domain::report::Counts;
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{Cause, FileIx, Micros, RunId, SlotIx, SuiteIx, TestIx, Time, Token, Verdict, WorkerId};
use regatta_wire::limits::ITEMS_PER_EVENT;
use regatta_wire::v1::{self, run_event::Event as Told};
use regatta_wire::verdict::of_cause;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Folds events, and tells what they mean.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Translator {
    state: State,
    runs: BTreeMap<RunId, Tale>,
}

/// What was told of a run so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tale {
    /// The commit it began with.
    pub(super) first: u64,
    /// The last event.
    pub(super) seq: u64,
    /// The last moment that an event named.
    at: Time,
    counts: Counts,
    errors: u32,
    meter: Meter,
    /// What attempts of tests without a verdict were seen to do with their databases.
    seen: BTreeMap<TestIx, Observed>,
}

/// What one event of the core means.
#[derive(Debug, Default)]
pub(super) struct Meaning {
    /// Events for those who watch, each with its size in bytes.
    pub(super) events: Vec<(v1::RunEvent, usize)>,
    /// Rows for the tables.
    pub(super) rows: Vec<Row>,
}

impl Translator {
    /// One that goes on from where another one stood.
    pub(super) const fn resume(state: State, runs: BTreeMap<RunId, Tale>) -> Self {
        Self { state, runs }
    }

    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// What was told of the live runs.
    pub(super) const fn runs(&self) -> &BTreeMap<RunId, Tale> {
        &self.runs
    }

    /// How far a run is, as a row.
    pub(super) fn progress(&self, run: RunId) -> Option<Row> {
        let (run, tale) = (self.state.run(run)?, self.runs.get(&run)?);
        let ended = match run.phase {
            regatta_core::state::Phase::Ended(outcome) => Some((tale.at, outcome)),
            _ => None,
        };
        Some(Row::Progress { run: run.id, counts: run.counts, errors: run.errors_total, ended })
    }

    /// The runs in the state, as rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.state.runs.values().map(row)
    }

    /// Takes in an event of the commit `seq`. Events of runs whose beginning was dropped are of runs that are over, and
    /// mean nothing any more.
    pub(super) fn take(&mut self, seq: u64, event: &Event) -> Meaning {
        self.fold(seq, event, true)
    }

    /// Takes in an event whose meaning was told before.
    pub(super) fn pass(&mut self, seq: u64, event: &Event) {
        self.fold(seq, event, false);
    }

    fn fold(&mut self, seq: u64, event: &Event, aloud: bool) -> Meaning {
        let id = event.run();
        if let Event::RunSubmitted { at, .. } = event {
            let (counts, meter) = (Counts::default(), Meter::default());
            let tale = Tale { first: seq, seq: 0, at: *at, counts, errors: 0, meter, seen: BTreeMap::new() };
            self.runs.insert(id, tale);
        } else if self.state.run(id).is_none() {
            return Meaning::default();
        }
        let before = Before::of(self.state.run(id), &self.state, event);
        self.state.fold(event);
        let Some(run) = self.state.run(id) else {
            self.runs.remove(&id);
            return Meaning::default();
        };
        let tale = self.runs.get_mut(&id).expect("a run in the state was begun here");
        tale.at = moment(event).unwrap_or(tale.at);
        let mut telling = Telling { run, tale, aloud, meaning: Meaning::default() };
        telling.tell(&before, event);
        debug_assert_eq!(telling.tale.counts, run.counts, "every verdict is said once, and only those: {event:?}");
        if telling.run.policy.list_only {
            // Somebody looked: no test of it has anything to remember.
            telling.meaning.rows.retain(|row| !matches!(row, Row::Verdict { .. }));
        }
        telling.meaning
    }
}

/// The telling of one event.
struct Telling<'a> {
    run: &'a Run,
    tale: &'a mut Tale,
    /// Whether anybody hears it; else it is only counted.
    aloud: bool,
    meaning: Meaning,
}

/// What changed of a file's tests.
#[derive(Default)]
struct Change {
    joined: Vec<TestIx>,
    left: Vec<u32>,
}

impl Telling<'_> {
    fn tell(&mut self, before: &Before, event: &Event) {
        let mut settled = Vec::new();
        self.head(event, &mut settled);
        self.files(before, event);
        let joined = (before.tests..self.run.tests.len()).map(TestIx::nth);
        let left_out = if self.run.policy.list_only { left_out(event, before.tests) } else { BTreeSet::new() };
        self.tests(before, event, joined.clone(), &left_out);

        let mut given: BTreeMap<Verdict, Vec<TestIx>> = BTreeMap::new();
        for test in joined.chain(before.open.iter().copied()).filter(|test| !settled.contains(test)) {
            match self.run.test(test).place {
                Place::Done(Verdict::Skipped) if test.at() >= before.tests => {
                    self.verdict(test, (Verdict::Skipped, None), 0, || None);
                }
                Place::Done(verdict) => given.entry(verdict).or_default().push(test),
                _ => {}
            }
        }
        for (verdict, tests) in given {
            let cause = (verdict == Verdict::NotRun).then(|| why_not_run(self.run, event));
            for tests in tests.chunks(ITEMS_PER_EVENT) {
                for &test in tests {
                    let attempts = self.run.test(test).attempt() - 1;
                    self.verdict(test, (verdict, cause), attempts, || None);
                }
                let tests = || tests.iter().map(|test| test.0).collect();
                let (verdict, cause) = (v1::Verdict::from(verdict).into(), of_cause(cause));
                self.say(|_| Told::VerdictsGiven(v1::VerdictsGiven { verdict, tests: tests(), cause }));
            }
        }
    }

    /// Results that came too late: they change nothing of what was told, also where that was the end.
    fn refused(&mut self, at: Time, (token, worker): (Token, WorkerId), results: &[Refused]) {
        for &refused in results {
            self.write(|run| Row::Refused { run: run.id, at, token, worker, refused });
        }
        self.say_at(at, |_| {
            let told = |refused: &Refused| v1::RefusedResult {
                test: refused.test.0,
                attempt: refused.attempt.into(),
                outcome: v1::Outcome::from(refused.outcome).into(),
                started: refused.started.0,
                duration: refused.duration.0,
            };
            let results = results.iter().map(told).collect();
            Told::ResultsRefused(v1::ResultsRefused { token: token.0, worker: worker.to_string(), results })
        });
    }

    /// What the event says by itself. The tests whose verdict is said with it are added to `settled`.
    fn head(&mut self, event: &Event, settled: &mut Vec<TestIx>) {
        match event {
            Event::RunSubmitted { .. } => {
                self.write(row);
                self.say(|run| Told::RunSubmitted(submitted(run)));
            }
            Event::FileFailed { file, error, .. } => self.erred(error, Some(*file)),
            Event::RunErred { error, .. } | Event::WaitGivenUp { error, .. } => self.erred(error, None),
            Event::ShardLeased { at, token, worker, slot, work, .. } => {
                let runs = matches!(work, Work::Run(..));
                self.tale.meter.leased(*at, *token, (*worker, *slot), work.suite(), runs);
                self.say(|_| Told::ShardLeased(leased(*token, *worker, *slot, work)));
            }
            Event::ResultsAccepted { token, results, .. } => {
                for accepted in results {
                    let result = &accepted.result;
                    if let Some(seen) = &result.observation {
                        let observed = Observed::from(&Evidence::decode(seen.evidence));
                        let all = self.tale.seen.entry(result.test).or_insert(observed);
                        let level = all.level.max(observed.level);
                        *all = Observed { level, sure: all.sure && observed.sure };
                    }
                    self.tale.meter.result(*token, self.run.test(result.test).file, result);
                    self.write(|run| Row::Attempt { run: run.id, result: result.clone() });
                    if let Then::Verdict(verdict) = accepted.then {
                        let queried = || result.observation.as_deref().and_then(|seen| Queried::of(seen, verdict));
                        let why = (verdict, result.cause);
                        self.verdict(result.test, why, result.attempt, || Some((result.duration, queried())));
                    }
                }
                self.say(|_| {
                    let told = |accepted: &Accepted| {
                        let result = Some((&accepted.result).into());
                        v1::AcceptedResult { result, verdict: follows(accepted.then) }
                    };
                    let results = results.iter().map(told).collect();
                    Told::ResultsAccepted(v1::ResultsAccepted { token: token.0, results })
                });
            }
            Event::ResultsRefused { at, token, worker, results, .. } => self.refused(*at, (*token, *worker), results),
            Event::TestsGivenBack { token, tests, .. } => {
                self.say(|_| {
                    let tests = tests.iter().map(|test| test.0).collect();
                    Told::TestsGivenBack(v1::TestsGivenBack { token: token.0, tests })
                });
            }
            Event::LeaseEnded { at, token, cause, blamed, .. } => {
                self.tale.meter.ended(*at, *token, *cause == LeaseEnd::Released);
                // It was counted with the event.
                let attempts = blamed.map_or(0, |blamed| self.run.test(blamed.test).attempt() - 1);
                if let Some(Blamed { test, cause, then: Then::Verdict(verdict), .. }) = *blamed {
                    self.verdict(test, (verdict, Some(cause)), attempts, || None);
                    settled.push(test);
                }
                self.say(|_| {
                    Told::LeaseEnded(v1::LeaseEnded {
                        token: token.0,
                        cause: lease_end(*cause).into(),
                        blamed: blamed.map(|blamed| blamed.test.0),
                        verdict: blamed.map_or(0, |blamed| follows(blamed.then)),
                        why: of_cause(blamed.map(|blamed| blamed.cause)),
                        attempt: attempts.into(),
                        ran: blamed.map_or(0, |blamed| blamed.ran.0),
                    })
                });
            }
            Event::RunCancelled { cause, .. } => {
                let cause = v1::CancelCause::from(*cause).into();
                self.say(|_| Told::RunCancelled(v1::RunCancelled { cause }));
            }
            Event::RunClosing { .. } => self.say(|_| Told::RunClosing(v1::RunClosing {})),
            Event::RunEnded { outcome, .. } => {
                self.costs();
                let outcome = v1::RunOutcome::from(*outcome).into();
                self.say(|_| Told::RunEnded(v1::RunEnded { outcome }));
            }
            Event::SuiteDiscovered { .. }
            | Event::FileListed { .. }
            | Event::WorkerClosed { .. }
            | Event::RunForgotten { .. } => {}
        }
    }

    /// Files that joined, suite by suite, in the order of their numbers; and those that left.
    fn files(&mut self, before: &Before, event: &Event) {
        let joined: Vec<FileIx> = (before.files..self.run.files.len()).map(FileIx::nth).collect();
        for files in joined.chunk_by(|a, b| self.run.file(*a).suite == self.run.file(*b).suite) {
            let suite = self.run.file(files[0]).suite;
            for files in files.chunks(ITEMS_PER_EVENT) {
                self.planned(suite, files, &[]);
            }
        }
        if let Event::SuiteDiscovered { suite, gone, .. } = event {
            for gone in gone.chunks(ITEMS_PER_EVENT) {
                self.planned(*suite, &[], gone);
            }
        }
    }

    fn planned(&mut self, suite: SuiteIx, files: &[FileIx], gone: &[FileIx]) {
        self.say(|run| {
            let files = files.iter().map(|&file| planned_file(run, file)).collect();
            let gone = gone.iter().map(|file| file.0).collect();
            Told::FilesPlanned(v1::FilesPlanned { suite: suite.0.into(), files, gone })
        });
    }

    /// Tests that joined, file by file, in the order of their numbers; and those that left.
    fn tests(
        &mut self,
        before: &Before,
        event: &Event,
        joined: impl Iterator<Item = TestIx>,
        left_out: &BTreeSet<TestIx>,
    ) {
        let mut changes: BTreeMap<FileIx, Change> = BTreeMap::new();
        if let Event::FileListed { file, .. } = event {
            changes.insert(*file, Change::default());
        }
        for test in joined {
            changes.entry(self.run.test(test).file).or_default().joined.push(test);
        }
        for &test in before.open.iter().filter(|&&test| self.run.test(test).place == Place::Gone) {
            changes.entry(self.run.test(test).file).or_default().left.push(test.0);
        }
        for (file, Change { joined, left }) in changes {
            let mut chunks = joined.chunks(ITEMS_PER_EVENT);
            let first = chunks.next().unwrap_or_default();
            self.listed(file, first, left, left_out);
            chunks.for_each(|tests| self.listed(file, tests, Vec::new(), left_out));
        }
    }

    fn listed(&mut self, file: FileIx, tests: &[TestIx], gone: Vec<u32>, left_out: &BTreeSet<TestIx>) {
        self.say(|run| {
            let tests = tests.iter().map(|&test| planned_test(run, test, left_out)).collect();
            Told::TestsPlanned(v1::TestsPlanned { file: file.0, tests, gone })
        });
    }

    /// An error, where the core counts it: it is told once, however many slots meet it.
    fn erred(&mut self, error: &RunError, file: Option<FileIx>) {
        if self.tale.errors == self.run.errors_total {
            return;
        }
        self.tale.errors = self.run.errors_total;
        let number = self.tale.errors;
        self.write(|run| Row::Error { run: run.id, number, error: error.clone() });
        self.say(|_| Told::RunErred(v1::RunErred { error: Some(error.into()), file: file.map(|file| file.0) }));
    }

    /// What the run cost its slots beside its tests.
    fn costs(&mut self) {
        let run = self.run;
        if !self.aloud {
            return;
        }
        for (suite, measured) in self.tale.meter.measured(|suite| run.suite(suite).costs) {
            let (project, suite) = (Arc::clone(&run.project), Arc::clone(&run.suite(suite).suite.name));
            self.meaning.rows.push(Row::Costs { run: run.id, project, suite, measured });
        }
    }

    /// A test has its verdict: by an attempt that took so long and asked so much of its databases, or by none.
    fn verdict(
        &mut self,
        test: TestIx,
        (verdict, cause): (Verdict, Option<Cause>),
        attempts: u16,
        deciding: impl FnOnce() -> Option<(Micros, Option<Queried>)>,
    ) {
        self.tale.counts.add(verdict);
        let (at, observed) = (self.tale.at, self.tale.seen.remove(&test));
        self.write(|run| {
            let (found, deciding) = (run.test(test), deciding());
            let file = run.file(found.file);
            Row::Verdict {
                run: run.id,
                project: Arc::clone(&run.project),
                suite: Arc::clone(&run.suite(file.suite).suite.name),
                path: Arc::clone(&file.path),
                name: Arc::clone(&found.name),
                test,
                key: found.key,
                verdict,
                cause,
                attempts,
                duration: deciding.map(|(duration, _)| duration),
                // Nobody tells workers apart by speed yet.
                speed: 1.0,
                observed,
                queried: deciding.and_then(|(_, queried)| queried),
                at,
            }
        });
    }

    /// Says what `event` makes of the run.
    fn say(&mut self, event: impl FnOnce(&Run) -> Told) {
        self.say_at(self.tale.at, event);
    }

    fn say_at(&mut self, at: Time, event: impl FnOnce(&Run) -> Told) {
        self.tale.seq += 1;
        if !self.aloud {
            return;
        }
        let event = v1::RunEvent::recorded(self.tale.seq, at, event(self.run));
        let body = event.encode_to_vec();
        self.meaning.events.push((event, body.len()));
        self.meaning.rows.push(Row::Event { run: self.run.id, seq: self.tale.seq, body });
    }

    fn write(&mut self, row: impl FnOnce(&Run) -> Row) {
        if self.aloud {
            self.meaning.rows.push(row(self.run));
        }
    }
}

/// Why tests have no result that the event leaves without one.
fn why_not_run(run: &Run, event: &Event) -> Cause {
    match event {
        _ if run.cancelled.is_some() => Cause::Cancelled,
        Event::RunErred { error, .. } if error.kind == RunErrorKind::Infrastructure => Cause::Infrastructure,
        Event::WaitGivenUp { needs, .. } if needs.at() > 0 => Cause::Resource,
        // No worker could have run it.
        Event::WaitGivenUp { .. } => Cause::Infrastructure,
        // What it belongs to cannot be built, started or listed.
        _ => Cause::SetUp,
    }
}

/// A run as it was handed in. Whose history it writes is not known here.
fn row(run: &Run) -> Row {
    let (project, listing, scope) = (Arc::clone(&run.project), run.policy.list_only, Scope::default());
    Row::Run { run: run.id, project, submitted: run.submitted, listing, scope }
}

fn planned_file(run: &Run, file: FileIx) -> v1::File {
    let found = run.file(file);
    v1::File { path: found.path.to_string(), key: found.key.to_string(), locator: found.locator.to_string() }
}

fn planned_test(run: &Run, test: TestIx, left_out: &BTreeSet<TestIx>) -> v1::PlannedTest {
    let found = run.test(test);
    let ignored = found.place == Place::Done(Verdict::Skipped);
    v1::PlannedTest {
        name: found.name.to_string(),
        key: found.key.to_string(),
        estimate: found.estimate.0,
        known: found.source.is_own(),
        spread: found.spread.into(),
        source: v1::EstimateSource::from(found.source).into(),
        risk: found.risk.into(),
        needs: found.needs.0.into(),
        policy: found.policy.0.into(),
        ignored,
        left_out: left_out.contains(&test) || (ignored && !run.policy.list_only),
        group: found.group.0,
        level: v1::Level::from(found.level).into(),
        line: found.line,
    }
}

fn leased(token: Token, worker: WorkerId, slot: SlotIx, work: &Work) -> v1::ShardLeased {
    let mut leased = v1::ShardLeased {
        token: token.0,
        worker: worker.to_string(),
        slot: slot.0.into(),
        suite: work.suite().0.into(),
        ..Default::default()
    };
    match work {
        Work::Discover(_) => leased.discover = true,
        Work::List(_, files) => leased.files = files.iter().map(|file| file.0).collect(),
        Work::Run(_, tests) => leased.tests = tests.iter().map(|test| test.0).collect(),
        Work::Again(_, test) => leased.tests = vec![test.0],
    }
    leased
}

fn submitted(run: &Run) -> v1::RunSubmitted {
    let suites = || run.suites.iter().map(|suite| &suite.suite);
    v1::RunSubmitted {
        project: run.project.to_string(),
        suites: suites().map(|suite| suite.name.to_string()).collect(),
        runners: suites().map(|suite| suite.runner.name().to_owned()).collect(),
        policies: run.policies.iter().map(Into::into).collect(),
        policy: Some((&run.policy).into()),
        roots: suites().map(|suite| suite.root.to_string()).collect(),
        costs: run.suites.iter().map(|suite| suite.costs.into()).collect(),
        needs: run.needs.iter().map(Into::into).collect(),
        requires: suites().map(|suite| suite.requires.join(",")).collect(),
        resumes: run.resumes.map(Into::into),
    }
}

/// The verdict that follows, as a field; unspecified where the test runs once more.
fn follows(then: Then) -> i32 {
    match then {
        Then::Verdict(verdict) => v1::Verdict::from(verdict).into(),
        Then::Retry(_) | Then::Anew(..) => v1::Verdict::Unspecified.into(),
    }
}

const fn lease_end(cause: LeaseEnd) -> v1::LeaseEnd {
    match cause {
        LeaseEnd::Released => v1::LeaseEnd::Released,
        LeaseEnd::Unreceived => v1::LeaseEnd::Unreceived,
        LeaseEnd::WorkerLost | LeaseEnd::Unwitnessed => v1::LeaseEnd::WorkerLost,
        LeaseEnd::Overdue => v1::LeaseEnd::Overdue,
        LeaseEnd::Revoked => v1::LeaseEnd::Revoked,
    }
}

/// The moment that an event names, by its kind or by its newest result.
fn moment(event: &Event) -> Option<Time> {
    match event {
        Event::RunSubmitted { at, .. }
        | Event::ShardLeased { at, .. }
        | Event::LeaseEnded { at, .. }
        | Event::RunCancelled { at, .. }
        | Event::RunEnded { at, .. } => Some(*at),
        _ => None,
    }
}
