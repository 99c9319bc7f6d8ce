//! Care for what a coordinator keeps: checked, migrated, backed up, restored.

mod backup;
mod check;
mod migrate;
mod restore;

use crate::args::{StoreArgs, StoreCommand};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use regatta_coordinator::store::care;

/// Does what was asked for.
pub(crate) fn store(args: StoreArgs, context: &Context<'_>) -> Result<Exit, Error> {
    regatta_runtime::telemetry::start("warn");
    match args.command {
        StoreCommand::Check(args) => check::check(args, context),
        StoreCommand::Migrate(args) => migrate::migrate(&args, context),
        StoreCommand::Backup(args) => backup::backup(&args, context),
        StoreCommand::Restore(args) => restore::restore(&args, context),
    }
}

/// Why a store cannot be cared for, as people are told.
fn refused(error: &care::Error) -> Error {
    let told = match error.is_usage() {
        true => Error::usage(error.to_string()),
        false => Error::infrastructure(error.to_string()),
    };
    match std::error::Error::source(error) {
        Some(source) => told.because(source),
        None => told,
    }
}
