//! What workers collect: the files of a suite, the tests of a file. What is there wins over what was remembered.

use super::Turn;
use crate::effect::ToWorker;
use crate::event::Event;
use crate::mutant::{self, Mutant};
use crate::state::{Discovery, Listed, Place, Run};
use regatta_domain::limits::{FILES_PER_RUN, TESTS_PER_FILE, TESTS_PER_RUN};
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::submission::{FileDraft, TestDraft};
use regatta_domain::{FileIx, RunId, SuiteIx, TestIx, Token, Verdict, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// After so many leases in a row of which nothing came, a suite is not tried any more.
const FRUITLESS_LEASES: u16 = 16;

impl Turn<'_> {
    pub(super) fn discovered(&mut self, worker: WorkerId, token: Token, files: Vec<FileDraft>) {
        let Some(lease) = self.lease_of(worker, token) else { return };
        if !lease.discovering {
            return;
        }
        let (run, suite) = (lease.run, lease.work.suite());
        let plan = &self.core.state.runs[&run];
        let there: BTreeSet<&Arc<str>> = files.iter().map(|file| &file.path).collect();
        let ours = || (0..plan.files.len()).map(FileIx::nth).filter(|&file| plan.file(file).suite == suite);
        let gone: Vec<FileIx> = ours()
            .filter(|&file| !there.contains(&plan.file(file).path))
            .filter(|&file| matches!(plan.file(file).listed, Listed::Waiting | Listed::Remembered(_)))
            .collect();
        let known: BTreeSet<Arc<str>> = ours().map(|file| Arc::clone(&plan.file(file).path)).collect();
        let files: Vec<FileDraft> = files
            .into_iter()
            .filter(|file| !known.contains(&file.path) && !mutant::is(Mutant::FilesForgotten))
            .collect();
        if plan.files.len() + files.len() > FILES_PER_RUN {
            return self.too_large(run, suite, format!("the run would hold more than {FILES_PER_RUN} files"));
        }
        self.record(Event::SuiteDiscovered { run, suite, files, gone });
    }

    pub(super) fn listed(&mut self, worker: WorkerId, token: Token, file: FileIx, tests: Vec<TestDraft>) {
        let Some(run) = self.run_of(worker, token) else { return };
        let plan = &self.core.state.runs[&run];
        let Some(found) = plan.files.get(file.at()) else { return };
        if tests.len() > TESTS_PER_FILE {
            let message = format!("{} lists {} tests; a file may hold {TESTS_PER_FILE}", found.path, tests.len());
            return self.too_large(run, found.suite, message);
        }
        let there: BTreeSet<&Arc<str>> = tests.iter().map(|test| &test.name).collect();
        // A test that left the plan joins it again as a new one, where a worker finds it after all.
        let planned = found.tests.iter().filter(|&&test| plan.test(test).place != Place::Gone);
        let known: BTreeMap<Arc<str>, TestIx> =
            planned.map(|&test| (Arc::clone(&plan.test(test).name), test)).collect();
        // Two workers may collect a file at the same time. The first listing stands; where the second differs, the tests
        // that its worker cannot find come back as missing.
        let gone = if found.listed == Listed::Collected {
            Vec::new()
        } else {
            let gone = known.iter().filter(|(name, _)| !there.contains(name)).map(|(_, &test)| test);
            gone.filter(|&test| may_leave(plan, test, token)).collect()
        };
        let forgets = found.remembered() != 0 && mutant::is(Mutant::TestsForgotten);
        let is_new = |test: &TestDraft| !known.contains_key(&test.name) && !forgets;
        let tests: Vec<TestDraft> = tests.into_iter().filter(is_new).collect();
        if plan.tests.len() + tests.len() > TESTS_PER_RUN {
            let message = format!("with {}, the run would hold more than {TESTS_PER_RUN} tests", found.path);
            return self.too_large(run, found.suite, message);
        }
        let again = found.listed == Listed::Collected && tests.is_empty();
        if !again {
            self.record(Event::FileListed { run, token, file, tests, gone });
        }
        if !(again && mutant::is(Mutant::ListingUnanswered)) {
            self.number(worker, token, file);
        }
    }

    /// Tells the worker which tests of a file that it listed it holds.
    fn number(&mut self, worker: WorkerId, token: Token, file: FileIx) {
        let Some(lease) = self.lease_of(worker, token) else { return };
        let plan = &self.core.state.runs[&lease.run];
        let mine = lease.tests.iter().copied().filter(|&test| {
            let found = plan.test(test);
            found.file == file && found.place == Place::Leased(token)
        });
        let tests = self.granted(lease.run, mine);
        self.send(worker, ToWorker::Numbered { token, file, tests });
    }

    pub(super) fn erred(&mut self, worker: WorkerId, token: Token, file: Option<FileIx>, error: RunError) {
        let Some(lease) = self.lease_of(worker, token) else { return };
        let (run, suite) = (lease.run, lease.work.suite());
        let plan = &self.core.state.runs[&run];
        if let Some(file) = file.filter(|file| file.at() < plan.files.len()) {
            let tests = plan.file(file).tests.iter().copied();
            let gone: Vec<TestIx> = tests.filter(|&test| may_leave(plan, test, token)).collect();
            if plan.file(file).listed == Listed::Failed && gone.is_empty() {
                return;
            }
            return self.record(Event::FileFailed { run, token, file, gone, error });
        }
        let terminal = matches!(error.kind, RunErrorKind::Build | RunErrorKind::Runner)
            || (lease.discovering && error.kind == RunErrorKind::Collection);
        // Every slot may meet the same obstacle; it is told once.
        if plan.errors.contains(&error) && (!terminal || plan.suite(suite).failed) {
            return;
        }
        self.record(Event::RunErred { run, suite: terminal.then_some(suite), error });
    }

    /// A suite, or the file that a lease was at, is given up with a reason when it brings nothing but lost workers and
    /// empty leases.
    pub(super) fn give_up_hopeless(&mut self, run: RunId, file: Option<FileIx>) {
        let Some(plan) = self.run(run).filter(|run| run.cancelled.is_none()) else { return };
        let most = plan.policy.max_losses;
        let suites = (0..plan.suites.len()).map(SuiteIx::nth).filter(|&suite| !plan.suite(suite).failed);
        let hopeless: Vec<(SuiteIx, Arc<str>)> = suites
            .filter_map(|suite| {
                let found = plan.suite(suite);
                let name = &found.suite.name;
                if found.fruitless >= FRUITLESS_LEASES {
                    Some((suite, format!("{FRUITLESS_LEASES} shards of suite {name} in a row came to nothing").into()))
                } else if found.discovery == Discovery::Waiting && found.losses > most {
                    let losses = found.losses;
                    Some((suite, format!("{losses} workers were lost in finding the files of suite {name}").into()))
                } else {
                    None
                }
            })
            .collect();
        let doomed = file.filter(|&file| plan.file(file).losses > losses_of(plan, file));
        for (suite, message) in hopeless {
            let place = Arc::clone(&self.core.state.runs[&run].suite(suite).suite.name);
            let error = RunError { kind: RunErrorKind::Infrastructure, place, message };
            self.record(Event::RunErred { run, suite: Some(suite), error });
        }
        if let Some(file) = doomed {
            let plan = &self.core.state.runs[&run];
            let found = plan.file(file);
            let tests = found.tests.iter().copied();
            let gone =
                tests.filter(|&test| matches!(plan.test(test).place, Place::Waiting | Place::Delayed(_))).collect();
            let message = format!("{} workers in a row were lost on {} with no test running", found.losses, found.path);
            let place = Arc::clone(&found.path);
            let error = RunError { kind: RunErrorKind::Infrastructure, place, message: message.into() };
            // Under no lease: tokens begin at 1.
            self.record(Event::FileFailed { run, token: Token::default(), file, gone, error });
        }
    }

    fn too_large(&mut self, run: RunId, suite: SuiteIx, message: String) {
        let place = Arc::clone(&self.core.state.runs[&run].suite(suite).suite.name);
        let error = RunError { kind: RunErrorKind::Collection, place, message: message.into() };
        self.record(Event::RunErred { run, suite: Some(suite), error });
    }
}

/// How many workers in a row may be lost on a file with no test running. One that has brought results in this run can be run, so
/// that its workers are more likely lost by chance: where they come and go, it meets that often enough.
fn losses_of(run: &Run, file: FileIx) -> u16 {
    let brought = |test: &TestIx| {
        matches!(run.test(*test).place, Place::Done(Verdict::Passed | Verdict::Flaky | Verdict::Failed))
    };
    let most = run.policy.max_losses;
    if run.file(file).tests.iter().any(brought) { most.max(FRUITLESS_LEASES) } else { most }
}

/// Whether a test that was remembered may leave the plan on the word of this lease: nobody else runs it, and it has no
/// verdict yet.
fn may_leave(run: &Run, test: TestIx, token: Token) -> bool {
    match run.test(test).place {
        Place::Waiting | Place::Delayed(_) => true,
        Place::Leased(holder) => holder == token,
        Place::Done(_) | Place::Gone => false,
    }
}
