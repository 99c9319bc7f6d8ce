//! What a decision costs where nearly everything waits for something: many resources, far more shards that need one to three
//! of them, each a combination of its own; and how well the resource that most want is used.
//!
//! The core alone on a virtual clock: shards take as long as they say, and each end is a step in which the next are chosen.

use super::chance::Chance;
use super::cost::{SLOTS_PER_WORKER, Stage, grants, id, resource, result, session};
use regatta_core::{Command, Core, Entropy, Entry, GrantedWork, ReplyTo, Setup, Tuning};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{
    Costs, Estimate, FileKey, Level, Micros, Need, Needs, NeedsIx, PolicyIx, RunId, RunnerKind, SlotIx, TestIx,
    TestKey, Time, Token, WorkerId,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

/// What was measured.
#[derive(Clone, Debug)]
pub struct Contended {
    /// Resources, and shards that wait for them at first.
    pub size: (u16, usize),
    /// Slots.
    pub slots: usize,
    /// A step in which a shard was granted: the mean, what 99 of 100 stay below, and the longest.
    pub decision: [Duration; 3],
    /// How much of the time until its last shard ended the most wanted resource was held, from 0 to 1.
    pub utilisation: f64,
}

/// When a test ends, and where: the soonest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    at: Time,
    token: Token,
    worker: WorkerId,
    slot: SlotIx,
    test: TestIx,
}

/// Plays a run of so many shards that need of so many resources, on so many slots.
///
/// # Panics
/// When the run does not come to an end: that is what this would find.
#[must_use]
pub fn measure(resources: u16, shards: usize, slots: usize) -> Contended {
    let (submission, most_wanted) = submission(resources, shards);
    let offers = (0..resources).map(|at| (resource(at).into(), 1.into())).collect();
    let mut stage = Stage {
        core: Core::new(Setup { resources: offers, ..Setup::from(Tuning::CLUSTER) }),
        entropy: Entropy::from_seed(1),
        now: Time(1_000_000),
    };
    let takes: Vec<Micros> =
        submission.suites[0].files[0].tests.iter().flatten().map(|test| test.estimate.mean).collect();
    let begun_at = stage.now;
    let _planned = stage.step(Command::Submit { submission: Box::new(submission), reply: ReplyTo(0) });
    let mut decisions = Vec::new();
    let mut ends: BinaryHeap<Reverse<End>> = BinaryHeap::new();
    let (mut held, mut last) = (Micros::ZERO, stage.now);
    let mut play = |stage: &mut Stage, command: Command, ends: &mut BinaryHeap<Reverse<End>>| {
        let began = Instant::now();
        let mut step = stage.step(command);
        let took = began.elapsed();
        let granted = grants(&mut step);
        if !granted.is_empty() {
            decisions.push(took / u32::try_from(granted.len()).unwrap_or(1));
        }
        for (worker, grant) in granted {
            let GrantedWork::Run(tests) = grant.work else { continue };
            let time: Micros = tests.iter().map(|test| takes[test.test.at()]).sum();
            let wanted =
                stage.core.state().leases[&grant.token].holds.iter().any(|held| *held.resource == *most_wanted);
            let end = stage.now + time;
            if wanted {
                held += time;
                last = last.max(end);
            }
            for test in tests {
                ends.push(Reverse(End { at: end, token: grant.token, worker, slot: grant.slot, test: test.test }));
            }
        }
    };
    for worker in 0..slots.div_ceil(usize::from(SLOTS_PER_WORKER)) {
        let attach = Command::Attach {
            worker: id(worker),
            session: session(worker),
            slots: SLOTS_PER_WORKER,
            labels: Vec::new(),
            capacities: BTreeMap::new(),
            holds: Vec::new(),
        };
        play(&mut stage, attach, &mut ends);
        for slot in 0..SLOTS_PER_WORKER {
            let ask = Command::Ask { worker: id(worker), session: session(worker), slot: SlotIx(slot) };
            play(&mut stage, ask, &mut ends);
        }
    }
    let mut done = 0;
    while let Some(Reverse(End { at, token, worker, slot, test })) = ends.pop() {
        stage.now = stage.now.max(at);
        let mut entries = vec![Entry::Finished { token, result: result(test, 1) }];
        done += 1;
        while let Some(&Reverse(End { at: also_at, token: also, test: next, .. })) = ends.peek() {
            if (also_at, also) != (at, token) {
                break;
            }
            ends.pop();
            done += 1;
            entries.push(Entry::Finished { token, result: result(next, 1) });
        }
        entries.push(Entry::Released { token });
        let number = usize::try_from(worker.0.as_u128() - 1).expect("workers are numbered");
        let report = Command::Report { worker, session: session(number), seq: 1, entries };
        play(&mut stage, report, &mut ends);
        let ask = Command::Ask { worker, session: session(number), slot };
        play(&mut stage, ask, &mut ends);
    }
    assert_eq!(done, shards, "every shard came to its end");
    decisions.sort_unstable();
    let sum: Duration = decisions.iter().sum();
    let at = |of_100: usize| decisions.get((decisions.len() * of_100 / 100).min(decisions.len() - 1)).copied();
    let wall = last.since(begun_at).as_secs_f64();
    Contended {
        size: (resources, shards),
        slots,
        decision: [
            sum / u32::try_from(decisions.len()).unwrap_or(1),
            at(99).unwrap_or_default(),
            at(100).unwrap_or_default(),
        ],
        utilisation: held.as_secs_f64() / wall,
    }
}

