//! Runs seeds of the simulation: many, or one with its story.
//!
//! `simulation [--seeds N] [--from S]` runs N seeds, and of one that breaks finds out with how few classes of faults it does;
//! `simulation --seed S [--without CLASS,CLASS]` tells the story of one. Built with the feature
//! `mutants`, `simulation --mutants [NAME]` shows how many seeds it takes to notice each deliberate fault. `simulation --model`
//! visits every state of the tiny cluster, and of three candidates that would lead it, with two faults.

use regatta_tests::model::{Plan, Visited, explore, leader};
use regatta_tests::simulation::faults::{Class, listed};
use regatta_tests::simulation::{Simulation, replay, sweep};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let word = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let number = |name: &str| word(name)?.parse::<u64>().ok();
    if let Some(seed) = number("--seed") {
        let names = word("--without").map_or("", String::as_str).split(',').filter(|name| !name.is_empty());
        let without = match names.map(|name| Class::named(name).ok_or(name)).collect::<Result<Vec<_>, _>>() {
            Ok(without) => without,
            Err(name) => {
                eprintln!("there is no class of faults `{name}`; there are {}", listed(&Class::ALL));
                return ExitCode::from(2);
            }
        };
        let (told, story) = replay(seed, &without);
        told.iter().for_each(|line| println!("{line}"));
        return if story.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if arguments.iter().any(|argument| argument == "--model") {
        let told = |what: &str, visit: &dyn Fn() -> Result<Visited, String>| {
            let start = Instant::now();
            let visited = visit();
            let told = visited.as_ref().map_or_else(Clone::clone, ToString::to_string);
            println!("{what}, two faults: {told} in {:.1} s", start.elapsed().as_secs_f64());
            visited.is_ok()
        };
        let holds = told("a tiny cluster", &|| explore(Plan::Retry, 2))
            & told("three candidates", &|| leader::explore(3, 2, None));
        return if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    #[cfg(feature = "mutants")]
    if let Some(at) = arguments.iter().position(|argument| argument == "--mutants") {
        std::panic::set_hook(Box::new(|_| {}));
        let named = arguments.get(at + 1).filter(|name| !name.starts_with("--")).map_or("", String::as_str);
        let caught = regatta_tests::simulation::mutants::hunt(named, number("--seeds").unwrap_or(20_000));
        let missed = caught.inspect(|caught| println!("{caught}")).filter(|caught| !caught.is_caught()).count();
        return if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let from = number("--from").unwrap_or(0);
    let start = Instant::now();
    let mut swept = sweep(from..from + number("--seeds").unwrap_or(100_000), Simulation::new);
    swept.shrink(Simulation::without);
    println!("{}", swept.told(start.elapsed()));
    if swept.failure.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
