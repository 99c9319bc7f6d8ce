//! Which suites and tests are meant by the words on the command line.
//!
//! A word is a suite if there is one of that name, and else a test: an id, a file, a directory. With both, the tests are
//! looked for in those suites.

use crate::config::Config;
use crate::config::resolve::Resolved;
use crate::config::suite::Suite;
use crate::error::{Error, Mistake};
use crate::exit::Exit;
use regatta_domain::filter::{Filter, nearest};
use std::path::{Component, Path, PathBuf};

/// The suites that take part, and the tests of them that are selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The suites, by name, in the order of the configuration.
    pub(crate) suites: Vec<String>,
    /// The tests.
    pub(crate) filter: Filter,
}

/// Finds what is meant by `words`. `has_filter` says that a filter was given for this invocation.
pub(super) fn choose(
    config: &Config,
    rules: &Resolved,
    words: &[String],
    has_filter: bool,
    cwd: &Path,
) -> Result<Chosen, Error> {
    let all = config.suites();
    if all.is_empty() {
        return Err(Error::usage(format!("{} describes no suite", config.name))
            .help("add a section like `[suite.api]` with `runner = \"pytest\"`"));
    }
    let is_suite = |word: &&String| all.iter().any(|(name, _)| name == word);
    let named: Vec<&String> = words.iter().filter(is_suite).collect();
    let tests: Vec<&String> = words.iter().filter(|word| !is_suite(word)).collect();
    if named.is_empty() {
        refuse_unknown(config, &tests, cwd)?;
    }
    let takes_part = |name: &str, suite: &Suite| match &rules.suites.value {
        _ if !named.is_empty() => named.iter().any(|word| *word == name),
        Some(listed) => listed.iter().any(|listed| listed == name),
        None => suite.is_default(),
    };
    let suites: Vec<(&str, &Suite)> = all.into_iter().filter(|(name, suite)| takes_part(name, suite)).collect();
    // A test that was named is meant, whatever the profile leaves out otherwise.
    let mut parts = Vec::new();
    if tests.is_empty() || has_filter {
        parts.push(rules.filter.value.clone());
    }
    if !tests.is_empty() {
        parts.push(Filter::any(tests.iter().map(|word| meant(config, &suites, word, cwd))));
    }
    let filter = Filter::every(parts);
    let suites = suites.into_iter().filter(|(name, suite)| filter.may_match_suite(name, suite.runner()));
    Ok(Chosen { suites: suites.map(|(name, _)| name.to_owned()).collect(), filter })
}

/// A word that looks like neither is most likely a misspelt suite.
fn refuse_unknown(config: &Config, words: &[&String], cwd: &Path) -> Result<(), Error> {
    let looks_like_a_test = |word: &str| word.contains(['/', ':', '.', '[']) || cwd.join(word).exists();
    let names: Vec<&str> = config.suites().into_iter().map(|(name, _)| name).collect();
    let mistakes: Vec<Mistake> = words
        .iter()
        .filter(|word| !looks_like_a_test(word))
        .map(|word| {
            let help = match nearest(word, names.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => {
                    let there = match &*names {
                        [only] => format!("the only suite is `{only}`"),
                        _ => format!("there are {}", names.join(", ")),
                    };
                    format!("{there}; tests by name are `-E 'test({word})'`")
                }
            };
            Mistake::new(format!("there is no suite `{word}`")).help(help)
        })
        .collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Error::all(Exit::Usage, mistakes)) }
}

/// The tests that a word means. A path that is there is seen from the current directory, and then from each suite's root;
/// anything else is an id as it stands.
fn meant(config: &Config, suites: &[(&str, &Suite)], word: &str, cwd: &Path) -> Filter {
    let (path, rest) = word.find("::").map_or((word, ""), |at| word.split_at(at));
    let target = normal(&cwd.join(path));
    let in_suite = |(name, suite): &(&str, &Suite)| {
        let below = target.strip_prefix(normal(&config.root(suite))).ok()?;
        let id = format!("{}{rest}", below.display());
        let tests = if id.is_empty() { Filter::All } else { Filter::under(&id) };
        Some(Filter::every([Filter::suite(name), tests]))
    };
    let found: Vec<Filter> = if target.exists() { suites.iter().filter_map(in_suite).collect() } else { Vec::new() };
    if found.is_empty() { Filter::under(word) } else { Filter::any(found) }
}

/// The path without `.` and `..`, as far as its text tells.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}
