//! The `regatta` binary: what was typed (`args`), what was meant (`intent`), what is done (`command`).

mod args;
mod audience;
mod branch;
mod changed;
mod colour;
mod command;
mod config;
mod error;
mod exit;
mod follow;
mod forecast;
mod git;
mod here;
mod intent;
mod link;
mod needs;
mod render;
mod report;
mod submit;
mod timings;
mod usual;
mod view;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use error::Error;
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A worker starts its spawners this way. It comes before everything else: a spawner must stay small.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "spawner") {
        return regatta_worker::process::spawner_main(arguments);
    }
    // A shell that completes asks through a variable, and is answered here.
    clap_complete::CompleteEnv::with_factory(args::Cli::command).var(command::COMPLETE).complete();
    let typed = args::Cli::command().try_get_matches();
    let cli = typed.and_then(|matches| args::Cli::from_arg_matches(&matches).map(|cli| (cli, matches)));
    match cli {
        Ok((cli, matches)) => {
            let stderr = cli.global.color.unwrap_or_default();
            perform(cli, &matches).unwrap_or_else(|error| {
                eprint!("{}", error.render(stderr.for_stderr()));
                error.exit()
            })
        }
        Err(error) => {
            // Help and version are not errors: they go to standard output, and the exit code is 0.
            let _closed_early = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Ok }
        }
    }
    .into()
}

fn perform(cli: args::Cli, matches: &ArgMatches) -> Result<Exit, Error> {
    let cwd = std::env::current_dir().map_err(|error| {
        Error::usage("the current directory is not there").because(&error).help("change to one that is")
    })?;
    // `config show` and those of `history` are commands below others.
    let mut innermost = matches;
    while let Some((_, below)) = innermost.subcommand() {
        innermost = below;
    }
    let context = intent::Context { global: &cli.global, matches: innermost, cwd };
    command::perform(cli.command, &context)
}
