//! Many seeds: how many hold, how fast, and what broke first.

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
        if let Some(Failure { seed, broken }) = &self.failure {
            told.push_str(&format!("\nseed {seed} broke: {broken}\n"));
            told.push_str(&format!("cargo run --release -p regatta-tests --bin simulation -- --seed {seed}"));
        }
        told
    }
}

/// Runs seeds until one breaks.
#[must_use]
pub fn sweep(seeds: Range<u64>, world: impl Fn(u64) -> Simulation) -> Swept {
    let mut swept = Swept::default();
    for seed in seeds {
        swept.seeds += 1;
        let story = catch_unwind(AssertUnwindSafe(|| world(seed).run()));
        match story.unwrap_or_else(|panic| Err(format!("panic: {}", words(panic.as_ref())))) {
            Ok(Story { span, steps, .. }) => {
                swept.span += span;
                swept.steps += steps;
            }
            Err(broken) => {
                swept.failure = Some(Failure { seed, broken });
                break;
            }
        }
    }
    swept
}

/// Runs one seed and tells its story, a line for each thing that happened.
pub fn replay(seed: u64) -> (Vec<String>, Result<Story, String>) {
    let mut simulation = Simulation::new(seed);
    let mut told = vec![format!("seed {seed}: {:?}", simulation.swarm)];
    told.extend(simulation.truth.iter().map(|run| format!("{run:?}")));
    simulation.told = Some(told);
    let story = catch_unwind(AssertUnwindSafe(|| simulation.play()));
    let story = story.unwrap_or_else(|panic| Err(format!("panic: {}", words(panic.as_ref()))));
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

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_else(|| "no words".to_owned())
}
