//! What is to be expected of a plan: the very core rehearses it on a virtual clock, with every test as long as estimated.
//!
//! A [`Prospect`] is a plan on a fleet, made from a [`View`]; an [`Outlook`] is what comes of it on so many slots. Both are
//! pure. `regatta plan`, the line before a run with a target, and the closing of a run say what stands here.

mod bound;
mod fleet;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use bound::{Binds, Bound};
pub(crate) use fleet::Fleet;
pub(crate) use target::{Reach, before, reach};

use crate::needs::enough;
use crate::render::{safe, words};
use crate::view::View;
use regatta_core::Setup;
use regatta_core::rehearsal::{Play, Played, rehearse};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::RunPolicy;
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{Costs, Estimate, FileKey, Micros, Need, NeedsIx, PolicyIx, RunnerKind, Source, SuiteIx, TestIx};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Beyond so many tests a rehearsal takes seconds, and is only done for somebody who asked for it.
pub(crate) const QUICK: usize = 100_000;

/// More slots than this make no difference to anybody.
pub(crate) const MOST_SLOTS: u32 = 4_096;

/// A plan, and a fleet to run it on.
#[derive(Debug)]
pub(crate) struct Prospect<'a> {
    view: &'a View,
    fleet: Fleet,
    submission: Submission,
    /// The tests of the submission, in its order.
    order: Vec<TestIx>,
}

/// A test of a prospect.
#[derive(Clone, Copy, Debug)]
struct Expected<'a> {
    ix: TestIx,
    takes: Micros,
    costs: Costs,
    needs: &'a [Need],
}

/// What is to be expected of a plan on so many slots.
#[derive(Clone, Debug)]
pub(crate) struct Outlook {
    /// The slots.
    pub(crate) slots: u32,
    /// From the start to the end of the last test.
    pub(crate) makespan: Micros,
    /// What nobody can beat.
    pub(crate) bound: Bound,
    /// Each test, in the order in which they end.
    pub(crate) shifts: Vec<Shift>,
    /// Tests that never ran: nobody carries the labels that their suite requires.
    pub(crate) stranded: u32,
}

/// A test at a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    /// The test.
    pub(crate) test: TestIx,
    /// The slot, from 0.
    pub(crate) slot: usize,
    /// From the start of the run.
    pub(crate) began: Micros,
    /// From the start of the run.
    pub(crate) ended: Micros,
}

impl<'a> Prospect<'a> {
    /// The plan of a run, as far as it is known, on a fleet. Tests that their framework leaves out are no work.
    pub(crate) fn new(view: &'a View, mut fleet: Fleet) -> Self {
        // Of a resource that the fleet does not tell of, there is as much as is needed at once: the run was taken.
        fleet.resources = enough(view.needs.iter().flat_map(|needs| needs.iter()), fleet.resources);
        let mut by_file: BTreeMap<(SuiteIx, u32), Vec<TestIx>> = BTreeMap::new();
        let mut members: BTreeMap<u32, u32> = BTreeMap::new();
        for (ix, test) in view.planned().filter(|(_, test)| !test.ignored) {
            by_file.entry((view.files[test.file.at()].suite, test.file.0)).or_default().push(ix);
            *members.entry(test.group).or_default() += 1;
        }
        let order: Vec<TestIx> = by_file.values().flatten().copied().collect();
        let mut suites: Vec<SuiteDraft> = view.suites.iter().map(suite).collect();
        for (&(suite, file), tests) in &by_file {
            let tests = tests.iter().map(|&ix| draft(view, ix, members[&view.test(ix).group] > 1)).collect();
            suites[suite.at()].files.push(FileDraft {
                path: Arc::clone(&view.files[file as usize].path),
                key: FileKey::default(),
                locator: "".into(),
                estimate: Micros::ZERO,
                tests: Some(tests),
                digest: 0,
            });
        }
        let policy = RunPolicy { list_only: false, timeout: None, max_failures: None, ..view.policy.clone() };
        let submission = Submission {
            resumes: None,
            run: view.run,
            project: view.project.as_str().into(),
            policy,
            policies: view.policies.clone(),
            needs: view.needs.clone(),
            suites,
        };
        Self { view, fleet, submission, order }
    }

