//! A shard is cut: about as much work as is right now, what could end last first.
//!
//! The size follows guided self-scheduling (Polychronopoulos and Kuck 1987): a part of what is left, over the slots. It
//! shrinks as the remaining work does, so that slots end together without knowing the future.

mod filling;
mod size;

use super::Turn;
use crate::command::OF_WORKERS;
use crate::event::Work;
use crate::ledger::{View, left_on};
use crate::mutant::{self, Mutant};
use crate::presence::Standing;
use crate::state::{Entry, Queue, Rank, ResourceIx, Run};
use filling::Filling;
use regatta_domain::{FileIx, Held, Micros, Need, NeedsIx, RunId, SlotIx, SuiteIx, TestIx, WorkerId};
use size::Size;

/// A slot for which a shard is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) worker: WorkerId,
    pub(super) slot: SlotIx,
    pub(super) standing: Standing,
}

/// At most so many slots are dealt to at once: a cut visits that many groups for each that it takes.
const STRIDE: usize = 64;

/// What waits in one queue of a run, and how urgent it is.
struct Candidate<'a> {
    suite: SuiteIx,
    needs: NeedsIx,
    queue: &'a Queue,
    entry: Entry,
    rank: Rank,
}

impl Turn<'_> {
    /// Cuts the next shard of a run for a slot; `None` where nothing waits that it may have.
    pub(super) fn cut(&self, run: RunId, asker: Asker) -> Option<Work> {
        let run = &self.core.state.runs[&run];
        if let Some(test) = self.due(run, asker) {
            // A retry runs in a shard of its own: whatever it does, it does it alone.
            return Some(Work::Run(run.file(run.test(test).file).suite, vec![test]));
        }
        let best = self.most_urgent(run, asker)?;
        let size = self.size(run, &best, asker);
        Some(match best.entry {
            Entry::Discover(suite) => Work::Discover(suite),
            Entry::File(_) => Work::List(best.suite, files(best.queue, size)),
            Entry::Group(_) => Work::Run(best.suite, self.tests(run, &best, size, asker)),
        })
    }

    /// The heads of the queues that the slot may have something from.
    fn candidates<'r>(&'r self, run: &'r Run, asker: Asker) -> impl Iterator<Item = Candidate<'r>> {
        let suites = (0..run.suites.len()).map(SuiteIx::nth);
        let suites =
            suites.filter(move |&suite| self.core.presence.carries(asker.worker, &run.suite(suite).suite.requires));
        let view = self.core.ledger.view(run.id);
        suites.flat_map(move |suite| {
            run.suite(suite).queues.iter().filter_map(move |(&needs, queue)| {
                // Nearly everything may be waiting for something: what there is none of is passed over first.
                if needs != NeedsIx(0) && !self.may_take(run, suite, needs, Some(asker), view) {
                    return None;
                }
                let (rank, entry) = queue.first()?;
                Some(Candidate { suite, needs, queue, entry, rank })
            })
        })
    }

    /// Whether everything is free that is needed, for a slot (or for whichever may come). A slot that still works takes no
    /// resources: it would hold them idle.
    pub(super) fn may_take(
        &self,
        run: &Run,
        suite: SuiteIx,
        needs: NeedsIx,
        asker: Option<Asker>,
        view: View<'_>,
    ) -> bool {
        let idle = asker.is_none_or(|asker| asker.standing == Standing::Idle);
        let room = || view.shards(needs) > 0 && (!view.is_local(needs) || self.left_on(run, needs, asker) > 0);
        if !idle || !(room() || mutant::is(Mutant::SeatsUncounted)) {
            return false;
        }
        let wanted = run.needs_of(needs);
        let kept = |need: &Need| self.is_kept(&need.resource, (run.id, suite, needs));
        let plain = wanted.iter().all(|need| need.wants.is_empty());
        !wanted.iter().any(kept) && (plain || self.choose(run, needs).is_some())
    }

    /// What a shard with these needs would hold.
    pub(super) fn choose(&self, run: &Run, needs: NeedsIx) -> Option<Vec<Held>> {
        self.core.ledger.choose(run, needs, &self.core.state, self.now)
    }

    /// Whether somebody else has been passed over so often that the resource is kept for them. Of several, the first in
    /// order has it: else they would keep it from each other for ever.
    fn is_kept(&self, resource: &str, asks: (RunId, SuiteIx, NeedsIx)) -> bool {
        let bypassed = &self.core.presence.bypassed;
        let mine = bypassed.is_starved(&asks) && !mutant::is(Mutant::KeptByAll);
        bypassed.starved().any(|(run, suite, needs)| {
            let before = (run, suite, needs) < asks || (!mine && (run, suite, needs) != asks);
            before
                && self.run(run).is_some_and(|run| {
                    run.suite(suite).queues.contains_key(&needs)
                        && run.needs_of(needs).iter().any(|need| &*need.resource == resource)
                })
        })
    }

    /// What had better begin now: what the slot held before, or else what holds the resource that will be busy the longest,
    /// as long as the longest of the rest can still begin after it (or on another slot); then the longest of the rest.
    fn most_urgent<'r>(&'r self, run: &'r Run, asker: Asker) -> Option<Candidate<'r>> {
        let mut longest: Option<Candidate<'r>> = None;
        let mut scarcest: Option<((bool, Micros), Candidate<'r>)> = None;
        let warm = self.core.presence.warm.get(&(asker.worker, asker.slot)).filter(|warm| warm.run == run.id);
        for found in self.candidates(run, asker) {
            if found.needs != NeedsIx(0) {
                let demands = run.parts(found.needs).map(|(_, ix)| self.demand(run, ix));
                // A slot goes on with what it has just held: the others may all be busy for long.
                let goes_on = warm.is_some_and(|warm| (warm.suite, warm.needs) == (found.suite, found.needs));
                let demand = (goes_on, demands.max().unwrap_or_default());
                if scarcest.as_ref().is_none_or(|(most, _)| demand > *most) {
                    scarcest = Some((demand, found));
                }
            } else if longest.as_ref().is_none_or(|other| found.rank < other.rank) {
                longest = Some(found);
            }
        }
        let Some((_, scarce)) = scarcest else { return longest };
        let Some(long) = longest else { return Some(scarce) };
        let Entry::Group(head) = long.entry else { return Some(long) };
        let shard = self.size(run, &scarce, asker).time.min(scarce.queue.left());
        let in_time = self.free() > 1 || run.group(head).estimate + shard <= self.level(run, asker);
        Some(if in_time { scarce } else { long })
    }

    /// How long a resource will be busy with what waits in the run, if it is never idle.
    pub(super) fn demand(&self, run: &Run, ix: ResourceIx) -> Micros {
        run.demands[ix.at()].busy(self.core.ledger.total(run.id, ix))
    }

    /// Takes groups from the head until the shard is full: with others of their file, where taking up a file costs
    /// something.
    fn tests(&self, run: &Run, from: &Candidate<'_>, size: Size, asker: Asker) -> Vec<TestIx> {
        let costs = run.suite(from.suite).costs;
        let mut filling = Filling::new(run, size, costs);
        let by_file = costs.file + costs.group > Micros::ZERO;
        if !by_file {
            // Dealt like cards where several slots ask: each begins with one of the longest, and none has them all.
            let abreast = match from.needs {
                NeedsIx(0) => STRIDE,
                needs => {
                    self.core.ledger.view(run.id).shards(needs).min(self.left_on(run, needs, Some(asker))) as usize
                }
            };
            let stride = self.free().min(abreast).clamp(1, STRIDE);
            let groups = from.queue.iter().map_while(|entry| match entry {
                Entry::Group(group) => Some(group),
                _ => None,
            });
            for group in groups.step_by(stride) {
                filling.take(group);
                if filling.is_full() {
                    break;
                }
            }
            return filling.in_turn();
        }
        let warm = self.core.presence.warm.get(&(asker.worker, asker.slot));
        let warm = warm.filter(|warm| warm.run == run.id && warm.suite == from.suite).and_then(|warm| warm.file);
        // What the slot has at hand goes on, unless something far longer waits.
        let at_hand = warm.filter(|&file| {
            let rest = from.queue.estimate(file);
            rest > Micros::ZERO && self.goes_on(run, from, rest)
        });
        if let Some(file) = at_hand {
            filling.take_file(from.queue, file);
        }
        for next in from.queue.iter() {
            if filling.is_full() {
                break;
            }
            let Entry::Group(next) = next else { break };
            let file = run.group(next).file;
            filling.take_file(from.queue, file);
        }
        filling.by_file()
    }

    /// How many shards with these needs could begin now on a worker (or on whichever may come), by what it has of its own.
    fn left_on(&self, run: &Run, needs: NeedsIx, asker: Option<Asker>) -> u32 {
        let Some(Asker { worker, .. }) = asker else { return u32::MAX };
        let local = run.needs_of(needs).iter().filter(|need| need.resource.starts_with(OF_WORKERS));
        let left = |need: &Need| {
            let own = self.core.presence.own(worker, &need.resource);
            left_on(own, self.core.state.held.get(&need.resource), worker) / need.of(own.max(1)).max(1)
        };
        local.map(left).min().unwrap_or(u32::MAX)
    }

    /// How many slots hold nothing, whether they have asked yet or not.
    fn free(&self) -> usize {
        self.core.presence.slots().saturating_sub(self.core.state.slots.len())
    }

    /// Whether a slot goes on with the file that it has at hand, of which so much waits: what else waits is not so long
    /// that it had better begin now.
    fn goes_on(&self, run: &Run, from: &Candidate<'_>, rest: Micros) -> bool {
        let Some((rank, Entry::Group(head))) = from.queue.first() else { return false };
        let alone = Micros(rank.weight()).max(run.group(head).estimate);
        let slots = self.core.presence.capacity(&run.suite(from.suite).suite.requires).max(1_000) / 1_000;
        rank.weight() < Rank::PROBE.weight() && (alone <= rest || alone * 2 <= from.queue.left() / slots)
    }
}

/// Files to list: as many as tests without history would be.
fn files(queue: &Queue, size: Size) -> Vec<FileIx> {
    let files = queue.iter().map_while(|entry| match entry {
        Entry::File(file) => Some(file),
        _ => None,
    });
    files.take(usize::try_from(size.files).unwrap_or(usize::MAX)).collect()
}
