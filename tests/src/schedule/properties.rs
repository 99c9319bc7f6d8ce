//! What is always true of how a fleet is scheduled, whatever the suites: checked from the events of a rehearsal, for runs,
//! fleets, resources and groups that a seed draws.
//!
//! - Completeness: every test is in the hands of at most one lease at a time, and runs.
//! - A group is granted whole.
//! - Resources are never granted beyond their seats.
//! - Nobody starves: work that needs resources is passed over at most so many times, and a run that has work and holds
//!   nothing is served within a time that follows from its class.
//! - The same seed gives the same schedule.

use super::chance::Chance;
use regatta_core::rehearsal::{Play, Played, Station, rehearse_before};
use regatta_core::state::{Phase, Place};
use regatta_core::{Core, Event, Setup, Tuning, Work};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{Priority, RunPolicy, TestPolicy};
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{
    Costs, Estimate, FileKey, Level, Micros, Need, Needs, NeedsIx, PolicyIx, RunId, RunnerKind, Source, SuiteIx,
    TestIx, TestKey, Time, Token,
};
use std::collections::BTreeMap;

/// How often work may be passed over in these worlds.
const BYPASSES: u32 = 5;

/// The resources of every world, and their seats.
const RESOURCES: [(&str, u32); 3] = [("db", 1), ("pool", 2), ("licence", 3)];

/// A run that holds nothing is served within this time. At most two others stand before it, each of a class of four times
/// the share: eight turns of them, of which each ends with the test that runs (6 s at most on the slowest slot), or with
/// the step of ageing (5 s) that makes room.
const PATIENCE: Micros = Micros::from_secs(100);

/// Checks one seed.
///
/// # Errors
/// The first rule that does not hold, in words.
pub fn check(seed: u64) -> Result<(), String> {
    let world = World::draw(seed);
    let played = world.play()?;
    let again = world.play()?;
    if played.stints != again.stints {
        return Err("the same seed gave two schedules".to_owned());
    }
    let planned = world.runs.iter().map(|run| run.tests.len()).sum::<usize>();
    let mut ran: BTreeMap<(usize, TestIx), u32> = BTreeMap::new();
    for stint in &played.stints {
        *ran.entry((stint.run, stint.test)).or_default() += 1;
    }
    if ran.len() != planned || played.stranded > 0 {
        return Err(format!("{} of {planned} tests ran, {} are stranded", ran.len(), played.stranded));
    }
    match ran.iter().find(|&(_, &times)| times > 1) {
        Some(((_, test), times)) => Err(format!("{test} ran {times} times, and no slot was lost")),
        None => Ok(()),
    }
}

/// A world that a seed draws.
struct World {
    runs: Vec<DrawnRun>,
    slots: usize,
    costs: Costs,
    speeds: Vec<u32>,
}

struct DrawnRun {
    priority: Priority,
    tests: Vec<DrawnTest>,
}

struct DrawnTest {
    file: usize,
    group: Option<usize>,
    needs: u16,
    estimate: Estimate,
    takes: Micros,
}

/// What tests may need.
fn needs() -> Vec<Needs> {
    let need = |resource: &str, seats| Need::new(resource, seats);
    vec![
        Needs::all([need("db", 1)]),
        Needs::all([need("pool", 1)]),
        Needs::all([need("pool", 2), need("db", 1)]),
        Needs::all([need("licence", 2)]),
        Needs::all([need("licence", 1), need("pool", 1)]),
    ]
}

impl World {
    fn draw(seed: u64) -> Self {
        let mut chance = Chance::of(seed, "properties");
        let slots = 1 + chance.below(12);
        let costs = Costs {
            start: Micros::from_ms(100 * chance.below(10) as u64),
            batch: Micros::from_ms(if chance.below(2) == 0 { 0 } else { 500 }),
            file: Micros::from_ms(if chance.below(2) == 0 { 0 } else { 20 }),
            group: Micros::from_ms(if chance.below(2) == 0 { 0 } else { 50 }),
            test: Micros::ZERO,
        };
        let runs = (0..1 + chance.below(3)).map(|_| DrawnRun::draw(slots, &mut chance)).collect();
        let speeds = (0..slots).map(|_| [500, 1_000, 1_000, 1_300][chance.below(4)]).collect();
        Self { runs, slots, costs, speeds }
    }

