//! Many seeds: how many hold, how fast, what broke first, and with how few faults it still breaks.

use super::faults::{Class, Swarm, listed};
use super::{DAWN, Simulation, Story};
use regatta_domain::Micros;
use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// A seed that broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// What broke.
    pub broken: String,
    /// With how few faults it breaks, once somebody has found out.
    pub shrunk: Option<Shrunk>,
}

/// A seed that breaks with few faults: with one class fewer it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The classes that it takes.
    pub only: Vec<Class>,
    /// Those that it has and does not take.
    pub without: Vec<Class>,
    /// What breaks then: not always what broke first.
    pub broken: String,
}

/// What came of many seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Seeds that were run.
    pub seeds: u64,
    /// How long they took, by their own clocks.
    pub span: Micros,
    /// Commands that cores stepped.
    pub steps: u64,
    /// The first that broke, if one did. The sweep ends there.
    pub failure: Option<Failure>,
}

impl Swept {
    /// What came of it, for people; a seed that broke with the command that tells its story.
    #[must_use]
    pub fn told(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = self.seeds as f64 / seconds;
        let hours = self.span.as_secs_f64() / 3_600.0;
        let mut told = format!(
            "{} seeds in {seconds:.1} s: {hours:.1} simulated hours, {} steps of the core, {rate:.0} seeds/s",
            self.seeds, self.steps
        );
        if let Some(Failure { seed, broken, shrunk }) = &self.failure {
            told.push_str(&format!("\nseed {seed} broke: {broken}\n"));
            let mut command = format!("cargo run --release -p regatta-tests --bin simulation -- --seed {seed}");
            if let Some(Shrunk { only, without, broken }) = shrunk {
                let only =
                    if only.is_empty() { "no faults at all".to_owned() } else { format!("only: {}", listed(only)) };
                told.push_str(&format!("seed {seed} breaks with {only} ({broken})\n"));
                if !without.is_empty() {
                    command.push_str(&format!(" --without {}", listed(without).replace(' ', "")));
                }
            }
            told.push_str(&command);
        }
        told
    }

    /// Looks with how few faults the seed still breaks that broke, if one did.
    pub fn shrink(&mut self, world: impl Fn(u64, &[Class]) -> Simulation) {
        if let Some(failure) = &mut self.failure {
            failure.shrunk = Some(shrink(failure.seed, &failure.broken, world));
        }
    }
}

/// Drops classes of faults of a seed that broke, one by one and again from the beginning, as long as anything still breaks.
#[must_use]
pub fn shrink(seed: u64, broken: &str, world: impl Fn(u64, &[Class]) -> Simulation) -> Shrunk {
    let mut shrunk = Shrunk { only: Swarm::of(seed).classes(), without: Vec::new(), broken: broken.to_owned() };
    let drops_one = |shrunk: &mut Shrunk| {
        let found = shrunk.only.iter().enumerate().find_map(|(at, &class)| {
            let without = [&shrunk.without[..], &[class]].concat();
            let broken = caught(|| world(seed, &without).run()).err()?;
            Some((at, without, broken))
        });
        let Some((at, without, broken)) = found else { return false };
        shrunk.only.remove(at);
        (shrunk.without, shrunk.broken) = (without, broken);
        true
    };
    while drops_one(&mut shrunk) {}
    shrunk
}

/// Runs seeds until one breaks.
#[must_use]
pub fn sweep(seeds: Range<u64>, world: impl Fn(u64) -> Simulation) -> Swept {
    let mut swept = Swept::default();
    for seed in seeds {
        swept.seeds += 1;
        match caught(|| world(seed).run()) {
            Ok(Story { span, steps, .. }) => {
                swept.span += span;
                swept.steps += steps;
            }
            Err(broken) => {
                swept.failure = Some(Failure { seed, broken, shrunk: None });
                break;
            }
        }
    }
    swept
}

/// Runs one seed without some of its faults, and tells its story, a line for each thing that happened.
pub fn replay(seed: u64, without: &[Class]) -> (Vec<String>, Result<Story, String>) {
    let mut simulation = Simulation::without(seed, without);
    let mut told = vec![format!("seed {seed}: {:?}", simulation.swarm)];
    told.extend(simulation.truth.iter().map(|run| format!("{run:?}")));
    simulation.told = Some(told);
    let story = caught(|| simulation.play());
    let mut told = simulation.told.unwrap_or_default();
    told.push(format!("{} after {}", simulation.world.now.since(DAWN), story_of(&story)));
    (told, story)
}

fn story_of(story: &Result<Story, String>) -> String {
    match story {
        Ok(story) => format!("the end, trace {:016x}", story.trace),
        Err(broken) => broken.clone(),
    }
}

/// A story, or what broke: a panic breaks it, too.
fn caught(story: impl FnOnce() -> Result<Story, String>) -> Result<Story, String> {
    let story = catch_unwind(AssertUnwindSafe(story));
    story.unwrap_or_else(|panic| Err(format!("panic: {}", words(panic.as_ref()))))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_else(|| "no words".to_owned())
}
