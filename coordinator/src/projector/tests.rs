//! Whoever folds what is told of a run has the core's own picture of it, whatever happens in the run.

mod cut;

use super::snapshot;
use super::translate::Translator;
use crate::store::projection::Row;
use crate::store::{Batch, Journal, MemoryJournal};
use regatta_core::state::{Phase, Place};
use regatta_core::{
    Command, Core, Effect, Entropy, Entry, Event, GrantedWork, Refused, ReplyTo, Run, SessionId, State, ToWorker,
    Tuning,
};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::report::{CancelCause, Counts, RunOutcome};
use regatta_domain::result::{RunError, RunErrorKind, TestResult};
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{
    Costs, Estimate, FileIx, FileKey, Level, Micros, NeedsIx, Nuance, Outcome, PolicyIx, RunId, RunnerKind, SlotIx,
    TestIx, TestKey, Time, Token, Verdict, WorkerId,
};
use regatta_wire::v1::{self, run_event::Event as Told};
use regatta_wire::verdict::Closed as _;
use std::collections::{BTreeMap, BTreeSet};

/// What a client knows of a run that has folded every event, and knows no rule beyond them.
#[derive(Debug, Default, PartialEq)]
struct Picture {
    seq: u64,
    files: Vec<String>,
    tests: Vec<Known>,
    leases: BTreeSet<u64>,
    errors: u32,
    outcome: Option<RunOutcome>,
}

#[derive(Debug, PartialEq)]
struct Known {
    file: u32,
    name: String,
    group: u32,
    verdict: Option<Verdict>,
    gone: bool,
}

impl Picture {
    fn fold(&mut self, event: &v1::RunEvent) {
        assert_eq!(event.seq, self.seq + 1, "every event once, and in order");
        self.seq = event.seq;
        match event.event.as_ref().unwrap() {
            Told::FilesPlanned(planned) => self.files.extend(planned.files.iter().map(|file| file.path.clone())),
            Told::TestsPlanned(planned) => {
                for test in &planned.tests {
                    let verdict = test.ignored.then_some(Verdict::Skipped);
                    let (file, name, group) = (planned.file, test.name.clone(), test.group);
                    self.tests.push(Known { file, name, group, verdict, gone: false });
                }
                planned.gone.iter().for_each(|test| self.tests[*test as usize].gone = true);
            }
            Told::ShardLeased(leased) => assert!(self.leases.insert(leased.token)),
            Told::ResultsAccepted(accepted) => {
                for accepted in &accepted.results {
                    self.settle(accepted.result.as_ref().unwrap().test, accepted.verdict);
                }
            }
            Told::LeaseEnded(ended) => {
                assert!(self.leases.remove(&ended.token));
                if let Some(blamed) = ended.blamed {
                    self.settle(blamed, ended.verdict);
                }
            }
            Told::VerdictsGiven(given) => given.tests.iter().for_each(|test| self.settle(*test, given.verdict)),
            Told::RunErred(_) => self.errors += 1,
            Told::RunEnded(ended) => self.outcome = RunOutcome::read(ended.outcome),
            _ => {}
        }
    }

    fn settle(&mut self, test: u32, verdict: i32) {
        if let Some(verdict) = Verdict::read(verdict) {
            let before = self.tests[test as usize].verdict.replace(verdict);
            assert_eq!(before, None, "test {test} has one verdict");
        }
    }