    fn play(&self) -> Result<Played, String> {
        let resources = RESOURCES.iter().map(|&(name, seats)| (name.into(), seats.into())).collect();
        let tuning = Tuning { bypasses: BYPASSES, ..Tuning::CLUSTER };
        let setup = Setup { resources, ..Setup::from(tuning) };
        let stations: Vec<Station> =
            self.speeds.iter().map(|&speed| Station { speed, ..Station::default() }).take(self.slots).collect();
        let submissions = self.runs.iter().enumerate().map(|(at, run)| run.submission(at, self.costs)).collect();
        let by_test: BTreeMap<TestIx, Micros> = self.runs[0].in_order().map(|(ix, test)| (ix, test.takes)).collect();
        let play = Play {
            // The tests of all runs are drawn alike: those of the first stand for all.
            takes: &|test| by_test.get(&test).copied().unwrap_or(Micros::from_ms(300)),
            costs: &|_| self.costs,
            latency: Micros(500),
        };
        let mut watch = Watch::default();
        let mut broken = None;
        let mut look = |now: Time, core: &Core, event: &Event| {
            if broken.is_none() {
                broken = watch.see(now, core, event).err();
            }
        };
        let played = rehearse_before(submissions, setup, &stations, &play, &mut look);
        broken.map_or(Ok(played), Err)
    }
}

impl DrawnRun {
    fn draw(slots: usize, chance: &mut Chance) -> Self {
        let many = 20 + chance.below(60 * slots);
        let files = 1 + chance.below(20);
        let tests = (0..many).map(|_| DrawnTest::draw(files, chance)).collect();
        Self { priority: [Priority::Ci, Priority::Interactive][chance.below(2)], tests }
    }

    /// The tests in the order in which the submission numbers them: file by file.
    fn in_order(&self) -> impl Iterator<Item = (TestIx, &DrawnTest)> {
        let mut order: Vec<&DrawnTest> = self.tests.iter().collect();
        order.sort_by_key(|test| test.file);
        order.into_iter().enumerate().map(|(at, test)| (TestIx::nth(at), test))
    }

    fn submission(&self, at: usize, costs: Costs) -> Submission {
        let mut files: BTreeMap<usize, Vec<TestDraft>> = BTreeMap::new();
        for (ix, test) in self.in_order() {
            files.entry(test.file).or_default().push(TestDraft {
                name: format!("t{ix}").into(),
                line: 0,
                key: TestKey::default(),
                group: test.group.map(|group| format!("g{group}").into()),
                estimate: test.estimate,
                risk: 0,
                needs: NeedsIx(test.needs),
                policy: PolicyIx(0),
                level: Level::None,
                ignored: false,
            });
        }
        let files = files.into_iter().map(|(file, tests)| FileDraft {
            path: format!("f{file}").into(),
            key: FileKey::default(),
            locator: "".into(),
            estimate: Micros::ZERO,
            tests: Some(tests),
            digest: 1,
        });
        let suite = PlannedSuite {
            name: "suite".into(),
            runner: RunnerKind::Exec,
            root: "".into(),
            settings: "{}".into(),
            requires: Vec::new(),
            env: Vec::new(),
            databases: Vec::new(),
        };
        Submission {
            resumes: None,
            run: RunId::from_bits(at as u128 + 1),
            project: format!("project {at}").into(),
            policy: RunPolicy { priority: self.priority, ..RunPolicy::default() },
            policies: vec![TestPolicy { timeout: Micros::from_secs(3_600), ..TestPolicy::default() }],
            needs: needs(),
            suites: vec![SuiteDraft { suite, costs, discover: false, files: files.collect() }],
        }
    }
}

impl DrawnTest {
    fn draw(files: usize, chance: &mut Chance) -> Self {
        let grouped = chance.below(5) == 0;
        // A group is far below what a shard holds at the least: it is never cut apart.
        let ms = if grouped { 1 + chance.below(4) } else { 10 + chance.below(3_000) };
        let takes = Micros::from_ms(ms as u64);
        let off = 500 + chance.below(1_500) as u64;
        let source = if !grouped && chance.below(4) == 0 { Source::Suite } else { Source::Own };
        let needs = chance.below(2 * needs().len());
        Self {
            file: chance.below(files),
            group: grouped.then(|| chance.below(3)),
            needs: u16::try_from(if grouped || needs > 5 { 0 } else { needs }).unwrap_or(0),
            estimate: Estimate { mean: takes * off / 1_000, source, ..Estimate::own(takes) },
            takes,
        }
    }
}

