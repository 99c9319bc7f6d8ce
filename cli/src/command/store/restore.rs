//! Puts a backup back.

use super::super::print;
use super::refused;
use crate::args::{RestoreArgs, TableFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use crate::render::words::{about, count_of};
use regatta_coordinator::store::care;
use regatta_domain::Micros;
use serde_json::json;

/// Puts a backup back.
pub(super) fn restore(args: &RestoreArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let store = args.kept.store(&context.cwd);
    let back = care::restore(&context.cwd.join(&args.from), &store).map_err(|error| refused(&error))?;
    if back.copied < back.outputs {
        let left = back.outputs - back.copied;
        eprintln!(
            "{left} of {} outputs were not in the backup: they are where the coordinator kept them",
            back.outputs
        );
    }
    print(&match args.kept.format {
        TableFormat::Human => {
            let runs = count_of(usize::try_from(back.runs).unwrap_or(usize::MAX), "run");
            let age = about(Micros(regatta_runtime::clock::now_us().saturating_sub(back.at)));
            format!("{runs}, up to commit {}, as they were {age} ago\n", back.last)
        }
        TableFormat::Json => {
            let document = json!({
                "at": Micros(back.at).as_secs_f64(),
                "last": back.last,
                "runs": back.runs,
                "outputs": back.outputs,
                "outputs_copied": back.copied,
            });
            format!("{document:#}\n")
        }
    })?;
    Ok(Exit::Ok)
}
