//! Idle slots take back what busy ones have not begun.
//!
//! A steal is a question: the worker answers with the tests, or with none. Until the answer, nothing has changed. The
//! test that a slot is at, begun or about to, stays with it: else two idle slots could take one test from each other for
//! as long as their frameworks take to start.

use super::Turn;
use crate::agenda::Deadline;
use crate::effect::ToWorker;
use crate::event::Event;
use crate::mutant::{self, Mutant};
use crate::state::{Lease, Phase, Place, Run};
use regatta_domain::{GroupIx, Micros, NeedsIx, RunId, TestIx, Token};
use std::collections::BTreeSet;

/// How soon idle slots look again: what is not worth taking from a slot now may be, once its running test has taken long.
pub(super) const LOOK_AGAIN: Micros = Micros::from_ms(100);

/// With more leases than this, slots look only when [`LOOK_AGAIN`] has passed: a look counts the questions that are out, and
/// visits the leases with the most left, at least so many (about 0.1 µs each); it must not be part of every step of a large
/// fleet.
const FEW: usize = 256;

impl Turn<'_> {
    /// For every slot that has nothing at all and asks in vain, asks a slot with much to do for half of what it has not
    /// begun.
    pub(super) fn steal(&mut self) {
        let waits = self.core.agenda.has(Deadline::Rebalance);
        if waits && self.core.state.leases.len() > FEW {
            return;
        }
        let is_ill = self.ask_back_what_is_ill();
        if self.make_room() {
            if !waits {
                self.core.agenda.set(Deadline::Rebalance, self.now + LOOK_AGAIN);
            }
            return;
        }
        let idle = self.core.presence.asks.idle();
        if !is_ill && (idle == 0 || self.core.state.leases.is_empty()) {
            return self.core.agenda.clear(Deadline::Rebalance);
        }
        let asked = self.core.presence.progress.values().filter(|progress| !progress.stealing.is_empty()).count();
        for (token, tests) in self.loot(idle.saturating_sub(asked)) {
            if mutant::is(Mutant::TakesUnasked) {
                let run = self.core.state.leases[&token].run;
                self.record(Event::TestsGivenBack { run, token, tests: tests.clone() });
            }
            self.ask_back(token, tests);
        }
        if !waits {
            self.core.agenda.set(Deadline::Rebalance, self.now + LOOK_AGAIN);
        }
    }

    /// Where something is ill that a lease holds: asks for all that has not begun under it, which would only fail, or wait in a slot
    /// that others could use. Whether there is anything of that kind.
    fn ask_back_what_is_ill(&mut self) -> bool {
        let ledger = &self.core.ledger;
        let holders = ledger.ill().filter_map(|name| self.core.state.held.get(name)).flat_map(|held| &held.tokens);
        let holders: BTreeSet<Token> = holders.copied().collect();
        let leases = holders.into_iter().map(|token| (token, &self.core.state.leases[&token]));
        let ill: Vec<(Token, Vec<TestIx>)> = leases
            .filter(|(_, lease)| ledger.holds_ill(&lease.holds))
            .filter(|(_, lease)| !self.core.state.runs[&lease.run].is_over(lease.work.suite()))
            .map(|(token, lease)| (token, self.unbegun_of(token, lease)))
            .filter(|(_, tests)| !tests.is_empty())
            .collect();
        let any = !ill.is_empty();
        for (token, mut tests) in ill {
            let worker = self.core.state.leases[&token].worker;
            let (now, connected) = (self.now, self.core.presence.session(worker).is_some());
            let progress = self.progress(token);
            if !connected || !progress.stealing.is_empty() || now < progress.again {
                continue;
            }
            if progress.left >= tests.len() {
                // Perhaps nothing of it was begun, but for a moment: what waits for what it needs may be taken out again.
                progress.left = 0;
            }
            let tests = tests.split_off(progress.left);
            self.ask_back(token, tests);
        }
        any
    }

    /// What has not begun under a lease, as far as is known, in order: the test that the slot is at as well, where it may still wait
    /// for what it needs.
    fn unbegun_of(&self, token: Token, lease: &Lease) -> Vec<TestIx> {
        let run = &self.core.state.runs[&lease.run];
        let running = self.core.presence.progress.get(&token).and_then(|progress| progress.running);
        let waits = |&test: &TestIx| {
            run.test(test).place == Place::Leased(token) && running.is_none_or(|(running, _)| running != test)
        };
        lease.tests.iter().copied().filter(waits).collect()
    }

    /// Where a run has work, holds nothing, and no slot is free: asks a run that is further above its share for all that one
    /// of its slots has not begun, so that the slot is free once its running test has ended. Whether anybody waits so.
    fn make_room(&mut self) -> bool {
        let live = self.core.state.runs.values().filter(|run| run.phase == Phase::Running);
        if live.clone().nth(1).is_none() || self.core.presence.asks.idle() > 0 {
            return false;
        }
        let waits =
            |run: &&Run| run.leases.is_empty() && run.suites.iter().any(|suite| suite.queues.contains_key(&NeedsIx(0)));
        let Some(waiting) = live.clone().filter(waits).min_by_key(|run| (self.turn_of_run(run), run.id)) else {
            return false;
        };
        let turn = self.turn_of_run(waiting);
        let above = live.filter(|run| !run.leases.is_empty() && self.turn_of_run(run) > turn);
        let above: BTreeSet<RunId> = above.map(|run| run.id).collect();
        let asked = self.core.presence.progress.values().any(|progress| !progress.stealing.is_empty());
        if asked || above.is_empty() || mutant::is(Mutant::SharesIgnored) {
            return true;
        }
        let longest = self.core.state.leases.longest().filter(|(_, lease)| above.contains(&lease.run)).take(FEW);
        let found = longest
            .map(|(token, lease)| self.victim(token, lease))
            .find(|(victim, first)| self.may_be_asked(victim) && victim.token == *first)
            .map(|(victim, _)| (victim.token, victim.unbegun().collect::<Vec<_>>()));
        if let Some((token, tests)) = found.filter(|(_, tests)| !tests.is_empty()) {
            self.ask_back(token, tests);
        }
        true
    }

    /// Asks a lease to give tests back.
    fn ask_back(&mut self, token: Token, tests: Vec<TestIx>) {
        let worker = self.core.state.leases[&token].worker;
        self.progress(token).stealing.clone_from(&tests);
        self.send(worker, ToWorker::Steal { token, tests });
    }

    /// A lease as one that may be taken from, and the one that its slot works on.
    fn victim<'a>(&'a self, token: Token, lease: &'a Lease) -> (Victim<'a>, Token) {
        let held = self.core.state.slots.get(&(lease.worker, lease.slot));
        let first = held.and_then(BTreeSet::first).copied().unwrap_or(token);
        let run = &self.core.state.runs[&lease.run];
        let victim = Victim {
            run,
            lease,
            token,
            at: self.at(lease, token, first),
            speed: self.core.presence.speed(lease.worker),
            cost: self.cost_of_taking(run, lease),
        };
        (victim, first)
    }

    /// The best leases to take from, at most so many, and what to take: the tail of each, in whole groups.
    fn loot(&self, most: usize) -> Vec<(Token, Vec<TestIx>)> {
        if most == 0 {
            return Vec::new();
        }
        let mut worth = Vec::new();
        for (token, lease) in self.core.state.leases.longest().take(most.saturating_mul(2).max(FEW)) {
            let (victim, first) = self.victim(token, lease);
            if self.may_be_asked(&victim) && self.is_worth_it(&victim, first) {
                worth.push((victim.waiting(), token, victim));
            }
        }
        worth.sort_by_key(|&(waiting, token, _)| std::cmp::Reverse((waiting, token)));
        let loot = worth.into_iter().map(|(_, token, victim)| (token, victim.tail()));
        loot.filter(|(_, tests)| !tests.is_empty()).take(most).collect()
    }

    /// What it costs another slot to take work over.
    fn cost_of_taking(&self, run: &Run, lease: &Lease) -> Micros {
        let costs = run.suite(lease.work.suite()).costs;
        costs.batch + costs.file.max(self.core.setup.tuning.handover) + costs.group
    }

    /// The test that the slot is at under the lease: the one that runs, or the next, where no other lease goes first.
    fn at(&self, lease: &Lease, token: Token, first: Token) -> Option<TestIx> {
        if first != token {
            return None;
        }
        let run = &self.core.state.runs[&lease.run];
        let running = self.core.presence.progress.get(&token).and_then(|progress| progress.running);
        let mut open = lease.tests.iter().copied().filter(|&test| run.test(test).place == Place::Leased(token));
        running.map(|(test, _)| test).or_else(|| open.next())
    }

    fn may_be_asked(&self, victim: &Victim<'_>) -> bool {
        let Victim { run, lease, token, at, .. } = victim;
        let progress = self.core.presence.progress.get(token);
        let busy = progress.is_some_and(|progress| progress.barren || !progress.stealing.is_empty());
        let connected = self.core.presence.session(lease.worker).is_some();
        // What needs resources can go on elsewhere only if there is a seat beside the one that its own lease holds.
        let may = |needs| self.may_take(run, lease.work.suite(), needs, None, self.core.ledger.view(run.id));
        let goes_on = lease.needs == NeedsIx(0) || may(lease.needs);
        let begun = u32::from(at.is_some());
        !busy && connected && goes_on && !run.is_over(lease.work.suite()) && lease.open > begun
    }

    /// Taking work over costs the other slot a file; it must win more than that. Behind a test that takes long, or in a
    /// shard that its slot has not come to, everything waits longer than estimated.
    fn is_worth_it(&self, victim: &Victim<'_>, first: Token) -> bool {
        let cost = victim.cost;
        let running = self.core.presence.progress.get(&first).and_then(|progress| progress.running);
        let held_up = running.is_some_and(|(_, since)| self.now.since(since) > cost * 4);
        victim.waiting() > cost * 2 || held_up
    }
}

