//! Scripted runs for tests: the events of a run, written as a story.

pub(crate) mod story;

use super::{News, Outputs, View};
use regatta_domain::database::{Asked, Observation, Statement};
use regatta_domain::{Cause, Digest, Exit, Level, Micros, Nuance, Outcome, RunId, Verdict};
use regatta_wire::v1::{self, run_event::Event};
use regatta_wire::verdict::of_cause;

/// When scripted runs are handed in: 2026-01-02T03:04:05Z.
pub(crate) const SUBMITTED: u64 = 1_767_323_045_000_000;

/// Who is told of news, and at which time.
type Told<'a> = Box<dyn FnMut(&View, &[News], u64) + 'a>;

/// A run under way, and who is told of it.
pub(crate) struct Script<'a> {
    /// The picture so far.
    pub(crate) view: View,
    /// The outputs of its attempts.
    pub(crate) outputs: Outputs,
    /// What the next result was seen to do with its databases.
    pub(crate) seen: Option<Observation>,
    /// Why the next result did not pass, where its outcome does not say it, and how its process ended.
    pub(crate) why: Option<(Option<Cause>, Option<Exit>)>,
    now: u64,
    told: Told<'a>,
    files: u32,
    tests: Vec<(u32, String)>,
    token: u64,
}

/// What a test came to, with the duration in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Came<'a> {
    pub(crate) to: Outcome,
    pub(crate) nuance: Nuance,
    pub(crate) in_ms: u64,
    pub(crate) because: &'a str,
    pub(crate) printed: &'a [u8],
}

/// It came to this, without more.
pub(crate) fn came(to: Outcome, in_ms: u64) -> Came<'static> {
    Came { to, nuance: Nuance::Plain, in_ms, because: "", printed: b"" }
}

/// It sent these statements: the text, how often, and the milliseconds that the server worked at them all.
pub(crate) fn asked(statements: &[(&str, u64, u64)]) -> Observation {
    let statement = |&(text, calls, ms): &(&str, u64, u64)| Statement {
        text: text.into(),
        calls,
        rows: 2 * calls,
        time: Micros::from_ms(ms),
    };
    let top: Vec<Statement> = statements.iter().map(statement).collect();
    let (calls, time) = (top.iter().map(|one| one.calls).sum(), top.iter().map(|one| one.time).sum());
    let asked = Some(Asked { calls, time, top });
    Observation { asked, ..Observation::new(Level::Transaction, Level::Transaction) }
}

impl<'a> Script<'a> {
    /// A run of the suites (name and runner), handed in just now.
    pub(crate) fn new(suites: &[(&str, &str)], told: impl FnMut(&View, &[News], u64) + 'a) -> Self {
        let view = View::new(RunId::from_bits(0x0192_0000_0000_7000_8000_0000_0000_0001));
        let outputs = Outputs::default();
        let (seen, now, told) = (None, SUBMITTED, Box::new(told));
        let why = None;
        let mut script = Self { view, outputs, seen, why, now, told, files: 0, tests: Vec::new(), token: 0 };
        let policy = v1::TestPolicy { timeout: 60_000_000, slow: 10_000_000, retries: 2, ..v1::TestPolicy::default() };
        script.event(Event::RunSubmitted(v1::RunSubmitted {
            resumes: None,
            costs: Vec::new(),
            needs: Vec::new(),
            requires: Vec::new(),
            project: "shop".to_owned(),
            suites: suites.iter().map(|(name, _)| (*name).to_owned()).collect(),
            runners: suites.iter().map(|(_, runner)| (*runner).to_owned()).collect(),
            roots: suites.iter().map(|_| ".".to_owned()).collect(),
            policies: vec![policy],
            policy: None,
        }));
        script
    }

    /// A file with tests, each thought to take so many milliseconds. The file's number comes back.
    pub(crate) fn file(&mut self, suite: u32, path: &str, tests: &[(&str, u64)]) -> u32 {
        let file = self.unlisted(suite, path);
        self.list(file, tests);
        file
    }

    /// A file whose tests are not known.
    pub(crate) fn unlisted(&mut self, suite: u32, path: &str) -> u32 {
        let file = v1::File { path: path.to_owned(), key: "0".repeat(32), locator: String::new() };
        self.event(Event::FilesPlanned(v1::FilesPlanned { suite, files: vec![file], gone: Vec::new() }));
        self.files += 1;
        self.files - 1
    }

