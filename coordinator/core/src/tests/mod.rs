//! Stage tests: commands in, events and effects out, as data, through one `check`.
//!
//! After every command the scene replays what was recorded and compares it with what was stepped, and checks every
//! invariant. So a test of anything is a test of both.

mod cancel;
mod cut;
mod deadlines;
mod ending;
mod late;
mod listing;
mod resources;
mod restart;
mod retries;
mod session;
mod share;
mod show;
mod speculate;
mod steal;
mod submit;

use crate::command::{Command, Entry, ReplyTo, SessionId, Tuning};
use crate::state::{Place, State};
use crate::step::{Core, Step};
use crate::{Entropy, invariant};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::report::CancelCause;
use regatta_domain::result::{RunError, RunErrorKind, TestResult};
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{
    Costs, Estimate, FileIx, FileKey, Level, Micros, NeedsIx, Nuance, Outcome, PolicyIx, RunId, RunnerKind, SlotIx,
    Source, TestIx, TestKey, Time, Token, Verdict, WorkerId,
};
use std::collections::BTreeMap;

pub(crate) const A: WorkerId = WorkerId::from_bits(0xA);
pub(crate) const B: WorkerId = WorkerId::from_bits(0xB);
pub(crate) const R: RunId = RunId::from_bits(1);
pub(crate) const SECOND: RunId = RunId::from_bits(2);

/// A core on a stage, its clock in the test's hand.
pub(crate) struct Scene {
    pub(crate) core: Core,
    pub(crate) now: Time,
    entropy: Entropy,
    replayed: State,
    sessions: BTreeMap<WorkerId, SessionId>,
    next_session: u64,
    next_seq: u64,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::tuned(Tuning::LOCAL)
    }

    pub(crate) fn tuned(tuning: Tuning) -> Self {
        Self {
            core: Core::new(tuning),
            now: Time(1_000_000),
            entropy: Entropy::from_seed(7),
            replayed: State::default(),
            sessions: BTreeMap::new(),
            next_session: 0,
            next_seq: 0,
        }
    }

    /// Hands a command in, and checks what holds after any.
    pub(crate) fn take(&mut self, command: Command) -> Step {
        let shown = format!("{command:?}");
        let step = self.core.step(self.now, &mut self.entropy, command);
        step.events.iter().for_each(|event| self.replayed.fold(event));
        assert_eq!(&self.replayed, self.core.state(), "replay differs from the step after {shown}");
        let ledger = self.core.ledger().check(self.core.state(), self.now);
        if let Err(broken) = invariant::check(self.core.state()).and(ledger) {
            panic!("{broken}\nafter {shown}");
        }
        step
    }

    /// Hands a command in, and compares what comes out: events first, then effects, a line each.
    #[track_caller]
    pub(crate) fn check(&mut self, command: Command, expected: &[&str]) {
        let before = self.now;
        let step = self.take(command);
        let shown = show::step(&step, before);
        assert!(shown == expected, "came out:\n  {}\nexpected:\n  {}", shown.join("\n  "), expected.join("\n  "));
    }

    pub(crate) fn wait(&mut self, span: Micros) {
        self.now = self.now + span;
    }

    /// Time passes, and the core is told at each deadline on the way.
    pub(crate) fn pass(&mut self, span: Micros) -> Vec<String> {
        let end = self.now + span;
        let mut shown = Vec::new();
        while let Some(at) = self.core.next_deadline().filter(|&at| at <= end) {
            self.now = at.max(self.now);
            let step = self.take(Command::Tick);
            shown.extend(show::step(&step, self.now));
        }
        self.now = end;
        shown
    }

    pub(crate) fn attach(&mut self, worker: WorkerId, holds: &[u64]) -> Command {
        self.next_session += 1;
        self.sessions.insert(worker, SessionId(self.next_session));
        let holds = holds.iter().copied().map(Token).collect();
        Command::Attach {
            worker,
            session: SessionId(self.next_session),
            slots: 2,
            labels: Vec::new(),
            capacities: BTreeMap::new(),
            holds,
        }
    }

    pub(crate) fn detach(&self, worker: WorkerId) -> Command {
        Command::Detach { worker, session: self.sessions[&worker] }
    }

    pub(crate) fn ask(&self, worker: WorkerId, slot: u16) -> Command {
        Command::Ask { worker, session: self.sessions[&worker], slot: SlotIx(slot) }
    }

    pub(crate) fn report(&mut self, worker: WorkerId, entries: Vec<Entry>) -> Command {
        self.next_seq += 1;
        Command::Report { worker, session: self.sessions[&worker], seq: self.next_seq, entries }
    }

    /// Attaches a worker, and lets its first `slots` slots ask.
    pub(crate) fn join(&mut self, worker: WorkerId, slots: u16) {
        let attach = self.attach(worker, &[]);
        let _step = self.take(attach);
        for slot in 0..slots {
            let ask = self.ask(worker, slot);
            let _step = self.take(ask);
        }
    }

    /// A worker reports, and what comes of it does not matter here.
    pub(crate) fn told(&mut self, worker: WorkerId, entries: Vec<Entry>) -> Step {
        let report = self.report(worker, entries);
        self.take(report)
    }

    pub(crate) fn submit(&mut self, submission: Submission) -> Step {
        self.take(submit(submission))
    }

    /// The verdict of a test, where it has one.
    pub(crate) fn verdict(&self, test: u32) -> Option<Verdict> {
        match self.core.state().runs[&R].test(TestIx(test)).place {
            Place::Done(verdict) => Some(verdict),
            _ => None,
        }
    }
}

