//! What others do, re-stated: each policy in a file of its own, on the same [`floor`].
//!
//! They are restatements of how each tool hands out tests, from its public description, and of nothing else: every one pays
//! for start-up, for what a file shares, and for lost slots by the same rules as Regatta. Where a tool cannot do something at
//! all (hold a resource across machines, learn that a machine is gone), it gets the kindest reading that is still what it
//! does; the file says which.

mod chunks;
mod count;
mod files;
mod floor;
mod hash;
mod inorder;
mod knapsack;
mod load;
mod loadfile;
mod lpt;
mod pull;
mod split;
mod worksteal;

use super::Case;

/// What others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// As many tests for each slot.
    Count,
    /// By the hash of the name.
    Hash,
    /// Longest first to the least loaded slot, before anything runs.
    Lpt,
    /// In order, cut where each slot has its share of the time.
    Chunks,
    /// A queue of batches of whole files.
    Knapsack,
    /// A queue of single tests.
    Pull,
    /// pytest-xdist, `--dist load`.
    Load,
    /// pytest-xdist, `--dist worksteal`.
    Worksteal,
    /// pytest-xdist, `--dist loadfile`.
    Loadfile,
    /// One pool, in order.
    Inorder,
}

impl Peer {
    /// Every peer, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Count,
        Self::Hash,
        Self::Lpt,
        Self::Chunks,
        Self::Knapsack,
        Self::Pull,
        Self::Load,
        Self::Worksteal,
        Self::Loadfile,
        Self::Inorder,
    ];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Hash => "hash",
            Self::Lpt => "lpt",
            Self::Chunks => "chunks",
            Self::Knapsack => "knapsack",
            Self::Pull => "pull",
            Self::Load => "load",
            Self::Worksteal => "worksteal",
            Self::Loadfile => "loadfile",
            Self::Inorder => "inorder",
        }
    }

    /// How long the case takes with it, in seconds. The same for the same seed.
    #[must_use]
    pub fn makespan(self, case: &Case, seed: u64) -> f64 {
        match self {
            Self::Count => split::makespan(case, &count::split(case)),
            Self::Hash => split::makespan(case, &hash::split(case)),
            Self::Lpt => split::makespan(case, &lpt::split(case)),
            Self::Chunks => split::makespan(case, &chunks::split(case)),
            Self::Knapsack => floor::run(case, &mut knapsack::Knapsack::new(case)),
            Self::Pull => floor::run(case, &mut pull::Pull::new(case, seed)),
            Self::Load => floor::run(case, &mut load::Load::new(case)),
            Self::Worksteal => floor::run(case, &mut worksteal::Worksteal::new(case)),
            Self::Loadfile => floor::run(case, &mut loadfile::Loadfile::new(case)),
            Self::Inorder => floor::run(case, &mut inorder::Inorder::new(case)),
        }
    }
}

/// What a tool with a timing file expects of each test, in seconds: its mean, and the mean of all means where there is none.
fn expected(case: &Case) -> Vec<f64> {
    let known: Vec<f64> = case.tests.iter().filter_map(|test| Some(test.history?.mean)).collect();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 tests")]
    let typical = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
    case.tests.iter().map(|test| test.history.map_or(typical, |known| known.mean)).collect()
}

#[cfg(test)]
mod tests;
