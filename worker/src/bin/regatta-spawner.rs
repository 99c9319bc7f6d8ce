//! The spawner alone. `regatta spawner` is what workers start; this one serves the worker's own tests, which cannot
//! depend on the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    regatta_worker::process::spawner_main(std::env::args_os().skip(1))
}
