//! How long tests and files may take that have no history of their own: as long as what is like them and known.
//!
//! Tests that differ only in their parameters are the most alike, then those of one group, one class, one file, one
//! directory, one suite. Its invariant: every level comes after the one above, so that what they let expect is settled in
//! one pass, and a question costs a look-up a level.

use super::TestHistory;
use super::level::{Expected, Kind, Sums};
use super::test::log;
use crate::{Estimate, Micros, Source};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A test of which nothing is known in its whole suite.
pub const UNKNOWN_TEST: Micros = Micros::from_ms(100);

/// A file of which nothing is known in its whole suite.
pub const UNKNOWN_FILE: Micros = Micros::from_secs(1);

/// How far tests of an unknown suite lie apart: two in three within a factor of 4.5. As those of real suites do.
const UNKNOWN_DEVIATION: f64 = 1.5;

/// A test that history knows.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The path of its file. Samples of one file should follow one another: it is looked up once then.
    pub file: &'a str,
    /// The key of its group, where that is known.
    pub group: Option<&'a str>,
    /// Its name; empty where the sample is a timing of the whole file.
    pub name: &'a str,
    /// What is known of it.
    pub known: &'a TestHistory,
}

/// What the known tests of a suite let expect of the others. By default nothing is known.
#[derive(Clone, Debug)]
pub struct Estimator {
    levels: Vec<Level>,
    /// Levels by the hash of what they are and the level above: two that share one by chance share an estimate.
    index: HashMap<u64, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    kind: Kind,
    above: u32,
    sums: Sums,
    expected: Expected,
}

/// The level of the suite.
const SUITE: u32 = 0;

impl Default for Estimator {
    fn default() -> Self {
        Self::of(std::iter::empty())
    }
}

impl Estimator {
    /// Takes in what is known of the tests of a suite. Takes time in proportion to them.
    #[must_use]
    pub fn of<'a>(samples: impl IntoIterator<Item = Sample<'a>>) -> Self {
        let expected = Expected::by_default(UNKNOWN_TEST, UNKNOWN_DEVIATION, UNKNOWN_FILE);
        let suite = Level { kind: Kind::Suite, above: SUITE, sums: Sums::default(), expected };
        let mut estimator = Self { levels: vec![suite], index: HashMap::new() };
        let mut last: Option<(&str, u32)> = None;
        let mut whole: Vec<(u32, f64)> = Vec::new();
        for sample in samples.into_iter().filter(|sample| sample.known.is_measured()) {
            let file = match last {
                Some((path, file)) if path == sample.file => file,
                _ => estimator.add_file(sample.file),
            };
            last = Some((sample.file, file));
            if sample.name.is_empty() && sample.known.imported {
                whole.push((file, log(sample.known.typical()).exp()));
            } else {
                estimator.add(file, &sample);
            }
        }
        estimator.settle(&whole);
        estimator
    }

    fn add_file(&mut self, path: &str) -> u32 {
        let mut level = SUITE;
        for (at, _) in path.match_indices('/') {
            level = self.level(level, Kind::Directory, &path[..at]);
        }
        self.level(level, Kind::File, path)
    }

    fn level(&mut self, above: u32, kind: Kind, name: &str) -> u32 {
        let next = u32::try_from(self.levels.len()).expect("there are fewer levels than tests, and those fit");
        let level = *self.index.entry(hash(above, kind, name)).or_insert(next);
        if level == next {
            let expected = self.levels[SUITE as usize].expected;
            self.levels.push(Level { kind, above, sums: Sums::default(), expected });
        }
        level
    }

    fn add(&mut self, file: u32, sample: &Sample<'_>) {
        let mut level = file;
        for (kind, name) in below(sample.group, sample.name).into_iter().flatten() {
            level = self.level(level, kind, name);
        }
        loop {
            let at = &mut self.levels[level as usize];
            at.sums.add(sample.known.mean);
            if level == SUITE {
                return;
            }
            level = at.above;
        }
    }

    /// Files into the directories above them, and what each level lets expect, from the suite down.
    fn settle(&mut self, whole: &[(u32, f64)]) {
        for &(file, micros) in whole {
            let sums = &mut self.levels[file as usize].sums;
            // Single tests say more than a timing of the whole file.
            sums.micros = if sums.micros > 0.0 { sums.micros } else { micros };
        }
        for at in 1..self.levels.len() {
            let Level { kind, above, sums, .. } = self.levels[at];
            if kind == Kind::File && sums.micros > 0.0 {
                let mut level = above;
                loop {
                    self.levels[level as usize].sums.add_file(sums.micros);
                    if level == SUITE {
                        break;
                    }
                    level = self.levels[level as usize].above;
                }
            }
        }
        for at in 0..self.levels.len() {
            let Level { kind, above, sums, .. } = self.levels[at];
            self.levels[at].expected = self.levels[above as usize].expected.within(kind, &sums);
        }
    }

    /// How long a test may take: by its own history, else by what is like it.
    #[must_use]
    pub fn estimate(&self, file: &str, group: Option<&str>, name: &str, known: Option<&TestHistory>) -> Estimate {
        self.file(file).estimate(group, name, known)
    }

    /// What is known of a file: for those who ask about many of its tests.
    #[must_use]
    pub fn file(&self, path: &str) -> InFile<'_> {
        let mut level = SUITE;
        for (at, _) in path.match_indices('/') {
            let Some(next) = self.find(level, Kind::Directory, &path[..at]) else {
                return InFile { estimator: self, level };
            };
            level = next;
        }
        InFile { estimator: self, level: self.find(level, Kind::File, path).unwrap_or(level) }
    }

    fn find(&self, above: u32, kind: Kind, name: &str) -> Option<u32> {
        self.index.get(&hash(above, kind, name)).copied()
    }
}

