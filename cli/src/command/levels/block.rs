//! The block of regatta.toml that holds what was inferred: found, made, and put in place of the one before.
//!
//! Its invariant: not a byte outside of it is changed.

use super::declared::{Declared, Test};
use super::filters::{Known, filters};
use crate::error::{Error, Mistake, Place};
use crate::exit::Exit;
use regatta_domain::Level;
use regatta_domain::filter::Filter;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// How its first line begins.
const FIRST: &str = "# levels: inferred by regatta";

/// What follows there.
const REST: &str = "; `regatta levels infer --write config` replaces all of this";

/// Its last line.
const LAST: &str = "# levels: end";

/// The block in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its bytes, the end of its last line included.
    pub(super) bytes: Range<usize>,
    /// Its lines, from 1.
    pub(super) lines: Range<usize>,
}

/// Finds the block; `name` is how people know the file.
///
/// # Errors
/// When it has no end.
pub(super) fn find(text: &Arc<str>, name: &Arc<str>) -> Result<Option<Block>, Error> {
    let (mut at, mut begun) = (0, None);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let end = at + line.len();
        match begun {
            None if line.starts_with(FIRST) => begun = Some((at, number + 1)),
            Some((start, first)) if line.trim_end() == LAST => {
                return Ok(Some(Block { bytes: start..end, lines: first..number + 2 }));
            }
            _ => {}
        }
        at = end;
    }
    let Some((start, _)) = begun else { return Ok(None) };
    let place = Place { name: Arc::clone(name), text: Arc::clone(text), span: start..start + FIRST.len() };
    let mistake = Mistake::new("the block of inferred levels has no end").at(place);
    Err(Error::new(Exit::Usage, mistake.help(format!("write the line `{LAST}` behind it, or take all of it out"))))
}

/// The file with this block, in place of the one before or at the end.
pub(super) fn replace(text: &str, old: Option<&Block>, block: &str) -> String {
    let Some(old) = old else {
        if block.is_empty() {
            return text.to_owned();
        }
        let line = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let gap = if text.is_empty() { "" } else { "\n" };
        return format!("{text}{line}{gap}{block}");
    };
    format!("{}{block}{}", &text[..old.bytes.start], &text[old.bytes.end..])
}

/// The block: what these levels, and those of an earlier inference for other tests, come to; empty where there is nothing to
/// say.
pub(super) fn text(levels: &BTreeMap<(String, String), Level>, declared: &Declared, suites: usize) -> String {
    let mut by_suite: BTreeMap<&str, Vec<Known>> = BTreeMap::new();
    for (key, test) in &declared.tests {
        let level = levels.get(key).copied().or(test.inferred);
        let to_say = level.is_some_and(|level| has_to_be_said(test, level));
        by_suite.entry(&key.0).or_default().push(Known { id: key.1.clone(), level, to_say });
    }
    let mut by_level: BTreeMap<Level, Vec<String>> = BTreeMap::new();
    for (suite, tests) in by_suite {
        for (level, found) in filters(&tests) {
            let only = Filter::suite(suite).to_string();
            let terms = found.iter().map(ToString::to_string);
            by_level.entry(level).or_default().extend(match (suites > 1, found.as_slice()) {
                (true, [Filter::All]) => vec![only],
                (true, _) => terms.map(|term| format!("{only} & {term}")).collect(),
                (false, _) => terms.collect::<Vec<_>>(),
            });
        }
    }
    if by_level.is_empty() {
        return String::new();
    }
    let mut text = format!("{FIRST}{REST}\n");
    for (level, terms) in by_level {
        let filter = string(&terms);
        text.push_str(&format!("[[profile.default.override]]\nfilter = {filter}\nlevel = \"{}\"\n\n", level.name()));
    }
    text.pop();
    text.push_str(LAST);
    text.push('\n');
    text
}

/// Whether a level has to be written down: not where people say something already, which would count before it.
fn has_to_be_said(test: &Test, level: Level) -> bool {
    test.by_people.is_none() && test.by_marker != Some(level)
}

