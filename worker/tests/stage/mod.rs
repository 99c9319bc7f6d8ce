//! A runner on a slot of its own, with the coordinator's part played by the test.

#[allow(dead_code, reason = "only some tests have databases")]
pub(crate) mod databases;

use databases::Fake;
use regatta_domain::database::PlannedDatabase;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::TestPolicy;
use regatta_domain::result::RunError;
use regatta_domain::{FileIx, Level, Micros, Outcome, RunId, RunnerKind, SlotIx, TestIx, Token, WorkerId};
use regatta_worker::databases::Provider;
use regatta_worker::process::Spawner;
use regatta_worker::runner::{
    self, Brief, Control, FileWork, Finished, Holding, Numbered, Place, Runner, Shard, Sink, Tell, TestWork, Work,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// How long a shard may take before it is certain that it hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// A runner, and what it needs to run.
pub(crate) struct Stage {
    pub(crate) runner: Box<dyn Runner>,
    pub(crate) policy: TestPolicy,
    /// What the tests do with their databases, and what their shards hold.
    pub(crate) level: Level,
    pub(crate) holds: Vec<Holding>,
    #[allow(dead_code, reason = "only some tests have databases")]
    pub(crate) databases: Arc<Fake>,
    _scratch: TempDir,
}

/// What a runner told of a shard.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) files: Vec<ListedFile>,
    pub(crate) listed: Vec<ListedTest>,
    pub(crate) started: Vec<TestIx>,
    pub(crate) finished: Vec<(String, Finished)>,
    pub(crate) gave_back: Vec<Vec<TestIx>>,
    pub(crate) errors: Vec<RunError>,
    pub(crate) notes: Vec<String>,
}

impl Told {
    /// The result of the test called `name`; there must be exactly one.
    pub(crate) fn of(&self, name: &str) -> &Finished {
        let all: Vec<&Finished> =
            self.finished.iter().filter(|(of, _)| of == name).map(|(_, finished)| finished).collect();
        assert_eq!(all.len(), 1, "one result of {name}, in {self:#?}");
        all[0]
    }

    /// Asserts outcome and reason of the test called `name`.
    pub(crate) fn check(&self, name: &str, outcome: Outcome, reason: &str) {
        let finished = self.of(name);
        assert_eq!(finished.outcome, outcome, "{name}: {finished:?}");
        assert_eq!(finished.reason.as_deref().unwrap_or_default(), reason, "{name}");
    }

    /// What the test called `name` printed.
    pub(crate) fn output(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.of(name).output).into_owned()
    }
}

/// The directory of a fixture.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let suites = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/suites");
    suites.join(name).canonicalize().expect("the fixture is there")
}

/// The interpreter of an environment that `tests/run` installs.
#[allow(dead_code, reason = "only suites of pytest need one")]
pub(crate) fn python(pytest: &str) -> PathBuf {
    let environments = std::env::var_os("REGATTA_TEST_VENVS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/.cache/venv"), PathBuf::from);
    let python = environments.join(pytest).join("bin/python");
    assert!(python.exists(), "no Python with pytest at {}: `tests/run` installs it", python.display());
    python
}

impl Stage {
    /// A runner for the suite in `root` with these settings; the error is that of opening it.
    pub(crate) async fn try_open(
        kind: RunnerKind,
        root: &Path,
        settings: &str,
        env: &[(&str, &str)],
    ) -> Result<Self, RunError> {
        Self::try_open_among(1, kind, root, settings, env).await
    }

    /// As [`Stage::try_open`], on a worker with this many slots.
    pub(crate) async fn try_open_among(
        slots: u16,
        kind: RunnerKind,
        root: &Path,
        settings: &str,
        env: &[(&str, &str)],
    ) -> Result<Self, RunError> {
        Self::try_open_with(Vec::new(), slots, kind, root, settings, env).await
    }

    /// As [`Stage::try_open_among`], for a suite with databases.
    pub(crate) async fn try_open_with(
        planned: Vec<PlannedDatabase>,
        slots: u16,
        kind: RunnerKind,
        root: &Path,
        settings: &str,
        env: &[(&str, &str)],
    ) -> Result<Self, RunError> {
        let databases = Arc::new(Fake::default());
        let spawner = Path::new(env!("CARGO_BIN_EXE_regatta-spawner"));
        let scratch = tempfile::tempdir().expect("a directory");
        let suite = PlannedSuite {
            name: "fixture".into(),
            runner: kind,
            root: root.to_str().expect("text").into(),
            settings: settings.into(),
            requires: Vec::new(),
            env: env.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            databases: planned,
        };
        let brief = Brief { run: RunId::from_bits(1), suite, seed: 1, slots };
        let place = Place {
            worker: WorkerId::from_bits(2),
            slot: SlotIx(0),
            spawner: Spawner::start(spawner).await.expect("the spawner starts"),
            scratch: scratch.path().to_owned(),
            databases: Arc::clone(&databases) as Arc<dyn Provider>,
        };
        let runner = runner::open(Arc::new(brief), Arc::new(place))?;
        let policy =
            TestPolicy { timeout: Micros::from_secs(30), grace: Micros::from_ms(100), ..TestPolicy::default() };
        Ok(Self { runner, policy, level: Level::None, holds: Vec::new(), databases, _scratch: scratch })
    }

