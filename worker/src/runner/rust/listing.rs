//! Listing the tests of a binary, or the doc tests of a package.

use super::locator::{Binary, Locator};
use super::settings::{Ignored, RustSettings};
use crate::process::{Command, Ending, Ran, SpawnError};
use crate::runner::reason::{end_of, one_line};
use crate::runner::{Brief, Place, exports};
use regatta_domain::limits::TESTS_PER_FILE;
use regatta_domain::listing::ListedTest;
use regatta_domain::result::{RunError, RunErrorKind};
use std::collections::BTreeSet;
use std::time::Duration;

/// A binary lists itself in milliseconds; rustdoc compiles the library first, and may wait for a lock.
const LIST: Duration = Duration::from_secs(600);

const GRACE: Duration = Duration::from_secs(2);

/// The tests that `locator` stands for, in the order in which the framework runs them.
pub(super) async fn list(
    brief: &Brief,
    settings: &RustSettings,
    place: &Place,
    path: &str,
    locator: &Locator,
) -> Result<Vec<ListedTest>, RunError> {
    let ask = async |ignored: bool| ask(brief, settings, place, path, locator, ignored).await;
    let names = match settings.ignored {
        Ignored::Only => ask(true).await?,
        Ignored::Skip | Ignored::Run => ask(false).await?,
    };
    let ignored: BTreeSet<String> = match settings.ignored {
        Ignored::Skip if !names.is_empty() => ask(true).await?.into_iter().collect(),
        _ => BTreeSet::new(),
    };
    distinct(path, &names)?;
    let is_doc = matches!(locator, Locator::Doc { .. });
    Ok(names.into_iter().map(|name| listed(&name, ignored.contains(&name), is_doc)).collect())
}

fn listed(name: &str, ignored: bool, is_doc: bool) -> ListedTest {
    // The doc tests of a source file are compiled together: each command compiles anew.
    let group = if is_doc { name.split(" - ").next().map(Into::into) } else { None };
    let line = if is_doc { doc_line(name).unwrap_or(0) } else { 0 };
    ListedTest { name: name.into(), line, group, ignored, ..ListedTest::default() }
}

/// `src/lib.rs - f (line 4)` stands in line 4.
pub(super) fn doc_line(name: &str) -> Option<u32> {
    name.strip_suffix(')')?.rsplit_once("(line ")?.1.parse().ok()
}

async fn ask(
    brief: &Brief,
    settings: &RustSettings,
    place: &Place,
    path: &str,
    locator: &Locator,
    ignored: bool,
) -> Result<Vec<String>, RunError> {
    let mut arguments = vec!["--list".to_owned(), "--format".to_owned(), "terse".to_owned()];
    if ignored {
        arguments.push("--ignored".to_owned());
    }
    let command = match locator {
        Locator::Binary(binary) => of_binary(brief, settings, place, binary, arguments),
        Locator::Doc { package } => settings.doc_tests(&brief.suite, package, arguments),
    };
    let ran = place.spawner.list(&command, LIST, GRACE).await.map_err(|error| not_started(path, &error))?;
    let is_doc = matches!(locator, Locator::Doc { .. });
    read(&ran, is_doc).map_err(|message| collection(path, &message))
}

/// A test binary with `arguments`, where and as cargo would start it.
pub(super) fn of_binary(
    brief: &Brief,
    settings: &RustSettings,
    place: &Place,
    binary: &Binary,
    arguments: Vec<String>,
) -> Command {
    let mut command = Command::new(&binary.executable, arguments);
    command.argv.extend(settings.args.iter().map(Into::into));
    command.cwd.clone_from(&binary.cwd);
    command.env = exports::of_slot(brief, place);
    command.env.extend(binary.env.iter().map(|(name, value)| (name.into(), value.into())));
    command
}

fn not_started(path: &str, error: &SpawnError) -> RunError {
    RunError { kind: RunErrorKind::Infrastructure, place: path.into(), message: error.to_string().into() }
}

fn collection(path: &str, message: &str) -> RunError {
    RunError { kind: RunErrorKind::Collection, place: path.into(), message: message.into() }
}

/// The names in what a listing printed; the error says what was wrong with it.
fn read(ran: &Ran, is_doc: bool) -> Result<Vec<String>, String> {
    let said =
        |captured: &crate::process::Captured| String::from_utf8_lossy(&captured.clone().into_bytes()).into_owned();
    if ran.timed_out {
        return Err(format!("listing its tests took longer than {} s, and was stopped", LIST.as_secs()));
    }
    if ran.exit.ending != Ending::Exited(0) {
        let errors = said(&ran.stderr);
        return Err(format!("listing its tests ended with {}\n{}", ran.exit.ending, end_of(&errors)));
    }
    if ran.stdout.is_cut() {
        return Err("its list of tests is longer than 64 MiB".to_owned());
    }
    parse(&said(&ran.stdout), is_doc)
}

/// The names in a terse list. Benchmarks are no tests; rustdoc adds remarks of its own.
fn parse(list: &str, is_doc: bool) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for line in list.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(name) = line.strip_suffix(": test") {
            names.push(name.to_owned());
        } else if !is_doc && !line.ends_with(": benchmark") {
            return Err(format!(
                "its harness does not list tests as cargo's do: asked with `--list --format terse`, it printed `{}`; \
                 teach it that (one line `NAME: test` for each), or set `test = false` for this target in Cargo.toml",
                one_line(line)
            ));
        }
    }
    if names.len() > TESTS_PER_FILE {
        return Err(format!("it lists {} tests; {TESTS_PER_FILE} is the most that one file may hold", names.len()));
    }
    Ok(names)
}

fn distinct(path: &str, names: &[String]) -> Result<(), RunError> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(twice) => {
            let message = format!("it lists `{}` twice; a test must have a name of its own", one_line(twice));
            Err(collection(path, &message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_tests_and_leaves_benchmarks_out() {
        assert_eq!(parse("a::b: test\nc: benchmark\n\nd: test\n", false), Ok(vec!["a::b".to_owned(), "d".to_owned()]));
        let doc = "src/lib.rs - f (line 4): test\nall doctests ran in 0.17s; merged doctests compilation took 0.17s\n";
        assert_eq!(parse(doc, true), Ok(vec!["src/lib.rs - f (line 4)".to_owned()]));
    }

    #[test]
    fn a_harness_that_lists_otherwise_is_told_how() {
        let error = parse("Running all 3 tests\n", false).expect_err("it is no list");
        assert!(error.contains("`Running all 3 tests`") && error.contains("--list --format terse"), "{error}");
    }

    #[test]
    fn doc_tests_know_their_lines_and_files() {
        let test = listed("src/a b.rs - m::f (line 12)", false, true);
        assert_eq!((test.line, test.group.as_deref()), (12, Some("src/a b.rs")));
    }

    #[test]
    fn a_name_listed_twice_is_an_error() {
        let error = distinct("p", &["a".to_owned(), "a".to_owned()]).expect_err("it is there twice");
        assert!(error.message.contains("lists `a` twice"), "{error:?}");
    }
}
