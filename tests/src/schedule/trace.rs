//! What a real suite took, version by version: `{"meta", "tests": [node id], "versions": [{"date", "seconds": [number or
//! null, by test]}]}`, as JSON or gzipped JSON. `"groups": [name or null, by test]` may say to which class a test belongs;
//! without it, that is what stands between the file and the name in `file::class::name`.

use super::{Known, Test};
use regatta_domain::history::TestHistory;
use regatta_domain::{Micros, Time, Verdict};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The longest time that is believed of a test, in seconds: a month. What is above it is in another unit.
const LONGEST: f64 = 2_678_400.0;

/// The durations of a suite, over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// As the suite calls its tests.
    pub tests: Vec<String>,
    /// The class or other group of each.
    pub groups: Vec<Option<String>>,
    /// Earliest first: the seconds that each test took, and nothing where it was not there.
    pub versions: Vec<Vec<Option<f64>>>,
}

/// Why a trace cannot be used.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read, or unpacked.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not hold what it should.
    Broken {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where in the file.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
}

impl Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(out, "{}: cannot be read: {source}; check the path, and that gzip is installed", path.display())
            }
            Self::Broken { path, what, remedy } => write!(out, "{}: {what}; {remedy}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Broken { .. } => None,
        }
    }
}

/// What is wrong, and what to do about it.
type Flaw = (String, &'static str);

impl Trace {
    /// Reads a file; one whose name ends in `.gz` by way of `gzip`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = bytes(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&bytes).map_err(|(what, remedy)| Error::Broken { path: path.to_owned(), what, remedy })
    }

    /// Reads what a file holds.
    fn parse(bytes: &[u8]) -> Result<Self, Flaw> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| (format!("is not JSON: {error}"), "a trace is one JSON object, gzipped if named .gz"))?;
        let tests = names(&value, "tests")?;
        let tests: Option<Vec<String>> = tests.into_iter().collect();
        let tests = tests.ok_or_else(|| ("`tests` holds a null".to_owned(), "give each test its node id"))?;
        if let Some(twice) = repeated(&tests) {
            return Err((
                format!("`tests` names `{twice}` twice"),
                "give each test once, and its durations once a version",
            ));
        }
        let groups = match value.get("groups") {
            Some(_) => names(&value, "groups")?,
            None => tests.iter().map(|id| class(id).map(ToOwned::to_owned)).collect(),
        };
        same_length("groups", groups.len(), tests.len())?;
        let versions = value.get("versions").and_then(Value::as_array);
        let versions =
            versions.ok_or_else(|| ("has no array `versions`".to_owned(), "see tests/load/traces for the format"))?;
        let versions: Vec<_> =
            versions.iter().enumerate().map(|(at, version)| seconds(at, version, &tests)).collect::<Result<_, _>>()?;
        if versions.len() < 2 {
            let what = format!("has {} version(s)", versions.len());
            return Err((what, "at least two are needed: the first is history, the next is run"));
        }
        Ok(Self { tests, groups, versions })
    }

    /// What there is to run and what is known of it, for each version from the second on: its history is what the coordinator
    /// would have learnt from the versions before it. A version without tests is left out.
    #[must_use]
    pub fn points(&self) -> Vec<Vec<Test>> {
        let mut learnt = vec![TestHistory::default(); self.tests.len()];
        let mut points = Vec::new();
        for (at, version) in self.versions.iter().enumerate() {
            if at > 0 && version.iter().any(Option::is_some) {
                points.push(self.point(version, &learnt));
            }
            for (learnt, seconds) in learnt.iter_mut().zip(version) {
                seconds.iter().for_each(|seconds| learn(learnt, *seconds));
            }
        }
        points
    }

    fn point(&self, version: &[Option<f64>], learnt: &[TestHistory]) -> Vec<Test> {
        let mut files: HashMap<&str, u32> = HashMap::new();
        let present = version.iter().enumerate().filter_map(|(at, seconds)| Some((at, (*seconds)?)));
        present
            .map(|(at, truth)| {
                let next = u32::try_from(files.len()).unwrap_or(u32::MAX);
                let id = self.tests[at].clone();
                let file = *files.entry(file(&self.tests[at])).or_insert(next);
                Test { id, file, group: self.groups[at].clone(), truth, history: known(&learnt[at]), needs: None }
            })
            .collect()
    }
}

