//! A run as a client sees it: folded from the events that the coordinator sends, and from nothing else.
//!
//! Progress lines, reports and exit codes are all drawn from this one picture. It leaves every decision to the core.

mod apply;
mod asking;
mod outputs;
#[cfg(test)]
pub(crate) mod script;
mod summary;

pub(crate) use apply::News;
pub(crate) use asking::{Asking, Slow};
pub(crate) use outputs::Outputs;
pub(crate) use summary::{HeldBack, Tally};

use regatta_domain::database::Observation;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::report::{CancelCause, Counts, RunOutcome};
use regatta_domain::result::{OutputRef, RunError};
use regatta_domain::submission::Resumed;
use regatta_domain::{
    Cause, Costs, Exit, FileIx, Level, Micros, Need, Needs, Nuance, Outcome, PolicyIx, RunId, Source, SuiteIx, TestIx,
    TestKey, Time, Verdict, listing,
};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// A run, as far as its events have been seen.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The run.
    pub(crate) run: RunId,
    /// The namespace of its history.
    pub(crate) project: String,
    /// When the last event happened, by the coordinator's clock.
    pub(crate) at: Time,
    /// When it was handed in, by the coordinator's clock.
    pub(crate) submitted: Time,
    /// When it ended.
    pub(crate) ended: Option<Time>,
    /// When its first shard was leased.
    pub(crate) first_lease: Option<Time>,
    /// The run that it goes on with.
    pub(crate) resumes: Option<Resumed>,
    /// Its rules.
    pub(crate) policy: RunPolicy,
    /// The rules that its tests point at.
    pub(crate) policies: Vec<TestPolicy>,
    /// Its suites.
    pub(crate) suites: Vec<Suite>,
    /// Its files.
    pub(crate) files: Vec<File>,
    /// Its tests.
    pub(crate) tests: Vec<Test>,
    /// The verdicts so far.
    pub(crate) counts: Counts,
    /// What runs right now, as far as one was told.
    pub(crate) running: BTreeMap<TestIx, Running>,
    /// What went wrong beside the tests.
    pub(crate) errors: Vec<ErrorAt>,
    /// Why it was ended before its time.
    pub(crate) cancelled: Option<CancelCause>,
    /// How it ended.
    pub(crate) outcome: Option<RunOutcome>,
    /// Whether all verdicts are in, and fixtures are torn down.
    pub(crate) closing: bool,
    /// The slots that were ever granted a shard, by worker and number, with the time they worked.
    pub(crate) slots: BTreeMap<(String, u32), Micros>,
    /// The leases that stand.
    pub(crate) leases: BTreeMap<u64, LeaseAt>,
    /// Since when no lease has stood, if there was one before.
    pub(crate) idle_since: Option<Time>,
    /// How long no lease stood between two, by what the one that ended the wait needs: nothing where it was for a slot.
    pub(crate) waited: BTreeMap<Option<Arc<str>>, Micros>,
    /// Leases that were lost with their worker.
    pub(crate) lost: u32,
    /// Leases that somebody ended for the sake of what they held.
    pub(crate) revoked: u32,
    /// The last event of the record that was seen.
    pub(crate) seq: u64,
    /// How long the planned tests may take together.
    pub(crate) estimated: Micros,
    /// How long the tests without a verdict may take together.
    pub(crate) left: Micros,
    /// How many tests left the plan.
    pub(crate) gone: usize,
    /// What its tests may need beside a slot; see [`Test::needs`].
    pub(crate) needs: Vec<Needs>,
    /// The seats of the resources that there are, where somebody told.
    pub(crate) seats: BTreeMap<Arc<str>, u32>,
    /// The statements that its tests sent, each text once: thousands of tests send the same ones.
    pub(crate) texts: HashSet<Arc<str>>,
    /// Whether tests run, or are about to: a shard of them was leased, or one has begun.
    pub(crate) begun: bool,
    /// Whether tests joined the plan after that: what was known before was not all of it.
    pub(crate) grew: bool,
}

