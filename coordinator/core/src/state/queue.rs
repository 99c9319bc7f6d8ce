//! What waits to be leased, longest first.

use crate::entropy::mix;
use regatta_domain::{FileIx, GroupIx, Micros, SuiteIx};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Something that waits to be leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// A suite whose files are to be found.
    Discover(SuiteIx),
    /// A file that is to be listed.
    File(FileIx),
    /// A group of tests.
    Group(GroupIx),
}

/// Where an entry stands in the queue: the greatest weight first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(Reverse<u64>);

impl Rank {
    /// Before everything else.
    pub const FIRST: Self = Self(Reverse(u64::MAX));

    /// Longest first.
    #[must_use]
    pub const fn by_length(estimate: Micros) -> Self {
        Self(Reverse(estimate.0))
    }

    /// At random, but always the same for a seed.
    #[must_use]
    pub const fn by_chance(seed: u64, index: u32) -> Self {
        Self(Reverse(mix(seed ^ mix(index as u64)) >> 1))
    }
}

/// The entries of a suite that wait, ordered; each stands in it once. Every operation is O(log n).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Queue {
    order: BTreeSet<(Rank, Entry)>,
    groups_of: BTreeMap<FileIx, BTreeSet<(Rank, GroupIx)>>,
    estimate_of: BTreeMap<FileIx, Micros>,
    left: Micros,
    unknown: u32,
}

/// What the queue is told of an entry: the same when it is taken out as when it was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// Where it stands.
    pub rank: Rank,
    /// What it is.
    pub entry: Entry,
    /// The file it belongs to, for groups.
    pub file: Option<FileIx>,
    /// How long it may take.
    pub estimate: Micros,
    /// Whether that is known from history.
    pub known: bool,
}

impl Queue {
    /// Puts an entry in.
    pub(super) fn insert(&mut self, waiting: Waiting) {
        self.order.insert((waiting.rank, waiting.entry));
        if let (Some(file), Entry::Group(group)) = (waiting.file, waiting.entry) {
            self.groups_of.entry(file).or_default().insert((waiting.rank, group));
            *self.estimate_of.entry(file).or_default() += waiting.estimate;
        }
        self.left += waiting.estimate;
        self.unknown += u32::from(!waiting.known);
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, waiting: Waiting) {
        let was = self.order.remove(&(waiting.rank, waiting.entry));
        assert!(was, "an entry leaves the queue by the rank under which it came: {waiting:?}");
        if let (Some(file), Entry::Group(group)) = (waiting.file, waiting.entry) {
            let groups = self.groups_of.get_mut(&file).expect("a queued group is listed under its file");
            groups.remove(&(waiting.rank, group));
            let empty = groups.is_empty();
            let estimate = self.estimate_of.get_mut(&file).expect("a file with queued groups has an estimate");
            *estimate = estimate.saturating_sub(waiting.estimate);
            if empty {
                self.groups_of.remove(&file);
                self.estimate_of.remove(&file);
            }
        }
        self.left = self.left.saturating_sub(waiting.estimate);
        self.unknown -= u32::from(!waiting.known);
    }

    /// The entry that goes next, with its rank.
    #[must_use]
    pub fn first(&self) -> Option<(Rank, Entry)> {
        self.order.first().copied()
    }

    /// The entries in the order in which they go.
    pub fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        self.order.iter().map(|&(_, entry)| entry)
    }

    /// The waiting groups of a file, in the order in which they go.
    pub fn groups(&self, file: FileIx) -> impl Iterator<Item = GroupIx> + '_ {
        self.groups_of.get(&file).into_iter().flatten().map(|&(_, group)| group)
    }

    /// How long the waiting groups of a file may take together.
    #[must_use]
    pub fn estimate(&self, file: FileIx) -> Micros {
        self.estimate_of.get(&file).copied().unwrap_or_default()
    }

    /// How long all of it may take.
    #[must_use]
    pub const fn left(&self) -> Micros {
        self.left
    }

    /// How many entries have no history of their own.
    #[must_use]
    pub const fn unknown(&self) -> u32 {
        self.unknown
    }

    /// How many entries wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}
