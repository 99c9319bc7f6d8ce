//! What must be true of every world, told from the journal and from what workers really did: independent of the core's own
//! state and invariants.
//!
//! - S1: a test has at most one verdict, and at the end of its run exactly one.
//! - S2: only the holder of a test's current lease speaks for it, and a verdict has an execution that really ended so.
//! - S3: what was acknowledged is durable.
//! - S4: a token is granted once, to one worker, and tokens only grow; a test is in the hands of one lease.
//! - S7: nothing is told before it is durable.
//! - V3: what the fleet shares is held by one at a time, as it must be (see `resources`).
//! - Refusals: what a lease owed that was taken from its worker, and what is told of it late, is refused on record: once, and before
//!   it is acknowledged.
//! - Budgets: a test is tried again exactly when what it has for the cause allows it, each cause by itself, and the run does.
//! - Completeness: green means that every test that is really there ran and passed (or skipped itself).
//! - Losses: lost workers are charged to a file only where it is known what they were at (see `losses`).
//! - Thrift: where only the coordinator and connections fail, nothing runs twice.

use super::faults::{Class, Swarm};
use super::losses::Losses;
use super::plan::{Plan, PlannedTest};
use super::resources::Things;
use super::truth::TrueRun;
use super::words::{FromWorker, ToWorker};
use regatta_core::state::{Listed, Phase, Place};
use regatta_core::{Blamed, Blameless, Entry, Event, LeaseEnd, State, Then, Work};
use regatta_domain::report::RunOutcome;
use regatta_domain::{Cause, Needs, Outcome, RunId, TestIx, Token, Verdict, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the checkers have seen.
#[derive(Default)]
pub struct Checkers {
    plans: BTreeMap<RunId, Plan>,
    leases: BTreeMap<Token, Lease>,
    last_token: Token,
    executions: BTreeMap<(Token, TestIx), Execution>,
    given_back: BTreeSet<(Token, TestIx)>,
    /// What leases owed that were taken from their workers, and whether it was refused.
    owed: BTreeMap<(Token, TestIx), bool>,
    released: BTreeSet<Token>,
    leaving: BTreeSet<WorkerId>,
    /// Leases that the coordinator had broken off.
    stopped: BTreeSet<Token>,
    reports: BTreeMap<(WorkerId, u64), Arc<Vec<Entry>>>,
    thrifty: bool,
    /// What is held of what the fleet shares.
    pub(super) things: Things,
    /// What lost workers are taken for.
    pub(super) losses: Losses,
    meddled: bool,
}

struct Lease {
    run: RunId,
    worker: WorkerId,
    live: bool,
}

/// A test that a worker began.
struct Execution {
    worker: WorkerId,
    outcome: Option<Outcome>,
    cause: Option<Cause>,
    accepted: bool,
}

/// What broke.
pub type Checked = Result<(), String>;

pub(super) fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Checkers {
    /// Checkers for a world with these faults.
    #[must_use]
    pub fn new(swarm: &Swarm) -> Self {
        Self { thrifty: swarm.runs_nothing_twice(), meddled: swarm.has(Class::Meddle), ..Self::default() }
    }

    /// What is planned of a run, also when it has ended.
    pub(super) fn plan(&self, run: RunId) -> Option<&Plan> {
        self.plans.get(&run)
    }

    /// Whether the run has ended.
    #[must_use]
    pub fn has_ended(&self, run: RunId) -> bool {
        self.plans.get(&run).is_some_and(|plan| plan.ended.is_some())
    }

    /// How the run ended.
    #[must_use]
    pub fn outcome(&self, run: RunId) -> Option<RunOutcome> {
        self.plans.get(&run)?.ended
    }

    /// A worker began a test.
    pub fn began(&mut self, worker: WorkerId, token: Token, test: TestIx) -> Checked {
        ensure(!self.given_back.contains(&(token, test)), || format!("{test} was given back under {token}, and runs"))?;
        let before =
            self.executions.insert((token, test), Execution { worker, outcome: None, cause: None, accepted: false });
        ensure(before.is_none(), || format!("{test} runs twice under {token}"))
    }

    /// A test ended on a worker.
    pub fn ended(&mut self, token: Token, test: TestIx, outcome: Outcome, cause: Option<Cause>) {
        if let Some(execution) = self.executions.get_mut(&(token, test)) {
            (execution.outcome, execution.cause) = (Some(outcome), cause);
        }
    }

    /// A worker said something.
    pub fn said(&mut self, worker: WorkerId, word: &FromWorker) {
        let FromWorker::Report(seq, entries) = word else { return };
        for entry in entries.iter() {
            match entry {
                Entry::GaveBack { token, tests } => {
                    self.given_back.extend(tests.iter().map(|&test| (*token, test)));
                }
                Entry::Released { token } => {
                    self.released.insert(*token);
                }
                Entry::Draining => {
                    self.leaving.insert(worker);
                }
                _ => {}
            }
        }
        self.reports.insert((worker, *seq), Arc::clone(entries));
    }

    /// A worker hears something.
    pub fn heard(&mut self, worker: WorkerId, word: &ToWorker, durable: &State) -> Checked {
        match word {
            ToWorker::Grant(_, shard) => {
                let lease = self.leases.get(&shard.token);
                ensure(lease.is_some_and(|lease| lease.worker == worker), || {
                    format!("S7: lease {} reached {worker} before it was durable", shard.token)
                })
            }
            ToWorker::Ack(seq) => {
                let entries = self.reports.get(&(worker, *seq));
                let entries =
                    entries.ok_or_else(|| format!("report {seq} of {worker} is acknowledged, and was not made"))?;
                entries.iter().try_for_each(|entry| recorded(entry, worker, durable))?;
                entries.iter().try_for_each(|entry| self.refused(entry))
            }
            ToWorker::Stop(token, true) => {
                self.stopped.insert(*token);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A late result that is acknowledged is on record as refused.
    fn refused(&self, entry: &Entry) -> Checked {
        let Entry::Finished { token, result } = entry else { return Ok(()) };
        let unrecorded = self.owed.get(&(*token, result.test)) == Some(&false);
        ensure(!unrecorded, || {
            format!("late: {:?} of {} under {token} is acknowledged, and not on record", result.outcome, result.test)
        })
    }

    /// A client was told that its run is taken.
    pub fn taken(&self, run: RunId) -> Checked {
        ensure(self.plans.contains_key(&run), || format!("S7: run {run} was confirmed before it was durable"))
    }

    /// Facts became durable.
    pub fn committed(&mut self, events: &[Event], truth: &[TrueRun]) -> Checked {
        events.iter().try_for_each(|event| self.fact(event, truth))
    }

    fn fact(&mut self, event: &Event, truth: &[TrueRun]) -> Checked {
        let id = event.run();
        if let Event::RunSubmitted { submission, .. } = event {
            let known = self.plans.insert(id, Plan::new(submission));
            return ensure(known.is_none(), || format!("run {id} is handed in twice"));
        }
        let plan = self.plans.get_mut(&id).ok_or_else(|| format!("{event:?} of an unknown run"))?;
        let late = plan.ended.is_some() && !matches!(event, Event::RunForgotten { .. } | Event::ResultsRefused { .. });
        ensure(!late, || format!("after its end: {event:?}"))?;
        self.losses.fact(event, &plan.files_of(event), plan.policy.max_losses)?;
        match event {
            Event::ShardLeased { token, worker, work, .. } => {
                ensure(*token > self.last_token, || format!("S4: token {token} after {}", self.last_token))?;
                self.last_token = *token;
                let needs = plan.lease_needs(*token, work)?;
                self.things.fact(event, &needs)?;
                self.leases.insert(*token, Lease { run: id, worker: *worker, live: true });
                if let Work::Run(_, tests) = work {
                    tests.iter().try_for_each(|&test| plan.lease(test, *token))?;
                }
                if let Work::Again(_, test) = work {
                    plan.again(*test, *token)?;
                }
                Ok(())
            }
            Event::ResultsAccepted { token, results, .. } => {
                let lease = self.leases.get(token).filter(|lease| lease.live && lease.run == id);
                let lease =
                    lease.ok_or_else(|| format!("S2: a result is accepted under {token}, which is not live"))?;
                for accepted in results {
                    let test = accepted.result.test;
                    let outcome = accepted.result.outcome;
                    let execution = self.executions.get_mut(&(*token, test));
                    let execution = execution.filter(|run| run.worker == lease.worker && run.outcome == Some(outcome));
                    let execution = execution.ok_or_else(|| {
                        format!("S2: {outcome:?} of {test} is accepted under {token}, and never happened so")
                    })?;
                    execution.accepted = true;
                    let (cause, seen) = (accepted.result.cause, execution.cause);
                    let told = cause == seen || (self.meddled && cause == Some(Cause::Resource) && seen.is_some());
                    ensure(told, || format!("{test} ended for {seen:?}, and {cause:?} is recorded"))?;
                    plan.accept(test, *token, outcome, cause, accepted.then)?;
                }
                Ok(())
            }
            Event::ResultsRefused { token, worker, results, .. } => {
                for refused in results {
                    let (test, outcome) = (refused.test, refused.outcome);
                    let before = self.owed.insert((*token, test), true);
                    ensure(before == Some(false), || format!("late: {test} is refused under {token}: {before:?}"))?;
                    let execution = self.executions.get(&(*token, test));
                    let late = |run: &Execution| run.worker == *worker && run.outcome == Some(outcome) && !run.accepted;
                    ensure(execution.is_some_and(late), || {
                        format!(
                            "late: {outcome:?} of {test} is refused under {token}, and was accepted or never happened"
                        )
                    })?;
                }
                Ok(())
            }
            Event::RunForgotten { .. } => {
                let leases = &self.leases;
                self.owed.retain(|(token, _), _| leases[token].run != id);
                plan.note(event)
            }
            Event::TestsGivenBack { token, tests, .. } => {
                for &test in tests {
                    let said = self.given_back.contains(&(*token, test));
                    ensure(said, || format!("{test} is taken back from {token}, which did not give it back"))?;
                    plan.come_back(test, *token)?;
                }
                Ok(())
            }
            Event::LeaseEnded { token, cause, blamed, .. } => {
                let lease = self.leases.get_mut(token).filter(|lease| lease.live && lease.run == id);
                let lease = lease.ok_or_else(|| format!("lease {token} ends twice"))?;
                lease.live = false;
                let said = *cause != LeaseEnd::Released || self.released.contains(token);
                ensure(said, || format!("lease {token} is called released, and was not"))?;
                let lost = matches!(cause, LeaseEnd::WorkerLost | LeaseEnd::Overdue);
                let gone = lost || *cause == LeaseEnd::Unwitnessed;
                ensure(!(gone && self.thrifty), || format!("{cause:?} ends {token}, and no worker was lost"))?;
                let leaves = self.leaving.contains(&lease.worker);
                let due = |why| match cause {
                    // Whether the coordinator heard that it leaves is another question.
                    LeaseEnd::WorkerLost => why == Cause::WorkerLost || (why == Cause::Drained && leaves),
                    LeaseEnd::Overdue => why == Cause::Timeout,
                    LeaseEnd::Revoked => why == Cause::Resource,
                    // Nothing else makes a worker of this world break off what runs; but a coordinator that died in between does
                    // not know any more that it asked for it.
                    LeaseEnd::Released | LeaseEnd::Unreceived => match why {
                        Cause::Drained => leaves,
                        Cause::Infrastructure => self.stopped.contains(token),
                        _ => false,
                    },
                    LeaseEnd::Unwitnessed => false,
                };
                ensure(blamed.is_none_or(|blamed| due(blamed.cause)), || {
                    format!("{token} ends by {cause:?} and blames a test: {blamed:?}")
                })?;
                let revoked = *cause == LeaseEnd::Revoked;
                ensure(!revoked || self.meddled, || format!("{token} is taken back, and nobody asked for it"))?;
                self.things.fact(event, &Needs::default())?;
                if gone || matches!(cause, LeaseEnd::Revoked) {
                    self.owed.extend(plan.owed_under(*token).map(|test| ((*token, test), false)));
                }
                plan.alone_again(*token);
                plan.lease_ended(*token, *blamed)
            }
            Event::RunClosing { .. } => {
                let open = self.leases.values().any(|lease| lease.live && lease.run == id);
                ensure(!open, || format!("run {id} closes with leases open"))
            }
            Event::RunEnded { outcome, .. } => {
                let open = self.leases.values().any(|lease| lease.live && lease.run == id);
                ensure(!open, || format!("run {id} ends with leases open"))?;
                let truth = truth.iter().find(|truth| truth.id == id).ok_or("a run nobody knows")?;
                plan.end(*outcome, truth)
            }
            other => plan.note(other),
        }
    }

    /// What must be true when all runs have ended.
    pub fn at_the_end(&self) -> Checked {
        if !self.thrifty {
            return Ok(());
        }
        let waste = self.executions.iter().find(|(_, execution)| execution.outcome.is_some() && !execution.accepted);
        ensure(waste.is_none(), || format!("{:?} ran for nothing, and no worker was lost", waste.map(|(key, _)| key)))
    }
}

/// S3: what a report said is part of the durable state, once it is acknowledged.
pub(crate) fn recorded(entry: &Entry, worker: WorkerId, durable: &State) -> Checked {
    let live = |token: &Token| durable.leases.get(token).filter(|lease| lease.worker == worker);
    let run_of = |token: &Token| live(token).map(|lease| &durable.runs[&lease.run]);
    let held =
        |token: &Token, test: TestIx| run_of(token).is_some_and(|run| run.test(test).place == Place::Leased(*token));
    let lost = match entry {
        Entry::Finished { token, result } => {
            let owed = durable.fenced.of(worker, *token).is_some_and(|owed| owed.tests.contains(&result.test));
            held(token, result.test) || owed
        }
        Entry::GaveBack { token, tests } => tests.iter().any(|&test| held(token, test)),
        Entry::Released { token } | Entry::Lost { token } => live(token).is_some(),
        Entry::Listed { token, file, .. } | Entry::Erred { token, file: Some(file), .. } => {
            run_of(token).is_some_and(|run| run.file(*file).listed == Listed::Leased(*token))
        }
        Entry::Discovered { token, .. } => live(token).is_some_and(|lease| lease.discovering),
        Entry::Closed { run, .. } => {
            let phase = durable.runs.get(run).map(|run| &run.phase);
            matches!(phase, Some(Phase::Closing(waiting)) if waiting.contains(&worker))
        }
        Entry::Erred { .. } | Entry::Started { .. } | Entry::Draining => false,
    };
    ensure(!lost, || {
        let what = format!("{entry:?}");
        let what = what.split(' ').next().unwrap_or_default().to_owned();
        format!("S3: a word of {worker} ({what}) is acknowledged, and not durable")
    })
}

/// What a verdict must follow from.
pub(super) fn verdict_of(outcome: Outcome, failures: u16) -> Verdict {
    match outcome {
        Outcome::Passed if failures > 0 => Verdict::Flaky,
        Outcome::Passed => Verdict::Passed,
        Outcome::Skipped if failures > 0 => Verdict::Failed,
        Outcome::Skipped => Verdict::Skipped,
        Outcome::Failed => Verdict::Failed,
        Outcome::TimedOut => Verdict::TimedOut,
        Outcome::Crashed => Verdict::Crashed,
        Outcome::Missing => Verdict::NotRun,
    }
}

impl Plan {
    fn accept(&mut self, ix: TestIx, token: Token, outcome: Outcome, cause: Option<Cause>, then: Then) -> Checked {
        let bad = matches!(outcome, Outcome::Failed | Outcome::TimedOut | Outcome::Crashed);
        let again = match cause.filter(|_| bad) {
            Some(cause) => self.has_left(ix, cause, true)?,
            None => false,
        };
        let test = self.held(ix, token)?;
        let failures = test.failures;
        let excused = matches!(then, Then::Anew(..));
        test.failures += u16::from(!matches!(outcome, Outcome::Passed | Outcome::Skipped) && !excused);
        if let Some(cause) = cause {
            self.spend(ix, cause);
        }
        match then {
            Then::Retry(_) => {
                let charged = !matches!(cause, Some(Cause::Resource | Cause::Infrastructure));
                ensure(again && charged, || format!("{ix} is tried again after {outcome:?} for {cause:?}"))?;
                self.retries += 1;
                Ok(())
            }
            Then::Anew(_, why) => {
                let due = match why {
                    Blameless::Unwell => cause == Some(Cause::Resource),
                    Blameless::Infrastructure => cause == Some(Cause::Infrastructure),
                    Blameless::Drained | Blameless::Promoted(_) => false,
                };
                ensure(again && due, || format!("{ix} is run anew for {why:?}, {cause:?}"))?;
                self.retries += 1;
                Ok(())
            }
            Then::Verdict(verdict) => {
                ensure(!again, || format!("{ix} is not tried again after {cause:?}, and may be"))?;
                let due = verdict_of(outcome, failures);
                ensure(verdict == due, || format!("{ix} is called {verdict} and is {due}"))?;
                self.tests[ix.at()].has_run = true;
                self.decide(ix, verdict)
            }
        }
    }

    fn lease_ended(&mut self, token: Token, blamed: Option<Blamed>) -> Checked {
        if let Some(Blamed { test: ix, cause, then, .. }) = blamed {
            let again = self.has_left(ix, cause, cause != Cause::Drained)?;
            self.held(ix, token)?;
            self.spend(ix, cause);
            match then {
                Then::Retry(_) => {
                    let charged = matches!(cause, Cause::WorkerLost | Cause::Timeout);
                    ensure(again && charged, || format!("{ix} is tried again after {cause}"))?;
                    self.retries += 1;
                }
                Then::Anew(_, why) => {
                    let due = match why {
                        Blameless::Unwell => cause == Cause::Resource,
                        Blameless::Drained => cause == Cause::Drained,
                        Blameless::Infrastructure => cause == Cause::Infrastructure,
                        Blameless::Promoted(_) => false,
                    };
                    ensure(again && due, || format!("{ix} is run anew for {why:?} after {cause}"))?;
                    self.retries += u32::from(why != Blameless::Drained);
                }
                Then::Verdict(verdict) => {
                    ensure(!again, || format!("{ix} is given up after {cause}, and may be tried again"))?;
                    ensure(!verdict.is_ok(), || format!("{ix} came to nothing and is called {verdict}"))?;
                    self.decide(ix, verdict)?;
                }
            }
        }
        let open: Vec<TestIx> = self.held_under(token).collect();
        open.into_iter().try_for_each(|ix| self.come_back(ix, token))
    }

    fn end(&mut self, outcome: RunOutcome, truth: &TrueRun) -> Checked {
        self.ended = Some(outcome);
        let undecided = self.tests.iter().position(|test| !test.gone && test.verdict.is_none());
        ensure(undecided.is_none(), || format!("S1: the run ends, and test {undecided:?} has no verdict"))?;
        let verdicts: Vec<Verdict> = self.tests.iter().filter_map(|test| test.verdict).collect();
        let red = |verdict: &Verdict| !verdict.is_ok() || (self.policy.flaky_fails && *verdict == Verdict::Flaky);
        let due = if self.cancelled {
            RunOutcome::Cancelled
        } else if self.errors > 0 || verdicts.iter().any(red) {
            RunOutcome::Red
        } else if verdicts.is_empty() {
            RunOutcome::Empty
        } else {
            RunOutcome::Green
        };
        ensure(outcome == due, || format!("the run is called {outcome:?} and is {due:?}"))?;
        if matches!(outcome, RunOutcome::Green | RunOutcome::Empty) { self.is_proven(truth) } else { Ok(()) }
    }

    /// Green is proof: whatever is really there has run, and was fine.
    fn is_proven(&self, truth: &TrueRun) -> Checked {
        for (at, suite) in truth.suites.iter().enumerate() {
            for file in &suite.files {
                for test in file.tests.iter().filter(|test| !test.draft.ignored) {
                    let name = &test.draft.name;
                    let found = |planned: &&PlannedTest| {
                        let (of, path) = &self.files[planned.file];
                        of.at() == at && *path == file.path && planned.name == *name && !planned.gone
                    };
                    let fine = |planned: &PlannedTest| planned.has_run && planned.verdict.is_some_and(Verdict::is_ok);
                    let proven = self.tests.iter().find(found).is_some_and(fine);
                    ensure(proven, || {
                        format!("the run is green, and {}::{name} of suite {at} did not run", file.path)
                    })?;
                }
            }
        }
        Ok(())
    }
}