/// A suite.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    /// Its name.
    pub(crate) name: String,
    /// Its runner.
    pub(crate) runner: String,
    /// Where it runs.
    pub(crate) root: String,
    /// What it costs a slot beside its tests, as was thought when the run was handed in.
    pub(crate) costs: Costs,
    /// The labels that workers must carry to run it.
    pub(crate) requires: Vec<String>,
}

/// A file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Its suite.
    pub(crate) suite: SuiteIx,
    /// Its path.
    pub(crate) path: Arc<str>,
    /// Whether its tests are known.
    pub(crate) listed: bool,
}

/// A test.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    /// The file it stands in.
    pub(crate) file: FileIx,
    /// Its name within the file.
    pub(crate) name: Arc<str>,
    /// The line it stands at; 0 where that is not known.
    pub(crate) line: u32,
    /// What its history hangs on.
    pub(crate) key: TestKey,
    /// Its rules.
    pub(crate) policy: PolicyIx,
    /// Its group.
    pub(crate) group: u32,
    /// How long it was thought to take.
    pub(crate) estimate: Micros,
    /// Whether that came from its own history.
    pub(crate) known: bool,
    /// The standard deviation of the logarithm of that, in thousandths.
    pub(crate) spread: u16,
    /// Where that comes from.
    pub(crate) source: Source,
    /// How likely it was thought not to pass, in thousandths.
    pub(crate) risk: u16,
    /// Its database dependency.
    pub(crate) level: Level,
    /// What it needs beside a slot: 0 is nothing, n the n-th of the run's.
    pub(crate) needs: u32,
    /// Its framework leaves it out.
    pub(crate) ignored: bool,
    /// Its verdict, once it has one.
    pub(crate) verdict: Option<Verdict>,
    /// Its accepted attempts, in order.
    pub(crate) attempts: Vec<Attempt>,
    /// Why it has no verdict that passes.
    pub(crate) cause: Option<Cause>,
    /// Its attempts that ended without a result, in order.
    pub(crate) lost: Vec<Loss>,
    /// Results of it that came too late, and were refused.
    pub(crate) refused: Vec<Late>,
    /// It left the plan.
    pub(crate) gone: bool,
}

/// A result that came too late: its lease had been taken from the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late {
    /// When it came.
    pub(crate) at: Time,
    /// The lease.
    pub(crate) token: u64,
    /// The number of the attempt, from 1.
    pub(crate) number: u32,
    /// What it came to.
    pub(crate) outcome: Outcome,
    /// How long it took.
    pub(crate) duration: Micros,
}

/// An accepted attempt.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Its number, from 1.
    pub(crate) number: u16,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// What the framework told beyond that.
    pub(crate) nuance: Nuance,
    /// Why it did not pass.
    pub(crate) cause: Option<Cause>,
    /// How its process ended, where it had one of its own that did.
    pub(crate) exit: Option<Exit>,
    /// When it began, by the worker's clock.
    pub(crate) started: Time,
    /// How long it took.
    pub(crate) duration: Micros,
    /// Why it did not pass.
    pub(crate) reason: Option<Arc<str>>,
    /// Where its output lies.
    pub(crate) output: Option<OutputRef>,
    /// What it was seen to do with its databases.
    pub(crate) observation: Option<Arc<Observation>>,
    /// On which slot.
    pub(crate) slot: Option<(String, u32)>,
}

/// An attempt that ended without a result: with its worker, or with what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Its number, from 1; 0 where that was not told.
    pub(crate) number: u32,
    /// Why it ended.
    pub(crate) cause: Cause,
    /// How long it had run, as far as the coordinator was told.
    pub(crate) ran: Micros,
    /// On which slot.
    pub(crate) slot: Option<(String, u32)>,
}

/// A test that runs.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    /// Since when.
    pub(crate) since: Time,
    /// On which worker.
    pub(crate) worker: String,
    /// On which slot of it.
    pub(crate) slot: u32,
}

/// A lease.
#[derive(Clone, Debug)]
pub(crate) struct LeaseAt {
    /// On which worker.
    pub(crate) worker: String,
    /// On which slot of it.
    pub(crate) slot: u32,
    /// Whether it looks for the files of a suite.
    pub(crate) discovers: bool,
}

