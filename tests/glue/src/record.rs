//! What is durable, and what really happened, side by side: read a second time, past all of the coordinator's code.

use crate::plan::{Behaviour, DEVICE, Plan};
use crate::story::Story;
use regatta_coordinator::store::Commit;
use regatta_core::{Blamed, Event, LeaseEnd, Then, Work};
use regatta_domain::report::RunOutcome;
use regatta_domain::{Outcome, RunId, TestIx, Time, Token, Verdict, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A record that all look at.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<Record>>);

impl Shared {
    pub(crate) fn new(plan: &Arc<Plan>, story: &Story) -> Self {
        Self(Arc::new(Mutex::new(Record {
            plan: Arc::clone(plan),
            story: story.clone(),
            commits: 0,
            last_token: Token::default(),
            leases: BTreeMap::new(),
            accepted: BTreeSet::new(),
            refused: BTreeSet::new(),
            given_back: BTreeSet::new(),
            verdicts: BTreeMap::new(),
            ended: BTreeMap::new(),
            executions: Vec::new(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Record> {
        // Each use leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is durable, and what happened.
#[derive(Debug)]
pub(crate) struct Record {
    plan: Arc<Plan>,
    story: Story,
    commits: u64,
    last_token: Token,
    /// Every lease there ever was.
    leases: BTreeMap<Token, Lease>,
    accepted: BTreeSet<(Token, TestIx, u16)>,
    refused: BTreeSet<(Token, TestIx, u16)>,
    given_back: BTreeSet<(Token, TestIx)>,
    verdicts: BTreeMap<(RunId, TestIx), Verdict>,
    ended: BTreeMap<RunId, Duration>,
    executions: Vec<Execution>,
}

#[derive(Debug)]
struct Lease {
    run: RunId,
    worker: WorkerId,
    began: Duration,
    ended: Option<(Duration, LeaseEnd)>,
    /// Whether it holds what there is one of.
    alone: bool,
}

/// A test that was begun on a worker.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) host: String,
    pub(crate) run: RunId,
    pub(crate) token: Token,
    pub(crate) test: TestIx,
    pub(crate) attempt: u16,
    /// Its file and name.
    pub(crate) named: (String, String),
    /// Whether it uses what there is one of.
    pub(crate) alone: bool,
    pub(crate) began: Duration,
    /// When nothing of it ran any more.
    pub(crate) over: Option<Duration>,
    /// How it ended; nothing where it was stopped.
    pub(crate) outcome: Option<Outcome>,
}

/// What the moments differ by at which two hosts see the same.
const TICK: Duration = Duration::from_millis(20);

const fn at(time: Time) -> Duration {
    Duration::from_micros(time.0)
}

impl Record {
    /// A test begins. Gives the number of the execution.
    pub(crate) fn begin(&mut self, execution: Execution) -> usize {
        self.executions.push(execution);
        self.executions.len() - 1
    }

    /// Nothing of an execution runs any more.
    pub(crate) fn over(&mut self, execution: usize, now: Duration, outcome: Option<Outcome>) {
        let execution = &mut self.executions[execution];
        execution.over = Some(now);
        execution.outcome = outcome;
    }

    /// Whether the coordinator may say that it has heard of a result for good.
    pub(crate) fn is_settled(&self, token: u64, test: u32, attempt: u32) -> bool {
        let (token, test) = (Token(token), TestIx(test));
        let Some(lease) = self.leases.get(&token) else { return false };
        let attempt = u16::try_from(attempt).unwrap_or(u16::MAX);
        let refused = match lease.ended {
            Some((_, LeaseEnd::Released)) | None => self.verdicts.contains_key(&(lease.run, test)),
            // It never came there.
            Some((_, LeaseEnd::Unreceived)) => true,
            // It was taken from the worker: what comes late is on record.
            Some(_) => self.refused.contains(&(token, test, attempt)),
        };
        refused || self.accepted.contains(&(token, test, attempt)) || self.given_back.contains(&(token, test))
    }

    /// A commit is durable.
    pub(crate) fn take(&mut self, commit: &Commit) {
        self.commits += 1;
        if commit.seq != self.commits {
            self.story.broke(format_args!("commit {} follows commit {}", commit.seq, self.commits - 1));
        }
        for event in commit.events.iter() {
            self.story.tell("journal", format_args!("{} {event:?}", commit.seq));
            self.event(commit.at, event);
        }
    }

    fn event(&mut self, now: Time, event: &Event) {
        match event {
            Event::ShardLeased { at: granted, run, token, worker, work, holds, .. } => {
                if *token <= self.last_token {
                    self.story.broke(format_args!("lease {token} after lease {}", self.last_token));
                }
                self.last_token = *token;
                if let Work::Run(_, tests) = work {
                    for test in tests.iter().filter(|test| self.verdicts.contains_key(&(*run, **test))) {
                        self.story.broke(format_args!("test {test} has its verdict and is leased under {token}"));
                    }
                }
                let alone = holds.iter().any(|held| &*held.resource == DEVICE);
                if let Some((other, _)) =
                    self.leases.iter().find(|(_, lease)| alone && lease.alone && lease.ended.is_none())
                {
                    self.story.broke(format_args!("the device is granted under {token} and under {other}"));
                }
                let lease = Lease { run: *run, worker: *worker, began: at(*granted), ended: None, alone };
                self.leases.insert(*token, lease);
            }
            Event::ResultsAccepted { run, token, results } => {
                if self.leases.get(token).is_none_or(|lease| lease.ended.is_some()) {
                    self.story.broke(format_args!("results are accepted under {token}, which is no lease (any more)"));
                }
                for accepted in results {
                    let result = &accepted.result;
                    let is_it = |done: &&Execution| {
                        (done.token, done.test, done.attempt) == (*token, result.test, result.attempt)
                            && done.outcome == Some(result.outcome)
                    };
                    let Some(done) = self.executions.iter().find(is_it).cloned() else {
                        self.story.broke(format_args!(
                            "{:?} of test {} under {token} was accepted, and never happened",
                            result.outcome, result.test
                        ));
                        continue;
                    };
                    self.accepted.insert((*token, result.test, result.attempt));
                    if let Then::Verdict(verdict) = accepted.then {
                        self.verdict(*run, &done, verdict);
                    }
                }
            }
            Event::ResultsRefused { token, results, .. } => {
                for refused in results {
                    let key = (*token, refused.test, refused.attempt);
                    let is_it = |done: &Execution| {
                        (done.token, done.test, done.attempt) == key && done.outcome == Some(refused.outcome)
                    };
                    if !self.executions.iter().any(is_it) || self.accepted.contains(&key) || !self.refused.insert(key) {
                        self.story.broke(format_args!(
                            "test {} was refused under {token}, and never happened, was accepted, or was refused before",
                            refused.test
                        ));
                    }
                }
            }
            Event::TestsGivenBack { token, tests, .. } => {
                self.given_back.extend(tests.iter().map(|test| (*token, *test)));
            }
            Event::LeaseEnded { at: ended, token, cause, blamed, .. } => {
                match self.leases.get_mut(token) {
                    Some(lease) if lease.ended.is_none() => lease.ended = Some((at(*ended), *cause)),
                    _ => self.story.broke(format_args!("lease {token} ended and was none")),
                }
                if let Some(Blamed { test, then: Then::Verdict(verdict), .. }) = blamed {
                    self.story.broke(format_args!("test {test} is called {verdict} because of its workers"));
                }
            }
            Event::FileFailed { error, .. } | Event::RunErred { error, .. } | Event::WaitGivenUp { error, .. } => {
                self.story.broke(format_args!("a run erred: {error:?}"));
            }
            Event::RunEnded { run, outcome, .. } => self.end(*run, at(now), *outcome),
            _ => {}
        }
    }

    fn verdict(&mut self, run: RunId, done: &Execution, verdict: Verdict) {
        let behaves = self.plan.run(run).and_then(|run| run.test(&done.named.0, &done.named.1)).map(|t| t.behaves);
        let is_right = match behaves {
            Some(Behaviour::Passes) => verdict == Verdict::Passed,
            Some(Behaviour::Fails) => verdict == Verdict::Failed,
            // Its first attempt may have been lost with a worker.
            Some(Behaviour::Flakes) => matches!(verdict, Verdict::Flaky | Verdict::Passed),
            None => false,
        };
        if !is_right {
            self.story.broke(format_args!("{:?}, which {behaves:?}, is called {verdict}", done.named));
        }
        if self.verdicts.insert((run, done.test), verdict).is_some() {
            self.story.broke(format_args!("test {} has two verdicts", done.test));
        }
    }

    fn end(&mut self, run: RunId, now: Duration, outcome: RunOutcome) {
        let Some(plan) = self.plan.run(run) else {
            return self.story.broke(format_args!("run {run} was never asked for"));
        };
        let verdicts = self.verdicts.range((run, TestIx(0))..=(run, TestIx(u32::MAX))).count();
        if verdicts != plan.tests() {
            self.story.broke(format_args!("run {run} ended with {verdicts} verdicts of {} tests", plan.tests()));
        }
        let fails = plan.files.iter().flatten().any(|test| test.behaves == Behaviour::Fails);
        let right = if fails { RunOutcome::Red } else { RunOutcome::Green };
        if outcome != right {
            self.story.broke(format_args!("run {run} is {outcome:?} and not {right:?}"));
        }
        if self.ended.insert(run, now).is_some() {
            self.story.broke(format_args!("run {run} ended twice"));
        }
    }

    /// How many commits there are.
    pub(crate) const fn commits(&self) -> u64 {
        self.commits
    }

    /// How many tests were begun.
    pub(crate) fn begun(&self) -> usize {
        self.executions.len()
    }

    /// The host on which somebody uses the device.
    pub(crate) fn holder(&self) -> Option<String> {
        let uses = |done: &&Execution| done.alone && done.over.is_none();
        self.executions.iter().rfind(uses).map(|done| done.host.clone())
    }

    /// When a run ended.
    pub(crate) fn ended(&self, run: RunId) -> Option<Duration> {
        self.ended.get(&run).copied()
    }

    /// The verdicts of a run.
    pub(crate) fn verdicts(&self, run: RunId) -> BTreeMap<TestIx, Verdict> {
        let of_run = self.verdicts.range((run, TestIx(0))..=(run, TestIx(u32::MAX)));
        of_run.map(|((_, test), verdict)| (*test, *verdict)).collect()
    }

    /// The name of a test that ran.
    pub(crate) fn name(&self, run: RunId, test: TestIx) -> Option<String> {
        self.executions.iter().find(|done| (done.run, done.test) == (run, test)).map(|done| done.named.1.clone())
    }

    /// What is left to do of all runs, by one slot, if nothing more goes wrong.
    pub(crate) fn left(&self) -> Duration {
        let mut left = Duration::ZERO;
        for run in self.plan.runs.iter().filter(|run| !self.ended.contains_key(&run.run)) {
            let of_run = self.executions.iter().filter(|done| done.run == run.run);
            let has_verdict = |done: &&Execution| self.verdicts.contains_key(&(done.run, done.test));
            let over: BTreeSet<&(String, String)> = of_run.filter(has_verdict).map(|done| &done.named).collect();
            for (file, tests) in run.files.iter().enumerate() {
                let waits = |name: &str| !over.contains(&(format!("file-{file}"), name.to_owned()));
                for test in tests.iter().filter(|test| waits(&test.name)) {
                    let attempts = if test.behaves == Behaviour::Passes { 1 } else { 3 };
                    // Where tests follow one another, as on the device, each grant and each result waits for a commit.
                    left += (test.takes + self.plan.commit * 2) * attempts;
                }
            }
        }
        left
    }

    /// What can only be seen when all is over.
    pub(crate) fn judge(&self) {
        let swarm = &self.plan.swarm;
        let mut alone: Vec<&Execution> = Vec::new();
        let mut names: BTreeMap<(RunId, TestIx), &(String, String)> = BTreeMap::new();
        let mut tests: BTreeMap<(RunId, &(String, String)), TestIx> = BTreeMap::new();
        let mut attempts: BTreeSet<(RunId, TestIx, u16)> = BTreeSet::new();
        // Where workers and their connections to a coordinator that is there do not fail, nothing runs twice.
        let is_gentle = !(swarm.cut
            || swarm.hold
            || swarm.slow
            || swarm.loss
            || swarm.worker_dies
            || swarm.worker_leaves
            || swarm.scarce);
        for done in &self.executions {
            let Some(lease) = self.leases.get(&done.token) else {
                self.story.broke(format_args!("test {} ran under {}, which is not durable", done.test, done.token));
                continue;
            };
            if *names.entry((done.run, done.test)).or_insert(&done.named) != &done.named
                || *tests.entry((done.run, &done.named)).or_insert(done.test) != done.test
            {
                self.story.broke(format_args!("test {} is {:?} and another one", done.test, done.named));
            }
            if !attempts.insert((done.run, done.test, done.attempt)) && is_gentle {
                self.story.broke(format_args!("attempt {} of test {} ran twice", done.attempt, done.test));
            }
            if is_gentle && done.outcome.is_none() {
                self.story.broke(format_args!("test {} was stopped, and nothing was wrong with its worker", done.test));
            }
            let over = done.over.unwrap_or(Duration::MAX);
            if done.alone {
                alone.push(done);
                if let Some((ended, cause)) = lease.ended
                    && over > ended + TICK
                {
                    self.story.broke(format_args!(
                        "test {} used the device until {over:?}, and lease {} of {} ended at {ended:?} ({cause:?})",
                        done.test, done.token, lease.worker
                    ));
                }
                if done.began + TICK < lease.began {
                    self.story
                        .broke(format_args!("test {} used the device before its lease {}", done.test, done.token));
                }
            }
        }
        alone.sort_by_key(|done| done.began);
        for pair in alone.windows(2) {
            if pair[0].over.is_none_or(|over| over > pair[1].began) {
                self.story.broke(format_args!("tests {} and {} used the device at once", pair[0].test, pair[1].test));
            }
        }
    }
}
