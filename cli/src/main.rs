//! The `regatta` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A worker starts its spawners this way. It comes before everything else: a spawner must stay small.
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("spawner") {
        return regatta_worker::process::spawner_main(arguments);
    }
    ExitCode::SUCCESS
}
