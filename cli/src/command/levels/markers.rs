//! Markers of pytest: where they go in a file, and what stands there already.
//!
//! A function has one marker, directly above it, where it counts before those of its class and its module. All parameters of
//! a test share it, so it says the strongest of their levels.

use super::patch::{Edit, diff};
use regatta_domain::Level;
use std::collections::BTreeMap;

/// Lines between where a test is said to stand, and its `def`: decorators.
const DECORATORS: usize = 200;

/// A test function that gets a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marked {
    /// Its name, without classes and parameters.
    pub(super) name: String,
    /// The line where it stands, from 1; that of its first decorator.
    pub(super) line: usize,
    /// Its level.
    pub(super) level: Level,
}

/// The diff that marks these functions of a file, and those that were not found in it.
pub(super) fn patch(path: &str, text: &str, marked: &[Marked]) -> (String, Vec<String>) {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let ending = if lines.first().is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };
    let (mut edits, mut lost): (BTreeMap<usize, Edit>, Vec<String>) = (BTreeMap::new(), Vec::new());
    let mut adds = false;
    for marked in marked {
        let Some(def) = definition(&lines, marked) else {
            lost.push(marked.name.clone());
            continue;
        };
        let found = marker(&lines, def);
        match found {
            Some(at) => {
                if let Some(line) = with_level(lines[at], marked.level) {
                    edits.insert(at, Edit { at, gone: 1, come: vec![line] });
                } else if !says(lines[at], marked.level) {
                    lost.push(marked.name.clone());
                }
            }
            None => {
                adds = true;
                let indent: &str = &lines[def][..lines[def].len() - lines[def].trim_start().len()];
                let line = format!("{indent}@pytest.mark.regatta(level=\"{}\"){ending}", marked.level.name());
                edits.insert(def, Edit { at: def, gone: 0, come: vec![line] });
            }
        }
    }
    if adds && !imports(&lines) {
        let at = first_statement(&lines);
        let line = format!("import pytest{ending}");
        edits.entry(at).and_modify(|edit| edit.come.insert(0, line.clone())).or_insert(Edit {
            at,
            gone: 0,
            come: vec![line],
        });
    }
    let edits: Vec<Edit> = edits.into_values().collect();
    (diff(path, text, &edits), lost)
}

/// The line of the `def`, from 0.
fn definition(lines: &[&str], marked: &Marked) -> Option<usize> {
    let from = marked.line.checked_sub(1)?;
    let is_def = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("async").map_or(line, str::trim_start);
        let name = line.strip_prefix("def ").map(str::trim_start).and_then(|rest| rest.strip_prefix(&*marked.name));
        name.is_some_and(|rest| rest.trim_start().starts_with(['(', '[']))
    };
    lines.iter().enumerate().skip(from).take(DECORATORS).find(|(_, line)| is_def(line)).map(|(at, _)| at)
}

/// The line of the decorator above a `def` that holds the level of its marker.
fn marker(lines: &[&str], def: usize) -> Option<usize> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(lines[def]);
    let mut inside = None;
    for at in (0..def).rev() {
        let line = lines[at];
        let trimmed = line.trim();
        if trimmed.starts_with('@') && indent(line) == own {
            if trimmed.starts_with("@pytest.mark.regatta(") {
                return Some(inside.filter(|_| !line.contains("level")).unwrap_or(at));
            }
            inside = None;
        } else if indent(line) > own || matches!(trimmed, "" | ")" | "])" | "]" | "})") || trimmed.starts_with('#') {
            // A line of a decorator that has several, or one between them.
            if trimmed.starts_with("level") {
                inside = Some(at);
            }
        } else {
            return None;
        }
    }
    None
}

/// The line with this level in place of its own; `None` where it has none, or the same.
fn with_level(line: &str, level: Level) -> Option<String> {
    let (start, end) = value(line)?;
    (&line[start..end] != level.name()).then(|| format!("{}{}{}", &line[..start], level.name(), &line[end..]))
}

fn says(line: &str, level: Level) -> bool {
    value(line).is_some_and(|(start, end)| &line[start..end] == level.name())
}

