//! From the levels of tests to few filters: a directory, a file, a class or a common beginning where all tests below it have
//! the same level, and exact ids otherwise.
//!
//! Its invariant: a filter for a level selects no test that is known to have another one, nor one whose level is not known.

use regatta_domain::Level;
use regatta_domain::filter::Filter;
use std::collections::BTreeMap;

/// Words that names have in common before a common beginning means anything: `test`, and one more.
const WORDS: usize = 2;

/// Tests that a filter has to spare a line for, to be worth being wider than they are.
const WORTH: usize = 3;

/// A test, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Its id.
    pub(super) id: String,
    /// Its level, where that is known.
    pub(super) level: Option<Level>,
    /// Whether that has to be said: not where a marker says the same.
    pub(super) to_say: bool,
}

/// Filters that select the tests of one suite whose levels have to be said, by level; `None` for one that all tests have.
pub(super) fn filters(tests: &[Known]) -> BTreeMap<Level, Vec<Filter>> {
    let mut tree = Node::default();
    for test in tests {
        tree.add(test, 0);
    }
    let mut found = BTreeMap::new();
    let mut say = |level: Level, filter: Filter| found.entry(level).or_insert_with(Vec::new).push(filter);
    match tree.alike() {
        Alike::Level(_, false) => {}
        Alike::Level(level, true) if tests.len() >= WORTH => say(level, Filter::All),
        _ => tree.split("", tests, &mut say),
    }
    found
}

/// What is below a piece of an id.
#[derive(Debug, Default)]
struct Node<'a> {
    test: Option<&'a Known>,
    below: BTreeMap<&'a str, Node<'a>>,
}

/// Whether all tests below a piece of an id have the same level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alike {
    /// They have, and whether it has to be said of any.
    Level(Level, bool),
    /// They have not, or it is not known.
    No,
}

impl<'a> Node<'a> {
    fn add(&mut self, test: &'a Known, from: usize) {
        match joint(&test.id, from) {
            None => self.test = Some(test),
            Some(end) => self.below.entry(&test.id[from..end]).or_default().add(test, end),
        }
    }

    fn count(&self) -> usize {
        usize::from(self.test.is_some()) + self.below.values().map(Node::count).sum::<usize>()
    }

    fn alike(&self) -> Alike {
        let own = self.test.map(|test| test.level.map_or(Alike::No, |level| Alike::Level(level, test.to_say)));
        let parts = own.into_iter().chain(self.below.values().map(Node::alike));
        parts
            .reduce(|one, other| match (one, other) {
                (Alike::Level(level, first), Alike::Level(same, second)) if level == same => {
                    Alike::Level(level, first || second)
                }
                _ => Alike::No,
            })
            .unwrap_or(Alike::No)
    }

    /// Says the levels of what is below `path`, which are not all the same.
    fn split(&self, path: &str, all: &[Known], say: &mut impl FnMut(Level, Filter)) {
        if let Some(Known { id, level: Some(level), to_say: true }) = self.test {
            // What is below a test is one of its parameters; the id of the test itself stands for it alone.
            say(*level, Filter::id(id));
        }
        let (mut named, mut others) = (Vec::new(), Vec::new());
        for (piece, node) in &self.below {
            if piece.starts_with("::") { named.push((*piece, node)) } else { others.push((*piece, node)) }
        }
        for (piece, node) in others {
            node.say(&format!("{path}{piece}"), all, say);
        }
        by_beginning(&named, WORDS, path, all, say);
    }

    fn say(&self, path: &str, all: &[Known], say: &mut impl FnMut(Level, Filter)) {
        match self.alike() {
            Alike::Level(_, false) => {}
            Alike::Level(level, true) => match self.test {
                Some(test) if self.below.is_empty() => say(level, Filter::id(&test.id)),
                _ if self.count() > 1 => say(level, Filter::under(path)),
                _ => self.split(path, all, say),
            },
            Alike::No => self.split(path, all, say),
        }
    }
}

