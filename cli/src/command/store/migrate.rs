//! Brings a store of an older version to this one.

use super::super::print;
use super::refused;
use crate::args::{MigrateArgs, TableFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use regatta_coordinator::Keep;
use regatta_coordinator::store::care::{self, Migrated};
use serde_json::json;

/// Brings a store of an older version to this one.
pub(super) fn migrate(args: &MigrateArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let store = args.kept.store(&context.cwd);
    // How much is kept is decided when a run ends: nothing is dropped here.
    let Migrated { journal, projection } = care::migrate(&store, Keep::CLUSTER).map_err(|error| refused(&error))?;
    print(&match args.kept.format {
        TableFormat::Human => format!("journal: {}\nprojection: {}\n", words(journal), words(projection)),
        TableFormat::Json => {
            let object = |(from, to)| json!({ "from": from, "to": to });
            format!("{:#}\n", json!({ "journal": object(journal), "projection": object(projection) }))
        }
    })?;
    Ok(Exit::Ok)
}

fn words((from, to): (i64, i64)) -> String {
    match (from, from == to) {
        (0, _) => format!("made, at version {to}"),
        (_, true) => format!("version {to} already"),
        (_, false) => format!("from version {from} to {to}"),
    }
}
