//! How long the tests and files of a suite may take: what `regatta_domain::history` makes of what is remembered of it.

use crate::store::projection::{FileHistory, Remembered, TestHistory};
use regatta_domain::history::{Estimator, InFile, Moves, Sample, renamed};
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::{Estimate, FileKey, Micros, Source, TestKey, Time};
use std::collections::{HashMap, HashSet};

/// Tests that were last seen so long before the newest of their file were gone before: they are nobody's former name.
const ONE_RUN: Micros = Micros::from_secs(3600);

/// What is remembered of a suite.
pub(super) struct Seen<'a> {
    /// Its files.
    pub(super) files: &'a [ListedFile],
    /// What is known of their tests, by path.
    pub(super) known: &'a HashMap<&'a str, Vec<Remembered>>,
    /// The listings that are remembered of them, each with when it was last used.
    pub(super) listings: &'a HashMap<FileKey, (Time, Vec<ListedTest>)>,
    /// What is known of the tests of files that are gone, by path.
    pub(super) vanished: &'a HashMap<&'a str, Vec<Remembered>>,
}

/// What is expected of the tests of a suite that have no history.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    estimator: Estimator,
    moves: Moves,
}

impl Expectations {
    pub(super) fn of(seen: &Seen<'_>) -> Self {
        let estimator = Estimator::of(seen.files.iter().flat_map(|file| {
            let listed = seen.listings.get(&file.key).map_or(&[][..], |(_, tests)| tests);
            let grouped = listed.iter().filter_map(|test| Some((&*test.name, test.group.as_deref()?)));
            let groups: HashMap<&str, &str> = grouped.collect();
            let known = seen.known.get(&*file.path).map_or(&[][..], |known| known);
            known.iter().map(move |test| Sample {
                file: &file.path,
                group: groups.get(&*test.name).copied(),
                name: &test.name,
                known: &test.history,
            })
        }));
        let vanished = seen.vanished.iter();
        let vanished = vanished.flat_map(|(path, tests)| tests.iter().map(|test| (*path, &*test.name, &test.history)));
        Self { estimator, moves: Moves::of(vanished) }
    }

    /// How long a file may take while its tests are not known: `whole` is the key of a timing of the whole file.
    pub(super) fn file(&self, path: &str, history: &FileHistory, whole: TestKey) -> Micros {
        let measured = || history.iter().filter(|(_, test)| test.is_measured());
        let tests: Micros = measured().filter(|(key, _)| **key != whole).map(|(_, test)| test.typical()).sum();
        match (tests, history.get(&whole)) {
            (Micros::ZERO, None) => self.estimator.file(path).whole(),
            (Micros::ZERO, Some(whole)) => whole.typical(),
            (tests, _) => tests,
        }
    }

    /// What is expected of the tests of a file, now that they are known. `names` are those of the tests in its history.
    pub(super) fn in_file<'a>(
        &'a self,
        path: &'a str,
        listed: &[(TestKey, &'a ListedTest)],
        history: &FileHistory,
        names: &[Remembered],
        whole: TestKey,
    ) -> OfFile<'a> {
        let is_new = |key: &TestKey| !history.contains_key(key);
        let any_is_new = listed.iter().any(|(key, _)| is_new(key));
        let mut renames = HashMap::new();
        if any_is_new && !names.is_empty() {
            let there: HashSet<TestKey> = listed.iter().map(|(key, _)| *key).collect();
            let newest = names.iter().map(|test| test.history.seen).max().unwrap_or_default();
            let late = |test: &&Remembered| newest.since(test.history.seen) <= ONE_RUN;
            let gone = names.iter().filter(|test| !there.contains(&test.key) && test.key != whole).filter(late);
            let new = listed.iter().filter(|(key, _)| is_new(key)).map(|(_, test)| &*test.name);
            renames = renamed(new, gone.map(|test| (&*test.name, &test.history)));
        }
        let share = match history.get(&whole).filter(|whole| whole.imported) {
            Some(whole) if history.len() == 1 => Some(whole.typical() / (listed.len().max(1) as u64)),
            _ => None,
        };
        OfFile { path, like: self.estimator.file(path), moves: &self.moves, renames, share }
    }
}

/// What is expected of the tests of a file.
pub(super) struct OfFile<'a> {
    path: &'a str,
    like: InFile<'a>,
    moves: &'a Moves,
    renames: HashMap<&'a str, Estimate>,
    /// The share of each test, where only the whole file was timed.
    share: Option<Micros>,
}

impl OfFile<'_> {
    /// How long a test may take: by its own history, else that of the one whose place it took, else its share of the file,
    /// else what is like it.
    pub(super) fn estimate(&self, test: &ListedTest, known: Option<&TestHistory>) -> Estimate {
        if let Some(own) = known.and_then(TestHistory::estimate) {
            return own;
        }
        let taken = || self.renames.get(&*test.name).copied().or_else(|| self.moves.find(self.path, &test.name));
        let like = self.like.estimate(test.group.as_deref(), &test.name, None);
        match (known, self.share) {
            (_, Some(share)) => Estimate { mean: share, source: Source::Imported, ..like },
            (None, None) => taken().unwrap_or(like),
            (Some(_), None) => like,
        }
    }
}
