//! A second, plain reading of the journal: what the plan of a run is, and who holds each of its tests.

use super::checkers::Checked;
use regatta_core::{Event, Work};
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::report::RunOutcome;
use regatta_domain::submission::{FileDraft, Submission, TestDraft};
use regatta_domain::{Cause, FileIx, Needs, NeedsIx, SuiteIx, TestIx, Token, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The plan of a run.
pub(super) struct Plan {
    pub(super) policy: RunPolicy,
    pub(super) policies: Vec<TestPolicy>,
    needs: Vec<Needs>,
    /// What each lease was granted beside its slot.
    held_needs: BTreeMap<Token, NeedsIx>,
    /// Suite and path of each file.
    pub(super) files: Vec<(SuiteIx, Arc<str>)>,
    gone: BTreeSet<usize>,
    pub(super) tests: Vec<PlannedTest>,
    failed: BTreeSet<SuiteIx>,
    broken: BTreeSet<FileIx>,
    pub(super) cancelled: bool,
    pub(super) errors: u32,
    pub(super) retries: u32,
    pub(super) ended: Option<RunOutcome>,
}

/// A test of a plan.
pub(super) struct PlannedTest {
    pub(super) file: usize,
    pub(super) name: Arc<str>,
    pub(super) policy: usize,
    needs: NeedsIx,
    pub(super) failures: u16,
    /// How often it came to nothing, by cause.
    pub(super) spent: BTreeMap<Cause, u16>,
    pub(super) verdict: Option<Verdict>,
    pub(super) has_run: bool,
    pub(super) gone: bool,
    holder: Option<Token>,
    /// The lease under which it runs a second time.
    twin: Option<Token>,
}

impl Plan {
    pub(super) fn new(submission: &Submission) -> Self {
        let mut plan = Self {
            policy: submission.policy.clone(),
            policies: submission.policies.clone(),
            needs: submission.needs.clone(),
            held_needs: BTreeMap::new(),
            files: Vec::new(),
            gone: BTreeSet::new(),
            tests: Vec::new(),
            failed: BTreeSet::new(),
            broken: BTreeSet::new(),
            cancelled: false,
            errors: 0,
            retries: 0,
            ended: None,
        };
        for (at, suite) in submission.suites.iter().enumerate() {
            suite.files.iter().for_each(|file| plan.add_file(SuiteIx::nth(at), file));
        }
        plan
    }

    fn add_file(&mut self, suite: SuiteIx, file: &FileDraft) {
        self.files.push((suite, Arc::clone(&file.path)));
        let at = self.files.len() - 1;
        file.tests.iter().flatten().for_each(|test| self.add_test(at, test, None));
    }

    fn add_test(&mut self, file: usize, draft: &TestDraft, holder: Option<Token>) {
        let over = self.cancelled || self.failed.contains(&self.files[file].0);
        let verdict = if draft.ignored { Some(Verdict::Skipped) } else { over.then_some(Verdict::NotRun) };
        // A lease that finds a test which needs something else does not hold it.
        let holds = |token: &Token| self.held_needs.get(token) == Some(&draft.needs);
        let holder = holder.filter(|token| verdict.is_none() && holds(token));
        let (name, policy) = (Arc::clone(&draft.name), draft.policy.at());
        let (failures, spent, has_run, gone, needs) = (0, BTreeMap::new(), false, false, draft.needs);
        self.tests.push(PlannedTest {
            file,
            name,
            policy,
            needs,
            failures,
            spent,
            verdict,
            has_run,
            gone,
            holder,
            twin: None,
        });
    }

    /// What a shard needs beside its slot: what each of its tests does.
    pub(super) fn lease_needs(&mut self, token: Token, work: &Work) -> Result<Needs, String> {
        let Work::Run(_, tests) = work else {
            self.held_needs.insert(token, NeedsIx(0));
            return Ok(Needs::default());
        };
        let needs: BTreeSet<NeedsIx> =
            tests.iter().map(|&test| self.test(test).map(|test| test.needs)).collect::<Result<_, _>>()?;
        let [needs] = needs.into_iter().collect::<Vec<_>>()[..] else {
            return Err(format!("the tests of {token} need different things"));
        };
        self.held_needs.insert(token, needs);
        Ok(needs.at().checked_sub(1).map_or_else(Needs::default, |at| self.needs[at].clone()))
    }

    pub(super) fn test(&self, ix: TestIx) -> Result<&PlannedTest, String> {
        self.tests.get(ix.at()).ok_or_else(|| format!("there is no test {ix}"))
    }

    /// Whether the test may be run again for this cause: by its own budget, and with `capped` by that of the run.
    pub(super) fn has_left(&self, ix: TestIx, cause: Cause, capped: bool) -> Result<bool, String> {
        let test = self.test(ix)?;
        let policy = &self.policies[test.policy];
        let own = policy.budgets.iter().find(|(of, _)| *of == cause).map(|(_, own)| own);
        // What is promised where nothing else is said.
        let budget = own.unwrap_or(match cause {
            Cause::Test | Cause::Timeout | Cause::Crash | Cause::SetUp => policy.retries,
            Cause::WorkerLost | Cause::Resource => self.policy.max_losses,
            Cause::OutOfMemory => 1,
            Cause::Infrastructure => 3,
            Cause::Drained => 100,
            Cause::Cancelled => 0,
        });
        let spent = test.spent.get(&cause).copied().unwrap_or(0);
        Ok(spent < budget && !self.is_over(ix) && (!capped || self.retries < self.policy.max_retries))
    }

    /// An attempt came to nothing for this cause.
    pub(super) fn spend(&mut self, ix: TestIx, cause: Cause) {
        *self.tests[ix.at()].spent.entry(cause).or_default() += 1;
    }

    /// Whether nothing of the test's suite is to be started any more.
    pub(super) fn is_over(&self, ix: TestIx) -> bool {
        self.cancelled || self.tests.get(ix.at()).is_some_and(|test| self.failed.contains(&self.files[test.file].0))
    }

    /// The test, which is held under the lease.
    pub(super) fn held(&mut self, ix: TestIx, token: Token) -> Result<&mut PlannedTest, String> {
        let test = self.tests.get_mut(ix.at()).ok_or_else(|| format!("there is no test {ix}"))?;
        if (test.holder != Some(token) && test.twin != Some(token)) || test.verdict.is_some() || test.gone {
            return Err(format!("S2: {token} speaks for {ix}, held by {:?}, {:?}", test.holder, test.verdict));
        }
        test.holder = None;
        test.twin = None;
        Ok(test)
    }

    /// A test runs a second time under the lease, which the run allows.
    pub(super) fn again(&mut self, ix: TestIx, token: Token) -> Checked {
        let (allowed, over) = (self.policy.speculate, self.is_over(ix));
        let test = self.tests.get_mut(ix.at()).ok_or_else(|| format!("there is no test {ix}"))?;
        let alone = test.holder.is_some() && test.twin.is_none() && test.needs == NeedsIx(0);
        if !allowed || over || !alone || test.verdict.is_some() {
            return Err(format!("{ix} runs a second time under {token}, and may not"));
        }
        test.twin = Some(token);
        Ok(())
    }

    /// The second runs under a lease end with it.
    pub(super) fn alone_again(&mut self, token: Token) {
        for test in self.tests.iter_mut().filter(|test| test.twin == Some(token)) {
            test.twin = None;
        }
    }

    pub(super) fn held_under(&self, token: Token) -> impl Iterator<Item = TestIx> + '_ {
        self.tests.iter().enumerate().filter(move |(_, test)| test.holder == Some(token)).map(|(at, _)| TestIx::nth(at))
    }

    /// The tests of which a lease could still tell something that counts.
    pub(super) fn owed_under(&self, token: Token) -> impl Iterator<Item = TestIx> + '_ {
        let owed = move |test: &PlannedTest| {
            let held = test.holder == Some(token) || test.twin == Some(token);
            held && test.verdict.is_none() && !test.gone
        };
        self.tests.iter().enumerate().filter(move |(_, test)| owed(test)).map(|(at, _)| TestIx::nth(at))
    }

    /// The files of the tests that an event concerns: of its results, or of what its lease still holds.
    pub(super) fn files_of(&self, event: &Event) -> BTreeSet<FileIx> {
        let tests: Vec<TestIx> = match event {
            Event::ResultsAccepted { results, .. } => results.iter().map(|accepted| accepted.result.test).collect(),
            Event::LeaseEnded { token, .. } => self.held_under(*token).collect(),
            _ => Vec::new(),
        };
        tests.into_iter().filter_map(|test| Some(FileIx::nth(self.tests.get(test.at())?.file))).collect()
    }

    /// A test is in the hands of a lease.
    pub(super) fn lease(&mut self, ix: TestIx, token: Token) -> Checked {
        let test = self.tests.get_mut(ix.at()).ok_or_else(|| format!("there is no test {ix}"))?;
        if test.holder.is_some() || test.verdict.is_some() || test.gone {
            return Err(format!("S4: {ix} is leased under {token}, held by {:?}, {:?}", test.holder, test.verdict));
        }
        test.holder = Some(token);
        Ok(())
    }

    /// S1: a test gets its verdict, once.
    pub(super) fn decide(&mut self, ix: TestIx, verdict: Verdict) -> Checked {
        let test = &mut self.tests[ix.at()];
        match test.verdict.replace(verdict) {
            None => Ok(()),
            Some(before) => Err(format!("S1: {ix} was {before}, and is {verdict}")),
        }
    }

    /// A test comes back from a lease.
    pub(super) fn come_back(&mut self, ix: TestIx, token: Token) -> Checked {
        let over = self.is_over(ix);
        let vanished = self.tests.get(ix.at()).is_some_and(|test| self.gone.contains(&test.file));
        let test = self.held(ix, token)?;
        if over {
            return self.decide(ix, Verdict::NotRun);
        }
        test.gone = vanished;
        Ok(())
    }

    /// What waits, all of it or of one suite, is not run.
    fn drop_waiting(&mut self, suite: Option<SuiteIx>) {
        for test in &mut self.tests {
            let meant = suite.is_none_or(|suite| self.files[test.file].0 == suite);
            if meant && test.holder.is_none() && test.verdict.is_none() && !test.gone {
                test.verdict = Some(Verdict::NotRun);
            }
        }
    }

    fn leave(&mut self, gone: &[TestIx]) -> Checked {
        for &ix in gone {
            let test = self.tests.get_mut(ix.at()).ok_or_else(|| format!("there is no test {ix}"))?;
            if test.verdict.is_some() || test.gone {
                return Err(format!("{ix} leaves the plan, and has {:?}", test.verdict));
            }
            test.holder = None;
            test.gone = true;
        }
        Ok(())
    }

    /// What changes the plan, and no lease.
    pub(super) fn note(&mut self, event: &Event) -> Checked {
        match event {
            Event::SuiteDiscovered { suite, files, gone, .. } => {
                for file in gone {
                    self.gone.insert(file.at());
                    for test in self.tests.iter_mut().filter(|test| test.file == file.at()) {
                        test.gone |= test.holder.is_none() && test.verdict.is_none();
                    }
                }
                files.iter().for_each(|file| self.add_file(*suite, file));
                if self.cancelled || self.failed.contains(suite) {
                    self.drop_waiting(Some(*suite));
                }
                Ok(())
            }
            Event::FileListed { token, file, tests, gone, .. } => {
                self.gone.remove(&file.at());
                self.broken.remove(file);
                self.leave(gone)?;
                tests.iter().for_each(|test| self.add_test(file.at(), test, Some(*token)));
                Ok(())
            }
            Event::FileFailed { file, gone, .. } => {
                self.errors += u32::from(self.broken.insert(*file));
                self.gone.remove(&file.at());
                self.leave(gone)
            }
            Event::RunErred { suite, .. } => {
                self.errors += 1;
                if let Some(suite) = suite {
                    self.failed.insert(*suite);
                    self.drop_waiting(Some(*suite));
                }
                Ok(())
            }
            Event::RunCancelled { .. } => {
                self.cancelled = true;
                self.drop_waiting(None);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
