//! Bad input: what is wrong is told (what, where, what to do), and the exit code is the documented one.

mod again;
mod asked;
mod fleet;
mod listing;
mod rough;
mod rust;
mod signals;
mod store;

use regatta_tests::harness::Project;

/// Everything of `wanted` was told.
#[track_caller]
fn assert_told(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "this was not told: {part}\nbut this:\n{text}");
    }
}

/// A project with nothing wrong: a pytest suite `py` with two tests.
fn sound() -> Project {
    Project::pytest(&[("test_sound.py", "def test_one(): pass\ndef test_two(): pass\n")], "")
}
