//! What to run where nobody wrote a `regatta.toml`.
//!
//! Concludes suites from what is there, and writes them down as the text of a `regatta.toml`: what is assumed and what
//! `regatta init` writes are the same, and both go through the same reader. It only looks at files, and starts nothing.

mod cargo;
mod command;
mod pytest;

use super::discover;
use crate::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// A configuration that was concluded.
#[derive(Debug)]
pub(crate) struct Assumed {
    /// The directory it is for.
    pub(crate) base: PathBuf,
    /// What was found and what follows from it, in lines for people.
    pub(crate) notes: Vec<String>,
    /// The text of a `regatta.toml` that says it.
    pub(crate) text: String,
}

/// A suite that was found.
#[derive(Debug)]
struct Found {
    /// What to call it.
    name: &'static str,
    /// What it was concluded from: "Cargo.toml".
    evidence: String,
    /// What running it does: "runs the tests of the workspace with cargo".
    does: String,
    /// The lines of its section, without the header.
    lines: Vec<String>,
}

/// What is looked for, for the message when none of it is there.
const LOOKED_FOR: &str = "looked for pytest (pytest.ini, [tool.pytest] in pyproject.toml, [pytest] in tox.ini, \
    [tool:pytest] in setup.cfg, conftest.py, tests/test_*.py), cargo (Cargo.toml), and test commands (a `test` script in \
    package.json, go.mod, a `test:` target in a Makefile)";

/// Concludes a configuration from what is in `start`, or in the nearest directory above it that has something.
///
/// # Errors
/// When there is nothing to conclude from.
pub(super) fn assume(start: &Path) -> Result<Assumed, Error> {
    for base in discover::upward(start) {
        let found = find(base);
        if !found.is_empty() {
            return Ok(write(base, &found));
        }
    }
    Err(Error::usage(format!("there is no regatta.toml, and no tests were found in {}", start.display()))
        .help(format!("{LOOKED_FOR}; or describe the suites in a regatta.toml (docs/configuration.md)")))
}

/// The name of the project in `base`, where none is configured.
pub(super) fn project_name(base: &Path) -> String {
    let base = fs::canonicalize(base).unwrap_or_else(|_| base.to_owned());
    let name = base.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '-' };
    let name: String = name.chars().map(allowed).take(64).collect();
    let name = name.trim_start_matches(['-', '.']);
    if name.is_empty() { "project".to_owned() } else { name.to_owned() }
}

fn find(base: &Path) -> Vec<Found> {
    let mut found: Vec<Found> = [pytest::find(base), cargo::find(base)].into_iter().flatten().collect();
    found.extend(command::npm(base));
    found.extend(command::go(base));
    if found.is_empty() {
        // A Makefile's `test` target usually runs what was found already; alone it is all there is.
        found.extend(command::make(base));
    }
    found
}

fn write(base: &Path, found: &[Found]) -> Assumed {
    let mut text = format!(
        "# The tests of this project, for Regatta. `regatta schema` and docs/configuration.md describe every key.\n\n\
         [project]\nname = {}\n",
        quote(&project_name(base))
    );
    for suite in found {
        text.push_str(&format!("\n# Found {}: {}.\n[suite.{}]\n", suite.evidence, suite.does, suite.name));
        for line in &suite.lines {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.push_str(PROFILES);
    let notes = found.iter().map(|suite| format!("found {}: suite `{}` {}", suite.evidence, suite.name, suite.does));
    Assumed { base: base.to_owned(), notes: notes.collect(), text }
}

/// Nothing of this changes what is built in; it shows what could be said.
const PROFILES: &str = "
[profile.default]
# slow = \"30s\"                                        # from when on a test is shown as slow
# timeout = { kill-after = \"5m\", grace = \"10s\" }      # when a test is stopped

# `regatta run --profile ci`
[profile.ci]
# retries = { count = 2, backoff = \"exponential\", delay = \"1s\", jitter = true }
# report = [{ format = \"junit\", path = \"junit.xml\" }]
";

/// The text as a TOML string.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// The text of a small file; nothing where it cannot be read, which is then not evidence.
fn read(path: &Path) -> Option<String> {
    const MAX_BYTES: u64 = 1024 * 1024;
    let size = fs::metadata(path).ok().filter(fs::Metadata::is_file)?.len();
    (size <= MAX_BYTES).then(|| fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests;
