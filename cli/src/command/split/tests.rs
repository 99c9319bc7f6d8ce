//! Cuts of scripted suites.

use super::*;
use crate::view::script::Script;

/// A suite of two files; the first test is a group of its own, as every test is.
fn with_view<T>(look: impl FnOnce(&View) -> T) -> T {
    let mut script = Script::new(&[("api", "pytest")], |_, _, _| {});
    script.file(0, "b.py", &[("t1", 10), ("t2", 10), ("t3", 10)]);
    script.file(0, "a.py", &[("t1", 10), ("t2[x]", 10), ("t2[y]", 10)]);
    // Two of them share a fixture.
    script.view.tests[1].group = 99;
    script.view.tests[2].group = 99;
    look(&script.view)
}

const TIMINGS: &str = r#"{"a.py::t1": 3.0, "a.py::t2[x]": 1.0, "b.py::t1": 0.5, "b.py::t2": 0.25, "b.py::t3": 0.25}"#;

fn ids(cut: &Cut<'_>, part: u32) -> Vec<String> {
    cut.of(part).map(|(ix, _)| cut.view.id(ix)).collect()
}

#[test]
fn the_parts_are_the_whole_suite_and_groups_are_whole() {
    with_view(|view| {
        for timings in [None, Some(("t".to_owned(), TIMINGS.as_bytes().to_vec()))] {
            for total in 1..=8 {
                let cut = cut(view, timings.clone(), total, false).expect("it is cut");
                let mut all: Vec<String> = (0..total).flat_map(|part| ids(&cut, part)).collect();
                all.sort();
                assert_eq!(all, ["a.py::t1", "a.py::t2[x]", "a.py::t2[y]", "b.py::t1", "b.py::t2", "b.py::t3"]);
                let holds = |part: &u32, id: &str| ids(&cut, *part).contains(&id.to_owned());
                let part = (0..total).find(|part| holds(part, "b.py::t2"));
                assert!(part.is_some_and(|part| holds(&part, "b.py::t3")), "a group is in one part");
            }
        }
    });
}

#[test]
fn timings_weigh_and_a_new_test_takes_as_long_as_those_like_it() {
    with_view(|view| {
        let cut = cut(view, Some(("t".to_owned(), TIMINGS.as_bytes().to_vec())), 2, false).expect("it is cut");
        assert_eq!(ids(&cut, 0), ["a.py::t1"]);
        let new = cut.tests.iter().position(|&ix| view.id(ix) == "a.py::t2[y]").expect("it is there");
        assert!(cut.weights[new] > Micros::from_ms(700), "like t2[x]: {:?}", cut.weights[new]);
        assert!(cut.line(0, 2).starts_with("part 0 of 2: 1 of 6 tests, 3.00s"), "{}", cut.line(0, 2));
    });
}

#[test]
fn the_digest_says_whether_jobs_agree() {
    let digest = |timings: Option<&str>, total, by_file| {
        let timings = timings.map(|text| ("t".to_owned(), text.as_bytes().to_vec()));
        with_view(|view| cut(view, timings, total, by_file).expect("it is cut").digest)
    };
    let one = digest(None, 4, false);
    assert_eq!(one, digest(None, 4, false));
    for other in [digest(None, 5, false), digest(None, 4, true), digest(Some(TIMINGS), 4, false)] {
        assert_ne!(one, other);
    }
}

#[test]
fn files_stay_whole_where_files_are_asked_for() {
    with_view(|view| {
        let cut = cut(view, None, 3, true).expect("it is cut");
        let text = |part| cut.text(part, 3, SplitFormat::Files).expect("one suite");
        assert_eq!([text(0), text(1), text(2)], ["a.py\n", "b.py\n", ""]);
    });
}