/// A string of TOML that holds any of these terms, a line each.
fn string(terms: &[String]) -> String {
    let is_plain = |term: &String| !term.contains("'''") && !term.chars().any(char::is_control);
    match terms {
        terms if !terms.iter().all(is_plain) => serde_json::Value::from(terms.join(" | ")).to_string(),
        [only] if !only.contains('\'') => format!("'{only}'"),
        terms => format!("'''\n{}\n'''", terms.join("\n| ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<Block> {
        find(&text.into(), &"regatta.toml".into()).expect("the block has an end")
    }

    #[test]
    fn not_a_byte_outside_of_the_block_is_changed() {
        for before in ["", "a = 1", "a = 1\r\n# é\r\n", "a = 1\n\n\n"] {
            let block = format!("{FIRST}{REST}\nb = 2\n{LAST}\n");
            let once = replace(before, found(before).as_ref(), &block);
            assert!(once.starts_with(before) && once.ends_with(&block), "{once:?}");
            let after = format!("{once}c = 3\n");
            let other = format!("{FIRST}\n{LAST}\n");
            let twice = replace(&after, found(&after).as_ref(), &other);
            assert_eq!(twice, once.replace(&block, &other) + "c = 3\n");
            assert_eq!(replace(&twice, found(&twice).as_ref(), &block), after, "and back");
        }
        assert_eq!(replace("a = 1", None, ""), "a = 1");
    }

    #[test]
    fn a_block_without_an_end_is_told() {
        let told = find(&format!("a = 1\n{FIRST}\nb = 2\n").into(), &"regatta.toml".into()).expect_err("it has no end");
        assert!(told.render(false).contains("regatta.toml:2"), "{}", told.render(false));
    }

    fn test(by_marker: Option<Level>, by_people: Option<Level>, inferred: Option<Level>) -> Test {
        let (runner, root) = ("pytest".to_owned(), String::new());
        Test { runner, root, path: "x.py".into(), name: "t".into(), line: 0, by_marker, by_people, inferred }
    }

    #[test]
    fn what_was_inferred_earlier_stays_and_what_people_say_is_left_to_them() {
        let key = |id: &str| ("api".to_owned(), id.to_owned());
        let mut declared = Declared::default();
        declared.tests.insert(key("x.py::now"), test(None, None, Some(Level::Read)));
        declared.tests.insert(key("x.py::earlier"), test(None, None, Some(Level::Isolated)));
        declared.tests.insert(key("x.py::people"), test(None, Some(Level::Read), None));
        declared.tests.insert(key("x.py::marker"), test(Some(Level::Transaction), None, None));
        declared.tests.insert(key("x.py::unknown"), test(None, None, None));
        let levels = BTreeMap::from([
            (key("x.py::now"), Level::None),
            (key("x.py::people"), Level::Isolated),
            (key("x.py::marker"), Level::Transaction),
        ]);
        let entry = |level: &str, filter: &str| {
            format!("[[profile.default.override]]\nfilter = '{filter}'\nlevel = \"{level}\"\n")
        };
        let one = text(&levels, &declared, 1);
        let entries = [entry("none", "id(x.py::now)"), entry("isolated", "id(x.py::earlier)")];
        assert_eq!(one, format!("{FIRST}{REST}\n{}{LAST}\n", entries.join("\n")));
        assert!(text(&levels, &declared, 2).contains("'suite(=api) & id(x.py::now)'"));
        assert!(crate::config::file::File::parse(&"f".into(), &one.as_str().into(), &|_| true).is_ok());
        assert_eq!(text(&BTreeMap::new(), &Declared::default(), 1), "");
    }

    #[test]
    fn any_term_can_be_written() {
        let quoted = string(&["id(a'b)".to_owned()]);
        assert_eq!(quoted, "'''\nid(a'b)\n'''");
        assert_eq!(string(&["a'''b".to_owned(), "c".to_owned()]), "\"a'''b | c\"");
    }
}