/// What was seen of a rehearsal.
#[derive(Default)]
struct Watch {
    holders: BTreeMap<(RunId, TestIx), Token>,
    leases: BTreeMap<Token, (RunId, NeedsIx)>,
    /// Since when each run holds nothing.
    waits: BTreeMap<RunId, Time>,
    /// How often each kind of work was passed over since its last turn, by others that need one of its resources.
    passed: BTreeMap<(RunId, NeedsIx), u32>,
}

impl Watch {
    fn see(&mut self, now: Time, core: &Core, event: &Event) -> Result<(), String> {
        match event {
            Event::RunSubmitted { submission, .. } => {
                self.waits.insert(submission.run, now);
                Ok(())
            }
            Event::ShardLeased { run, token, work: Work::Run(suite, tests), .. } => {
                self.leased(core, *run, *token, *suite, tests)?;
                self.nobody_is_passed_over(core, *run, tests[0])?;
                self.nobody_starves(now, core, *run)
            }
            Event::ResultsAccepted { run, results, .. } => {
                for accepted in results {
                    self.holders.remove(&(*run, accepted.result.test));
                }
                Ok(())
            }
            Event::TestsGivenBack { run, tests, .. } => {
                for &test in tests {
                    self.holders.remove(&(*run, test));
                }
                Ok(())
            }
            Event::LeaseEnded { run, token, .. } => {
                self.leases.remove(token);
                self.holders.retain(|_, holder| holder != token);
                if !self.leases.values().any(|(of, _)| of == run) {
                    self.waits.insert(*run, now);
                }
                Ok(())
            }
            Event::RunClosing { run } => {
                self.waits.remove(run);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn leased(
        &mut self,
        core: &Core,
        run: RunId,
        token: Token,
        suite: SuiteIx,
        tests: &[TestIx],
    ) -> Result<(), String> {
        let plan = &core.state().runs[&run];
        let needs = plan.test(tests[0]).needs;
        self.waits.remove(&run);
        self.leases.insert(token, (run, needs));
        for &test in tests {
            if let Some(holder) = self.holders.insert((run, test), token) {
                return Err(format!("{test} is granted under {token}, and is in the hands of {holder}"));
            }
            let found = plan.test(test);
            if found.needs != needs || plan.file(found.file).suite != suite {
                return Err(format!("{token} mixes what needs different things"));
            }
            let group = plan.group(found.group);
            if group.shared && group.tests.iter().any(|other| plan.test(other).place == Place::Waiting) {
                return Err(format!("{token} has a part of group {}", found.group));
            }
        }
        for &(resource, seats) in &RESOURCES {
            let of = |(run, needs): &(RunId, NeedsIx)| -> u32 {
                let needs = core.state().runs[run].needs_of(*needs).iter();
                needs.filter(|need| &*need.resource == resource).map(|need| need.seats).sum()
            };
            let held: u32 = self.leases.values().map(of).sum();
            if held > seats {
                return Err(format!("{held} seats of {resource} are held, and there are {seats}"));
            }
        }
        Ok(())
    }

    /// What waits for a resource is passed over as often as it may, and then once by each of the others that were, too.
    fn nobody_is_passed_over(&mut self, core: &Core, id: RunId, first: TestIx) -> Result<(), String> {
        let run = &core.state().runs[&id];
        let needs = run.test(first).needs;
        self.passed.remove(&(id, needs));
        let shares = |other: NeedsIx| {
            let theirs = run.needs_of(other);
            run.needs_of(needs).iter().any(|need| theirs.iter().any(|other| other.resource == need.resource))
        };
        let most = BYPASSES + 1 + u32::try_from(self::needs().len()).unwrap_or(u32::MAX);
        for &other in run.suites.iter().flat_map(|suite| suite.queues.keys()) {
            if other != needs && shares(other) {
                let passed = self.passed.entry((id, other)).or_default();
                *passed += 1;
                if *passed > most {
                    return Err(format!("what needs {other} was passed over {passed} times"));
                }
            }
        }
        Ok(())
    }

    /// At the moment when a run is served, none other has waited too long.
    fn nobody_starves(&self, now: Time, core: &Core, served: RunId) -> Result<(), String> {
        for (&run, &since) in &self.waits {
            let plan = &core.state().runs[&run];
            // What needs no resource can be granted at any time.
            let plain = plan.suites.iter().any(|suite| suite.queues.contains_key(&NeedsIx(0)));
            if plain && plan.phase == Phase::Running && now.since(since) > PATIENCE {
                let waited = now.since(since);
                return Err(format!("run {served} is served, and run {run} has held nothing for {waited}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_holds_for_every_seed() {
        for seed in 0..300 {
            assert_eq!(check(seed), Ok(()), "seed {seed}");
        }
    }
}
