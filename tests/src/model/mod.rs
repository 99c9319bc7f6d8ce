//! Every interleaving of a tiny cluster: two workers of one slot, a file that is remembered and one that is not, a test that
//! fails at first, and words under way that are delivered, lost with their connection, or repeated.
//!
//! Where the simulation draws, the model enumerates: states are told apart by hash and each is visited once, up to a
//! number of faults. Time stands still while anything else can happen; when nothing can, it passes.
//!
//! [`leader`] enumerates, in the same way, who may lead such a cluster, and for how long.

mod cluster;
pub mod leader;
mod plan;

pub use cluster::{Cluster, Fault};
pub use plan::Plan;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

/// A small world in which one thing happens after another.
trait World: Clone + Hash {
    /// Something that can happen.
    type Action: Copy + fmt::Debug;

    /// What can happen now.
    fn actions(&self) -> Vec<Self::Action>;

    /// Something happens.
    ///
    /// # Errors
    /// What does not hold any more.
    fn take(&mut self, action: Self::Action) -> Result<(), String>;

    /// Whether this is as it should become.
    fn has_ended(&self) -> bool;

    /// What must hold then.
    ///
    /// # Errors
    /// What does not.
    fn at_the_end(&self) -> Result<(), String>;
}

/// What came of visiting every state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visited {
    /// States.
    pub states: usize,
    /// Ways from one to the next.
    pub steps: usize,
    /// States that are as they should become: the run has ended.
    pub ends: usize,
}

impl fmt::Display for Visited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, ends } = self;
        write!(
            f,
            "{states} states, {steps} steps between them, {ends} ends, one of which can be reached from every state"
        )
    }
}

/// More states than this are more than such a world can have: something counts without end.
const MOST: usize = 4_000_000;

/// Visits every state of the tiny cluster that can be reached with so many faults.
///
/// # Errors
/// What broke, after the actions that led there.
pub fn explore(plan: Plan, faults: u8) -> Result<Visited, String> {
    explore_from(Cluster::new(plan, faults))
}

/// Visits every state that can be reached from the first.
fn explore_from<W: World>(first: W) -> Result<Visited, String> {
    let hashes = BuildHasherDefault::<DefaultHasher>::default();
    let mut seen = HashMap::from([(hashes.hash_one(&first), 0_u32)]);
    let mut before: Vec<Vec<u32>> = vec![Vec::new()];
    let mut led_by = vec![None];
    let mut ended = Vec::new();
    let mut visited = Visited::default();
    let mut frontier = vec![(0_u32, first)];
    while let Some((at, world)) = frontier.pop() {
        visited.states += 1;
        if visited.states > MOST {
            return Err(story(&led_by, at, "there is no end of states"));
        }
        if world.has_ended() {
            visited.ends += 1;
            ended.push(at);
            world.at_the_end().map_err(|broken| story(&led_by, at, &broken))?;
        }
        for action in world.actions() {
            visited.steps += 1;
            let mut next = world.clone();
            let taken = next.take(action);
            let fresh = u32::try_from(before.len()).expect("states fit");
            let place = match seen.entry(hashes.hash_one(&next)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    new.insert(fresh);
                    before.push(Vec::new());
                    led_by.push(Some((at, action)));
                    frontier.push((fresh, next));
                    fresh
                }
            };
            before[place as usize].push(at);
            taken.map_err(|broken| story(&led_by, place, &broken))?;
        }
    }
    let stuck = unfinished(&before, ended);
    match stuck {
        Some(at) => Err(story(&led_by, at, "there is no way to the end from here")),
        None => Ok(visited),
    }
}

/// A state from which no end can be reached.
fn unfinished(before: &[Vec<u32>], ended: Vec<u32>) -> Option<u32> {
    let mut reaches = vec![false; before.len()];
    let mut next = ended;
    while let Some(at) = next.pop() {
        if !std::mem::replace(&mut reaches[at as usize], true) {
            next.extend(&before[at as usize]);
        }
    }
    reaches.iter().position(|&reaches| !reaches).map(|at| u32::try_from(at).expect("states fit"))
}

/// The actions that led to a state, and what broke there.
fn story<A: fmt::Debug>(led_by: &[Option<(u32, A)>], mut at: u32, broken: &str) -> String {
    let mut actions = Vec::new();
    while let Some((before, action)) = &led_by[at as usize] {
        actions.push(format!("{action:?}"));
        at = *before;
    }
    actions.reverse();
    format!("{broken}\nafter {}", actions.join("\n      "))
}
