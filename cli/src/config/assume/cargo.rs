//! Signs of cargo.

use super::{Found, read};
use std::path::Path;
use toml::de::DeTable;

/// The Rust suite in `base`, if it has a manifest.
pub(super) fn find(base: &Path) -> Option<Found> {
    let manifest = base.join("Cargo.toml");
    if !manifest.is_file() {
        return None;
    }
    let text = read(&manifest).unwrap_or_default();
    let is_workspace = DeTable::parse_recoverable(&text).0.get_ref().get("workspace").is_some();
    let mut lines = vec!["runner = \"rust\"".to_owned()];
    if is_workspace {
        lines.push("workspace = true".to_owned());
    }
    let what = if is_workspace { "every package of the workspace" } else { "the package" };
    Some(Found {
        name: "rust",
        evidence: "Cargo.toml".to_owned(),
        does: format!("runs the tests of {what}, built by cargo"),
        lines,
    })
}
