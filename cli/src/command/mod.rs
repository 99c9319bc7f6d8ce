//! The commands: one file each. Each does what was meant, and says how the process ends.

mod cancel;
mod completions;
mod config;
mod coordinator;
mod declared;
mod doctor;
mod explain;
mod finding;
mod history;
mod init;
mod levels;
mod list;
mod outstanding;
mod place;
mod plan;
mod recorded;
mod report;
mod rerun;
mod resources;
mod resume;
mod run;
mod runs;
mod schema;
mod split;
mod store;
mod watch;
mod worker;
mod workers;

pub(crate) use completions::COMPLETE;

use crate::args::Command;
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use std::io::{self, Write};
use tokio::signal::unix::{SignalKind, signal};

/// Does what `command` asks for.
pub(crate) fn perform(command: Command, context: &Context<'_>) -> Result<Exit, Error> {
    match command {
        Command::Run(args) => run::run(context.run(args)?, context),
        Command::List(args) => list::list(context.list(args)?, context),
        Command::Plan(args) => plan::plan(args, context),
        Command::Split(args) => split::split(args, context),
        Command::Rerun(args) => rerun::rerun(context.rerun(args)?, context),
        Command::Resume(args) => resume::resume(context.resume(args)?, context),
        Command::Watch(args) => watch::watch(args, context),
        Command::Report(args) => report::report(args, context),
        Command::Runs(args) => runs::runs(args, context),
        Command::Cancel(args) => cancel::cancel(args, context),
        Command::History(args) => history::history(args, context),
        Command::Levels(args) => levels::levels(args, context),
        Command::Workers(args) => workers::workers(args, context),
        Command::Resources(args) => resources::resources(args, context),
        Command::Coordinator(args) => coordinator::coordinator(args, context),
        Command::Worker(args) => worker::worker(args, context),
        Command::Store(args) => store::store(args, context),
        Command::Init(_) => init::init(context),
        Command::Doctor(args) => doctor::doctor(args, context),
        Command::Config(args) => config::config(args, context),
        Command::Explain(args) => explain::explain(&args, context),
        Command::Schema(args) => schema::schema(&args),
        Command::Completions(args) => completions::completions(&args),
    }
}

/// Runs a future to its end, on threads of its own.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::infrastructure("the system gives no threads").because(&error))?;
    let done = runtime.block_on(async {
        // Where a file may not grow any more, the write that fails says so; the signal would end the process without a
        // word. Caught rather than ignored: what is ignored stays so in the processes that are started.
        let limit = signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGXFSZ as i32));
        let _caught = limit.map_err(|error| Error::infrastructure("cannot listen for signals").because(&error))?;
        Ok(future.await)
    });
    // Whatever still waits in the background has nothing to say any more.
    runtime.shutdown_background();
    done
}

/// Writes data to standard output. Who closes it early has seen enough: that is not an error.
fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::infrastructure("cannot write to standard output").because(&error))
        }
        _ => Ok(()),
    }
}
