//! A run: its plan, and how far it is.

use super::file::File;
use super::holding::{Demand, ResourceIx};
use super::lease::Lease;
use super::members::Members;
use super::observed::Observed;
use super::queue::Queue;
use super::spent::Spent;
use super::test::{Place, Test};
use crate::invariant;
use crate::mutant::{self, Mutant};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::report::{CancelCause, Counts, RunOutcome};
use regatta_domain::result::RunError;
use regatta_domain::submission::{Resumed, Submission};
use regatta_domain::{
    Cause, Costs, FileIx, GroupIx, Micros, Need, Needs, NeedsIx, RunId, SuiteIx, TestIx, Time, Token, WorkerId,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A run: its plan, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The namespace of its history.
    pub project: Arc<str>,
    /// When it was handed in.
    pub submitted: Time,
    /// The run that it goes on with, where it does.
    pub resumes: Option<Resumed>,
    /// Its rules.
    pub policy: RunPolicy,
    /// The rules its tests point at.
    pub policies: Vec<TestPolicy>,
    /// What its tests may need; see [`regatta_domain::NeedsIx`].
    pub needs: Vec<Needs>,
    /// The resources that those name, in order.
    pub resources: Vec<Arc<str>>,
    /// What waits for each of them.
    pub demands: Vec<Demand>,
    /// How long everything may take that waits.
    queued: Micros,
    /// The resource of each need.
    parts: Vec<Vec<ResourceIx>>,
    /// Its suites.
    pub suites: Vec<Suite>,
    /// Its files; none any more when it has ended, and so with its groups and tests.
    pub files: Vec<File>,
    /// Its groups.
    pub groups: Vec<Group>,
    /// Its tests.
    pub tests: Vec<Test>,
    /// Tests that wait for a moment before they wait in the queue.
    pub delayed: BTreeSet<(Time, TestIx)>,
    /// The verdicts so far.
    pub counts: Counts,
    /// Tests without a verdict.
    pub open: u32,
    /// Files that are still to be listed.
    pub unlisted: u32,
    /// Its live leases.
    pub leases: BTreeSet<Token>,
    /// How long the unfinished tests of those may take.
    pub leased: Micros,
    /// The tests that run a second time beside the lease that they stand under, and under which lease.
    pub twins: BTreeMap<TestIx, Token>,
    /// When it was last granted a shard, or handed in.
    pub served_at: Time,
    /// The workers that were ever granted a shard of it, and may keep something warm.
    pub served: BTreeSet<WorkerId>,
    /// What went wrong beside its tests, up to a bound.
    pub errors: Vec<RunError>,
    /// How much went wrong beside its tests, all of it.
    pub errors_total: u32,
    /// What the tests that did not pass at once have spent of their budgets.
    pub spent: BTreeMap<TestIx, Spent>,
    /// Retries spent, for whatever cause but that a worker was asked to leave.
    pub retries: u32,
    /// Why it was ended before its time, if it was.
    pub cancelled: Option<CancelCause>,
    /// Whether its running tests are to be stopped too.
    pub kill: bool,
    /// How far it is.
    pub phase: Phase,
}

/// A suite of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Suite {
    /// The suite.
    pub suite: PlannedSuite,
    /// What it costs a slot beside its tests.
    pub costs: Costs,
    /// Whether its files are known.
    pub discovery: Discovery,
    /// How often a worker was lost while it was being discovered.
    pub losses: u16,
    /// What waits to be leased, by what it needs beside a slot. None of them is empty.
    pub queues: BTreeMap<NeedsIx, Queue>,
    /// What tests without history took in this run.
    pub observed: Observed,
    /// Whether it cannot go on: what waits of it is not run.
    pub failed: bool,
    /// How many leases in a row ended without a result, a listing or an error.
    pub fruitless: u16,
}

