//! What the scheduler itself costs: planning, a decision, a result, and memory, as suite and fleet grow.
//!
//! The core alone, without a journal or a wire: a run is handed in, every slot of a fleet asks, each shard is reported as
//! done the moment it was granted, and its slot asks again, until nothing is left.

use super::chance::Chance;
use regatta_core::{
    Command, Core, Effect, Entropy, Entry, GrantedWork, ReplyTo, SessionId, Setup, Step, ToWorker, Tuning,
};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::result::TestResult;
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{
    Costs, Estimate, FileKey, Level, Micros, Need, Needs, NeedsIx, Nuance, Outcome, PolicyIx, RunId, RunnerKind,
    SlotIx, Source, TestKey, Time, WorkerId,
};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// A name of 33 bytes on the heap, with the two counts before it and what the allocator adds.
const NAME: usize = 64;

/// Tests in a file.
const TESTS_PER_FILE: usize = 100;

/// Slots of a worker.
pub(super) const SLOTS_PER_WORKER: u16 = 8;

/// One test in so many needs a resource, of [`RESOURCES`].
const SCARCE: usize = 50;

/// How many resources there are, each with one seat.
const RESOURCES: u16 = 63;

/// What one size costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// How many tests.
    pub tests: usize,
    /// How many slots.
    pub slots: usize,
    /// From the submission in memory to the plan that shards can be cut from.
    pub plan: Duration,
    /// How many shards were granted.
    pub decisions: usize,
    /// A question that was answered with a shard: the mean, what 99 of 100 stay below, and the longest.
    pub decision: [Duration; 3],
    /// A result, taken in and accounted for.
    pub result: Duration,
    /// What the core holds of a test, in bytes: what the process has grown by, and the name, which it shares with the
    /// submission that is dropped.
    pub bytes_per_test: usize,
}

/// Measures a run of so many tests on so many slots.
#[must_use]
pub fn measure(tests: usize, slots: usize) -> Cost {
    let submission = Box::new(submission(tests));
    let resources = (0..RESOURCES).map(|at| (resource(at).into(), 1.into())).collect();
    let mut stage = Stage {
        core: Core::new(Setup { resources, ..Setup::from(Tuning::CLUSTER) }),
        entropy: Entropy::from_seed(1),
        now: Time(1_000_000),
    };
    let before = resident();
    let began = Instant::now();
    let step = stage.step(Command::Submit { submission, reply: ReplyTo(0) });
    let plan = began.elapsed();
    drop(step);
    let bytes_per_test = resident().saturating_sub(before) / tests + NAME;

    let workers = slots.div_ceil(usize::from(SLOTS_PER_WORKER));
    for worker in 0..workers {
        let attach = Command::Attach {
            worker: id(worker),
            session: session(worker),
            slots: SLOTS_PER_WORKER,
            labels: Vec::new(),
            capacities: BTreeMap::new(),
            holds: Vec::new(),
        };
        let _attached = stage.step(attach);
    }
    let mut asking: VecDeque<(usize, u16)> =
        (0..workers).flat_map(|worker| (0..SLOTS_PER_WORKER).map(move |slot| (worker, slot))).take(slots).collect();
    let mut decisions = Vec::new();
    let (mut results, mut resulting) = (0_usize, Duration::ZERO);
    let mut done = 0;
    while done < tests {
        let (worker, slot) = asking.pop_front().expect("some slot asks while tests are left");
        let ask = Command::Ask { worker: id(worker), session: session(worker), slot: SlotIx(slot) };
        let began = Instant::now();
        let mut step = stage.step(ask);
        let took = began.elapsed();
        let mut granted = grants(&mut step);
        if !granted.is_empty() {
            decisions.push(took);
        }
        while let Some((worker, grant)) = granted.pop() {
            let GrantedWork::Run(tests) = grant.work else { continue };
            stage.now = Time(stage.now.0 + 10);
            done += tests.len();
            results += tests.len();
            let mut entries: Vec<Entry> = tests
                .iter()
                .map(|test| Entry::Finished { token: grant.token, result: result(test.test, test.attempt) })
                .collect();
            entries.push(Entry::Released { token: grant.token });
            let at = usize::try_from(worker.0.as_u128() - 1).expect("workers are numbered");
            let report = Command::Report { worker, session: session(at), seq: 1, entries };
            let began = Instant::now();
            let mut step = stage.step(report);
            resulting += began.elapsed();
            granted.extend(grants(&mut step));
            asking.push_back((at, grant.slot.0));
        }
    }
    decisions.sort_unstable();
    let sum: Duration = decisions.iter().sum();
    let many = u32::try_from(decisions.len()).unwrap_or(u32::MAX).max(1);
    Cost {
        tests,
        slots,
        plan,
        decisions: decisions.len(),
        decision: [
            sum / many,
            decisions.get(decisions.len() * 99 / 100).copied().unwrap_or_default(),
            decisions.last().copied().unwrap_or_default(),
        ],
        result: resulting / u32::try_from(results).unwrap_or(u32::MAX).max(1),
        bytes_per_test,
    }
}

