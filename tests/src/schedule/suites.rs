//! The suites that are run where none is named: synthetic ones, what Regatta recorded itself, and a trace of others that is
//! read from beside the project, where it is there.

use super::Test;
use super::synth::{self, Shape};
use super::trace::{Error, Trace};
use std::path::{Path, PathBuf};

/// Tests of a synthetic suite.
const SYNTHETIC: usize = 3_000;

/// The seeds of the synthetic suites that are told as one: the order of a single suite is luck, for those who keep to it.
const SEEDS: std::ops::Range<u64> = 1..5;

/// One suite, or several that are told as one.
pub struct Suite {
    /// What the table calls it.
    pub name: String,
    /// What there is to run, and what is known of it: a version of a suite each.
    pub points: Vec<Vec<Test>>,
}

impl Suite {
    /// The suite of a trace.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Ok(Self { name: stem(path), points: Trace::read(path)?.points() })
    }

    /// Keeps at most that many versions, spread evenly.
    pub fn thin(&mut self, most: usize) {
        let all = self.points.len();
        let kept: Vec<usize> = (0..most.min(all)).map(|at| (at + 1) * all / most.min(all) - 1).collect();
        let mut at = 0..;
        self.points.retain(|_| at.next().is_some_and(|at| kept.contains(&at)));
    }

    fn synthetic(shape: Shape) -> Self {
        let points = SEEDS.flat_map(|seed| synth::suite(shape, SYNTHETIC, seed).points()).collect();
        Self { name: shape.name().to_owned(), points }
    }
}

/// The suites, and what was left out of them.
pub fn standard() -> Result<(Vec<Suite>, Vec<String>), Error> {
    let (mut suites, mut left_out) = (Vec::new(), Vec::new());
    let beside = root().join("../shared/traces/onegov.json.gz");
    if beside.exists() {
        suites.push(Suite::read(&beside)?);
    } else {
        left_out.push(format!("{}: not there", beside.display()));
    }
    suites.extend([Shape::LogNormal, Shape::Pareto].map(Suite::synthetic));
    let recorded = recorded();
    let mut points = Vec::new();
    for path in &recorded {
        points.extend(Trace::read(path)?.points());
    }
    if points.is_empty() {
        left_out.push("tests/load/traces: nothing recorded there".to_owned());
    } else {
        suites.push(Suite { name: format!("recorded ({} suites)", recorded.len()), points });
    }
    Ok((suites, left_out))
}

/// What Regatta recorded itself.
fn recorded() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root().join("tests/load/traces")) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter(|path| is_trace(path)).collect();
    paths.sort();
    paths
}

fn is_trace(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with(".json") || name.ends_with(".json.gz")
}

/// The workspace, from where this crate was built.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The name of a file without what says of what kind it is.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    name.trim_end_matches(".gz").trim_end_matches(".json").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_called_like_its_file() {
        assert_eq!(stem(Path::new("../a/onegov.json.gz")), "onegov");
        assert_eq!(stem(Path::new("b.json")), "b");
    }

    #[test]
    fn a_few_versions_are_spread_over_all() {
        let mut suite = Suite::synthetic(Shape::Pareto);
        suite.points.truncate(3);
        suite.points.extend(suite.points.clone());
        suite.points[5].truncate(1);
        suite.thin(2);
        assert_eq!((suite.points.len(), suite.points[1].len()), (2, 1), "the newest is one of them");
        suite.thin(4);
        assert_eq!(suite.points.len(), 2);
    }

    #[test]
    fn there_are_suites_without_anything_beside_the_project() {
        let (suites, _) = standard().expect("what is committed can be read");
        let names: Vec<_> = suites.iter().map(|suite| suite.name.as_str()).collect();
        assert!(names.contains(&"log-normal") && names.contains(&"pareto"), "{names:?}");
        assert!(suites.iter().all(|suite| !suite.points.is_empty()));
    }
}
