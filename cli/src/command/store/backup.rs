//! Copies a store into a new directory.

use super::super::print;
use super::refused;
use crate::args::{BackupArgs, TableFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use crate::render::words::count_of;
use regatta_coordinator::store::care;
use serde_json::json;

/// Copies a store into a new directory.
pub(super) fn backup(args: &BackupArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let (store, to) = (args.kept.store(&context.cwd), context.cwd.join(&args.to));
    let taken = care::backup(&store, &to, !args.without_outputs).map_err(|error| refused(&error))?;
    if taken.copied < taken.outputs && !args.without_outputs {
        let left = taken.outputs - taken.copied;
        eprintln!("{left} of {} outputs are not in the data directory; they are listed in outputs.txt", taken.outputs);
    }
    print(&match args.kept.format {
        TableFormat::Human => {
            let count = |number, what| count_of(usize::try_from(number).unwrap_or(usize::MAX), what);
            let (runs, outputs) = (count(taken.runs, "run"), count(taken.copied, "output"));
            format!("{}: {runs} and {outputs}, up to commit {}\n", to.display(), taken.last)
        }
        TableFormat::Json => {
            let document = json!({
                "directory": to,
                "last": taken.last,
                "cursor": taken.cursor,
                "runs": taken.runs,
                "outputs": taken.outputs,
                "outputs_copied": taken.copied,
            });
            format!("{document:#}\n")
        }
    })?;
    Ok(Exit::Ok)
}