/// A lease that may be taken from.
struct Victim<'a> {
    run: &'a Run,
    lease: &'a Lease,
    token: Token,
    /// The test that its slot is at.
    at: Option<TestIx>,
    /// How fast it is, in thousandths.
    speed: u64,
    /// What it costs another slot to take work over.
    cost: Micros,
}

impl Victim<'_> {
    /// How long what is behind the test at work may take.
    fn waiting(&self) -> Micros {
        let at = self.at.map_or(Micros::ZERO, |test| self.run.test(test).takes());
        self.lease.left.saturating_sub(at) * 1_000 / self.speed
    }

    /// What has not begun, in order.
    fn unbegun(&self) -> impl DoubleEndedIterator<Item = TestIx> + '_ {
        let waits = |&test: &TestIx| self.run.test(test).place == Place::Leased(self.token) && Some(test) != self.at;
        self.lease.tests.iter().copied().filter(waits)
    }

    /// Whole groups from the end of the lease, about half of what waits, and at least one. The group at work is split
    /// where there is no other.
    fn tail(&self) -> Vec<TestIx> {
        // As much as lets both end together, the other one having to begin first.
        let cost = self.cost * self.speed / 1_000;
        let whole: Micros = self.unbegun().map(|test| self.run.test(test).takes()).sum();
        let at_work = |group: GroupIx| self.at.is_some_and(|test| self.run.test(test).group == group);
        let mut taken = Micros::ZERO;
        let mut last = None;
        let mut tests = Vec::new();
        for test in self.unbegun().rev() {
            let group = self.run.test(test).group;
            let other = last.is_some_and(|last| last != group);
            let enough = taken * 2 + cost >= whole && (other || (last.is_some() && at_work(group)));
            if enough || (other && at_work(group)) {
                break;
            }
            last = Some(group);
            taken += self.run.test(test).takes();
            tests.push(test);
        }
        tests.reverse();
        tests
    }
}
