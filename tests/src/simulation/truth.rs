//! What is really there: the suites of a world with their files and tests, and how each behaves. Submissions are made from
//! it, with what a coordinator would remember, right or wrong.

use super::faults::{Class, Swarm, pick};
use super::resources;
use regatta_core::Entropy;
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{Budgets, RunPolicy, TestPolicy};
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{
    Cause, Costs, Estimate, FileKey, Level, Micros, NeedsIx, PolicyIx, RunId, RunnerKind, Source, TestKey,
};
use std::sync::Arc;

/// A run as it would turn out in a world without faults.
#[derive(Debug)]
pub struct TrueRun {
    /// Its id.
    pub id: RunId,
    /// Its suites.
    pub suites: Vec<TrueSuite>,
    /// What the client hands in.
    pub submission: Submission,
}

/// A suite that is there.
#[derive(Debug)]
pub struct TrueSuite {
    /// Its files.
    pub files: Vec<TrueFile>,
    /// Its runner cannot be started.
    pub broken: bool,
}

/// A file that is there.
#[derive(Debug)]
pub struct TrueFile {
    /// Its path: `f` and its position in the suite.
    pub path: Arc<str>,
    /// What it holds.
    pub tests: Vec<TrueTest>,
    /// How it behaves when it is listed.
    pub listing: Listing,
    /// The digest of its listing.
    pub digest: u64,
}

/// How a file behaves when it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It is listed.
    Fine,
    /// It cannot be collected.
    Broken,
    /// It cannot be collected every other time.
    Shaky,
    /// Its worker does not survive it.
    Poison,
}

/// A test that is there.
#[derive(Debug)]
pub struct TrueTest {
    /// Its name: `t` and its position in the file.
    pub draft: TestDraft,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// How long it takes.
    pub takes: Micros,
}

/// How a test behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It passes.
    Passes,
    /// It fails.
    Fails,
    /// It fails every other time.
    Flakes,
    /// It skips itself.
    Skips,
    /// It ends its process.
    Crashes,
    /// It never ends, and its worker stops it.
    Hangs,
    /// It never ends, and its worker does not manage to stop it either.
    HangsHard,
    /// Its worker does not survive it.
    Poison,
}

impl TrueRun {
    /// The file called `path` of a suite.
    #[must_use]
    pub fn file(&self, suite: usize, path: &str) -> Option<&TrueFile> {
        self.suites[suite].files.get(number(path)?)
    }

    /// A run drawn for a world.
    pub fn draw(number: u64, swarm: &Swarm, chance: &mut Entropy) -> Self {
        let id = RunId::from_bits(u128::from(number) + 1);
        let policies = vec![
            TestPolicy { timeout: Micros::from_secs(6), grace: Micros::from_secs(1), ..TestPolicy::default() },
            TestPolicy {
                timeout: Micros::from_secs(4),
                grace: Micros::from_secs(1),
                retries: u16::try_from(chance.below(4)).expect("small"),
                budgets: draw_budgets(chance),
                backoff: Micros::from_ms(chance.below(3_000)),
                exponential: chance.below(2) == 0,
                jitter: chance.below(2) == 0,
                ..TestPolicy::default()
            },
        ];
        let mut policy = RunPolicy::default();
        if swarm.draws(Class::BadTests) && chance.below(3) == 0 {
            let (max_retries, flaky_fails) = (u32::try_from(chance.below(4)).expect("small"), chance.below(2) == 0);
            if swarm.has(Class::BadTests) {
                policy = RunPolicy { max_retries, flaky_fails, ..policy };
            }
        }
        if swarm.draws(Class::Cancel) {
            let timeout = (chance.below(3) == 0).then(|| Micros::from_ms(2_000 + chance.below(30_000)));
            let max_failures = (chance.below(3) == 0).then(|| u32::try_from(1 + chance.below(3)).expect("small"));
            if swarm.has(Class::Cancel) {
                policy = RunPolicy { timeout, max_failures, ..policy };
            }
        }
        policy.max_losses = u16::try_from(chance.below(4)).expect("small");
        policy.speculate = swarm.has(Class::Speculate);
        policy.shuffle = (chance.below(4) == 0).then(|| chance.next());
        let mut submission = Submission {
            resumes: None,
            run: id,
            project: "project".into(),
            policy,
            policies,
            needs: resources::needs(),
            suites: Vec::new(),
        };
        let mut suites = Vec::new();
        for at in 0..1 + pick(chance, 2) {
            let suite = TrueSuite::draw(swarm, chance);
            submission.suites.push(remember(at, &suite, swarm, chance));
            suites.push(suite);
        }
        Self { id, suites, submission }
    }
}

impl TrueSuite {
    fn draw(swarm: &Swarm, chance: &mut Entropy) -> Self {
        let mut files: Vec<TrueFile> = (0..1 + pick(chance, 4)).map(|at| TrueFile::draw(at, swarm, chance)).collect();
        if swarm.draws(Class::Scarce) {
            let kinds = resources::needs().len();
            for test in files.iter_mut().flat_map(|file| &mut file.tests) {
                let needs = pick(chance, 2 * (kinds + 1));
                let is_needy = swarm.has(Class::Scarce) && needs <= kinds;
                test.draft.needs = NeedsIx::nth(if is_needy { needs } else { 0 });
            }
        }
        let broken = swarm.draws(Class::BadFiles) && chance.below(12) == 0 && swarm.has(Class::BadFiles);
        Self { files, broken }
    }
}

