//! Tests by their file.

use super::Case;

/// The tests of each file, in the order in which the suite lists them.
pub(super) fn files(case: &Case) -> Vec<Vec<usize>> {
    let mut files = vec![Vec::new(); case.files()];
    for (at, test) in case.tests.iter().enumerate() {
        files[test.file as usize].push(at);
    }
    files.retain(|file| !file.is_empty());
    files
}