/// Takes in a duration. When that was does not matter.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds are between 0 and a month")]
fn learn(history: &mut TestHistory, seconds: f64) {
    history.learn(Verdict::Passed, Some(Micros((seconds * 1e6).round() as u64)), Time(0));
}

/// What is known of a test, if it ran before.
fn known(history: &TestHistory) -> Option<Known> {
    let estimate = history.estimate()?;
    Some(Known { mean: estimate.mean.as_secs_f64(), spread: f64::from(estimate.spread) / 1e3 })
}

/// The file of a node id.
fn file(id: &str) -> &str {
    id.split("::").next().unwrap_or(id)
}

/// The class of a node id: what stands between file and name. A parameter may hold anything, also `::`.
fn class(id: &str) -> Option<&str> {
    let plain = id.split('[').next().unwrap_or(id);
    let (_, inner) = plain.split_once("::")?;
    inner.rsplit_once("::").map(|(class, _)| class)
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    if path.extension().is_none_or(|extension| extension != "gz") {
        return std::fs::read(path);
    }
    let unpacked = Command::new("gzip").arg("-dc").arg(path).output()?;
    if unpacked.status.success() {
        return Ok(unpacked.stdout);
    }
    Err(io::Error::other(String::from_utf8_lossy(&unpacked.stderr).trim().to_owned()))
}

/// An array of strings and nulls.
fn names(value: &Value, field: &str) -> Result<Vec<Option<String>>, Flaw> {
    const REMEDY: &str = "see tests/load/traces for the format";
    let array = value.get(field).and_then(Value::as_array);
    let array = array.ok_or_else(|| (format!("has no array `{field}`"), REMEDY))?;
    let name = |(at, name): (usize, &Value)| match name {
        Value::String(name) => Ok(Some(name.clone())),
        Value::Null => Ok(None),
        other => Err((format!("`{field}[{at}]` is {other}, not a string"), REMEDY)),
    };
    array.iter().enumerate().map(name).collect()
}

