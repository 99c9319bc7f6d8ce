//! Signs of pytest.

use super::{Found, read};
use std::fs;
use std::path::Path;
use toml::de::DeTable;

/// The pytest suite in `base`, if there are signs of one.
pub(super) fn find(base: &Path) -> Option<Found> {
    Some(Found {
        name: "pytest",
        evidence: evidence(base)?,
        does: "runs its tests with pytest".to_owned(),
        lines: vec!["runner = \"pytest\"".to_owned()],
    })
}

fn evidence(base: &Path) -> Option<String> {
    let section = |file: &str, header: &str| {
        read(&base.join(file))
            .is_some_and(|text| text.lines().any(|line| line.trim() == header))
            .then(|| format!("{header} in {file}"))
    };
    file(base, "pytest.ini")
        .or_else(|| file(base, ".pytest.ini"))
        .or_else(|| in_pyproject(base))
        .or_else(|| section("tox.ini", "[pytest]"))
        .or_else(|| section("setup.cfg", "[tool:pytest]"))
        .or_else(|| file(base, "conftest.py"))
        .or_else(|| ["tests", "test"].iter().find_map(|dir| file(base, &format!("{dir}/conftest.py"))))
        .or_else(|| ["tests", "test", "."].iter().find_map(|dir| test_file(base, dir)))
}

fn file(base: &Path, name: &str) -> Option<String> {
    base.join(name).is_file().then(|| name.to_owned())
}

fn in_pyproject(base: &Path) -> Option<String> {
    let text = read(&base.join("pyproject.toml"))?;
    let (document, _) = DeTable::parse_recoverable(&text);
    let tools = document.get_ref().get("tool")?.get_ref().as_table()?;
    tools.get("pytest").is_some().then(|| "[tool.pytest] in pyproject.toml".to_owned())
}

/// A file named like a test. `test_*.py` is pytest's own pattern.
fn test_file(base: &Path, dir: &str) -> Option<String> {
    let names = fs::read_dir(base.join(dir)).ok()?.flatten().map(|entry| entry.file_name());
    let mut found: Vec<String> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py")))
        .collect();
    found.sort();
    let name = found.into_iter().next()?;
    Some(if dir == "." { name } else { format!("{dir}/{name}") })
}
