//! The planner: from what a client asks for, with what is remembered, to what the core takes.
//!
//! A [`Planning`] is what was asked for a run, parsed; it makes drafts of files and tests, at the submission and whenever a
//! worker finds or lists something later. It is pure; [`desk`] fetches what it needs and keeps the plannings of live runs.
//! Its invariant: whatever is listed how often and by whom, a test of a run is selected or not, once and for all.

mod desk;
mod earlier;
mod estimate;
mod order;
mod policies;
mod selection;
#[cfg(test)]
mod tests;
mod unoffered;

pub(crate) use desk::{Context, PlannerDesk, broken};

use crate::store::projection::{FileHistory, Remembered, Scope};
use earlier::Earlier;
use estimate::{Expectations, Seen};
use policies::Policies;
use regatta_domain::database::PlannedDatabase;
use regatta_domain::history::risk;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::submission::{FileDraft, TestDraft};
use regatta_domain::{Level, RunId, Source, SuiteIx, TestKey};
use regatta_wire::submission::Request;
use regatta_wire::{Invalid, listing};
use selection::Selection;
use std::collections::HashSet;
use std::sync::Arc;

/// A test that only reads has a database of its own in one run of so many.
const LOOKS: u64 = 20;

/// What was asked for a run, parsed.
#[derive(Debug)]
pub(crate) struct Planning {
    project: Arc<str>,
    scope: Scope,
    suites: Vec<SuitePlanning>,
    selection: Selection,
    policies: Policies,
    observe: bool,
    run: RunId,
}

/// What was asked for a suite.
#[derive(Debug)]
struct SuitePlanning {
    name: Arc<str>,
    runner: regatta_domain::RunnerKind,
    tree_key: Arc<str>,
    changed: HashSet<Arc<str>>,
    has_databases: bool,
    expectations: Expectations,
}

impl Planning {
    /// Parses a request. `earlier` is the run that it follows up.
    fn new(request: &Request, earlier: Option<Earlier>) -> Result<Self, Invalid> {
        let suites = request.suites.iter().map(|asked| SuitePlanning {
            name: Arc::clone(&asked.suite.name),
            runner: asked.suite.runner,
            tree_key: Arc::clone(&asked.tree_key),
            changed: asked.changed.iter().cloned().collect(),
            has_databases: !asked.suite.databases.is_empty(),
            expectations: Expectations::default(),
        });
        let databases: Vec<&[PlannedDatabase]> =
            request.suites.iter().map(|asked| asked.suite.databases.as_slice()).collect();
        Ok(Self {
            project: Arc::clone(&request.project),
            scope: scope(request),
            suites: suites.collect(),
            selection: Selection::new(&request.filters, earlier)?,
            observe: request.policy.observe,
            run: request.run,
            policies: Policies::new(request.test_policy.clone(), &request.overrides, &databases)?,
        })
    }

    /// Takes in what is known of a suite: tests and files without history are expected to be like those with one.
    fn learn(&mut self, suite: SuiteIx, seen: &Seen<'_>) {
        self.suites[suite.at()].expectations = Expectations::of(seen);
    }

    /// Whether any test of the suite may be selected.
    fn may_select_suite(&self, suite: SuiteIx) -> bool {
        let suite = &self.suites[suite.at()];
        self.selection.may_select_suite(&suite.name, suite.runner)
    }

    /// The draft of a file; `None` where it is certain that nothing of it is selected. `names` are those of the tests in its
    /// history, where a test may have been renamed.
    fn file(
        &self,
        suite: SuiteIx,
        file: &ListedFile,
        remembered: Option<&[ListedTest]>,
        history: &FileHistory,
        names: &[Remembered],
    ) -> Option<FileDraft> {
        let asked = &self.suites[suite.at()];
        let certain = || !self.selection.may_select_file(&asked.name, asked.runner, &file.path);
        let tests = match remembered {
            Some(tests) => {
                let selected = self.tests(suite, &file.path, tests, history, names);
                if selected.is_empty() && !tests.is_empty() {
                    return None;
                }
                Some(selected)
            }
            None if certain() => return None,
            None => None,
        };
        Some(FileDraft {
            path: Arc::clone(&file.path),
            key: file.key,
            locator: Arc::clone(&file.locator),
            estimate: asked.expectations.file(&file.path, history, self.key(suite, &file.path, "")),
            tests,
            digest: remembered.map_or(0, |tests| listing::digest(tests.iter().map(|test| &*test.name))),
        })
    }

