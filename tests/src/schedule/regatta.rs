//! What Regatta's own core makes of a case: it is rehearsed on a virtual clock, with what is known beforehand as its plan
//! and with the truth as its play.

use super::{Case, Test};
use regatta_core::rehearsal::{Play, Station, rehearse};
use regatta_core::{Setup, Tuning};
use regatta_domain::history::{Estimator, Sample, TestHistory};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{
    Costs, Estimate, FileKey, Level, Micros, Need, Needs, NeedsIx, PolicyIx, RunId, RunnerKind, Source, TestKey, Time,
};
use std::sync::Arc;

/// The name of its row.
pub const NAME: &str = "regatta";

/// How long the case takes with Regatta, in seconds.
#[must_use]
pub fn makespan(case: &Case, _seed: u64) -> Option<f64> {
    let costs = costs(case);
    let (submission, order) = submission(case, costs);
    let stations: Vec<Station> = case
        .slots
        .iter()
        .map(|slot| Station { speed: thousandths(slot.speed), dies_at: slot.dies_at.map(micros), labels: Vec::new() })
        .collect();
    let capacity = case.capacity.iter().enumerate().map(|(at, &seats)| (resource(at), seats.into())).collect();
    let setup = Setup { resources: capacity, ..Setup::from(Tuning::CLUSTER) };
    let play =
        Play { takes: &|test| micros(case.tests[order[test.at()]].truth), costs: &|_| costs, latency: Micros(500) };
    let played = rehearse(vec![submission], setup, &stations, &play);
    assert_eq!(played.stranded, 0, "every test of the case ran");
    Some(played.makespan.as_secs_f64())
}

fn costs(case: &Case) -> Costs {
    let start = micros(case.startup);
    Costs {
        start,
        batch: if case.warm { Micros::ZERO } else { start },
        group: micros(case.fixture),
        ..Costs::default()
    }
}

/// The case as it is handed to the core, and which test of the case each of its tests is.
fn submission(case: &Case, costs: Costs) -> (Submission, Vec<usize>) {
    let mut by_file: Vec<Vec<usize>> = vec![Vec::new(); case.files()];
    for (at, test) in case.tests.iter().enumerate() {
        by_file[test.file as usize].push(at);
    }
    let beliefs = Beliefs::of(case);
    let files = by_file.iter().enumerate().map(|(file, tests)| FileDraft {
        path: format!("file {file}").into(),
        key: FileKey::default(),
        locator: "".into(),
        estimate: Micros::ZERO,
        tests: Some(tests.iter().map(|&test| draft(case, test, &beliefs)).collect()),
        digest: 1,
    });
    let files = files.collect();
    let suite = PlannedSuite {
        name: "suite".into(),
        runner: RunnerKind::Pytest,
        root: "".into(),
        settings: "{}".into(),
        requires: Vec::new(),
        env: Vec::new(),
        databases: Vec::new(),
    };
    let needs = (0..case.capacity.len()).map(|at| Needs::all([Need::new(resource(at), 1)]));
    let policy = TestPolicy { timeout: Micros::from_secs(24 * 3_600), ..TestPolicy::default() };
    let submission = Submission {
        resumes: None,
        run: RunId::from_bits(1),
        project: "project".into(),
        policy: RunPolicy::default(),
        policies: vec![policy],
        needs: needs.collect(),
        suites: vec![SuiteDraft { suite, costs, discover: false, files }],
    };
    (submission, by_file.concat())
}

fn draft(case: &Case, at: usize, beliefs: &Beliefs) -> TestDraft {
    let test = &case.tests[at];
    TestDraft {
        name: test.id.as_str().into(),
        line: 0,
        key: TestKey::default(),
        group: (case.fixture > 0.0).then(|| "module".into()),
        estimate: beliefs.of_test(test),
        risk: 0,
        needs: NeedsIx(test.needs.map_or(0, |resource| resource + 1)),
        policy: PolicyIx(0),
        level: Level::None,
        ignored: false,
    }
}

fn resource(at: usize) -> Arc<str> {
    format!("resource {at}").into()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "durations are positive and below a year")]
fn micros(seconds: f64) -> Micros {
    Micros((seconds * 1e6).round() as u64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "speeds are between 0 and 10")]
fn thousandths(speed: f64) -> u32 {
    (speed * 1e3).round() as u32
}

/// What is believed of tests: what is known of them, or what the coordinator's own estimator makes of those like them.
struct Beliefs(Estimator);

impl Beliefs {
    fn of(case: &Case) -> Self {
        let known = |test: &Test| {
            let known = test.history?;
            Some(TestHistory::imported(micros(known.mean), Some(spread(known.spread)), Time(1)))
        };
        let known: Vec<(&Test, TestHistory)> =
            case.tests.iter().filter_map(|test| Some((test, known(test)?))).collect();
        Self(Estimator::of(known.iter().map(|(test, known)| {
            let (file, name) = parts(&test.id);
            Sample { file, group: test.group.as_deref(), name, known }
        })))
    }

    fn of_test(&self, test: &Test) -> Estimate {
        match test.history {
            Some(known) => Estimate { mean: micros(known.mean), spread: spread(known.spread), source: Source::Own },
            None => {
                let (file, name) = parts(&test.id);
                self.0.estimate(file, test.group.as_deref(), name, None)
            }
        }
    }
}

/// The file of an id, and the name within it.
fn parts(id: &str) -> (&str, &str) {
    id.split_once("::").unwrap_or((id, id))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "spreads are small")]
fn spread(deviation: f64) -> u16 {
    (deviation * 1e3).round() as u16
}
