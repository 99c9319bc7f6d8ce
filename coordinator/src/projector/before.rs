//! What has to be looked at before an event is folded: what it may change that it does not name.

use regatta_core::{Event, Run, State};
use regatta_domain::submission::FileDraft;
use regatta_domain::{FileIx, TestIx};
use std::collections::BTreeSet;

/// What has to be known of a run from before an event, to tell what changed.
pub(super) struct Before {
    pub(super) files: usize,
    pub(super) tests: usize,
    /// Tests without a verdict that the event may concern beyond those it names with their outcome.
    pub(super) open: Vec<TestIx>,
}

impl Before {
    pub(super) fn of(run: Option<&Run>, state: &State, event: &Event) -> Self {
        let Some(run) = run else { return Self { files: 0, tests: 0, open: Vec::new() } };
        let of_file = |file: &FileIx| run.file(*file).tests.iter().copied();
        let all = || (0..run.tests.len()).map(TestIx::nth);
        let concerned: Box<dyn Iterator<Item = TestIx>> = match event {
            Event::SuiteDiscovered { gone, .. } => Box::new(gone.iter().flat_map(of_file)),
            Event::FileListed { file, .. } | Event::FileFailed { file, .. } => Box::new(of_file(file)),
            Event::RunErred { suite: Some(suite), .. } => {
                let suite = *suite;
                Box::new(all().filter(move |&test| run.file(run.test(test).file).suite == suite))
            }
            Event::WaitGivenUp { suite, needs, .. } => {
                let kind = (*suite, *needs);
                let every = needs.at() == 0;
                Box::new(all().filter(move |&test| {
                    let found = run.test(test);
                    (run.file(found.file).suite, found.needs) == kind || (every && run.file(found.file).suite == kind.0)
                }))
            }
            Event::RunCancelled { .. } => Box::new(all()),
            Event::TestsGivenBack { tests, .. } => Box::new(tests.iter().copied()),
            Event::LeaseEnded { token, .. } => {
                Box::new(state.leases.get(token).into_iter().flat_map(|lease| lease.tests.iter().copied()))
            }
            _ => Box::new(std::iter::empty()),
        };
        let open = concerned.filter(|&test| run.test(test).is_open()).collect();
        Self { files: run.files.len(), tests: run.tests.len(), open }
    }
}

/// The tests among those that join the plan, from number `first` on, that their framework leaves out.
pub(super) fn left_out(event: &Event, first: usize) -> BTreeSet<TestIx> {
    let of_files = |files: &mut dyn Iterator<Item = &FileDraft>| -> Vec<bool> {
        files.filter_map(|file| file.tests.as_ref()).flatten().map(|test| test.ignored).collect()
    };
    let ignored = match event {
        Event::RunSubmitted { submission, .. } => {
            of_files(&mut submission.suites.iter().flat_map(|suite| &suite.files))
        }
        Event::SuiteDiscovered { files, .. } => of_files(&mut files.iter()),
        Event::FileListed { tests, .. } => tests.iter().map(|test| test.ignored).collect(),
        _ => Vec::new(),
    };
    let out = ignored.iter().enumerate().filter(|(_, ignored)| **ignored);
    out.map(|(at, _)| TestIx::nth(first + at)).collect()
}
