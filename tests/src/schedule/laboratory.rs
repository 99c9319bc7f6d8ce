//! Runs policies over cases, on all processors, into cells. What comes out does not depend on how many there are.

use super::cases::Named;
use super::peers::Peer;
use super::suites::Suite;
use super::{Case, Test, bound, regatta};
use regatta_core::entropy::mix;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whoever schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheduler {
    /// Regatta's own core.
    Regatta,
    /// What others do.
    Peer(Peer),
}

impl Scheduler {
    /// Every one, in the order of the table.
    #[must_use]
    pub fn all() -> Vec<Self> {
        std::iter::once(Self::Regatta).chain(Peer::ALL.map(Self::Peer)).collect()
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regatta => regatta::NAME,
            Self::Peer(peer) => peer.name(),
        }
    }

    fn makespan(self, case: &Case, seed: u64) -> Option<f64> {
        match self {
            Self::Regatta => regatta::makespan(case, seed),
            Self::Peer(peer) => Some(peer.makespan(case, seed)),
        }
    }
}

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// By whom.
    pub schedulers: Vec<Scheduler>,
    /// In which cases.
    pub cases: Vec<Named>,
    /// On how many slots.
    pub slots: Vec<usize>,
    /// With which start-up of a process, in seconds.
    pub startups: Vec<f64>,
    /// How often each version is run, each time with other chances.
    pub seeds: u64,
}

/// Where in the table something belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Which suite, in the order in which they were given.
    pub suite: usize,
    /// Which case.
    pub case: Named,
    /// Whether processes stay alive between batches.
    pub warm: bool,
    /// On how many slots.
    pub slots: usize,
    /// Seconds that a process takes to start.
    pub startup: f64,
}

/// How close somebody came to the bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Where it belongs.
    pub place: Place,
    /// Who.
    pub scheduler: Scheduler,
    /// The mean of makespan over bound.
    pub mean: f64,
    /// The worst of them.
    pub max: f64,
}

/// A version of a suite in a case: what one thread does at a time.
struct Task<'a> {
    place: Place,
    tests: &'a [Test],
    seed: u64,
}

/// Makespan over bound of each scheduler: one for each case of the name, none where it cannot say.
type Ratios = Vec<Vec<f64>>;

/// Measures all of it. `progress` is told how many of how many tasks are done.
#[must_use]
pub fn measure(suites: &[Suite], plan: &Plan, progress: &(dyn Fn(usize, usize) + Sync)) -> Vec<Cell> {
    let places = places(suites.len(), plan);
    let tasks: Vec<Task<'_>> = places.iter().flat_map(|place| tasks(*place, suites, plan.seeds)).collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut measured = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(at) else { return measured };
            measured.push((at, run(task, &plan.schedulers)));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, tasks.len());
        }
    };
    let mut measured: Vec<(usize, Ratios)> = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.flatten().collect()
    });
    measured.sort_by_key(|(at, _)| *at);
    let of = |place: Place| -> Vec<&Ratios> {
        measured.iter().filter(|(at, _)| tasks[*at].place == place).map(|(_, ratios)| ratios).collect()
    };
    places.iter().flat_map(|place| cells(*place, &of(*place), &plan.schedulers)).collect()
}

/// Every place once, in the order of the table: a case that has fewer slots than were asked for may come up twice.
fn places(suites: usize, plan: &Plan) -> Vec<Place> {
    let mut places = Vec::new();
    for suite in 0..suites {
        for (&asked, &startup) in
            plan.slots.iter().flat_map(|slots| plan.startups.iter().map(move |startup| (slots, startup)))
        {
            for warm in [true, false] {
                for &case in &plan.cases {
                    let place = Place { suite, case, warm, slots: case.slots(asked), startup };
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
        }
    }
    places
}

fn tasks(place: Place, suites: &[Suite], seeds: u64) -> impl Iterator<Item = Task<'_>> {
    let points = suites[place.suite].points.iter().zip(0_u64..);
    points.flat_map(move |(tests, at)| (0..seeds).map(move |seed| Task { place, tests, seed: mix(at) ^ seed }))
}

fn run(task: &Task<'_>, schedulers: &[Scheduler]) -> Ratios {
    let Place { case, slots, startup, warm, .. } = task.place;
    let cases = case.build(task.tests, slots, startup, warm, task.seed);
    let bounds: Vec<f64> = cases.iter().map(bound::seconds).collect();
    let ratio = |scheduler: &Scheduler, case: &Case, bound: f64| Some(scheduler.makespan(case, task.seed)? / bound);
    let ratios =
        |scheduler| cases.iter().zip(&bounds).filter_map(|(case, bound)| ratio(scheduler, case, *bound)).collect();
    schedulers.iter().map(ratios).collect()
}

/// The cells of a place; none of a scheduler that has nothing to say.
#[expect(clippy::cast_precision_loss, reason = "a few versions")]
fn cells(place: Place, measured: &[&Ratios], schedulers: &[Scheduler]) -> Vec<Cell> {
    let cell = |(at, scheduler): (usize, &Scheduler)| {
        let ratios: Vec<f64> = measured.iter().flat_map(|ratios| ratios[at].iter().copied()).collect();
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let max = ratios.iter().copied().fold(0.0, f64::max);
        (!ratios.is_empty()).then_some(Cell { place, scheduler: *scheduler, mean, max })
    };
    schedulers.iter().enumerate().filter_map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::super::synth::{Shape, suite};
    use super::*;

    fn plan() -> Plan {
        Plan {
            schedulers: Scheduler::all(),
            cases: vec![Named::Noise, Named::Fixtures],
            slots: vec![24, 32],
            startups: vec![0.5],
            seeds: 2,
        }
    }

    fn suites() -> Vec<Suite> {
        vec![Suite { name: "s".to_owned(), points: suite(Shape::LogNormal, 300, 1).points() }]
    }

    #[test]
    fn the_same_plan_gives_the_same_cells_and_each_place_comes_up_once() {
        let cells = measure(&suites(), &plan(), &|_, _| {});
        assert_eq!(cells, measure(&suites(), &plan(), &|_, _| {}));
        let of = |case| cells.iter().filter(|cell| cell.place.case == case && cell.scheduler.name() == "lpt").count();
        assert_eq!((of(Named::Noise), of(Named::Fixtures)), (4, 2), "warm and cold; 16 slots whatever was asked for");
        assert!(cells.iter().all(|cell| cell.mean >= 1.0 - 1e-6 && cell.max >= cell.mean - 1e-9));
    }

    #[test]
    fn progress_is_told_to_the_end() {
        let last = AtomicUsize::new(0);
        let _ = measure(&suites(), &plan(), &|done, of| {
            assert!(done <= of);
            last.fetch_max(done, Ordering::Relaxed);
        });
        // Six places, four versions, two seeds.
        assert_eq!(last.into_inner(), 6 * 4 * 2);
    }
}
