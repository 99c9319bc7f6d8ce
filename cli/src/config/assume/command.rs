//! Signs of a command that runs the tests.

use super::{Found, read};
use serde_json::Value;
use std::path::Path;

/// What `npm init` writes where there is no test.
const NO_TEST: &str = "no test specified";

/// `npm test`, where package.json has a test script.
pub(super) fn npm(base: &Path) -> Option<Found> {
    let package: Value = serde_json::from_str(&read(&base.join("package.json"))?).ok()?;
    let script = package.get("scripts")?.get("test")?.as_str()?;
    let is_real = !script.trim().is_empty() && !script.contains(NO_TEST);
    is_real.then(|| command("npm", "a `test` script in package.json".to_owned(), &["npm", "test"]))
}

/// `go test ./...`, where there is a Go module.
pub(super) fn go(base: &Path) -> Option<Found> {
    base.join("go.mod").is_file().then(|| command("go", "go.mod".to_owned(), &["go", "test", "./..."]))
}

/// `make test`, where a Makefile has that target.
pub(super) fn make(base: &Path) -> Option<Found> {
    let is_target = |line: &str| {
        line.strip_prefix("test").is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.starts_with(':') && !rest.starts_with(":=") && !rest.starts_with("::=")
        })
    };
    let file = ["GNUmakefile", "makefile", "Makefile"]
        .into_iter()
        .find(|name| read(&base.join(name)).is_some_and(|text| text.lines().any(is_target)))?;
    Some(command("make", format!("a `test` target in {file}"), &["make", "test"]))
}

fn command(name: &'static str, evidence: String, argv: &[&str]) -> Found {
    let list: Vec<String> = argv.iter().map(|word| format!("\"{word}\"")).collect();
    Found {
        name,
        evidence,
        does: format!("runs `{}` as one test", argv.join(" ")),
        lines: vec!["runner = \"exec\"".to_owned(), format!("command = [{}]", list.join(", "))],
    }
}