/// The figures as a line for people.
#[must_use]
pub fn line(found: &Contended) -> String {
    let Contended { size: (resources, shards), slots, decision: [mean, p99, max], utilisation } = found;
    let micros = |span: &Duration| span.as_secs_f64() * 1e6;
    format!(
        "{resources} resources, {shards} shards that wait, {slots} slots: a decision {:.0} us, p99 {:.0} us, longest {:.0} us; the most \
         wanted resource was held {:.1} % of the time\n",
        micros(mean),
        micros(p99),
        micros(max),
        utilisation * 100.0
    )
}

/// A run in which every test is a shard of its own and needs one to three of the resources; and the resource that is wanted for
/// the longest.
fn submission(resources: u16, shards: usize) -> (Submission, String) {
    let mut chance = Chance::from_seed(11);
    let mut needs: Vec<Needs> = Vec::with_capacity(shards);
    let mut tests = Vec::with_capacity(shards);
    let mut wanted: BTreeMap<u16, u64> = BTreeMap::new();
    for at in 0..shards {
        let mean = Micros::from_secs(60 + chance.below(60) as u64);
        // Some are wanted far more than others.
        let draw = |chance: &mut Chance| {
            let (a, b) = (chance.below(resources.into()), chance.below(resources.into()));
            u16::try_from(a.min(b)).unwrap_or_default()
        };
        let of: Vec<u16> = (0..1 + chance.below(3)).map(|_| draw(&mut chance)).collect();
        let mut of = of;
        of.sort_unstable();
        of.dedup();
        of.iter().for_each(|&one| *wanted.entry(one).or_default() += mean.0);
        let all = Needs::all(of.iter().map(|&one| Need::new(resource(one), 1)));
        let place = needs.iter().position(|known| *known == all).unwrap_or_else(|| {
            needs.push(all);
            needs.len() - 1
        });
        tests.push(TestDraft {
            name: format!("test_{at}").into(),
            line: 1,
            key: TestKey::default(),
            group: None,
            estimate: Estimate::own(mean),
            risk: 0,
            needs: NeedsIx::nth(place + 1),
            policy: PolicyIx(0),
            level: Level::None,
            ignored: false,
        });
    }
    let suite = PlannedSuite {
        name: "suite".into(),
        runner: RunnerKind::Exec,
        root: "".into(),
        settings: "{}".into(),
        requires: Vec::new(),
        env: Vec::new(),
        databases: Vec::new(),
    };
    let file = FileDraft {
        path: "all".into(),
        key: FileKey::default(),
        locator: "".into(),
        estimate: Micros::ZERO,
        tests: Some(tests),
        digest: 1,
    };
    let most = wanted.into_iter().max_by_key(|&(_, time)| time).map_or(0, |(one, _)| one);
    let submission = Submission {
        resumes: None,
        run: RunId::from_bits(1),
        project: "project".into(),
        policy: RunPolicy::default(),
        policies: vec![TestPolicy::default()],
        needs,
        suites: vec![SuiteDraft { suite, costs: Costs::default(), discover: false, files: vec![file] }],
    };
    (submission, resource(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_that_need_several_resources_come_to_their_turn() {
        let found = measure(20, 200, 16);
        assert!(found.utilisation > 0.8, "{found:?}");
    }
}