/// Says the levels of siblings: together where enough of them begin with the same words and have the same level.
fn by_beginning(
    siblings: &[(&str, &Node<'_>)],
    words: usize,
    path: &str,
    all: &[Known],
    say: &mut impl FnMut(Level, Filter),
) {
    let mut rest = siblings;
    while let Some((piece, node)) = rest.first() {
        let Some(beginning) = beginning(piece, words) else {
            node.say(&format!("{path}{piece}"), all, say);
            rest = &rest[1..];
            continue;
        };
        let end = rest.iter().position(|(piece, _)| !piece.starts_with(beginning)).unwrap_or(rest.len());
        let (group, others) = rest.split_at(end);
        let prefix = format!("{path}{beginning}");
        match one_level(group, &prefix, all) {
            Some(level) if group.len() >= WORTH => {
                if group.iter().any(|(_, node)| matches!(node.alike(), Alike::Level(_, true))) {
                    say(level, glob(&prefix));
                }
            }
            _ if group.len() > 1 => by_beginning(group, words + 1, path, all, say),
            _ => group.iter().for_each(|(piece, node)| node.say(&format!("{path}{piece}"), all, say)),
        }
        rest = others;
    }
}

/// The level of all tests whose ids begin so, siblings and others.
fn one_level(group: &[(&str, &Node<'_>)], prefix: &str, all: &[Known]) -> Option<Level> {
    let Alike::Level(level, _) = group.first()?.1.alike() else { return None };
    let mut begins = all.iter().filter(|test| test.id.starts_with(prefix));
    begins.all(|test| test.level == Some(level)).then_some(level)
}

/// The first words of a name with the `_` behind them; `None` where it has no more than those.
fn beginning(piece: &str, words: usize) -> Option<&str> {
    let end = piece.match_indices('_').nth(words - 1)?.0 + 1;
    let brackets = piece.find('[').unwrap_or(piece.len());
    (end < brackets).then(|| &piece[..end])
}

/// The tests whose ids begin so.
fn glob(prefix: &str) -> Filter {
    let mut text = String::with_capacity(prefix.len() + 8);
    for char in prefix.chars() {
        match char {
            '*' | '?' | '[' | '{' => text.extend(['[', char, ']']),
            '(' | ')' | '\\' | ',' => text.extend(['\\', char]),
            _ => text.push(char),
        }
    }
    Filter::parse(&format!("id(#{text}*)")).unwrap_or_else(|_| Filter::under(prefix))
}

/// Where the piece of an id ends that begins at `from`: before the next `/`, `::` or parameters; `None` behind the last.
fn joint(id: &str, from: usize) -> Option<usize> {
    if from == id.len() {
        return None;
    }
    let rest = &id[from..];
    // Parameters may hold anything.
    if rest.starts_with('[') && from > 0 {
        return Some(id.len());
    }
    let skip = if rest.starts_with("::") { 2 } else { rest.chars().next().map_or(0, char::len_utf8) };
    let is_name = id.get(..from).is_some_and(|before| before.contains("::")) || rest.starts_with("::");
    let next = |joint: &str| rest[skip..].find(joint).map(|at| from + skip + at);
    // A slash in a name is only a sign of it.
    let slash = if is_name { None } else { next("/") };
    let bracket = if is_name { next("[") } else { None };
    Some([slash, next("::"), bracket].into_iter().flatten().min().unwrap_or(id.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::RunnerKind;
    use regatta_domain::filter::Subject;

    fn known(tests: &[(&str, Option<Level>)]) -> Vec<Known> {
        tests.iter().map(|&(id, level)| Known { id: id.to_owned(), level, to_say: true }).collect()
    }

    fn selects(filter: &Filter, id: &str) -> bool {
        let filter = Filter::parse(&filter.to_string()).expect("what is written can be read");
        let (file, name) = id.split_once("::").unwrap_or((id, ""));
        filter.matches(&Subject {
            suite: "s",
            runner: RunnerKind::Pytest,
            file,
            name,
            id,
            tags: &[],
            group: None,
            level: Level::None,
            last: None,
            mean: None,
            is_new: false,
            changed: false,
        })
    }

    #[track_caller]
    fn check(tests: &[(&str, Option<Level>)], wanted: &[(Level, &[&str])]) {
        let tests = known(tests);
        let found = filters(&tests);
        for test in &tests {
            let by: Vec<Level> = found
                .iter()
                .flat_map(|(level, filters)| filters.iter().filter(|f| selects(f, &test.id)).map(|_| *level))
                .collect();
            assert_eq!(by, test.level.into_iter().collect::<Vec<_>>(), "{} in {found:?}", test.id);
        }
        let told: Vec<(Level, Vec<String>)> =
            found.iter().map(|(level, filters)| (*level, filters.iter().map(ToString::to_string).collect())).collect();
        let wanted: Vec<(Level, Vec<String>)> = wanted
            .iter()
            .map(|(level, texts)| (*level, texts.iter().map(|text| (*text).to_owned()).collect()))
            .collect();
        assert_eq!(told, wanted);
    }

    use Level::{Isolated, None as Nothing, Read};

    #[test]
    fn what_is_alike_is_said_at_once() {
        check(
            &[
                ("a/x.py::test_1", Some(Read)),
                ("a/x.py::T::test_2[a/b::c]", Some(Read)),
                ("a/y.py::test_1", Some(Read)),
            ],
            &[(Read, &["all()"])],
        );
        check(
            &[
                ("a/x.py::test_1", Some(Read)),
                ("a/y.py::test_1", Some(Read)),
                ("b/x.py::test_1", Some(Isolated)),
                ("b/x.py::test_2", Some(Isolated)),
                ("b/z.py::test_2", None),
            ],
            &[(Read, &["under(a)"]), (Isolated, &["under(b/x.py)"])],
        );
    }

    #[test]
    fn what_differs_is_said_by_class_name_or_beginning() {
        check(
            &[
                ("x.py::T::test_1", Some(Read)),
                ("x.py::T::test_2", Some(Read)),
                ("x.py::test_p[1]", Some(Isolated)),
                ("x.py::test_p[2]", Some(Isolated)),
                ("x.py::test_q[1]", Some(Isolated)),
                ("x.py::test_q[2]", Some(Read)),
                ("x.py::test_one", Some(Nothing)),
            ],
            &[
                (Nothing, &["id(x.py::test_one)"]),
                (Read, &["under(x.py::T)", "id(x.py::test_q[2])"]),
                (Isolated, &["under(x.py::test_p)", "id(x.py::test_q[1])"]),
            ],
        );
        check(
            &[
                ("x (1).py::test_read_a", Some(Read)),
                ("x (1).py::test_read_b", Some(Read)),
                ("x (1).py::test_read_c[1]", Some(Read)),
                ("x (1).py::test_save_a", Some(Isolated)),
                ("x (1).py::test_save_b_c", Some(Isolated)),
                ("x (1).py::test_save", None),
            ],
            &[
                (Read, &["id(#x \\(1\\).py::test_read_*)"]),
                (Isolated, &["id(x \\(1\\).py::test_save_a)", "id(x \\(1\\).py::test_save_b_c)"]),
            ],
        );
    }

    #[test]
    fn a_beginning_that_others_share_is_none() {
        check(
            &[
                ("x.py::test_a_b", Some(Read)),
                ("x.py::test_a_c", Some(Read)),
                ("x.py::test_a_d", Some(Read)),
                ("x.py::test_a_e::inner", None),
            ],
            &[(Read, &["id(x.py::test_a_b)", "id(x.py::test_a_c)", "id(x.py::test_a_d)"])],
        );
    }

    #[test]
    fn what_a_marker_says_is_not_said_again() {
        let mut tests =
            known(&[("x.py::test_1", Some(Read)), ("x.py::test_2", Some(Read)), ("y.py::t", Some(Isolated))]);
        tests[0].to_say = false;
        assert_eq!(filters(&tests)[&Read], [Filter::under("x.py")]);
        tests[1].to_say = false;
        assert!(!filters(&tests).contains_key(&Read));
    }
}