/// Whether the files of a suite are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Discovery {
    /// A worker is to find them.
    Waiting,
    /// A worker is finding them.
    Leased(Token),
    /// They are known (or cannot be).
    Done,
}

/// Tests that stay together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Group {
    /// The file it belongs to.
    pub file: FileIx,
    /// What each of its tests needs: tests that need something else are a group of their own.
    pub needs: NeedsIx,
    /// Whether it has a fixture to share; a group without one is a single test.
    pub shared: bool,
    /// Its tests, in order.
    pub tests: Members,
    /// How many of them wait in the queue.
    pub waiting: u32,
    /// How long those may take.
    pub estimate: Micros,
    /// The upper end of that: what it is ordered by.
    pub upper: Micros,
    /// How many of those have no history of their own.
    pub guesses: u32,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Tests wait or run.
    Running,
    /// Every test has its verdict; these workers tear it down.
    Closing(BTreeSet<WorkerId>),
    /// It ended.
    Ended(RunOutcome),
}

impl Run {
    /// The test.
    #[must_use]
    pub fn test(&self, test: TestIx) -> &Test {
        &self.tests[test.at()]
    }

    /// The rules the test runs under.
    #[must_use]
    pub fn policy_of(&self, test: TestIx) -> &TestPolicy {
        &self.policies[self.test(test).policy.at()]
    }

    /// How often the test came to nothing for this cause.
    #[must_use]
    pub fn spent(&self, test: TestIx, cause: Cause) -> u16 {
        self.spent.get(&test).map_or(0, |spent| spent.of(cause))
    }

    /// How often the test is run again for this cause.
    #[must_use]
    pub fn budget(&self, test: TestIx, cause: Cause) -> u16 {
        self.policy_of(test).budget(cause, &self.policy)
    }

    /// The file.
    #[must_use]
    pub fn file(&self, file: FileIx) -> &File {
        &self.files[file.at()]
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self, suite: SuiteIx) -> &Suite {
        &self.suites[suite.at()]
    }

    /// The group.
    #[must_use]
    pub fn group(&self, group: GroupIx) -> &Group {
        &self.groups[group.at()]
    }

    /// The file that comes next under a lease: of its tests that are to run, or of those that it has to list.
    #[must_use]
    pub fn at(&self, lease: &Lease, token: Token) -> Option<FileIx> {
        let next = lease.tests.iter().find(|&&test| self.test(test).place == Place::Leased(token));
        next.map(|&test| self.test(test).file).or_else(|| lease.files.first().copied())
    }

    /// What stands in the place `needs` of its table.
    #[must_use]
    pub fn needs_of(&self, needs: NeedsIx) -> &[Need] {
        needs.at().checked_sub(1).map_or(&[], |at| self.needs[at].as_slice())
    }

    /// Each need of them with its resource.
    pub fn parts(&self, needs: NeedsIx) -> impl Iterator<Item = (&Need, ResourceIx)> {
        let at = needs.at().checked_sub(1);
        let (needs, parts) = at.map_or((&[][..], &[][..]), |at| (self.needs[at].as_slice(), self.parts[at].as_slice()));
        needs.iter().zip(parts.iter().copied())
    }

    /// What waits for what these need: queues by suite and needs.
    pub fn rivals(&self, needs: NeedsIx) -> impl Iterator<Item = (SuiteIx, NeedsIx)> {
        self.parts(needs).flat_map(|(_, ix)| self.demands[ix.at()].queues.iter().copied())
    }

    /// More waits for what these need.
    pub(super) fn demand(&mut self, suite: SuiteIx, needs: NeedsIx, time: Micros) {
        self.queued += time;
        let Some(at) = needs.at().checked_sub(1) else { return };
        for (need, ix) in self.needs[at].iter().zip(&self.parts[at]) {
            let demand = &mut self.demands[ix.at()];
            demand.add(need, time);
            demand.queues.insert((suite, needs));
        }
    }