    /// The drafts of those of a file's tests that are selected, in their order. A name that comes twice is one test.
    fn tests(
        &self,
        suite: SuiteIx,
        path: &Arc<str>,
        listed: &[ListedTest],
        history: &FileHistory,
        names: &[Remembered],
    ) -> Vec<TestDraft> {
        let asked = &self.suites[suite.at()];
        let prefix = key_prefix(&self.project, &asked.name, path);
        let mut seen = HashSet::with_capacity(listed.len());
        let once = listed.iter().filter(|test| seen.insert(&test.name));
        let keyed: Vec<(TestKey, &ListedTest)> = once.map(|test| (key(&prefix, &test.name), test)).collect();
        let file = asked.expectations.in_file(path, &keyed, history, names, key(&prefix, ""));
        let changed = asked.changed.contains(path);
        let mut drafts = Vec::with_capacity(keyed.len());
        for (key, test) in keyed {
            let known = history.get(&key);
            let asks = selection::Asks { suite: &asked.name, runner: asked.runner, path, test, known, changed };
            let subject_id = (self.selection.asks() || self.policies.asks()).then(|| asks.id());
            let subject = asks.subject(subject_id.as_deref().unwrap_or_default());
            if !self.selection.selects(&subject, &key) {
                continue;
            }
            let rules = self.policies.of(&subject);
            let estimate = file.estimate(test, known);
            let declared = rules.level.or(Some(test.level).filter(|&level| level > Level::None));
            let level = match declared {
                _ if !asked.has_databases => declared.unwrap_or_default(),
                _ if self.observe => Level::Exclusive,
                // Whoever says that it needs none is believed: a test without a database cannot do harm to one.
                Some(Level::None) => Level::None,
                _ => self.in_sight(key, known.map(|known| known.levels).unwrap_or_default().plan(declared)),
            };
            let leased = asked.has_databases && level > Level::None;
            let needs = if leased { self.policies.with_databases(rules.needs, suite) } else { rules.needs };
            drafts.push(TestDraft {
                name: Arc::clone(&test.name),
                key,
                group: test.group.clone(),
                estimate,
                risk: risk(known, subject.is_new && estimate.source != Source::Renamed, changed),
                needs,
                policy: rules.policy,
                level,
                line: test.line,
                ignored: test.ignored,
            });
        }
        drafts
    }

    /// The level at which a test is leased that was planned with one. What reads on a database that others share is hard to
    /// see there: now and then it has one of its own.
    fn in_sight(&self, key: TestKey, level: Level) -> Level {
        let chance =
            u64::from_le_bytes(key.0[..8].try_into().expect("a key has sixteen bytes")) ^ self.run.0.as_u64_pair().1;
        // The digest of the key is as good as chance; the id of the run makes it another one each time.
        let looks = chance.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).is_multiple_of(LOOKS);
        if level == Level::Read && looks { Level::Isolated } else { level }
    }

    /// The key of a test of the run.
    fn key(&self, suite: SuiteIx, path: &str, name: &str) -> TestKey {
        test_key(&self.project, &self.suites[suite.at()].name, path, name)
    }
}

/// Whose history a run reads and writes.
pub(crate) fn scope(request: &Request) -> Scope {
    let text = |given: &Option<Arc<str>>| given.clone().unwrap_or_default();
    Scope { branch: text(&request.branch), class: text(&request.environment) }
}

/// What the history of a test hangs on.
pub(crate) fn test_key(project: &str, suite: &str, path: &str, name: &str) -> TestKey {
    key(&key_prefix(project, suite, path), name)
}

/// What the keys of a file's tests have in common. Lengths go before the parts, so that no two of them run together.
fn key_prefix(project: &str, suite: &str, path: &str) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    for part in [project, suite, path] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher
}

/// The key of a test: what its history hangs on.
fn key(prefix: &blake3::Hasher, name: &str) -> TestKey {
    let mut hasher = prefix.clone();
    hasher.update(name.as_bytes());
    let mut key = TestKey::default();
    key.0.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}