/// What is known of a file, or of the nearest directory above it.
#[derive(Clone, Copy, Debug)]
pub struct InFile<'a> {
    estimator: &'a Estimator,
    level: u32,
}

impl InFile<'_> {
    /// How long a test of the file may take: by its own history, else by what is like it.
    ///
    /// Of a test with a history this is the mean of the logarithm, and of one without the average: sums of many come out
    /// right by it.
    #[must_use]
    pub fn estimate(&self, group: Option<&str>, name: &str, known: Option<&TestHistory>) -> Estimate {
        if let Some(own) = known.and_then(TestHistory::estimate) {
            return own;
        }
        let mut level = self.level;
        if self.at(level).kind == Kind::File {
            for (kind, name) in below(group, name).into_iter().flatten() {
                let Some(next) = self.estimator.find(level, kind, name) else { break };
                level = next;
            }
        }
        let like = self.at(level).expected.test(self.source(level));
        // The file is the test.
        if name.is_empty() { Estimate { mean: self.whole(), ..like } } else { like }
    }

    /// The nearest level of which a test is known.
    fn source(&self, mut level: u32) -> Source {
        while !self.at(level).sums.has_tests() {
            if level == SUITE {
                return Source::Default;
            }
            level = self.at(level).above;
        }
        self.at(level).kind.source()
    }

    /// How long all of the file may take while its tests are not known.
    #[must_use]
    pub fn whole(&self) -> Micros {
        let level = self.at(self.level);
        match level.kind {
            Kind::File => super::test::exp(level.sums.micros.max(1.0).ln()),
            _ => level.expected.file(),
        }
    }

    fn at(&self, level: u32) -> &Level {
        &self.estimator.levels[level as usize]
    }
}

/// The levels within a file that a test belongs to, from the outermost.
fn below<'a>(group: Option<&'a str>, name: &'a str) -> [Option<(Kind, &'a str)>; 3] {
    let (base, parameters) = super::renames::split(name);
    let class = base.rfind("::").map(|at| (Kind::Class, &base[..at]));
    [class, group.map(|group| (Kind::Group, group)), (!parameters.is_empty()).then_some((Kind::Family, base))]
}

/// The same in every process: which estimates two levels share, if they do, must not change from run to run.
fn hash(above: u32, kind: Kind, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (above, kind, name).hash(&mut hasher);
    hasher.finish()
}
