//! Reading: what queries and the planner ask, and the face of the kinds of stores.

use super::cache::uncached;
use super::costs::Learnt;
use super::history::{self, Found, Remembered, Scope};
use crate::store::Error;
use crate::store::postgres::Server;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::report::Counts;
use regatta_domain::{Cause, FileKey, RunId, TestKey, Time, Verdict};
use regatta_wire::v1;
use regatta_wire::verdict::Closed as _;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The verdicts of a run, by what the tests' histories hang on, each with why it is none that passes.
pub type Verdicts = HashMap<TestKey, (Verdict, Option<Cause>)>;

/// A verdict and its cause, as the columns that they are.
pub(super) type Given = (TestKey, i32, i32);

/// Where a reader reads from. See the methods of [`Reader`] for what each is asked.
pub(super) trait Source: Send + Sync {
    /// The files of a suite, as the cache keeps them, and whether they are of this very tree; else the newest.
    fn file_list(&self, project: &str, suite: &str, tree_key: &str) -> Result<Option<(bool, Vec<u8>)>, Error>;

    /// Listings as the cache keeps them, each with when it was last used.
    fn listings(&self, keys: &[FileKey]) -> Result<Vec<(FileKey, Time, Vec<u8>)>, Error>;

    /// The keys of the tests of a run with the codes of their verdicts; `None` when the run is not known.
    fn verdicts(&self, run: RunId) -> Result<Option<Vec<Given>>, Error>;

    fn has_ended(&self, run: RunId) -> Result<Option<bool>, Error>;

    fn events(&self, run: RunId, after: u64, most: usize) -> Result<Vec<Vec<u8>>, Error>;

    fn runs(&self, most: u32) -> Result<Vec<Told>, Error>;

    /// The rows of the branch and the main line for each of the files, by their places among `paths`; of a file that has
    /// none, those of all branches.
    fn histories(&self, project: &str, suite: &str, scope: &Scope, paths: &[&str]) -> Result<Vec<Found>, Error>;

    fn measured(&self, project: &str, suite: &str, scope: &Scope, paths: &[&str]) -> Result<HashSet<TestKey>, Error>;

    fn suites(&self, project: &str) -> Result<Vec<String>, Error>;

    fn paths(&self, project: &str, suite: &str) -> Result<Vec<String>, Error>;

    fn costs(&self, project: &str, suite: &str, class: &str) -> Result<Learnt, Error>;

    /// The server that it is on, where it is on one.
    fn server(&self) -> Option<&Server> {
        None
    }

    /// See [`Reader::at_once`]; nothing where there is nobody to be away.
    fn at_once(&self) -> Option<Arc<dyn Source>> {
        None
    }

    /// See [`Reader::hurry`].
    fn hurry(&self) {}
}

/// A run as its row tells it, for a list of runs.
pub(super) struct Told {
    pub(super) run: RunId,
    pub(super) project: String,
    pub(super) submitted: Time,
    pub(super) ended: Option<Time>,
    /// The code of its outcome.
    pub(super) outcome: i32,
    pub(super) counts: Counts,
    pub(super) errors: u32,
}

/// The one that reads. Clones read from the same store. Waits for it: not for the threads of async tasks.
#[derive(Clone)]
pub struct Reader(Arc<dyn Source>);

/// A list of files that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// Whether it is of the very tree that was asked for.
    pub exact: bool,
    /// The files.
    pub files: Vec<ListedFile>,
}

impl Reader {
    pub(super) fn new(source: impl Source + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// The files of a suite: of this tree, else of the newest that is remembered.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn file_list(&self, project: &str, suite: &str, tree_key: &str) -> Result<Recalled, Error> {
        let found = self.0.file_list(project, suite, tree_key)?;
        let recalled = found.and_then(|(exact, files)| Some(Recalled { exact, files: uncached(&files)? }));
        Ok(recalled.unwrap_or_default())
    }

