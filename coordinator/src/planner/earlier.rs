//! What a run came to that another one follows up: a rerun runs what did not come to a good end, and a run that is resumed lets
//! stand what was found out, failures included, and runs what is owed.

use crate::store::Error;
use crate::store::projection::{Reader, Verdicts};
use prost::Message as _;
use regatta_domain::report::Counts;
use regatta_domain::result::RunErrorKind;
use regatta_domain::submission::Resumed;
use regatta_domain::{Cause, RunId, Verdict};
use regatta_wire::v1::{self, run_event::Event};
use regatta_wire::verdict::Closed as _;
use std::collections::{HashMap, HashSet};

/// Events of a record that are read at once.
const EVENTS: usize = 256;

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// Its verdicts.
    pub(super) verdicts: Verdicts,
    /// The paths of files that it had not listed when it ended, by suite.
    pub(super) unlisted: HashMap<String, HashSet<String>>,
    /// The suites whose files it did not know.
    pub(super) undiscovered: HashSet<String>,
    /// What stood before it.
    pub(super) before: Counts,
    /// What went wrong beside its tests and cannot be made good by running them: fixtures that could not be torn down.
    pub(super) errors: u32,
    /// Whether it is resumed.
    pub(super) resume: bool,
}

impl Earlier {
    /// Reads it; `None` where the run is not known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn read(projection: &Reader, run: RunId, resume: bool) -> Result<Option<Self>, Error> {
        let Some(verdicts) = projection.verdicts(run)? else { return Ok(None) };
        let mut record = Record::default();
        let mut after = 0;
        loop {
            let events = projection.events(run, after, EVENTS)?;
            let Some(last) = events.iter().filter_map(|body| record.take(body)).last() else { break };
            after = last;
        }
        Ok(Some(record.earlier(verdicts, resume)))
    }

    /// Whether a test with this verdict runs again.
    pub(super) fn leaves(&self, (verdict, cause): (Verdict, Option<Cause>)) -> bool {
        let owed = verdict == Verdict::NotRun || cause.is_some_and(Cause::is_owed);
        !verdict.is_ok() && (owed || !self.resume)
    }

    /// Whether it cannot have known the tests of a file.
    pub(super) fn never_saw(&self, suite: &str, path: &str) -> bool {
        self.undiscovered.contains(suite) || self.unlisted.get(suite).is_some_and(|paths| paths.contains(path))
    }

    /// What stands of it, for the run that goes on with it.
    pub(super) fn stands(&self, run: RunId) -> Resumed {
        let mut stand = self.before;
        self.verdicts.values().filter(|known| !self.leaves(**known)).for_each(|(verdict, _)| stand.add(*verdict));
        Resumed { run, stand, errors: self.errors }
    }
}

/// What of a run's record counts here.
#[derive(Debug, Default)]
struct Record {
    suites: Vec<String>,
    /// By number: the suite and the path; none for those that left.
    files: Vec<Option<(u32, String)>>,
    listed: HashSet<u32>,
    before: Counts,
    errors: u32,
}

impl Record {
    /// Takes in an event, and gives its number. One that cannot be read is as if it had not been: it says of no test that it
    /// need not run.
    fn take(&mut self, body: &[u8]) -> Option<u64> {
        let event = v1::RunEvent::decode(body).ok()?;
        match event.event {
            Some(Event::RunSubmitted(submitted)) => {
                self.suites = submitted.suites;
                if let Some(resumes) = submitted.resumes {
                    (self.before, self.errors) = (Counts::from(&resumes), resumes.errors);
                }
            }
            Some(Event::FilesPlanned(planned)) => {
                self.files.extend(planned.files.into_iter().map(|file| Some((planned.suite, file.path))));
                for gone in planned.gone {
                    if let Some(file) = self.files.get_mut(gone as usize) {
                        *file = None;
                    }
                }
            }
            Some(Event::TestsPlanned(planned)) => _ = self.listed.insert(planned.file),
            Some(Event::RunErred(v1::RunErred { error: Some(error), file })) => {
                self.errors += u32::from(RunErrorKind::read(error.kind) == Some(RunErrorKind::Teardown));
                // It could not be collected, whatever was remembered of it.
                file.map(|file| self.listed.remove(&file));
            }
            _ => {}
        }
        Some(event.seq)
    }

    fn earlier(self, verdicts: Verdicts, resume: bool) -> Earlier {
        let Self { suites, files, listed, before, errors } = self;
        let mut undiscovered: HashSet<String> = suites.iter().cloned().collect();
        let mut unlisted: HashMap<String, HashSet<String>> = HashMap::new();
        for (number, file) in (0..).zip(files) {
            let Some((suite, path)) = file else { continue };
            let Some(suite) = suites.get(suite as usize) else { continue };
            undiscovered.remove(suite);
            if !listed.contains(&number) {
                unlisted.entry(suite.clone()).or_default().insert(path);
            }
        }
        Earlier { verdicts, unlisted, undiscovered, before, errors, resume }
    }
}
