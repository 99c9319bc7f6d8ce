//! Prints the JSON Schema of regatta.toml, or of the event stream.

use super::print;
use crate::args::SchemaArgs;
use crate::error::Error;
use crate::exit::Exit;
use crate::{config, report};

/// Prints a JSON Schema.
pub(crate) fn schema(args: &SchemaArgs) -> Result<Exit, Error> {
    let schema = if args.what == "events" { report::event_schema() } else { config::schema() };
    let text = serde_json::to_string_pretty(&schema).expect("a schema is plain data");
    print(&format!("{text}\n"))?;
    Ok(Exit::Ok)
}
