//! Prints the JSON Schema of regatta.toml.

use super::print;
use crate::config;
use crate::error::Error;
use crate::exit::Exit;

/// Prints the JSON Schema of regatta.toml.
pub(crate) fn schema() -> Result<Exit, Error> {
    let text = serde_json::to_string_pretty(&config::schema()).expect("a schema is plain data");
    print(&format!("{text}\n"))?;
    Ok(Exit::Ok)
}
