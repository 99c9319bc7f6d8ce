//! Slots that ask are served: idle ones first, in the order in which they asked, each from the run that is furthest below
//! its share.

use super::Turn;
use super::cut::Asker;
use crate::agenda::Deadline;
use crate::command::{OF_WORKERS, Share};
use crate::effect::{Grant, GrantedWork, ToWorker};
use crate::event::{Event, Work};
use crate::mutant::{self, Mutant};
use crate::presence::{Standing, Warm};
use crate::state::{Phase, Run};
use regatta_domain::policy::Priority;
use regatta_domain::{FileIx, Micros, NeedsIx, RunId, SlotIx, TestIx, Token, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

/// A run that has work and is granted none counts one share more each time this has passed, so that it is served at last
/// whoever it stands against: the lowest class beats the highest after 63 times this, a good five minutes.
const AGEING: Micros = Micros::from_secs(5);

impl Turn<'_> {
    /// Serves as many of the slots that ask as there is work for.
    pub(super) fn serve(&mut self) {
        for standing in [Standing::Idle, Standing::Ahead] {
            for class in 0..self.core.presence.classes().len() {
                let class = u16::try_from(class).unwrap_or(u16::MAX);
                let mut since = 0;
                while let Some((asked, worker, slot)) = self.core.presence.asks.first(standing, class, since) {
                    let asker = Asker { worker, slot, standing };
                    if standing == Standing::Ahead && self.had_better_wait(asker) {
                        self.core.presence.asks.stand(worker, slot, Standing::Full);
                        continue;
                    }
                    let Some((run, work)) = self.next_work(asker) else {
                        // What one of them may not have, none may, unless it hangs on what each has left of its own.
                        let owns = !self.core.presence.classes()[usize::from(class)].owns.is_empty();
                        if !owns || !self.anyone_needs_of_workers() {
                            break;
                        }
                        since = asked + 1;
                        continue;
                    };
                    self.core.presence.asks.answer(worker, slot);
                    self.lease(run, worker, slot, work);
                }
            }
        }
    }

    /// Whether a slot that asks ahead holds what other work waits for: it is served when its shard is over, and goes on with
    /// that; else its resource would lie idle until some other slot has nothing to do.
    fn had_better_wait(&self, asker: Asker) -> bool {
        let held = self.core.state.slots.get(&(asker.worker, asker.slot)).into_iter().flatten();
        held.map(|token| &self.core.state.leases[token])
            .any(|lease| self.core.state.runs[&lease.run].rivals(lease.needs).next().is_some())
    }

    /// Whether any live run needs something that workers have of their own.
    fn anyone_needs_of_workers(&self) -> bool {
        let live = self.core.state.runs.values().filter(|run| run.phase == Phase::Running);
        live.flat_map(|run| &run.resources).any(|name| name.starts_with(OF_WORKERS))
    }

    /// What a slot does next: a shard of the run that is furthest below its share, of those that have one for it.
    fn next_work(&self, asker: Asker) -> Option<(RunId, Work)> {
        let live = || self.core.state.runs.values().filter(|run| run.phase == Phase::Running);
        let mut only = live();
        if let (Some(run), None) = (only.next(), only.next()) {
            let may = self.quota_left(run, run.leases.len());
            return self.cut(run.id, asker).filter(|_| may).map(|work| (run.id, work));
        }
        let mut used: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
        for run in live() {
            let (leases, shares) = used.entry(&run.project).or_default();
            *leases += run.leases.len();
            *shares += shares_of(run, run.leases.len());
        }
        let mut order: Vec<_> = live()
            .filter(|run| self.quota_left(run, used[&*run.project].0))
            .map(|run| {
                (self.turn_of(run, used[&*run.project].1), shares_of(run, run.leases.len()), run.submitted, run.id)
            })
            .collect();
        order.sort_unstable();
        if mutant::is(Mutant::SharesIgnored) {
            order.sort_by_key(|&(.., run)| run);
        }
        order.into_iter().find_map(|(.., run)| self.cut(run, asker).map(|work| (run, work)))
    }

    /// What the project of a run may have of the fleet.
    pub(super) fn share_of(&self, run: &Run) -> Share {
        self.core.setup.shares.get(&run.project).copied().unwrap_or_default()
    }

    fn quota_left(&self, run: &Run, leases: usize) -> bool {
        self.share_of(run).quota.is_none_or(|quota| leases < quota as usize)
    }

    /// Where a run stands against others: see [`Turn::turn_of`].
    pub(super) fn turn_of_run(&self, run: &Run) -> u64 {
        let of_project = self.core.state.runs.values().filter(|other| other.project == run.project);
        let used =
            of_project.filter(|other| other.phase == Phase::Running).map(|other| shares_of(other, other.leases.len()));
        self.turn_of(run, used.sum())
    }

    /// Where a run stands, the smallest first: what its project uses with one more lease of it, by the project's weight;
    /// less, the longer it waits.
    fn turn_of(&self, run: &Run, used: u64) -> u64 {
        let waited = self.now.since(run.served_at).0 / AGEING.0;
        let weight = u64::from(self.share_of(run).weight.max(1)).saturating_mul(1 + waited);
        (used + shares_of(run, 1)).saturating_mul(1_000_000) / weight
    }

    /// The retry that may be leased by now, to a slot that may have what it needs.
    pub(super) fn due(&self, run: &Run, asker: Asker) -> Option<TestIx> {
        let due = run.delayed.iter().take_while(|&&(at, _)| at <= self.now).map(|&(_, test)| test);
        // Few are looked at: those that wait for the same resource wait behind each other.
        due.take(16).find(|&test| {
            let found = run.test(test);
            let suite = run.file(found.file).suite;
            self.core.presence.carries(asker.worker, &run.suite(suite).suite.requires)
                && (found.needs == NeedsIx(0)
                    || self.may_take(run, suite, found.needs, Some(asker), self.core.ledger.view(run.id)))
        })
    }

    pub(super) fn lease(&mut self, run: RunId, worker: WorkerId, slot: SlotIx, work: Work) {
        let mut token = self.core.state.last_token.next();
        if mutant::is(Mutant::TokenReused) {
            token = self.core.state.leases.last_key_value().map_or(Token::default(), |(&last, _)| last).next();
        }
        let suite = work.suite();
        let granted = match &work {
            Work::Discover(_) => GrantedWork::Discover,
            Work::List(_, files) => GrantedWork::List(files.clone()),
            Work::Run(_, tests) => GrantedWork::Run(self.granted(run, tests.iter().copied())),
            Work::Again(_, test) => GrantedWork::Run(self.granted(run, [*test])),
        };
        self.pass_over(run, &work);
        let (file, needs) = self.last_file(run, &work);
        self.core.presence.warm.insert((worker, slot), Warm { run, suite, file, needs });
        let holds = match &work {
            // What may be taken can be chosen: nothing has changed since it was cut.
            Work::Run(..) => self.choose(&self.core.state.runs[&run], needs).unwrap_or_default(),
            Work::Discover(_) | Work::List(..) | Work::Again(..) => Vec::new(),
        };
        self.record(Event::ShardLeased { at: self.now, run, token, worker, slot, work, holds });
        self.await_retry(run);
        self.send(worker, ToWorker::Grant(Grant { run, token, slot, suite, work: granted }));
    }

    /// The file that a shard comes to last, and what the shard needs.
    fn last_file(&self, run: RunId, work: &Work) -> (Option<FileIx>, NeedsIx) {
        match work {
            Work::Run(_, tests) => {
                let last = tests.last().map(|&test| self.core.state.runs[&run].test(test));
                (last.map(|test| test.file), last.map_or(NeedsIx(0), |test| test.needs))
            }
            Work::List(_, files) => (files.last().copied(), NeedsIx(0)),
            Work::Again(_, test) => (Some(self.core.state.runs[&run].test(*test).file), NeedsIx(0)),
            Work::Discover(_) => (None, NeedsIx(0)),
        }
    }

    /// Notes whom a shard goes before: work of its run that was more urgent, and whose resources are taken.
    fn pass_over(&mut self, run: RunId, work: &Work) {
        let found = &self.core.state.runs[&run];
        if found.needs.is_empty() {
            return;
        }
        let mine = match work {
            Work::Run(suite, tests) => (run, *suite, found.test(tests[0]).needs),
            Work::Discover(suite) | Work::List(suite, _) | Work::Again(suite, _) => (run, *suite, NeedsIx(0)),
        };
        self.core.presence.bypassed.serve(&mine);
        if mutant::is(Mutant::BypassesUncounted) {
            return;
        }
        let most = self.core.setup.tuning.bypasses;
        for (suite, needs) in found.rivals(mine.2).collect::<BTreeSet<_>>() {
            if (suite, needs) != (mine.1, mine.2) {
                self.core.presence.bypassed.pass((run, suite, needs), most);
            }
        }
    }

    /// Sets the clock to the next retry that is not due yet. Those that are due wait for a slot, not for a moment.
    pub(super) fn await_retry(&mut self, run: RunId) {
        let Some(found) = self.run(run) else { return };
        let later = (self.now + Micros(1), TestIx(0));
        match found.delayed.range(later..).next() {
            Some(&(at, _)) => self.core.agenda.set(Deadline::RetryDue(run), at),
            None => self.core.agenda.clear(Deadline::RetryDue(run)),
        }
    }
}

/// What so many leases of a run count against its share: those of a higher class count less.
fn shares_of(run: &Run, leases: usize) -> u64 {
    let most = Priority::Interactive.weight();
    (leases as u64).saturating_mul(most / run.policy.priority.weight())
}
