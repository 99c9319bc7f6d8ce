//! The configuration as tables: what is refused and how that reads, what the schema says of it, and which value counts.

mod agreement;
mod databases;
mod mistakes;
mod resolution;

use super::file::File;
use crate::error::Error;
use std::sync::Arc;

/// Reads `text` as a `regatta.toml` beside the directories `a` and `services/api`.
fn parse(text: &str) -> Result<File, Error> {
    let is_directory = |dir: &std::path::Path| ["a", "services/api"].iter().any(|known| dir.ends_with(known));
    File::parse(&Arc::from("regatta.toml"), &Arc::from(text), &is_directory)
}