impl TrueFile {
    fn draw(at: usize, swarm: &Swarm, chance: &mut Entropy) -> Self {
        let listing = match chance.below(12) {
            0 if swarm.has(Class::BadFiles) => Listing::Broken,
            1 if swarm.has(Class::BadFiles) => Listing::Shaky,
            2 if swarm.has(Class::Poison) => Listing::Poison,
            _ => Listing::Fine,
        };
        let grouped = chance.below(3) == 0;
        let tests = (0..pick(chance, 7)).map(|at| TrueTest::draw(at, grouped, swarm, chance)).collect();
        Self { path: format!("f{at}").into(), tests, listing, digest: 1 + chance.below(1 << 40) * 2 }
    }

    /// As discovery reports it, with its tests where they are remembered.
    #[must_use]
    pub fn draft(&self, remembered: bool) -> FileDraft {
        FileDraft {
            path: Arc::clone(&self.path),
            key: FileKey::default(),
            locator: "".into(),
            estimate: Micros::from_ms(500),
            tests: remembered.then(|| self.drafts()),
            digest: if remembered { self.digest } else { 0 },
        }
    }

    /// Its tests, as its worker lists them.
    #[must_use]
    pub fn drafts(&self) -> Vec<TestDraft> {
        self.tests.iter().map(|test| test.draft.clone()).collect()
    }
}

impl TrueTest {
    fn draw(at: usize, grouped: bool, swarm: &Swarm, chance: &mut Entropy) -> Self {
        let is_bad = swarm.has(Class::BadTests);
        let behaviour = match chance.below(24) {
            0..=1 if is_bad => Behaviour::Fails,
            2..=4 if is_bad => Behaviour::Flakes,
            5 if is_bad => Behaviour::Skips,
            6 if is_bad => Behaviour::Crashes,
            7 if is_bad => Behaviour::Hangs,
            8 if is_bad && swarm.has(Class::Poison) => Behaviour::HangsHard,
            9 if swarm.has(Class::Poison) => Behaviour::Poison,
            _ => Behaviour::Passes,
        };
        let takes = match chance.below(8) {
            0 => Micros::from_ms(chance.below(3_500)),
            1..=3 => Micros::from_ms(chance.below(500)),
            _ => Micros::from_ms(chance.below(40)),
        };
        let known = chance.below(3) != 0;
        let unknown = Estimate { source: Source::Default, ..Estimate::own(Micros::from_ms(100)) };
        let draft = TestDraft {
            name: format!("t{at}").into(),
            key: TestKey::default(),
            group: grouped.then(|| format!("g{}", chance.below(3)).into()),
            estimate: if known { Estimate::own(takes) } else { unknown },
            risk: 0,
            needs: NeedsIx(0),
            policy: PolicyIx(u16::from(swarm.draws(Class::BadTests) && chance.below(2) == 0 && is_bad)),
            level: Level::None,
            line: 0,
            ignored: swarm.draws(Class::BadTests) && chance.below(20) == 0 && is_bad,
        };
        Self { draft, behaviour, takes }
    }
}

/// Budgets of their own for some causes.
fn draw_budgets(chance: &mut Entropy) -> Budgets {
    let mut budgets = Budgets::default();
    for cause in Cause::ALL {
        let of_its_own = chance.below(4) == 0;
        budgets.set(cause, of_its_own.then(|| u16::try_from(chance.below(4)).expect("small")));
    }
    budgets
}

/// What the coordinator remembers of a suite.
fn remember(at: usize, suite: &TrueSuite, swarm: &Swarm, chance: &mut Entropy) -> SuiteDraft {
    let (discover, is_changed) = (chance.below(3) == 0, swarm.has(Class::Changed));
    let mut files = Vec::new();
    for file in &suite.files {
        if discover && chance.below(3) == 0 {
            continue;
        }
        let mut draft = file.draft(chance.below(2) == 0);
        let remembered = draft.tests.clone().filter(|_| swarm.draws(Class::Changed) && chance.below(3) == 0);
        if let Some(mut tests) = remembered {
            forget_some(&mut tests, chance);
            if is_changed {
                draft.tests = Some(tests);
                draft.digest += 1;
            }
        }
        files.push(draft);
    }
    if discover && swarm.draws(Class::Changed) && chance.below(2) == 0 {
        let mut vanished = vec![drafted("gone", chance), drafted("gone too", chance)];
        vanished.truncate(pick(chance, 3));
        let tests = (chance.below(3) != 0).then_some(vanished);
        let digest = u64::from(tests.is_some());
        let estimate = Micros::from_ms(500);
        let (path, key, locator) = ("vanished".into(), FileKey::default(), "".into());
        if is_changed {
            files.push(FileDraft { path, key, locator, estimate, tests, digest });
        }
    }
    let name = format!("suite {at}").into();
    let (root, settings) = (".".into(), "{}".into());
    let planned = PlannedSuite {
        name,
        runner: RunnerKind::Exec,
        root,
        settings,
        requires: Vec::new(),
        env: Vec::new(),
        databases: Vec::new(),
    };
    SuiteDraft { suite: planned, costs: Costs::default(), discover, files }
}

/// Remembers some tests that are not there any more, and not all that are. Something to run is always remembered: a file
/// of which nothing is to run is not opened, so nobody finds out what it holds by now.
fn forget_some(tests: &mut Vec<TestDraft>, chance: &mut Entropy) {
    tests.retain(|_| chance.below(3) != 0);
    for at in 0..pick(chance, 3).max(usize::from(tests.iter().all(|test| test.ignored))) {
        tests.insert(pick(chance, tests.len() + 1), drafted(&format!("gone {at}"), chance));
    }
}

fn drafted(name: &str, chance: &mut Entropy) -> TestDraft {
    TestDraft { name: name.into(), ..TrueTest::draw(0, false, &Swarm::default(), chance).draft }
}

/// The number in a name such as `f3`; `None` for names that only a coordinator remembers.
#[must_use]
pub fn number(name: &str) -> Option<usize> {
    name.get(1..)?.parse().ok()
}
