//! Which test of a suite the name in a file of timings means.
//!
//! A name allows several readings: `tests.api.test_cart.TestCart` may be a class in `tests/api/test_cart.py`. The one counts
//! whose test is known; else whose file is known, or is there; else the one that looks most like what its runner writes. Roots
//! may differ: `api/test_cart.py` is `test_cart.py` where only one file ends so.

use super::Named;
use regatta_domain::RunnerKind;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// The tests of a suite, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    files: HashMap<String, File>,
    /// Paths by what comes after their last slash.
    by_name: HashMap<String, Vec<String>>,
}

#[derive(Debug, Default)]
struct File {
    /// Whether its tests are known, and these are all of them.
    listed: bool,
    tests: HashSet<String>,
}

impl Listing {
    /// Adds tests of a file.
    pub(crate) fn add(&mut self, path: String, listed: bool, tests: Vec<String>) {
        if !self.files.contains_key(&path) {
            self.by_name.entry(last(&path).to_owned()).or_default().push(path.clone());
        }
        let file = self.files.entry(path).or_default();
        file.listed |= listed;
        file.tests.extend(tests);
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The tests of a file, where all of them are known.
    pub(crate) fn tests(&self, path: &str) -> Option<&HashSet<String>> {
        self.files.get(path).filter(|file| file.listed && !file.tests.is_empty()).map(|file| &file.tests)
    }

    /// The known path that this one means: itself, or the only one that ends so or that it ends with.
    fn path(&self, path: &str) -> Option<&str> {
        if let Some((known, _)) = self.files.get_key_value(path) {
            return Some(known);
        }
        let is_end = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.ends_with('/'));
        let meant = |known: &&String| is_end(known, path) || is_end(path, known);
        let mut meant = self.by_name.get(last(path))?.iter().filter(meant);
        meant.next().filter(|_| meant.next().is_none()).map(String::as_str)
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A suite that timings may be of.
pub(crate) struct Suite<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its runner, where that is known.
    pub(crate) runner: Option<RunnerKind>,
    /// Its tests, as far as they are known.
    pub(crate) listing: Listing,
    /// Whether there is a file of this path below its root.
    pub(crate) is_there: Box<dyn Fn(&str) -> bool + 'a>,
    looked: RefCell<HashMap<String, bool>>,
}

/// A test that is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Match {
    /// The path of its file.
    pub(crate) file: String,
    /// Its name; empty for the whole file.
    pub(crate) name: String,
    /// Whether such a test is known, or may be: its file is, and nobody has listed it yet.
    pub(crate) known: bool,
}

/// One way to read a name: file, and name in the file.
type Reading = (String, String);

impl<'a> Suite<'a> {
    /// A suite.
    pub(crate) fn new(
        name: &'a str,
        runner: Option<RunnerKind>,
        listing: Listing,
        is_there: impl Fn(&str) -> bool + 'a,
    ) -> Self {
        Self { name, runner, listing, is_there: Box::new(is_there), looked: RefCell::default() }
    }

    /// The test that is meant.
    pub(crate) fn find(&self, named: &Named) -> Match {
        let readings = self.readings(named);
        let is_known = |(file, name): &&Reading| {
            self.listing.files.get(file).is_some_and(|file| name.is_empty() || file.tests.contains(name))
        };
        let on_known_path =
            || readings.iter().filter_map(|(file, name)| Some((self.listing.path(file)?.to_owned(), name.clone())));
        if let Some((file, name)) = readings.iter().find(is_known).cloned() {
            return Match { file, name, known: true };
        }
        if let Some((file, name)) = on_known_path().find(|reading| is_known(&reading)) {
            return Match { file, name, known: true };
        }
        if let Some((file, name)) = on_known_path().next() {
            let known = !self.listing.files[&file].listed;
            return Match { file, name, known };
        }
        let there = readings.iter().find_map(|(file, name)| Some((self.there(file)?, name.clone())));
        let (file, name) = there.unwrap_or_else(|| self.likely(readings));
        Match { file, name, known: false }
    }

    /// Whether the test is one of this suite: it is known, or stands in a file that is known or there.
    pub(crate) fn knows(&self, named: &Named) -> bool {
        let readings = self.readings(named);
        self.find(named).known
            || readings.iter().any(|(file, _)| self.listing.path(file).is_some() || (self.is_there)(file))
    }

