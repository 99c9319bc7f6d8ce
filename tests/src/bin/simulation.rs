//! Runs seeds of the simulation: many, or one with its story.
//!
//! `simulation [--seeds N] [--from S]` runs N seeds; `simulation --seed S` tells the story of one.

use regatta_tests::simulation::{Simulation, replay, sweep};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    if let Some(seed) = number("--seed") {
        let (told, story) = replay(seed);
        told.iter().for_each(|line| println!("{line}"));
        return if story.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let from = number("--from").unwrap_or(0);
    let start = Instant::now();
    let swept = sweep(from..from + number("--seeds").unwrap_or(100_000), Simulation::new);
    println!("{}", swept.told(start.elapsed()));
    if swept.failure.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