    /// The tests of a file.
    pub(crate) fn list(&mut self, file: u32, tests: &[(&str, u64)]) {
        let path = self.view.files[file as usize].path.to_string();
        let planned = tests.iter().map(|(name, estimate)| {
            self.tests.push((file, regatta_domain::listing::test_id(&path, name)));
            v1::PlannedTest {
                name: (*name).to_owned(),
                key: format!("{:032x}", self.tests.len()),
                estimate: estimate * 1_000,
                known: true,
                line: 10 * u32::try_from(self.tests.len()).expect("few tests"),
                group: u32::try_from(self.tests.len()).expect("few tests"),
                ..v1::PlannedTest::default()
            }
        });
        let tests = planned.collect();
        self.event(Event::TestsPlanned(v1::TestsPlanned { file, tests, gone: Vec::new() }));
    }

    /// A shard of these tests (ids) is leased to a slot of the worker w1. Its token comes back.
    pub(crate) fn lease(&mut self, slot: u32, tests: &[&str]) -> u64 {
        self.token += 1;
        let tests = tests.iter().map(|id| self.ix(id)).collect();
        let (token, worker) = (self.token, "w1".to_owned());
        let leased = v1::ShardLeased { token, worker, slot, tests, ..v1::ShardLeased::default() };
        self.event(Event::ShardLeased(leased));
        token
    }

    /// A test begins.
    pub(crate) fn start(&mut self, slot: u32, id: &str) {
        let tests = vec![self.ix(id)];
        self.event(Event::TestsStarted(v1::TestsStarted { tests, worker: "w1".to_owned(), slot }));
    }

    /// A test came to something, and runs once more where there is no verdict.
    pub(crate) fn result(&mut self, token: u64, id: &str, came: Came<'_>, verdict: Option<Verdict>) {
        let test = self.ix(id);
        let found = &self.view.tests[test as usize];
        let attempt = u32::try_from(found.attempts.len() + found.lost.len() + 1).expect("few attempts");
        let output = (!came.printed.is_empty()).then(|| {
            let digest = Digest(*blake3::hash(came.printed).as_bytes());
            self.outputs.insert(digest, came.printed.to_vec());
            v1::OutputRef { digest: digest.to_string(), size: u32::try_from(came.printed.len()).expect("bounded") }
        });
        let result = v1::TestResult {
            test,
            attempt,
            outcome: v1::Outcome::from(came.to).into(),
            nuance: v1::Nuance::from(came.nuance).into(),
            started: self.now.saturating_sub(came.in_ms * 1_000),
            duration: came.in_ms * 1_000,
            reason: (!came.because.is_empty()).then(|| came.because.to_owned()),
            output,
            observation: self.seen.take().as_ref().map(Into::into),
            cause: of_cause(self.why.and_then(|(cause, _)| cause)),
            exit: self.why.take().and_then(|(_, exit)| exit).map(Into::into),
        };
        let verdict = verdict.map_or(0, |verdict| v1::Verdict::from(verdict).into());
        let results = vec![v1::AcceptedResult { result: Some(result), verdict }];
        self.event(Event::ResultsAccepted(v1::ResultsAccepted { token, results }));
    }

    /// A test is leased, begins, takes its time and ends.
    pub(crate) fn run(&mut self, id: &str, came: Came<'_>, verdict: Option<Verdict>) {
        let token = self.lease(0, &[id]);
        self.start(0, id);
        self.pass_ms(came.in_ms);
        self.result(token, id, came, verdict);
    }

    /// Time passes.
    pub(crate) fn pass_ms(&mut self, ms: u64) {
        self.now += ms * 1_000;
    }

    /// Something else happens.
    pub(crate) fn event(&mut self, event: Event) {
        let event = v1::RunEvent { seq: self.view.seq + 1, at: self.now, event: Some(event) };
        let news = self.view.apply(event).expect("a scripted event makes sense");
        (self.told)(&self.view, &news, self.now);
    }

    /// The run ends.
    pub(crate) fn end(&mut self, outcome: v1::RunOutcome) {
        self.event(Event::RunEnded(v1::RunEnded { outcome: outcome.into() }));
    }

    /// The test with this id.
    pub(crate) fn ix(&self, id: &str) -> u32 {
        let at = self.tests.iter().position(|(_, known)| known == id).unwrap_or_else(|| panic!("no test {id:?}"));
        u32::try_from(at).expect("few tests")
    }

    /// The time.
    pub(crate) const fn now(&self) -> u64 {
        self.now
    }
}