    /// The listings that are remembered of files with these content addresses, each with when it was last used.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn listings(
        &self,
        keys: impl Iterator<Item = FileKey>,
    ) -> Result<HashMap<FileKey, (Time, Vec<ListedTest>)>, Error> {
        let found = self.0.listings(&keys.collect::<Vec<_>>())?;
        let listed = found.into_iter().filter_map(|(key, seen, tests)| Some((key, (seen, uncached(&tests)?))));
        Ok(listed.collect())
    }

    /// The verdicts of a run, by what the tests' histories hang on, each with why it is none that passes; `None` when the run
    /// is not known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn verdicts(&self, run: RunId) -> Result<Option<Verdicts>, Error> {
        let Some(found) = self.0.verdicts(run)? else { return Ok(None) };
        let known = |(key, verdict, cause)| Some((key, (Verdict::read(verdict)?, Cause::read(cause))));
        Ok(Some(found.into_iter().filter_map(known).collect()))
    }

    /// Whether the run is known, and if so, whether it has ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_ended(&self, run: RunId) -> Result<Option<bool>, Error> {
        self.0.has_ended(run)
    }

    /// Events of a run's record after `after`, in order, at most `most` of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events(&self, run: RunId, after: u64, most: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.0.events(run, after, most)
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self, most: u32) -> Result<Vec<v1::RunSummary>, Error> {
        Ok(self.0.runs(most)?.into_iter().map(summary).collect())
    }

    /// What is known of the tests of some files of a suite, by path; files of which nothing is known are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn histories<'a>(
        &self,
        project: &str,
        suite: &str,
        scope: &Scope,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<&'a str, Vec<Remembered>>, Error> {
        let paths: Vec<&str> = paths.collect();
        let rows = self.0.histories(project, suite, scope, &paths)?;
        let mut histories: HashMap<&str, Vec<Remembered>> = HashMap::new();
        for row in history::overlay(rows) {
            histories.entry(paths[row.file]).or_default().push(row.remembered);
        }
        Ok(histories)
    }

    /// The tests of some files of a suite that were measured here, for this very scope.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn measured<'a>(
        &self,
        project: &str,
        suite: &str,
        scope: &Scope,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<HashSet<TestKey>, Error> {
        self.0.measured(project, suite, scope, &paths.collect::<Vec<_>>())
    }

    /// The suites of a project of which anything is known, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn suites(&self, project: &str) -> Result<Vec<String>, Error> {
        self.0.suites(project)
    }

    /// The paths of the files of a suite of which anything is known, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn paths(&self, project: &str, suite: &str) -> Result<Vec<String>, Error> {
        self.0.paths(project, suite)
    }

    /// What a suite costs a slot beside its tests, on a class of machines, as far as it was measured; on any class, where
    /// not on this one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn costs(&self, project: &str, suite: &str, class: &str) -> Result<Learnt, Error> {
        self.0.costs(project, suite, class)
    }

    /// The same, for who only looks: a server that is known to be away is not waited for, and that is told at once.
    #[must_use]
    pub fn at_once(&self) -> Self {
        self.0.at_once().map_or_else(|| self.clone(), Self)
    }

    /// Waits until it cannot be read, since the server that it is on is away: for ever, where it is on none.
    pub async fn away(&self) -> Error {
        match self.0.server() {
            Some(server) => server.away().await,
            None => std::future::pending().await,
        }
    }

    /// For the end of a process: nobody is patient any more with a server that is gone, neither whoever reads nor the one that
    /// writes. What waits is tried once more, and fails then; so does what comes after.
    pub fn hurry(&self) {
        self.0.hurry();
    }
}

fn summary(told: Told) -> v1::RunSummary {
    let Told { run, project, submitted, ended, outcome, counts, errors } = told;
    let summary = v1::RunSummary {
        run: run.to_string(),
        project,
        submitted: submitted.0,
        ended: ended.map(|ended| ended.0),
        outcome,
        tests: counts.total(),
        errors,
        ..Default::default()
    };
    summary.with_counts(counts)
}
