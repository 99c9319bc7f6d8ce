//! Plays seeds of the glue: the real coordinator and workers, their gRPC and their clients, over a simulated network.
//!
//! `glue [--seeds N] [--from S]` plays N seeds, each in a process of its own, and some of them twice, to see that a seed decides
//! everything. `glue --seed S` plays one, and tells its story; with `--quiet`, only how it ended.

mod bench;
mod client;
mod coordinator;
mod journal;
mod network;
mod plan;
mod record;
mod story;
mod sweep;
mod tap;
mod worker;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let is_given = |name: &str| arguments.iter().any(|argument| argument == name);
    if let Some(seed) = number("--seed") {
        let tells = !is_given("--quiet");
        return match world::play(seed, tells, is_given("--log")) {
            Ok(end) => {
                println!("{end}");
                ExitCode::SUCCESS
            }
            Err(broken) => {
                println!("broke: {broken}");
                ExitCode::FAILURE
            }
        };
    }
    let from = number("--from").unwrap_or(0);
    if sweep::sweep(from, number("--seeds").unwrap_or(100)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