/// Where the level stands in a line, without its quotes.
fn value(line: &str) -> Option<(usize, usize)> {
    let after = line.find("level")? + "level".len();
    let equals = after + line[after..].find(|c: char| !c.is_whitespace())?;
    let quoted = line[equals..].strip_prefix('=')?;
    let quote = quoted.trim_start().chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let start = equals + 1 + quoted.find(quote)? + 1;
    Some((start, start + line[start..].find(quote)?))
}

fn imports(lines: &[&str]) -> bool {
    lines.iter().any(|line| {
        let names = line.strip_prefix("import ").unwrap_or_default().split('#').next().unwrap_or_default();
        names.split(',').any(|name| name.trim() == "pytest")
    })
}

/// The line of the first statement behind the docstring, comments and imports from the future.
fn first_statement(lines: &[&str]) -> usize {
    let mut open: Option<&str> = None;
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim();
        if let Some(quotes) = open {
            if trimmed.contains(quotes) {
                open = None;
            }
            continue;
        }
        let text = trimmed.trim_start_matches(['r', 'R', 'u', 'U']);
        if let Some(quotes) = ["\"\"\"", "'''"].into_iter().find(|quotes| text.starts_with(quotes)) {
            if !text[quotes.len()..].contains(quotes) {
                open = Some(quotes);
            }
        } else if text.starts_with(['"', '\'']) || trimmed.is_empty() || trimmed.starts_with('#') {
        } else if !trimmed.starts_with("from __future__") {
            return at;
        }
    }
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(name: &str, line: usize, level: Level) -> Marked {
        Marked { name: name.to_owned(), line, level }
    }

    /// The lines that the patch takes out and puts in.
    fn changes(text: &str, marked: &[Marked]) -> Vec<String> {
        let (patch, lost) = patch("x.py", text, marked);
        assert_eq!(lost, Vec::<String>::new());
        let changed = patch.lines().skip(2).filter(|line| line.starts_with(['+', '-']));
        changed.map(str::to_owned).collect()
    }

    #[test]
    fn a_marker_goes_directly_above_its_function() {
        let text = "\"\"\"Tests\nof things.\"\"\"\nfrom __future__ import annotations\n\nimport os\n\n@given(\n    x=1,\n)\ndef test_a(x):\n    pass\n\nclass T:\n    async def test_b(self):\n        pass\n";
        let wanted = [
            "+import pytest",
            "+@pytest.mark.regatta(level=\"read\")",
            "+    @pytest.mark.regatta(level=\"isolated\")",
        ];
        assert_eq!(changes(text, &[marked("test_a", 7, Level::Read), marked("test_b", 14, Level::Isolated)]), wanted);
        let (patch, _) = patch("x.py", text, &[marked("test_a", 7, Level::Read)]);
        assert!(patch.contains("+import pytest\n import os\n"), "{patch}");
        assert!(patch.contains(" )\n+@pytest.mark.regatta(level=\"read\")\n def test_a(x):\n"), "{patch}");
    }

    #[test]
    fn a_marker_that_is_there_is_replaced() {
        let text = "import os, pytest\n\n@pytest.mark.regatta(level='read')\n@pytest.mark.slow\ndef test_a():\n    pass\n\n@pytest.mark.regatta(\n    level = \"none\",\n)\ndef test_b():\n    pass\n";
        let wanted = [
            "-@pytest.mark.regatta(level='read')",
            "+@pytest.mark.regatta(level='isolated')",
            "-    level = \"none\",",
            "+    level = \"read\",",
        ];
        assert_eq!(changes(text, &[marked("test_a", 3, Level::Isolated), marked("test_b", 8, Level::Read)]), wanted);
        assert!(changes(text, &[marked("test_a", 3, Level::Read), marked("test_b", 8, Level::None)]).is_empty());
    }

    #[test]
    fn the_marker_of_another_function_stays() {
        let text =
            "import pytest\n@pytest.mark.regatta(level=\"read\")\ndef test_a():\n    pass\ndef test_b():\n    pass\n";
        assert_eq!(
            changes(text, &[marked("test_b", 5, Level::Isolated)]),
            ["+@pytest.mark.regatta(level=\"isolated\")"]
        );
    }

    #[test]
    fn what_is_not_written_here_is_told() {
        let (patch, lost) = patch("x.py", "import pytest\n", &[marked("test_made", 1, Level::Read)]);
        assert_eq!((patch.as_str(), lost), ("", vec!["test_made".to_owned()]));
    }
}