    /// As [`Stage::try_open`], for settings that make sense.
    pub(crate) async fn open(kind: RunnerKind, root: &Path, settings: &str, env: &[(&str, &str)]) -> Self {
        Self::try_open(kind, root, settings, env).await.expect("the settings make sense")
    }

    /// Lets the runner work, and answers: listings are numbered whole, `answer` may send more.
    pub(crate) async fn work(&mut self, work: Work, mut answer: impl FnMut(&Tell) -> Option<Control>) -> Told {
        let (to, mut tells) = mpsc::channel(16);
        let (say, mut control) = mpsc::channel(16);
        let sink = Sink { token: Token(1), to };
        let mut names = Vec::new();
        if let Work::Files(files) = &work {
            names.extend(files.iter().flat_map(|file| file.tests.iter().flatten()).map(|test| test.name.clone()));
        }
        let (policy, level) = (Arc::new(self.policy.clone()), self.level);
        let runner = &mut self.runner;
        let shard = Shard { token: Token(1), holds: self.holds.clone(), work };
        let working = async move {
            let sink = sink;
            runner.work(shard, &mut control, &sink).await;
        };
        let hearing = async {
            let mut told = Told::default();
            while let Some((token, tell)) = tells.recv().await {
                assert_eq!(token, Token(1));
                if let Some(control) = answer(&tell) {
                    say.send(control).await.expect("the runner works");
                }
                if let Tell::Listed { file, tests } = &tell {
                    names.truncate(0);
                    names.extend(tests.iter().map(|test| test.name.clone()));
                    let wanted = names.iter().zip(tests).enumerate().filter(|(_, (_, test))| !test.ignored);
                    let tests = wanted.map(|(at, (name, _))| numbered(at, name, &policy, level)).collect();
                    say.send(Control::Numbered(Numbered { file: *file, tests })).await.expect("the runner works");
                }
                told.take(tell, &names);
            }
            told
        };
        let both = async { tokio::join!(working, hearing) };
        let ((), told) = tokio::time::timeout(LIMIT, both).await.expect("the shard comes to an end");
        told
    }

    /// Finds the files.
    pub(crate) async fn discover(&mut self) -> Told {
        self.work(Work::Discover, |_| None).await
    }

    /// Lists `file`, and runs everything in it that is not ignored.
    pub(crate) async fn list_and_run(&mut self, file: &ListedFile) -> Told {
        self.work(Work::Files(vec![self.file(file, None)]), |_| None).await
    }

    /// Runs these tests of `file`.
    pub(crate) async fn run(&mut self, file: &ListedFile, names: &[&str]) -> Told {
        self.work(Work::Files(vec![self.file(file, Some(names))]), |_| None).await
    }

    /// The work on `file`: these tests, or to list it.
    pub(crate) fn file(&self, file: &ListedFile, names: Option<&[&str]>) -> FileWork {
        let (policy, level) = (Arc::new(self.policy.clone()), self.level);
        let numbered = |(at, name): (usize, &&str)| numbered(at, name, &policy, level);
        FileWork {
            file: FileIx(0),
            path: file.path.clone(),
            key: file.key,
            locator: file.locator.clone(),
            remembered: u64::from(names.is_some()),
            tests: names.map(|names| names.iter().enumerate().map(numbered).collect()),
        }
    }
}

fn numbered(at: usize, name: &str, policy: &Arc<TestPolicy>, level: Level) -> TestWork {
    TestWork {
        test: TestIx::nth(at),
        attempt: 1,
        name: name.into(),
        estimate: Micros::from_ms(1),
        policy: Arc::clone(policy),
        level,
    }
}

impl Told {
    fn take(&mut self, tell: Tell, names: &[Arc<str>]) {
        match tell {
            Tell::Discovered(files) => self.files = files,
            Tell::Listed { tests, .. } => self.listed = tests,
            Tell::Started { test, .. } => self.started.push(test),
            Tell::Finished(finished) => {
                assert_eq!(
                    self.started.iter().filter(|test| **test == finished.test).count(),
                    1,
                    "it was started once"
                );
                let name = names.get(finished.test.at()).map_or_else(|| "elsewhere".to_owned(), ToString::to_string);
                self.finished.push((name, finished));
            }
            Tell::GaveBack(tests) => self.gave_back.push(tests),
            Tell::Error { error, .. } => self.errors.push(error),
            Tell::Note(note) => self.notes.push(note),
        }
    }
}
