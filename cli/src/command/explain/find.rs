//! Which test a word means: an id, or how one ends.

use crate::error::Error;
use crate::render::safe;
use crate::view::View;
use regatta_domain::TestIx;

/// Candidates that are named.
const NAMED: usize = 8;

/// The test that is meant.
///
/// # Errors
/// When there is none, or more than one.
pub(super) fn test(view: &View, word: &str) -> Result<TestIx, Error> {
    let ids: Vec<(TestIx, String)> = view.planned().map(|(ix, _)| (ix, view.id(ix))).collect();
    let at_a_joint = |id: &str| {
        id.strip_suffix(word).is_some_and(|rest| rest.is_empty() || rest.ends_with('/') || rest.ends_with("::"))
    };
    let ways: [&dyn Fn(&str) -> bool; 4] =
        [&|id| id == word, &at_a_joint, &|id| id.ends_with(word), &|id| id.contains(word)];
    for way in ways {
        let meant: Vec<&(TestIx, String)> = ids.iter().filter(|(_, id)| way(id)).collect();
        match meant.as_slice() {
            [] => {}
            [(test, _)] => return Ok(*test),
            several => {
                let named: Vec<&str> = several.iter().take(NAMED).map(|(_, id)| id.as_str()).collect();
                let more = several.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                return Err(Error::usage(format!("`{word}` means {} tests", several.len()))
                    .help(format!("write more of one of {}{more}", safe::one_line(&named.join(", ")))));
            }
        }
    }
    let run = &view.run.to_string()[..8];
    Err(Error::usage(format!("run {run} has no test `{word}`, and there is no exit code or run of that name"))
        .help("`regatta explain TEST --run RUN` looks in another run, `regatta list` shows the tests, `regatta runs` the runs"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::script::Script;

    #[test]
    fn a_test_is_found_by_its_id_and_by_how_that_ends() {
        let mut script = Script::new(&[("api", "pytest")], |_, _, _| {});
        script.file(0, "tests/test_a.py", &[("test_x", 10), ("T::test_x", 10), ("test_xy", 10)]);
        let found = |word: &str| test(&script.view, word).map(TestIx::at).map_err(|error| error.render(false));
        assert_eq!(found("tests/test_a.py::test_x"), Ok(0));
        assert_eq!(found("T::test_x"), Ok(1));
        assert_eq!(found("xy"), Ok(2));
        assert!(found("test_x").is_err_and(|told| told.contains("means 2 tests")));
        assert!(found("test_z").is_err_and(|told| told.contains("has no test `test_z`")));
    }
}
