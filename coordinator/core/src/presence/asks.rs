//! The slots that ask for a shard: by what they hold, by the labels of their worker, in the order in which they asked.

use regatta_domain::{SlotIx, WorkerId};
use std::collections::BTreeMap;

/// How a slot stands that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It holds nothing.
    Idle,
    /// It asks ahead: its shard is about to end.
    Ahead,
    /// It holds as much as it may: its question overtook the word that a lease is over.
    Full,
}

/// Slots that ask; each at most once. Every operation is O(log n).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asks {
    order: BTreeMap<(Standing, u16, u64), (WorkerId, SlotIx)>,
    of: BTreeMap<(WorkerId, SlotIx), (Standing, u16, u64)>,
    asked: u64,
    idle: usize,
}

impl Standing {
    /// How a slot stands that holds so many leases.
    #[must_use]
    pub const fn holding(leases: usize, most: usize) -> Self {
        match leases {
            0 => Self::Idle,
            held if held < most => Self::Ahead,
            _ => Self::Full,
        }
    }
}

impl Asks {
    /// A slot asks. A second question of the same slot is the same question.
    pub fn ask(&mut self, worker: WorkerId, slot: SlotIx, class: u16, standing: Standing) {
        if self.of.contains_key(&(worker, slot)) {
            return;
        }
        self.asked += 1;
        self.put(worker, slot, (standing, class, self.asked));
    }

    /// A slot that may ask stands differently by now.
    pub fn stand(&mut self, worker: WorkerId, slot: SlotIx, standing: Standing) {
        if let Some((before, class, asked)) = self.of.get(&(worker, slot)).copied()
            && before != standing
        {
            self.answer(worker, slot);
            self.put(worker, slot, (standing, class, asked));
        }
    }

    fn put(&mut self, worker: WorkerId, slot: SlotIx, place: (Standing, u16, u64)) {
        self.idle += usize::from(place.0 == Standing::Idle);
        self.of.insert((worker, slot), place);
        self.order.insert(place, (worker, slot));
    }

    /// A slot does not ask any more.
    pub fn answer(&mut self, worker: WorkerId, slot: SlotIx) {
        if let Some(place) = self.of.remove(&(worker, slot)) {
            self.idle -= usize::from(place.0 == Standing::Idle);
            self.order.remove(&place);
        }
    }

    /// None of a worker's slots asks any more.
    pub fn forget(&mut self, worker: WorkerId) {
        let slots = self.of.range((worker, SlotIx(0))..=(worker, SlotIx(u16::MAX)));
        let slots: Vec<SlotIx> = slots.map(|(&(_, slot), _)| slot).collect();
        for slot in slots {
            self.answer(worker, slot);
        }
    }

    /// The slot that has asked the longest, of those that stand so, whose worker is of that class, and that have not asked
    /// before `since`; and when it asked.
    #[must_use]
    pub fn first(&self, standing: Standing, class: u16, since: u64) -> Option<(u64, WorkerId, SlotIx)> {
        let places = (standing, class, since)..=(standing, class, u64::MAX);
        self.order.range(places).next().map(|(&(.., asked), &(worker, slot))| (asked, worker, slot))
    }

    /// The idle slots that ask, by class and in the order in which they asked.
    pub fn idle_slots(&self) -> impl Iterator<Item = (WorkerId, SlotIx)> + '_ {
        self.order.range(..(Standing::Ahead, 0, 0)).map(|(_, &slot)| slot)
    }

    /// How many idle slots ask.
    #[must_use]
    pub const fn idle(&self) -> usize {
        self.idle
    }

    /// How many ask.
    #[must_use]
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether nobody asks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}