    /// Less waits for what these need; with the last of it, the queue is no more.
    pub(super) fn sate(&mut self, suite: SuiteIx, needs: NeedsIx, time: Micros, last: bool) {
        self.queued = self.queued.saturating_sub(time);
        let Some(at) = needs.at().checked_sub(1) else { return };
        for (need, ix) in self.needs[at].iter().zip(&self.parts[at]) {
            let demand = &mut self.demands[ix.at()];
            demand.take(need, time);
            if last {
                demand.queues.remove(&(suite, needs));
            }
        }
    }

    /// The run that a submission asks for, without its suites.
    pub(super) fn new(submission: &Submission, at: Time) -> Self {
        let needs = submission.needs.clone();
        let names: BTreeSet<&Arc<str>> =
            needs.iter().flat_map(|needs| needs.iter()).map(|need| &need.resource).collect();
        let resources: Vec<Arc<str>> = names.into_iter().cloned().collect();
        let ix = |need: &Need| ResourceIx::nth(resources.binary_search(&need.resource).expect("it is one of them"));
        let parts = needs.iter().map(|needs| needs.iter().map(ix).collect()).collect();
        Self {
            id: submission.run,
            project: submission.project.clone(),
            submitted: at,
            resumes: submission.resumes,
            policy: submission.policy.clone(),
            policies: submission.policies.clone(),
            demands: vec![Demand::default(); resources.len()],
            queued: Micros::ZERO,
            needs,
            resources,
            parts,
            suites: Vec::with_capacity(submission.suites.len()),
            files: Vec::new(),
            groups: Vec::new(),
            tests: Vec::new(),
            delayed: BTreeSet::new(),
            counts: Counts::default(),
            open: 0,
            unlisted: 0,
            leases: BTreeSet::new(),
            leased: Micros::ZERO,
            twins: BTreeMap::new(),
            served_at: at,
            served: BTreeSet::new(),
            errors: Vec::new(),
            errors_total: 0,
            spent: BTreeMap::new(),
            retries: 0,
            cancelled: None,
            kill: false,
            phase: Phase::Running,
        }
    }

    /// It ends. How it came out stays, for those who ask; what it was made of is of use to nobody here any more, and of a
    /// large run it is nearly all of the memory.
    pub(super) fn end(&mut self, outcome: RunOutcome) {
        debug_assert_eq!(invariant::completes(self, outcome), Ok(()));
        self.phase = Phase::Ended(outcome);
        self.files = Vec::new();
        self.groups = Vec::new();
        self.tests = Vec::new();
        self.spent = BTreeMap::new();
    }

    /// How long everything may take that waits.
    #[must_use]
    pub fn waiting(&self) -> Micros {
        self.queued
    }

    /// Whether nothing of the suite is to be started any more.
    #[must_use]
    pub fn is_over(&self, suite: SuiteIx) -> bool {
        self.cancelled.is_some() || self.suite(suite).failed
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether nothing of it is left to run, to list or to find, and no slot holds any of it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.open == 0 && self.unlisted == 0 && (self.leases.is_empty() || mutant::is(Mutant::EndsWithLeases))
    }

    /// How it ends, if it ends now. What stands of the run that it goes on with counts like its own.
    #[must_use]
    pub fn outcome(&self) -> RunOutcome {
        if self.cancelled.is_some() {
            return RunOutcome::Cancelled;
        }
        let not_run = if mutant::is(Mutant::NotRunIsGreen) { self.counts.not_run } else { 0 };
        let counts = self.resumes.map_or(self.counts, |resumed| self.counts.plus(resumed.stand));
        let errors = self.errors_total + self.resumes.map_or(0, |resumed| resumed.errors);
        if errors > 0 || counts.red() > not_run || (self.policy.flaky_fails && counts.flaky > 0) {
            return RunOutcome::Red;
        }
        if counts.total() == 0 { RunOutcome::Empty } else { RunOutcome::Green }
    }
}
