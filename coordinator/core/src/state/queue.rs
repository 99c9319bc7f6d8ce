//! What waits to be leased and needs the same: what goes first stands first.

use crate::entropy::mix;
use regatta_domain::{FileIx, GroupIx, Micros, SuiteIx};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Something that waits to be leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Entry {
    /// A suite whose files are to be found.
    Discover(SuiteIx),
    /// A file that is to be listed.
    File(FileIx),
    /// A group of tests.
    Group(GroupIx),
}

/// Where an entry stands in the queue: the greatest weight first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rank(Reverse<u64>);

impl Rank {
    /// Before everything else.
    pub const FIRST: Self = Self(Reverse(u64::MAX));

    /// The weight from which on a rank does not stand for a length.
    const SPECIAL: u64 = 1 << 62;

    /// Longest first.
    #[must_use]
    pub fn by_length(estimate: Micros) -> Self {
        Self(Reverse(estimate.0.min(Self::SPECIAL - 1)))
    }

    /// Before everything that goes by its length: the first test of a file of which nothing is known.
    pub const PROBE: Self = Self(Reverse(Self::SPECIAL));

    /// Before that: what is likely to fail, by `risk` in thousandths.
    #[must_use]
    pub fn by_risk(risk: u16) -> Self {
        Self(Reverse(Self::SPECIAL + 1 + u64::from(risk)))
    }

    /// At random, but always the same for a seed.
    #[must_use]
    pub const fn by_chance(seed: u64, index: u32) -> Self {
        Self(Reverse(mix(seed ^ mix(index as u64)) >> 1))
    }

    /// The greater, the earlier: a length in microseconds, where it goes by that.
    #[must_use]
    pub const fn weight(self) -> u64 {
        self.0.0
    }
}

/// Entries that wait, ordered; each stands in it once. Every operation is O(log n).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Queue {
    order: BTreeSet<(Rank, Entry)>,
    files: BTreeMap<FileIx, OfFile>,
    left: Micros,
    guesses: u32,
}

/// What waits of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct OfFile {
    groups: BTreeSet<(Rank, GroupIx)>,
    estimate: Micros,
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
    /// How many of its tests (or files) have no history of their own.
    pub guesses: u32,
}

impl Queue {
    /// Puts many entries into an empty queue at once: sorted first, since a tree is built faster than it is grown.
    pub(super) fn fill(&mut self, mut waiting: Vec<Waiting>) {
        if !self.is_empty() {
            return waiting.into_iter().for_each(|waiting| self.insert(waiting));
        }
        waiting.sort_unstable_by_key(|waiting| (waiting.rank, waiting.entry));
        self.order = waiting.iter().map(|waiting| (waiting.rank, waiting.entry)).collect();
        self.left = waiting.iter().map(|waiting| waiting.estimate).sum();
        self.guesses = waiting.iter().map(|waiting| waiting.guesses).sum();
        let mut of_files: Vec<(FileIx, Rank, GroupIx, Micros)> = Vec::with_capacity(waiting.len());
        of_files.extend(waiting.iter().filter_map(|waiting| match (waiting.file, waiting.entry) {
            (Some(file), Entry::Group(group)) => Some((file, waiting.rank, group, waiting.estimate)),
            _ => None,
        }));
        of_files.sort_unstable();
        for of_file in of_files.chunk_by(|a, b| a.0 == b.0) {
            let groups = of_file.iter().map(|&(_, rank, group, _)| (rank, group)).collect();
            let estimate = of_file.iter().map(|&(.., estimate)| estimate).sum();
            self.files.insert(of_file[0].0, OfFile { groups, estimate });
        }
    }

    /// Puts an entry in.
    pub(super) fn insert(&mut self, waiting: Waiting) {
        self.order.insert((waiting.rank, waiting.entry));
        if let (Some(file), Entry::Group(group)) = (waiting.file, waiting.entry) {
            let of_file = self.files.entry(file).or_default();
            of_file.groups.insert((waiting.rank, group));
            of_file.estimate += waiting.estimate;
        }
        self.left += waiting.estimate;
        self.guesses += waiting.guesses;
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, waiting: Waiting) {
        let was = self.order.remove(&(waiting.rank, waiting.entry));
        assert!(was, "an entry leaves the queue by the rank under which it came: {waiting:?}");
        if let (Some(file), Entry::Group(group)) = (waiting.file, waiting.entry) {
            let of_file = self.files.get_mut(&file).expect("a queued group is listed under its file");
            of_file.groups.remove(&(waiting.rank, group));
            of_file.estimate = of_file.estimate.saturating_sub(waiting.estimate);
            if of_file.groups.is_empty() {
                self.files.remove(&file);
            }
        }
        self.left = self.left.saturating_sub(waiting.estimate);
        self.guesses -= waiting.guesses;
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
        self.files.get(&file).into_iter().flat_map(|of_file| &of_file.groups).map(|&(_, group)| group)
    }

    /// How long the waiting groups of a file may take together.
    #[must_use]
    pub fn estimate(&self, file: FileIx) -> Micros {
        self.files.get(&file).map_or(Micros::ZERO, |of_file| of_file.estimate)
    }

    /// How long all of it may take.
    #[must_use]
    pub const fn left(&self) -> Micros {
        self.left
    }

    /// How many of its tests (and files) have no history of their own.
    #[must_use]
    pub const fn guesses(&self) -> u32 {
        self.guesses
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
