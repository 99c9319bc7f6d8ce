//! How long what is not known may take: as long as what is like it and known.

use super::{UNKNOWN_FILE, UNKNOWN_TEST};
use crate::store::projection::{FileHistory, TestHistory};
use regatta_domain::Micros;

/// What the known tests and files of a suite take on average.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    test: Micros,
    file: Micros,
}

impl Default for Means {
    fn default() -> Self {
        Self { test: UNKNOWN_TEST, file: UNKNOWN_FILE }
    }
}

impl Means {
    pub(super) fn of<'a>(histories: impl Iterator<Item = &'a FileHistory>) -> Self {
        let (mut total, mut tests, mut files) = (Micros::ZERO, 0, 0);
        for history in histories {
            let (of_file, known) = sum(history);
            total += of_file;
            tests += known;
            files += u64::from(known > 0);
        }
        let otherwise = Self::default();
        Self { test: mean(total, tests, otherwise.test), file: mean(total, files, otherwise.file) }
    }

    /// A new test of the file.
    pub(super) fn of_file(&self, history: &FileHistory) -> Micros {
        let (total, known) = sum(history);
        mean(total, known, self.test)
    }

    /// The whole file, while its tests are not known.
    pub(super) fn file(&self, history: &FileHistory) -> Micros {
        match sum(history) {
            (_, 0) => self.file,
            (total, _) => total,
        }
    }
}

/// What the measured tests of a file take together, and how many they are.
fn sum(history: &FileHistory) -> (Micros, u64) {
    let measured = history.values().filter(|test| test.is_measured());
    measured.fold((Micros::ZERO, 0), |(total, tests), test| (total + test.estimate(), tests + 1))
}

fn mean(total: Micros, count: u64, otherwise: Micros) -> Micros {
    if count == 0 { otherwise } else { total / count }
}

impl TestHistory {
    /// Whether anything is known of how long it takes.
    pub(super) fn is_measured(&self) -> bool {
        self.runs > 0 || self.mean > 0.0
    }
}
