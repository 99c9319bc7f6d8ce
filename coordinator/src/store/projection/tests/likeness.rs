//! Kinds of stores are alike: what they are told is drawn from a seed, and both answer every question the same.

use super::world::World;
use super::*;
use regatta_domain::evidence::Observed;
use regatta_domain::history::Queried;
use regatta_domain::result::{RunError, RunErrorKind, TestResult};
use regatta_domain::{Cause, Exit, Level, Nuance, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

/// Chance from a seed: xorshift64 (Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

const SUITES: [&str; 3] = ["api", "web", "it's"];
const PATHS: [&str; 4] = ["a.py", "deep/b.py", "Größe.py", ""];
const BRANCHES: [&str; 3] = ["", "feature", "other"];
const CLASSES: [&str; 3] = ["", "arm", "x86"];
const VERDICTS: [Verdict; 7] = [
    Verdict::Passed,
    Verdict::Flaky,
    Verdict::Failed,
    Verdict::Skipped,
    Verdict::TimedOut,
    Verdict::Crashed,
    Verdict::NotRun,
];

const DAY: u64 = 24 * 3600 * 1_000_000;

/// A run that goes on, as far as it was told.
#[derive(Clone, Copy)]
struct Live {
    run: u64,
    errors: u32,
    counts: Counts,
}

/// What is told: a story of runs.
struct Story {
    chance: Chance,
    live: Vec<Live>,
    runs: u64,
    now: u64,
}

impl Story {
    /// The rows of one write.
    fn rows(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        for _ in 0..self.chance.below(40) {
            // Equal times would leave it open which is the newest.
            self.now += 1 + self.chance.below(1_000);
            if self.live.is_empty() || self.chance.below(20) == 0 {
                self.runs += 1;
                self.live.push(Live { run: self.runs, errors: 0, counts: Counts::default() });
                let (run, submitted, scope) = (run(self.runs), Time(self.now), self.scope());
                let listing = self.chance.below(9) == 0;
                rows.push(Row::Run { run, project: "shop".into(), submitted, listing, scope });
            }
            let row = self.row();
            rows.push(row);
        }
        for Live { run: n, errors, counts } in self.live.clone() {
            let ended = (self.chance.below(6) == 0).then_some((Time(self.now), RunOutcome::Red));
            if ended.is_some() {
                self.live.retain(|live| live.run != n);
            }
            rows.push(Row::Progress { run: run(n), counts, errors, ended });
        }
        rows
    }

    fn scope(&mut self) -> Scope {
        Scope { branch: self.chance.one_of(&BRANCHES).into(), class: self.chance.one_of(&CLASSES).into() }
    }

    fn row(&mut self) -> Row {
        let place = usize::try_from(self.chance.below(self.live.len() as u64)).unwrap();
        let (run, at) = (run(self.live[place].run), Time(self.now));
        let number = u8::try_from(self.chance.below(5)).unwrap();
        let (project, suite): (Arc<str>, Arc<str>) = ("shop".into(), self.chance.one_of(&SUITES).into());
        let (path, name) = (self.chance.one_of(&PATHS).into(), format!("test_{number}").into());
        let (test, key) = (TestIx(number.into()), TestKey([number; 16]));
        let duration = Micros(1 + self.chance.below(10_000_000));
        match self.chance.below(10) {
            0 => Row::Event { run, seq: 1 + self.chance.below(30), body: vec![number; 9] },
            1 => {
                let attempt = u16::try_from(1 + self.chance.below(2)).unwrap();
                let (outcome, nuance, output) = (Outcome::Failed, Nuance::Plain, None);
                let (started, reason) = (at, (attempt > 1).then(|| "again".into()));
                let cause = Some(Cause::ALL[usize::from(number)]);
                let exit = [None, Some(Exit::Status(3)), Some(Exit::Signal(11))][usize::from(number) % 3];
                let result = TestResult {
                    test,
                    attempt,
                    outcome,
                    nuance,
                    cause,
                    exit,
                    started,
                    duration,
                    reason,
                    output,
                    observation: None,
                };
                Row::Attempt { run, result }
            }
            2 => {
                let (scope, mean, spread) = (self.scope(), duration, None);
                Row::Imported { project, suite, path, name, key, scope, mean, spread, at }
            }
            3 => {
                let some = |micros: u64| (micros.is_multiple_of(3)).then_some(Micros(micros));
                let measured = Learnt { start: some(duration.0), batch: some(duration.0 / 2), ..Learnt::default() };
                Row::Costs { run, project, suite, measured }
            }
            4 => {
                self.live[place].errors += 1;
                let error = RunError { kind: RunErrorKind::Collection, place: path, message: name };
                Row::Error { run, number: number.into(), error }
            }
            5 => {
                let tests = vec![ListedTest { name, line: 3, ..Default::default() }];
                Row::Listing { key: FileKey(key.0), tests: tests.into(), at }
            }
            6 => {
                let files = vec![ListedFile { path, key: FileKey(key.0), locator: "".into() }];
                Row::FileList { project, suite, tree_key: name, files, at }
            }
            7 => {
                let (attempt, outcome, started) = (1, Outcome::Failed, at);
                let refused = Refused { test, attempt, outcome, started, duration };
                let (token, worker) = (Token(self.chance.below(3)), WorkerId::from_bits(number.into()));
                Row::Refused { run, at, token, worker, refused }
            }
            _ => {
                let verdict = self.chance.one_of(&VERDICTS);
                self.live[place].counts.add(verdict);
                let queried = (number == 0).then_some(Queried { calls: duration.0 / 9, time: duration });
                let duration = (verdict != Verdict::NotRun).then_some(duration);
                let observed = (number == 1).then(|| Observed { level: Level::Isolated, sure: duration.is_some() });
                let attempts = 1 + u16::from(number);
                let speed = self.chance.one_of(&[0.5, 1.0, 2.0, f64::NAN]);
                Row::Verdict {
                    run,
                    project,
                    suite,
                    path,
                    name,
                    test,
                    key,
                    verdict,
                    cause: None,
                    attempts,
                    duration,
                    speed,
                    observed,
                    queried,
                    at,
                }
            }
        }
    }
}

/// Every answer, as text.
fn answers(reader: &Reader, runs: u64) -> String {
    let mut told = String::new();
    let mut tell = |what: &str, answer: &dyn std::fmt::Debug| writeln!(told, "{what}: {answer:?}").unwrap();
    tell("runs", &reader.runs(1_000).unwrap());
    for n in 1..=runs {
        tell("ended", &reader.has_ended(run(n)).unwrap());
        tell("events", &reader.events(run(n), 3, 9).unwrap());
        tell("verdicts", &reader.verdicts(run(n)).unwrap().map(|told| told.into_iter().collect::<BTreeMap<_, _>>()));
    }
    tell("suites", &reader.suites("shop").unwrap());
    for suite in SUITES {
        tell("paths", &reader.paths("shop", suite).unwrap());
        for tree in ["test_0", "test_1", "none"] {
            tell("files", &reader.file_list("shop", suite, tree).unwrap());
        }
        for class in CLASSES {
            tell("costs", &reader.costs("shop", suite, class).unwrap());
            for branch in BRANCHES {
                let scope = Scope { branch: branch.into(), class: class.into() };
                let histories = reader.histories("shop", suite, &scope, PATHS.into_iter()).unwrap();
                tell("histories", &PATHS.map(|path| histories.get(path)));
                let measured = reader.measured("shop", suite, &scope, PATHS.into_iter()).unwrap();
                tell("measured", &measured.into_iter().collect::<BTreeSet<_>>());
            }
        }
    }
    let keys = (0..5).map(|number| FileKey([number; 16]));
    tell("listings", &reader.listings(keys).unwrap().into_iter().collect::<BTreeMap<_, _>>());
    told
}

#[test]
fn both_kinds_answer_alike_whatever_they_are_told() {
    for seed in 1..=4 {
        let worlds = [World::sqlite(), World::postgres()];
        let keep = Keep { runs: 8, tests: 200, ..Keep::LOCAL };
        let mut stores: Vec<(Writer, Reader)> = worlds.iter().map(|world| world.open(keep)).collect();
        let chance = Chance(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut story = Story { chance, live: Vec::new(), runs: 0, now: 20_000 * DAY };
        for write in 1..=40 {
            let rows = story.rows();
            let tell = |(writer, _): &mut (Writer, Reader)| {
                writer.write(&rows, write).unwrap();
                if write % 3 == 0 { writer.prune(Time(story.now)).unwrap() } else { None }
            };
            let pruned: Vec<Option<Time>> = stores.iter_mut().map(tell).collect();
            assert_eq!(pruned[0], pruned[1], "seed {seed}, write {write}");
            if write % 5 == 0 {
                let [sqlite, postgres] = [0, 1].map(|kind: usize| answers(&stores[kind].1, story.runs));
                for (sqlite, postgres) in sqlite.lines().zip(postgres.lines()) {
                    assert_eq!(sqlite, postgres, "seed {seed}, write {write}");
                }
            }
            if write % 13 == 0 {
                story.now += DAY;
                stores.clear();
                stores.extend(worlds.iter().map(|world| world.open(keep)));
            }
        }
    }
}