fn repeated(tests: &[String]) -> Option<&str> {
    let mut sorted: Vec<&str> = tests.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn same_length(field: &str, length: usize, tests: usize) -> Result<(), Flaw> {
    let flaw = || (format!("`{field}` has {length} entries, and `tests` has {tests}"), "give one entry for each test");
    (length == tests).then_some(()).ok_or_else(flaw)
}

fn seconds(at: usize, version: &Value, tests: &[String]) -> Result<Vec<Option<f64>>, Flaw> {
    let array = version.get("seconds").and_then(Value::as_array).ok_or_else(|| {
        (
            format!("`versions[{at}]` has no array `seconds`"),
            "give the seconds of each test, null where it was not there",
        )
    })?;
    same_length(&format!("versions[{at}].seconds"), array.len(), tests.len())?;
    array.iter().zip(tests).map(|(value, test)| second(at, value, test)).collect()
}

fn second(at: usize, value: &Value, test: &str) -> Result<Option<f64>, Flaw> {
    let wrong = |what: &str, remedy| Err((format!("`versions[{at}].seconds` of `{test}` is {what}"), remedy));
    match value.as_f64() {
        None if value.is_null() => Ok(None),
        None => wrong(&format!("{value}, not a number"), "give seconds, or null where the test was not there"),
        Some(seconds) if !(0.0..=LONGEST).contains(&seconds) => wrong(
            &seconds.to_string(),
            "give seconds, from 0 to a month; leave out what was measured by a clock that jumped",
        ),
        Some(seconds) => Ok(Some(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw(text: &str) -> String {
        let (what, remedy) = Trace::parse(text.as_bytes()).expect_err("it is broken");
        format!("{what}; {remedy}")
    }

    #[test]
    fn a_version_is_run_with_what_the_ones_before_it_taught() {
        let text = r#"{"tests": ["a.py::t", "b.py::C::t[x::y]", "b.py::t"],
            "versions": [{"seconds": [1, 2, null]}, {"seconds": [2, null, 3]}, {"seconds": [4, 2, 3]}]}"#;
        let points = Trace::parse(text.as_bytes()).expect("a trace").points();
        assert_eq!(points.len(), 2);
        let [first, second] = &points[..] else { panic!("two versions have one before them") };
        let brief = |test: &Test| (test.id.clone(), test.file, test.truth, test.history.map(|known| known.mean));
        assert_eq!(
            first.iter().map(brief).collect::<Vec<_>>(),
            [("a.py::t".to_owned(), 0, 2.0, Some(1.0)), ("b.py::t".to_owned(), 1, 3.0, None),]
        );
        let mean = |test: &Test| test.history.expect("it ran before").mean;
        assert!((1.0..2.0).contains(&mean(&second[0])) && mean(&second[0]) > 1.2, "newer durations move the mean");
        assert_eq!((mean(&second[1]), second[1].file, second[1].group.as_deref()), (2.0, 1, Some("C")));
        assert_eq!(second[2].group, None);
    }

    #[test]
    fn a_zero_is_a_short_test_and_not_a_mistake() {
        let text = r#"{"tests": ["t"], "versions": [{"seconds": [0]}, {"seconds": [0.5]}]}"#;
        let points = Trace::parse(text.as_bytes()).expect("a trace").points();
        let mean = points[0][0].history.expect("it ran before").mean;
        assert!(mean > 0.0 && mean < 1e-3, "{mean}");
    }

    #[test]
    fn what_is_broken_is_told_with_its_place_and_what_to_do() {
        let says = |text: &str, parts: &[&str]| {
            let flaw = flaw(text);
            parts.iter().for_each(|part| assert!(flaw.contains(part), "{flaw}"));
        };
        says("tests", &["is not JSON", "line 1"]);
        says("{}", &["no array `tests`"]);
        says(r#"{"tests": ["a"]}"#, &["no array `versions`"]);
        says(r#"{"tests": ["a", "a"], "versions": []}"#, &["`a` twice"]);
        says(r#"{"tests": ["a", null], "versions": []}"#, &["null"]);
        says(
            r#"{"tests": ["a"], "groups": [], "versions": []}"#,
            &["`groups` has 0 entries", "one entry for each test"],
        );
        says(r#"{"tests": ["a"], "versions": []}"#, &["0 version(s)", "at least two"]);
        says(r#"{"tests": ["a"], "versions": [{"seconds": [1]}]}"#, &["1 version(s)"]);
        says(r#"{"tests": ["a"], "versions": [{"date": 1}]}"#, &["`versions[0]` has no array `seconds`"]);
        says(r#"{"tests": ["a"], "versions": [{"seconds": [1, 2]}]}"#, &["has 2 entries, and `tests` has 1"]);
        for number in ["-1", "1e9", "\"1\""] {
            let text = format!(r#"{{"tests": ["a"], "versions": [{{"seconds": [1]}}, {{"seconds": [{number}]}}]}}"#);
            says(&text, &["`versions[1].seconds` of `a`", "give seconds"]);
        }
        for number in ["NaN", "1e999"] {
            says(
                &format!(r#"{{"tests": ["a"], "versions": [{{"seconds": [{number}]}}]}}"#),
                &["is not JSON", "line 1"],
            );
        }
    }

    #[test]
    fn a_file_that_is_not_there_or_not_packed_is_told_by_its_name() {
        let missing = Trace::read(Path::new("no/such/trace.json")).expect_err("it is not there");
        assert!(missing.to_string().starts_with("no/such/trace.json: cannot be read"), "{missing}");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plain.json.gz");
        std::fs::write(&path, "{}").expect("a file");
        let plain = Trace::read(&path).expect_err("it is not packed");
        assert!(plain.to_string().contains("gzip"), "{plain}");
    }
}
