//! The names of the tests of an exec suite.

use super::settings::ExecSettings;
use crate::process::{Command, Ending};
use crate::runner::reason::{end_of, one_line};
use crate::runner::{Brief, Place, exports};
use globset::{Glob, GlobMatcher};
use ignore::WalkBuilder;
use regatta_domain::limits::TESTS_PER_FILE;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// A command that lists tests may have to build them first.
const LIST: Duration = Duration::from_secs(600);

const GRACE: Duration = Duration::from_secs(2);

/// The names, in order; the error says what is wrong and where.
pub(super) async fn names(brief: &Brief, settings: &ExecSettings, place: &Place) -> Result<Vec<String>, String> {
    let names = match &settings.list {
        Some(argv) => asked(brief, argv, place).await?,
        None if settings.tests.is_empty() => vec![String::new()],
        None => {
            let (root, patterns) = (brief.suite.root.clone(), settings.tests.clone());
            let written = tokio::task::spawn_blocking(move || written(Path::new(&*root), &patterns));
            written.await.map_err(|stopped| format!("looking for its tests was stopped: {stopped}"))??
        }
    };
    check(names)
}

async fn asked(brief: &Brief, argv: &[String], place: &Place) -> Result<Vec<String>, String> {
    let mut command = Command { argv: argv.iter().map(Into::into).collect(), ..Command::default() };
    Path::new(&*brief.suite.root).clone_into(&mut command.cwd);
    command.env = exports::of_slot(brief, place);
    let ran = place.spawner.list(&command, LIST, GRACE).await.map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&ran.stderr.into_bytes()).into_owned();
    let said =
        |what: &str| format!("the command that lists its tests {what}\n{}", end_of(&errors)).trim_end().to_owned();
    if ran.timed_out {
        return Err(said(&format!("took longer than {} s, and was stopped", LIST.as_secs())));
    }
    if ran.exit.ending != Ending::Exited(0) {
        return Err(said(&format!("ended with {}", ran.exit.ending)));
    }
    if ran.stdout.is_cut() {
        return Err(said("printed more than 64 MiB"));
    }
    let list = String::from_utf8(ran.stdout.into_bytes()).map_err(|_| said("printed something that is no UTF-8"))?;
    let names: Vec<String> =
        list.lines().map(str::trim_end).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.is_empty() { Err(said("printed no names")) } else { Ok(names) }
}

/// The names in the configuration, with the files that globs stand for in their place.
fn written(root: &Path, patterns: &[String]) -> Result<Vec<String>, String> {
    let is_glob = |pattern: &&String| pattern.contains(['*', '?', '[', '{']);
    let files = if patterns.iter().any(|pattern| is_glob(&pattern)) { files(root) } else { Vec::new() };
    let mut names = Vec::new();
    for pattern in patterns {
        if !is_glob(&pattern) {
            names.push(pattern.clone());
            continue;
        }
        let matcher = matcher(pattern)?;
        let before = names.len();
        names.extend(files.iter().filter(|file| matcher.is_match(file)).cloned());
        if names.len() == before {
            return Err(format!("`{pattern}` in `tests` matches no file below {}", root.display()));
        }
    }
    // Two globs may match the same file; that is one test.
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn matcher(pattern: &str) -> Result<GlobMatcher, String> {
    let glob = Glob::new(pattern).map_err(|error| format!("`{pattern}` in `tests` is no glob: {}", error.kind()))?;
    Ok(glob.compile_matcher())
}

/// All files below `root` that version control would see, by their paths from there, in order.
fn files(root: &Path) -> Vec<String> {
    let walk = WalkBuilder::new(root).hidden(false).filter_entry(|entry| entry.file_name() != ".git").build();
    let files = walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    let below = files.filter_map(|entry| Some(entry.path().strip_prefix(root).ok()?.to_str()?.to_owned()));
    let mut all: Vec<String> = below.collect();
    all.sort();
    all
}

fn check(names: Vec<String>) -> Result<Vec<String>, String> {
    if names.len() > TESTS_PER_FILE {
        return Err(format!("it has {} tests; {TESTS_PER_FILE} is the most that one suite may have", names.len()));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(format!("the name `{}` is listed twice; a test must have a name of its own", one_line(twice)));
    }
    match names.iter().find(|name| name.contains(['\n', '\0'])) {
        Some(odd) => Err(format!("the name `{}` holds a line break or a NUL; a name is one line", one_line(odd))),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_themselves_and_globs_for_files() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("t")).expect("it can be made");
        for file in ["t/b.sh", "t/a.sh", "t/c.txt", "d.sh"] {
            std::fs::write(directory.path().join(file), "").expect("it can be written");
        }
        let check = |patterns: &[&str], expected: Result<&[&str], &str>| {
            let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            match (written(directory.path(), &patterns), expected) {
                (Ok(names), Ok(expected)) => assert_eq!(names, expected),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (told, expected) => panic!("{told:?} instead of {expected:?}"),
            }
        };
        check(&["t/*.sh", "plain name"], Ok(&["t/a.sh", "t/b.sh", "plain name"]));
        check(&["**/*.sh", "t/*"], Ok(&["d.sh", "t/a.sh", "t/b.sh", "t/c.txt"]));
        check(&["*.py"], Err("`*.py` in `tests` matches no file below"));
        check(&["[a"], Err("`[a` in `tests` is no glob"));
    }

    #[test]
    fn names_are_checked() {
        let of = |names: &[&str]| check(names.iter().map(|&name| name.to_owned()).collect());
        assert!(of(&["a", "b"]).is_ok());
        assert!(of(&["a", "a"]).is_err_and(|error| error.contains("`a` is listed twice")));
        assert!(of(&["a\nb"]).is_err_and(|error| error.contains("a name is one line")));
    }
}