    fn of(run: &Run, seq: u64) -> Self {
        let test = |test: &regatta_core::state::Test| Known {
            file: test.file.0,
            name: test.name.to_string(),
            group: test.group.0,
            verdict: match test.place {
                Place::Done(verdict) => Some(verdict),
                _ => None,
            },
            gone: test.place == Place::Gone,
        };
        Self {
            seq,
            files: run.files.iter().map(|file| file.path.to_string()).collect(),
            tests: run.tests.iter().map(test).collect(),
            leases: run.leases.iter().map(|token| token.0).collect(),
            errors: run.errors_total,
            outcome: match run.phase {
                Phase::Ended(outcome) => Some(outcome),
                _ => None,
            },
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.tests.iter().filter_map(|test| test.verdict).for_each(|verdict| counts.add(verdict));
        counts
    }
}

/// A seeded world of two workers that do anything that workers do.
struct World {
    core: Core,
    /// What the events led to. Here an ended run keeps what it was made of.
    whole: State,
    entropy: Entropy,
    now: Time,
    translator: Translator,
    picture: Picture,
    journal: MemoryJournal,
    granted: BTreeMap<Token, (WorkerId, GrantedWork, Vec<TestIx>)>,
}

const RUN: RunId = RunId::from_bits(1);

impl World {
    fn new(seed: u64) -> Self {
        let tuning = Tuning::LOCAL;
        Self {
            core: Core::new(tuning),
            whole: State::default(),
            entropy: Entropy::from_seed(seed),
            now: Time(1),
            translator: Translator::default(),
            picture: Picture::default(),
            journal: MemoryJournal::default(),
            granted: BTreeMap::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.entropy.below(bound)
    }

    fn take(&mut self, command: Command) {
        let step = self.core.step(self.now, &mut self.entropy, command);
        let mut seq = 0;
        if !step.events.is_empty() {
            let (at, events, requests) = (self.now, step.events.clone().into(), Vec::new());
            seq = self.journal.append(Batch { at, events, requests });
        }
        for event in &step.events {
            let meaning = self.translator.take(seq, event);
            meaning.events.iter().for_each(|(event, _)| self.picture.fold(event));
            match event {
                Event::RunEnded { outcome, .. } => {
                    self.whole.runs.get_mut(&RUN).unwrap().phase = Phase::Ended(*outcome);
                }
                event => self.whole.fold(event),
            }
        }
        for effect in step.effects {
            let Effect::Send { worker, message, .. } = effect else { continue };
            match message {
                ToWorker::Grant(grant) => {
                    let tests = match &grant.work {
                        GrantedWork::Run(tests) => tests.iter().map(|granted| granted.test).collect(),
                        _ => Vec::new(),
                    };
                    self.granted.insert(grant.token, (worker, grant.work, tests));
                }
                ToWorker::Numbered { token, tests, .. } => {
                    if let Some((.., held)) = self.granted.get_mut(&token) {
                        held.extend(tests.iter().map(|granted| granted.test));
                    }
                }
                _ => {}
            }
        }
        if let Some(run) = self.whole.run(RUN) {
            assert_eq!(self.picture, Picture::of(run, self.picture.seq));
            assert_eq!(self.picture.counts(), run.counts);
        }
    }

    /// Whoever takes notes is replaced by somebody who has read a snapshot of them.
    fn hand_over(&mut self) {
        let mut bytes = Vec::new();
        snapshot::write(&self.translator, self.now, &mut bytes).unwrap();
        let (translator, at) = snapshot::read(&bytes).unwrap();
        assert_eq!(at, self.now);
        assert_eq!(translator, self.translator);
        self.translator = translator;
    }

    fn submit(&mut self) {
        let files = (0..4).map(|at| self.file(at)).collect();
        let discover = self.below(2) == 0;
        let suite = PlannedSuite {
            name: "api".into(),
            runner: RunnerKind::Pytest,
            root: "".into(),
            settings: "".into(),
            requires: Vec::new(),
            env: Vec::new(),
            databases: Vec::new(),
        };
        let policy =
            RunPolicy { max_losses: 1, max_failures: (self.below(4) == 0).then_some(2), ..RunPolicy::default() };
        let submission = Submission {
            run: RUN,
            project: "shop".into(),
            resumes: None,
            policy,
            policies: vec![TestPolicy { retries: 1, ..TestPolicy::default() }],
            needs: Vec::new(),
            suites: vec![SuiteDraft { suite, costs: Costs::default(), discover, files }],
        };
        self.take(Command::Submit { submission: Box::new(submission), reply: ReplyTo(1) });
    }

    fn file(&mut self, at: u64) -> FileDraft {
        let remembered = self.below(2) == 0;
        FileDraft {
            path: format!("{at}.py").into(),
            key: FileKey::default(),
            locator: "".into(),
            estimate: Micros::from_secs(1),
            tests: remembered.then(|| self.tests()),
            digest: u64::from(remembered),
        }
    }

    fn tests(&mut self) -> Vec<TestDraft> {
        let count = self.below(5);
        let from = self.below(3);
        let draft = |at: u64| TestDraft {
            name: format!("test_{at}").into(),
            key: TestKey::default(),
            group: at.is_multiple_of(2).then(|| "fixture".into()),
            estimate: Estimate::own(Micros::from_secs(30)),
            risk: 0,
            needs: NeedsIx(0),
            policy: PolicyIx(0),
            level: Level::None,
            line: 7,
            ignored: at == 4,
        };
        (from..from + count).map(draft).collect()
    }

    /// A worker does something, or time passes, or somebody loses patience.
    fn act(&mut self) {
        let who = self.below(2);
        let (worker, session) = (WorkerId::from_bits(u128::from(who)), SessionId(who));
        match self.below(20) {
            0 => {
                let holds: Vec<Token> =
                    self.granted.iter().filter(|(_, held)| held.0 == worker).map(|(&token, _)| token).collect();
                self.take(Command::Attach {
                    worker,
                    session,
                    slots: 1,
                    labels: Vec::new(),
                    capacities: BTreeMap::new(),
                    holds,
                });
            }
            1 => self.take(Command::Detach { worker, session }),
            2 => {
                let long = self.below(4) == 0;
                self.now = self.now + if long { Micros::from_secs(20) } else { Micros::from_ms(500) };
                self.take(Command::Tick);
            }
            3 if self.below(8) == 0 => {
                let (cause, kill) = (CancelCause::Asked, self.below(2) == 0);
                self.take(Command::Cancel { run: RUN, cause, kill, reply: ReplyTo(2) });
            }
            4..=7 => self.take(Command::Ask { worker, session, slot: SlotIx(0) }),
            _ => {
                let entries = self.entries(worker);
                self.take(Command::Report { worker, session, seq: 1, entries });
            }
        }
    }

    /// What a worker has to tell of one of its leases.
    fn entries(&mut self, worker: WorkerId) -> Vec<Entry> {
        let mine: Vec<Token> =
            self.granted.iter().filter(|(_, held)| held.0 == worker).map(|(&token, _)| token).collect();
        let Some(&token) = mine.get(usize::try_from(self.below(mine.len() as u64)).unwrap()) else {
            return vec![Entry::Closed { run: RUN, errors: Vec::new() }];
        };
        let (_, work, tests) = self.granted[&token].clone();
        let test = |world: &mut Self| tests.get(usize::try_from(world.below(tests.len() as u64 + 1)).unwrap()).copied();
        let entry = match (self.below(10), work) {
            (0, _) => {
                self.granted.remove(&token);
                Entry::Released { token }
            }
            (1, GrantedWork::List(_) | GrantedWork::Run(_)) => {
                let back = test(self).into_iter().collect();
                Entry::GaveBack { token, tests: back }
            }
            (2, GrantedWork::List(files)) => {
                let kind = if self.below(3) == 0 { RunErrorKind::Build } else { RunErrorKind::Collection };
                let error = RunError { kind, place: "0.py".into(), message: "no".into() };
                Entry::Erred { token, file: (self.below(2) == 0).then_some(files[0]), error }
            }
            (3 | 4, _) if !self.picture.files.is_empty() => {
                // Any file may be listed anew: a worker finds that it holds other tests than were remembered.
                let file = FileIx::nth(usize::try_from(self.below(self.picture.files.len() as u64)).unwrap());
                Entry::Listed { token, file, tests: self.tests() }
            }
            (_, GrantedWork::Discover) => {
                let files = (0..6).filter(|_| self.entropy.below(3) > 0).collect::<Vec<_>>();
                Entry::Discovered { token, files: files.into_iter().map(|at| self.file(at)).collect() }
            }
            (5..=6, GrantedWork::List(files)) => Entry::Listed { token, file: files[0], tests: self.tests() },
            (draw, _) => match test(self) {
                Some(test) if draw == 7 => Entry::Started { token, test },
                Some(test) => Entry::Finished { token, result: self.result(test) },
                None => Entry::Closed { run: RUN, errors: Vec::new() },
            },
        };
        vec![entry]
    }

    fn result(&mut self, test: TestIx) -> TestResult {
        let outcomes = [Outcome::Passed, Outcome::Failed, Outcome::Skipped, Outcome::Crashed, Outcome::Missing];
        TestResult {
            test,
            attempt: self.whole.run(RUN).map_or(1, |run| run.test(test).attempt()),
            outcome: outcomes[usize::try_from(self.below(5)).unwrap()],
            nuance: Nuance::Plain,
            cause: None,
            exit: None,
            started: self.now,
            duration: Micros(10),
            reason: None,
            output: None,
            observation: None,
        }
    }
}

#[test]
fn what_is_refused_after_the_end_of_a_run_is_told_and_changes_nothing_of_it() {
    let (at, run, token, worker) = (Time(9_000_000), RUN, Token(1), WorkerId::from_bits(1));
    let late = |test: u32| {
        let (test, attempt, outcome, started, duration) = (TestIx(test), 1, Outcome::Failed, Time(3), Micros(5));
        Refused { test, attempt, outcome, started, duration }
    };
    let refused = Event::ResultsRefused { at, run, token, worker, results: vec![late(0), late(2)] };
    let mut world = World::new(1);
    world.submit();
    world.take(Command::Cancel { run, cause: CancelCause::Asked, kill: true, reply: ReplyTo(2) });
    world.now = world.now + Micros::from_secs(1);
    world.take(Command::Tick);
    assert!(world.picture.outcome.is_some());
    let (before, told) = (format!("{:?}", world.translator.progress(run)), world.picture.seq);
    let meaning = world.translator.take(99, &refused);
    assert_eq!(format!("{:?}", world.translator.progress(run)), before, "it ended when it ended");
    let [(event, _)] = &meaning.events[..] else { panic!("{meaning:?}") };
    assert_eq!((event.seq, event.at, event.is_last()), (told + 1, at.0, false));
    let Some(Told::ResultsRefused(said)) = &event.event else { panic!("{event:?}") };
    assert_eq!(
        said.results.iter().map(|late| (late.test, late.attempt, late.duration)).collect::<Vec<_>>(),
        [(0, 1, 5), (2, 1, 5)]
    );
    let rows = meaning.rows.iter().filter(|row| matches!(row, Row::Refused { .. })).count();
    assert_eq!((rows, meaning.rows.len()), (2, 3));
}

#[test]
fn the_picture_that_events_give_is_the_core_s_own() {
    let mut ends = BTreeSet::new();
    for seed in 0..400 {
        let mut world = World::new(seed);
        world.submit();
        for at in 0..300 {
            world.act();
            if at % 37 == 0 {
                world.hand_over();
            }
        }
        ends.insert(world.picture.outcome.map(|outcome| format!("{outcome:?}")));
    }
    // The worlds are varied enough to mean something.
    assert!(ends.len() >= 3, "{ends:?}");
}