/// The costs as a table for people, with how each grew from the size before.
#[must_use]
pub fn table(costs: &[Cost]) -> String {
    let mut table = String::from(
        "     tests   slots     plan    grew  decisions      mean       p99       max    a result  bytes/test\n",
    );
    let mut before: Option<Duration> = None;
    for cost in costs {
        let [mean, p99, max] = cost.decision;
        let grew =
            before.map_or_else(String::new, |before| format!("x{:.1}", cost.plan.as_secs_f64() / before.as_secs_f64()));
        before = Some(cost.plan);
        let micros = |span: Duration| format!("{:.1} us", span.as_secs_f64() * 1e6);
        let _infallible = writeln!(
            table,
            "{:>10} {:>7} {:>6.0} ms {grew:>6} {:>10} {:>9} {:>9} {:>9} {:>11} {:>11}",
            cost.tests,
            cost.slots,
            cost.plan.as_secs_f64() * 1e3,
            cost.decisions,
            micros(mean),
            micros(p99),
            micros(max),
            micros(cost.result),
            cost.bytes_per_test,
        );
    }
    table
}

/// The core alone, at a moment.
pub(super) struct Stage {
    pub(super) core: Core,
    pub(super) entropy: Entropy,
    pub(super) now: Time,
}

impl Stage {
    pub(super) fn step(&mut self, command: Command) -> Step {
        self.core.step(self.now, &mut self.entropy, command)
    }
}

pub(super) fn grants(step: &mut Step) -> Vec<(WorkerId, regatta_core::Grant)> {
    let effects = std::mem::take(&mut step.effects);
    let granted = effects.into_iter().filter_map(|effect| match effect {
        Effect::Send { worker, message: ToWorker::Grant(grant), .. } => Some((worker, grant)),
        _ => None,
    });
    granted.collect()
}

/// What the process holds in memory, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4_096
}

pub(super) const fn id(worker: usize) -> WorkerId {
    WorkerId::from_bits(worker as u128 + 1)
}

pub(super) const fn session(worker: usize) -> SessionId {
    SessionId(worker as u64 + 1)
}

pub(super) fn resource(at: u16) -> String {
    format!("resource {at}")
}

fn submission(tests: usize) -> Submission {
    let mut chance = Chance::from_seed(7);
    let mut files = Vec::with_capacity(tests.div_ceil(TESTS_PER_FILE));
    for first in (0..tests).step_by(TESTS_PER_FILE) {
        let of_file = (first..tests.min(first + TESTS_PER_FILE)).map(|at| draft(at, &mut chance)).collect();
        files.push(FileDraft {
            path: format!("tests/package_{}/test_{first}.py", first / 10_000).into(),
            key: FileKey::default(),
            locator: "".into(),
            estimate: Micros::ZERO,
            tests: Some(of_file),
            digest: 1,
        });
    }
    let suite = PlannedSuite {
        name: "suite".into(),
        runner: RunnerKind::Pytest,
        root: "".into(),
        settings: "{}".into(),
        requires: Vec::new(),
        env: Vec::new(),
        databases: Vec::new(),
    };
    let needs = (0..RESOURCES).map(|at| Needs::all([Need::new(resource(at), 1)])).collect();
    Submission {
        resumes: None,
        run: RunId::from_bits(1),
        project: "project".into(),
        policy: RunPolicy::default(),
        policies: vec![TestPolicy::default()],
        needs,
        suites: vec![SuiteDraft { suite, costs: Costs::default(), discover: false, files }],
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a second or so, in microseconds")]
fn draft(at: usize, chance: &mut Chance) -> TestDraft {
    let scarce = chance.below(SCARCE) == 0;
    let needs = if scarce { 1 + u16::try_from(chance.below(RESOURCES.into())).unwrap_or(0) } else { 0 };
    TestDraft {
        name: format!("test_that_something_holds_{at}").into(),
        line: 1,
        key: TestKey::default(),
        group: None,
        estimate: Estimate {
            mean: Micros((chance.log_normal(0.0, 1.0) * 1e6) as u64),
            spread: 300,
            source: Source::Own,
        },
        risk: 0,
        needs: NeedsIx(needs),
        policy: PolicyIx(0),
        level: Level::None,
        ignored: false,
    }
}

pub(super) fn result(test: regatta_domain::TestIx, attempt: u16) -> TestResult {
    TestResult {
        test,
        attempt,
        outcome: Outcome::Passed,
        nuance: Nuance::Plain,
        cause: None,
        exit: None,
        started: Time(0),
        duration: Micros::from_secs(1),
        reason: None,
        output: None,
        observation: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_is_granted_once_whatever_it_needs() {
        let cost = measure(2_000, 50);
        assert_eq!(cost.tests, 2_000);
        assert!(cost.decisions >= 50, "{cost:?}");
        assert!(table(&[cost, cost]).contains("x1.0"));
    }
}
