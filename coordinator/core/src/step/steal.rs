//! Idle slots take back what busy ones have not begun.
//!
//! A steal is a question: the worker answers with the tests, or with none. Until the answer, nothing has changed.

use super::Turn;
use crate::agenda::Deadline;
use crate::effect::ToWorker;
use crate::state::{Lease, Place, Run};
use regatta_domain::{GroupIx, Micros, SlotIx, TestIx, Token, WorkerId};

/// How soon idle slots look again: what is not worth taking from a slot now may be, once its running test has taken long.
const LOOK_AGAIN: Micros = Micros::from_ms(100);

impl Turn<'_> {
    /// For every slot that has nothing at all and asks in vain, asks the slot with most to do for half of what it has not
    /// begun.
    pub(super) fn steal(&mut self) {
        let idle = self.idle();
        if idle == 0 {
            return self.core.agenda.clear(Deadline::Rebalance);
        }
        let asked = self.core.presence.progress.values().filter(|progress| !progress.stealing.is_empty()).count();
        for _ in asked..idle {
            let Some((token, tests)) = self.loot() else { break };
            let worker = self.core.state.leases[&token].worker;
            self.progress(token).stealing.clone_from(&tests);
            self.send(worker, ToWorker::Steal { token, tests });
        }
        if self.core.state.leases.is_empty() {
            self.core.agenda.clear(Deadline::Rebalance);
        } else if !self.core.agenda.has(Deadline::Rebalance) {
            self.core.agenda.set(Deadline::Rebalance, self.now + LOOK_AGAIN);
        }
    }

    /// Slots that ask and hold nothing.
    fn idle(&self) -> usize {
        self.core.presence.asks.iter().filter(|&&(worker, slot)| self.held(worker, slot) == 0).count()
    }

    /// The best lease to take from, and what to take: the tail of it, in whole groups.
    fn loot(&self) -> Option<(Token, Vec<TestIx>)> {
        let leases = self.core.state.leases.iter();
        let worth = leases.filter_map(|(&token, lease)| {
            let run = &self.core.state.runs[&lease.run];
            let progress = self.core.presence.progress.get(&token);
            let barren = progress.is_some_and(|progress| progress.barren || !progress.stealing.is_empty());
            let connected = self.core.presence.workers.contains_key(&lease.worker);
            if barren || !connected || run.is_over(lease.work.suite()) {
                return None;
            }
            let running = progress.and_then(|progress| progress.running);
            let begun = running.map_or(Micros::ZERO, |(test, _)| run.test(test).estimate);
            let unstarted = u32::from(running.is_some());
            let waiting = lease.left.saturating_sub(begun);
            if lease.open <= unstarted || !self.is_worth_it(lease, token, waiting) {
                return None;
            }
            Some((waiting, token))
        });
        let (_, token) = worth.max()?;
        let lease = &self.core.state.leases[&token];
        let tests = self.tail(&self.core.state.runs[&lease.run], lease, token);
        (!tests.is_empty()).then_some((token, tests))
    }

    /// Taking work over costs the other slot a file; it must win more than that. Behind a test that takes long, or in a
    /// shard that its slot has not come to, everything waits longer than estimated.
    fn is_worth_it(&self, lease: &Lease, token: Token, waiting: Micros) -> bool {
        let cost = self.core.tuning.file_cost;
        let running = self.core.presence.progress.get(&token).and_then(|progress| progress.running);
        let held_up = match running {
            Some((_, since)) => self.now.since(since) > cost * 4,
            None => self.is_behind(lease.worker, lease.slot, token),
        };
        waiting > cost * 2 || held_up
    }

    /// Whether the slot works on another lease first, and has done so for a while.
    fn is_behind(&self, worker: WorkerId, slot: SlotIx, token: Token) -> bool {
        let others = self.core.state.leases.range(..token).filter(|(_, l)| l.worker == worker && l.slot == slot);
        others.map(|(other, _)| self.core.presence.progress.get(other)).any(|progress| {
            let since = progress.and_then(|progress| progress.running).map(|(_, since)| since);
            since.is_some_and(|since| self.now.since(since) > self.core.tuning.file_cost * 4)
        })
    }

    /// Whole groups from the end of a lease, about half of what has not begun, and at least one.
    fn tail(&self, run: &Run, lease: &Lease, token: Token) -> Vec<TestIx> {
        let progress = self.core.presence.progress.get(&token);
        let running = progress.and_then(|progress| progress.running).map(|(test, _)| test);
        let waits = |&&test: &&TestIx| run.test(test).place == Place::Leased(token) && Some(test) != running;
        let whole: Micros = lease.tests.iter().filter(waits).map(|&test| run.test(test).estimate).sum();
        let started = |group: GroupIx| running.is_some_and(|test| run.test(test).group == group);
        let mut taken = Micros::ZERO;
        let mut last = None;
        let mut tests = Vec::new();
        for &test in lease.tests.iter().rev().filter(waits) {
            let group = run.test(test).group;
            if taken * 2 >= whole && last.is_some() && last != Some(group) {
                break;
            }
            if started(group) && run.group(group).shared && tests.len() + 1 < lease.open as usize && last.is_some() {
                break;
            }
            last = Some(group);
            taken += run.test(test).estimate;
            tests.push(test);
        }
        tests.reverse();
        tests
    }
}