pub(crate) fn submit(submission: Submission) -> Command {
    Command::Submit { submission: Box::new(submission), reply: ReplyTo(9) }
}

pub(crate) const fn cancel(kill: bool) -> Command {
    Command::Cancel { run: R, cause: CancelCause::Asked, kill, reply: ReplyTo(9) }
}

/// A run of one suite with these files.
pub(crate) fn run(files: Vec<FileDraft>) -> Submission {
    Submission {
        run: R,
        project: "project".into(),
        resumes: None,
        policy: RunPolicy::default(),
        policies: vec![TestPolicy { timeout: Micros::from_secs(30), ..TestPolicy::default() }],
        needs: Vec::new(),
        suites: vec![suite(files)],
    }
}

pub(crate) fn suite(files: Vec<FileDraft>) -> SuiteDraft {
    let suite = PlannedSuite {
        name: "suite".into(),
        runner: RunnerKind::Exec,
        root: ".".into(),
        settings: "{}".into(),
        requires: Vec::new(),
        env: Vec::new(),
        databases: Vec::new(),
    };
    SuiteDraft { suite, costs: Costs { file: Micros(1), ..Costs::default() }, discover: false, files }
}

/// A file whose tests are remembered, each with its estimate in milliseconds.
pub(crate) fn file(path: &str, tests: &[(&str, u64)]) -> FileDraft {
    let tests = tests.iter().map(|&(name, ms)| test(name, ms)).collect();
    FileDraft { tests: Some(tests), digest: 77, ..unlisted(path) }
}

/// A file whose tests are not known.
pub(crate) fn unlisted(path: &str) -> FileDraft {
    FileDraft {
        path: path.into(),
        key: FileKey::default(),
        locator: "".into(),
        estimate: Micros::from_ms(500),
        tests: None,
        digest: 0,
    }
}

pub(crate) fn test(name: &str, ms: u64) -> TestDraft {
    TestDraft {
        name: name.into(),
        key: TestKey::default(),
        group: None,
        estimate: Estimate::own(Micros::from_ms(ms)),
        risk: 0,
        needs: NeedsIx(0),
        policy: PolicyIx(0),
        level: Level::None,
        line: 7,
        ignored: false,
    }
}

/// A test without history.
pub(crate) fn guessed(name: &str, ms: u64) -> TestDraft {
    let estimate = Estimate { source: Source::Suite, ..Estimate::own(Micros::from_ms(ms)) };
    TestDraft { estimate, ..test(name, ms) }
}

/// The same tests, in one group.
pub(crate) fn grouped(group: &str, tests: &[(&str, u64)]) -> Vec<TestDraft> {
    tests.iter().map(|&(name, ms)| TestDraft { group: Some(group.into()), ..test(name, ms) }).collect()
}

pub(crate) const fn started(token: u64, test: u32) -> Entry {
    Entry::Started { token: Token(token), test: TestIx(test) }
}

pub(crate) fn finished(token: u64, test: u32, outcome: Outcome) -> Entry {
    let result = TestResult {
        test: TestIx(test),
        attempt: 1,
        outcome,
        nuance: Nuance::Plain,
        cause: None,
        exit: None,
        started: Time(0),
        duration: Micros::from_ms(1),
        reason: None,
        output: None,
        observation: None,
    };
    Entry::Finished { token: Token(token), result }
}

pub(crate) fn passed(token: u64, test: u32) -> Entry {
    finished(token, test, Outcome::Passed)
}

pub(crate) fn failed(token: u64, test: u32) -> Entry {
    finished(token, test, Outcome::Failed)
}

pub(crate) const fn released(token: u64) -> Entry {
    Entry::Released { token: Token(token) }
}

pub(crate) fn gave_back(token: u64, tests: &[u32]) -> Entry {
    Entry::GaveBack { token: Token(token), tests: tests.iter().copied().map(TestIx).collect() }
}

pub(crate) fn listed(token: u64, file: u32, tests: &[(&str, u64)]) -> Entry {
    let tests = tests.iter().map(|&(name, ms)| test(name, ms)).collect();
    Entry::Listed { token: Token(token), file: FileIx(file), tests }
}

pub(crate) fn erred(token: u64, file: Option<u32>, kind: RunErrorKind) -> Entry {
    let error = RunError { kind, place: "there".into(), message: "broken".into() };
    Entry::Erred { token: Token(token), file: file.map(FileIx), error }
}

pub(crate) const fn closed() -> Entry {
    Entry::Closed { run: R, errors: Vec::new() }
}
