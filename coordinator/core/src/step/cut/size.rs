//! How much work is right for one shard now.

use super::super::Turn;
use super::{Asker, Candidate};
use crate::state::{ResourceIx, Run};
use regatta_domain::{Micros, Need, NeedsIx};

/// Rounds of shards that the remaining work is cut into where a shard costs nothing to begin. Measured on real traces
/// with warm runners: 3 gave the best ratio to the lower bound.
const ROUNDS: u64 = 3;

/// Of tests without history, a shard takes at most the n-th part of what a slot's share would be: their estimates are
/// guesses, one bad guess must not hold up the end, and what the first of them show decides what goes next (measured on a
/// suite without any history: ratio 1.24 with 8, 1.15 with 32).
const GUESS_ROUNDS: u64 = 32;

/// Beginning a shard is cheap where what is left for a slot is so many times as long: it costs a hundredth of that at most.
const CHEAP: u64 = 100;

/// Where beginning a shard costs something, none is smaller than so many times that.
const LEAST_BATCHES: u64 = 10;

/// How much a shard may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// By estimate, on a worker of speed 1.
    pub(super) time: Micros,
    /// By count, for what has no history.
    pub(super) guesses: u64,
    /// By count, for files to list.
    pub(super) files: u64,
}

impl Turn<'_> {
    pub(super) fn size(&self, run: &Run, from: &Candidate<'_>, asker: Asker) -> Size {
        let suite = run.suite(from.suite);
        let speed = self.core.presence.speed(asker.worker);
        let capacity = self.core.presence.capacity(&suite.suite.requires).max(speed);
        let guesses: u64 = suite.queues.values().map(|queue| u64::from(queue.guesses())).sum();
        let few = (guesses * speed / (GUESS_ROUNDS * capacity)).max(1);
        let batch = suite.costs.batch;
        let share = self.share(run, from, speed, capacity);
        let tuning = &self.core.setup.tuning;
        // What costs little to begin is cut small. Else everything is dealt out at once, since taking unbegun work back costs
        // no more than a shard that was cut later (measured, a start of 2 s and shards of 77 s: ratio 1.076 when 90 % were
        // dealt first, 1.067 when all were; without history 1.45 and 1.34).
        let cheap = batch * CHEAP <= share;
        let time = if cheap {
            (share / ROUNDS).max(tuning.shard_min).max(batch * LEAST_BATCHES)
        } else {
            let most = if from.needs == NeedsIx(0) { self.level(run, asker) } else { share };
            most.max(batch)
        };
        Size {
            time: time.min(tuning.shard_max.max(batch * 50)),
            guesses: if cheap { few } else { u64::MAX },
            files: few,
        }
    }

    /// What is left for the slot, if all of them go on like this.
    fn share(&self, run: &Run, from: &Candidate<'_>, speed: u64, capacity: u64) -> Micros {
        let part = |left: Micros, of: u64| {
            let part = u128::from(left.0) * u128::from(speed) / u128::from(of.max(1));
            Micros(u64::try_from(part).unwrap_or(u64::MAX))
        };
        if from.needs == NeedsIx(0) {
            return part(run.waiting(), capacity);
        }
        let abreast = self.abreast(run, from.needs) * 1_000;
        part(from.queue.left(), capacity.min(abreast))
    }

    /// How much a slot that holds nothing has to do until all end, if all end together.
    pub(super) fn level(&self, run: &Run, asker: Asker) -> Micros {
        let speed = self.core.presence.speed(asker.worker);
        let capacity = self.core.presence.capacity(&[]).max(speed);
        let all = u128::from((run.waiting() + run.leased).0);
        Micros(u64::try_from(all * u128::from(speed) / u128::from(capacity.max(1))).unwrap_or(u64::MAX))
    }

    /// How many shards with these needs can run at the same time, if nothing else takes seats.
    pub(super) fn abreast(&self, run: &Run, needs: NeedsIx) -> u64 {
        let shards = |(need, ix): (&Need, ResourceIx)| {
            let total = self.core.ledger.total(run.id, ix);
            u64::from(total / need.of(total).max(1)).max(1)
        };
        run.parts(needs).map(shards).min().unwrap_or(1)
    }
}
