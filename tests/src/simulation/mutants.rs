//! Each deliberate fault of the core, and one of the driver: how many seeds it takes until something notices.
//!
//! The seeds are the same as in the ordinary sweep, so a fault that takes more than that runs unnoticed in it, too.

use super::{Simulation, sweep};
use crate::schedule::properties;
use regatta_core::{Mutant, turn_on};
use std::fmt;
use std::panic::catch_unwind;

/// A fault, and the seed that showed it.
#[derive(Clone, Debug)]
pub struct Caught {
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub what: &'static str,
    /// How many seeds in how many places of the seed space it took, and what was noticed first; empty where nothing was.
    pub by: Vec<(u64, String)>,
    /// How many seeds were tried from each place.
    pub most: u64,
}

/// Places in the seed space from which each fault is looked for.
const STARTS: [u64; 5] = [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000];

/// Faults of scheduling: what they break are the properties of schedules, which no failure has to bring out.
const OF_SCHEDULING: [Mutant; 5] =
    [Mutant::SeatsUncounted, Mutant::BypassesUncounted, Mutant::KeptByAll, Mutant::GroupsTorn, Mutant::SharesIgnored];

impl Caught {
    /// Whether it was noticed from everywhere.
    #[must_use]
    pub fn is_caught(&self) -> bool {
        self.by.len() == STARTS.len()
    }
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, what, by, most } = self;
        let Some((_, first)) = by.first() else {
            return write!(f, "| {name} | {what} | not in {most} | |");
        };
        let sum: u64 = by.iter().map(|&(seeds, _)| seeds).sum();
        let worst = by.iter().map(|&(seeds, _)| seeds).max().unwrap_or(0);
        let missed = if self.is_caught() { "" } else { " (and not everywhere)" };
        write!(f, "| {name} | {what} | {} (at most {worst}){missed} | {first} |", sum.div_ceil(by.len() as u64))
    }
}

/// Looks for every fault whose name has `named` in it, in at most so many seeds from each place, one after the other.
pub fn hunt(named: &str, most: u64) -> impl Iterator<Item = Caught> {
    let is_meant = move |name: &str| name.contains(named);
    let of_the_core = Mutant::ALL.iter().filter(move |mutant| is_meant(&format!("{mutant:?}"))).map(move |&mutant| {
        turn_on(Some(mutant));
        let (name, what) = (format!("{mutant:?}"), mutant.what());
        let caught = if OF_SCHEDULING.contains(&mutant) {
            seek_by_properties(name, what, most)
        } else {
            seek(name, what, most, Simulation::new)
        };
        turn_on(None);
        caught
    });
    let hasty = |seed| Simulation::new(seed).hasty();
    let of_the_driver = move || seek("HastyDriver".to_owned(), "Effects do not wait for their commit.", most, hasty);
    of_the_core.chain(std::iter::repeat_n((), usize::from(is_meant("HastyDriver"))).map(move |()| of_the_driver()))
}

fn seek(name: String, what: &'static str, most: u64, world: impl Fn(u64) -> Simulation) -> Caught {
    let swept = STARTS.iter().map(|&start| sweep(start..start + most, &world));
    let by = swept.filter_map(|swept| swept.failure.map(|failure| (swept.seeds, failure.broken))).collect();
    Caught { name, what, by, most }
}

/// Looks for a fault of scheduling.
fn seek_by_properties(name: String, what: &'static str, most: u64) -> Caught {
    let found = |start: u64| {
        let seeds = start..start + most;
        let broken =
            |seed: u64| catch_unwind(|| properties::check(seed)).unwrap_or_else(|_| Err("panic".to_owned())).err();
        seeds.enumerate().find_map(|(tried, seed)| Some((tried as u64 + 1, broken(seed)?)))
    };
    let by = STARTS.iter().filter_map(|&start| found(start)).collect();
    Caught { name, what, by, most }
}