    /// The path below the suite's root that is there: this one, or what is left of it without its first directories.
    fn there(&self, path: &str) -> Option<String> {
        let ends = path.match_indices('/').map(|(at, _)| &path[at + 1..]);
        let is_there =
            |path: &&str| *self.looked.borrow_mut().entry((*path).to_owned()).or_insert_with(|| (self.is_there)(path));
        std::iter::once(path).chain(ends).find(is_there).map(str::to_owned)
    }

    /// The ways in which a name can be read, the most likely first; at least one.
    fn readings(&self, named: &Named) -> Vec<Reading> {
        let mut readings = match named {
            Named::Own { file, name, .. } => vec![(file.clone(), name.clone())],
            Named::Id(id) => match id.split_once("::") {
                Some((file, name)) => vec![(plain(file), name.to_owned())],
                None => vec![(plain(id), String::new())],
            },
            Named::File(path) => vec![(plain(path), String::new())],
            Named::Case { class, name, file } => of_case(class, name, file.as_deref()),
        };
        if self.runner == Some(RunnerKind::Exec) {
            // All of its tests stand in one file of the suite's name.
            readings.extend(texts(named).into_iter().map(|text| (self.name.to_owned(), text)));
        }
        readings
    }

    /// What is most likely meant, where nothing is known.
    fn likely(&self, mut readings: Vec<Reading>) -> Reading {
        let looks_right = |(file, name): &Reading| match self.runner {
            Some(RunnerKind::Exec) => file == self.name,
            Some(RunnerKind::Rust) => !file.ends_with(".py"),
            // The part that begins with a capital is a class, and no module.
            Some(RunnerKind::Pytest) | None => {
                let is_module = |part: &str| !part.starts_with(char::is_uppercase);
                let class = name.rsplit_once("::").map_or("", |(class, _)| class);
                file.ends_with(".py")
                    && last(file).split('.').all(is_module)
                    && !class.split("::").any(|part| !part.is_empty() && is_module(part))
            }
        };
        let at = readings.iter().position(looks_right).unwrap_or(0);
        readings.swap_remove(at)
    }
}

/// A path without a leading `./`.
fn plain(path: &str) -> String {
    path.trim_start_matches("./").replace('\\', "/")
}

/// The readings of a case of JUnit XML.
fn of_case(class: &str, name: &str, file: Option<&str>) -> Vec<Reading> {
    let in_class = |class: &str| {
        let class = class.trim_matches('.').replace('.', "::");
        if class.is_empty() { name.to_owned() } else { format!("{class}::{name}") }
    };
    let mut readings = Vec::new();
    if let Some(file) = file.map(plain) {
        let module = file.rsplit_once('.').map_or(&*file, |(module, _)| module).replace('/', ".");
        let stem = last(&file).split('.').next().unwrap_or_default().to_owned();
        let below = class.strip_prefix(&module).or_else(|| class.rsplit_once(&*stem).map(|(_, below)| below));
        readings.extend(below.map(|below| (file.clone(), in_class(below))));
        readings.push((file, name.to_owned()));
    }
    if !class.is_empty() {
        readings.push((class.to_owned(), name.to_owned()));
        let parts: Vec<&str> = class.split('.').collect();
        let at = |at: usize| (format!("{}.py", parts[..at].join("/")), in_class(&parts[at..].join(".")));
        readings.extend((1..=parts.len()).rev().map(at));
    }
    if readings.is_empty() {
        readings.push(match name.split_once("::") {
            Some((file, name)) => (plain(file), name.to_owned()),
            None => (plain(name), String::new()),
        });
    }
    readings
}

/// A name as one text, as lists of names may have it.
fn texts(named: &Named) -> Vec<String> {
    match named {
        Named::Own { name, .. } => vec![name.clone()],
        Named::Id(text) | Named::File(text) => vec![text.clone()],
        Named::Case { class, name, file } => {
            let joined = |of: &str| [".", "::", "#", "/", " "].map(|joint| format!("{of}{joint}{name}"));
            let mut texts: Vec<String> = Vec::new();
            if !class.is_empty() {
                texts.extend(joined(class));
            }
            texts.extend(file.iter().flat_map(|file| joined(file)));
            texts.insert(0, name.clone());
            texts.extend(file.clone());
            texts.push(class.clone());
            texts
        }
    }
}
