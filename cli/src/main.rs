//! The `regatta` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A worker starts its spawners this way. It comes before everything else: a spawner must stay small.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "spawner") {
        return regatta_worker::process::spawner_main(arguments);
    }
    ExitCode::SUCCESS
}