    /// The run.
    pub(crate) const fn view(&self) -> &'a View {
        self.view
    }

    /// The fleet as it is.
    pub(crate) const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// How many tests there are to run.
    pub(crate) const fn count(&self) -> usize {
        self.order.len()
    }

    /// How long all tests take together.
    pub(crate) fn work(&self) -> Micros {
        self.order.iter().map(|&ix| self.view.test(ix).estimate).sum()
    }

    fn tests(&self) -> impl Iterator<Item = Expected<'_>> {
        self.order.iter().map(|&ix| Expected {
            ix,
            takes: self.view.test(ix).estimate,
            costs: self.view.suite_of(ix).costs,
            needs: self.view.needs_of(ix),
        })
    }

    /// What is to be expected on so many slots.
    pub(crate) fn on(&self, slots: u32) -> Outlook {
        let played = self.play(slots);
        let shift = |stint: &regatta_core::rehearsal::Stint| Shift {
            test: self.order[stint.test.at()],
            slot: stint.slot,
            began: stint.began,
            ended: stint.ended,
        };
        Outlook {
            slots,
            makespan: played.makespan,
            bound: Bound::of(self, slots),
            shifts: played.stints.iter().map(shift).collect(),
            stranded: self.stranded(&played),
        }
    }

    /// How many tests never ran: what waits for what never comes is given up in a while, in a rehearsal as well.
    fn stranded(&self, played: &Played) -> u32 {
        let ran: BTreeSet<TestIx> = played.stints.iter().map(|stint| stint.test).collect();
        u32::try_from(self.order.len() - ran.len()).unwrap_or(u32::MAX)
    }

    /// How long it takes on so many slots.
    pub(crate) fn makespan(&self, slots: u32) -> Micros {
        self.play(slots).makespan
    }

    fn play(&self, slots: u32) -> Played {
        let mut setup = Setup::from(self.fleet.tuning);
        let offers = self.fleet.resources.iter();
        setup.resources = offers.map(|(name, resource)| (Arc::clone(name), resource.clone().into())).collect();
        let takes = |test: TestIx| self.view.test(self.order[test.at()]).estimate;
        let costs = |suite: SuiteIx| self.view.suites[suite.at()].costs;
        let play = Play { takes: &takes, costs: &costs, latency: self.fleet.latency };
        rehearse(vec![self.submission.clone()], setup, &self.fleet.stations(slots), &play)
    }

    /// Where the estimates come from: how many tests and how much of the time, by source, the strongest first.
    pub(crate) fn sources(&self) -> Vec<(Source, usize, f64)> {
        let whole = self.work().as_secs_f64().max(f64::MIN_POSITIVE);
        let of = |source: Source| {
            let tests = self.order.iter().map(|&ix| self.view.test(ix)).filter(|test| test.source == source);
            let (count, time) = tests.fold((0, Micros::ZERO), |(count, time), test| (count + 1, time + test.estimate));
            (source, count, time.as_secs_f64() / whole)
        };
        Source::ALL.into_iter().rev().map(of).filter(|(_, count, _)| *count > 0).collect()
    }

    /// Predicted times by slots: 1, 2, 4, … as long as more of them help.
    pub(crate) fn table(&self) -> Vec<(u32, Micros)> {
        let mut table: Vec<(u32, Micros)> = Vec::new();
        let mut slots = 1;
        while slots <= MOST_SLOTS {
            let makespan = self.makespan(slots);
            let helped = table.last().is_none_or(|(_, before)| makespan.0 + makespan.0 / 32 < before.0);
            table.push((slots, makespan));
            if !helped || slots as usize >= self.count() {
                break;
            }
            slots *= 2;
        }
        table
    }

    /// What binds, in words.
    pub(crate) fn binds(&self, binds: &Binds) -> String {
        match binds {
            Binds::Work(share) => format!("plain work ({} for each slot)", words::span(*share)),
            Binds::Test(test, takes) => {
                format!("its longest test, {} ({})", safe::one_line(&self.view.id(*test)), words::span(*takes))
            }
            Binds::Resource(name, busy) => {
                format!("the resource {}, busy for {}", safe::one_line(name), words::span(*busy))
            }
        }
    }
}

impl Outlook {
    /// How near it comes to the bound; 1 where there is nothing to do.
    pub(crate) fn ratio(&self) -> f64 {
        let least = self.bound.least();
        if least == Micros::ZERO { 1.0 } else { self.makespan.as_secs_f64() / least.as_secs_f64() }
    }
}

fn suite(suite: &crate::view::Suite) -> SuiteDraft {
    SuiteDraft {
        suite: PlannedSuite {
            name: suite.name.as_str().into(),
            runner: RunnerKind::named(&suite.runner).unwrap_or(RunnerKind::Exec),
            root: "".into(),
            settings: "{}".into(),
            requires: suite.requires.iter().map(|label| label.as_str().into()).collect(),
            env: Vec::new(),
            databases: Vec::new(),
        },
        costs: suite.costs,
        discover: false,
        files: Vec::new(),
    }
}

fn draft(view: &View, ix: TestIx, shared: bool) -> TestDraft {
    let test = view.test(ix);
    let in_range = |at: usize, most: usize| if at <= most { at } else { 0 };
    TestDraft {
        name: Arc::clone(&test.name),
        line: test.line,
        key: test.key,
        group: shared.then(|| test.group.to_string().into()),
        estimate: Estimate { mean: test.estimate, spread: test.spread, source: test.source },
        risk: test.risk,
        needs: NeedsIx::nth(in_range(test.needs as usize, view.needs.len())),
        policy: PolicyIx::nth(in_range(test.policy.at() + 1, view.policies.len()).saturating_sub(1)),
        level: test.level,
        ignored: false,
    }
}