/// Something that went wrong beside the tests.
#[derive(Clone, Debug)]
pub(crate) struct ErrorAt {
    /// What.
    pub(crate) error: RunError,
    /// The file it concerns.
    pub(crate) file: Option<FileIx>,
}

impl View {
    /// A run of which nothing is known yet.
    pub(crate) fn new(run: RunId) -> Self {
        Self {
            run,
            project: String::new(),
            at: Time::default(),
            submitted: Time::default(),
            ended: None,
            first_lease: None,
            resumes: None,
            policy: RunPolicy::default(),
            policies: Vec::new(),
            suites: Vec::new(),
            files: Vec::new(),
            tests: Vec::new(),
            counts: Counts::default(),
            running: BTreeMap::new(),
            errors: Vec::new(),
            cancelled: None,
            outcome: None,
            closing: false,
            slots: BTreeMap::new(),
            leases: BTreeMap::new(),
            idle_since: None,
            waited: BTreeMap::new(),
            lost: 0,
            revoked: 0,
            seq: 0,
            estimated: Micros::ZERO,
            left: Micros::ZERO,
            gone: 0,
            needs: Vec::new(),
            seats: BTreeMap::new(),
            texts: HashSet::new(),
            begun: false,
            grew: false,
        }
    }

    /// The test.
    pub(crate) fn test(&self, test: TestIx) -> &Test {
        &self.tests[test.at()]
    }

    /// The file a test stands in.
    pub(crate) fn file_of(&self, test: TestIx) -> &File {
        &self.files[self.test(test).file.at()]
    }

    /// The suite a test belongs to.
    pub(crate) fn suite_of(&self, test: TestIx) -> &Suite {
        &self.suites[self.file_of(test).suite.at()]
    }

    /// The id of a test: what selects it, and what people paste back.
    pub(crate) fn id(&self, test: TestIx) -> String {
        listing::test_id(&self.file_of(test).path, &self.test(test).name)
    }

    /// The tests that are planned: those that left the plan are not.
    pub(crate) fn planned(&self) -> impl Iterator<Item = (TestIx, &Test)> {
        self.tests.iter().enumerate().filter(|(_, test)| !test.gone).map(|(at, test)| (TestIx::nth(at), test))
    }

    /// How many tests are planned, as far as is known.
    pub(crate) fn planned_count(&self) -> usize {
        self.tests.len() - self.gone
    }

    /// What a test needs beside a slot.
    pub(crate) fn needs_of(&self, test: TestIx) -> &[Need] {
        let at = (self.test(test).needs as usize).checked_sub(1);
        at.and_then(|at| self.needs.get(at)).map_or(&[], Needs::as_slice)
    }

    /// The rules of a test.
    pub(crate) fn policy_of(&self, test: TestIx) -> Option<&TestPolicy> {
        self.policies.get(self.test(test).policy.at())
    }

    /// How many files are planned whose tests are not known yet.
    pub(crate) fn files_to_list(&self) -> usize {
        self.files.iter().filter(|file| !file.listed).count()
    }

    /// Whether files are still to be found or listed, so that the plan may grow.
    pub(crate) fn may_grow(&self) -> bool {
        self.leases.values().any(|lease| lease.discovers) || self.files.iter().any(|file| !file.listed)
    }
}

impl Test {
    /// Its last accepted attempt.
    pub(crate) fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// The loss that decided its verdict; none where a result did.
    pub(crate) fn decided_by_loss(&self) -> Option<&Loss> {
        let fits = |last: &Attempt| match self.verdict {
            Some(Verdict::Crashed) => last.outcome == Outcome::Crashed,
            Some(Verdict::TimedOut) => last.outcome == Outcome::TimedOut,
            _ => true,
        };
        let later = |loss: &&Loss| {
            self.last().is_none_or(|last| if loss.number == 0 { !fits(last) } else { loss.number > last.number.into() })
        };
        let lost = matches!(self.verdict, Some(Verdict::Crashed | Verdict::TimedOut));
        self.lost.last().filter(|_| lost).filter(later)
    }

    /// How long its accepted attempts took together.
    pub(crate) fn duration(&self) -> Micros {
        self.attempts.iter().map(|attempt| attempt.duration).sum()
    }
}
