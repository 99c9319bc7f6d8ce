//! What people do with resources, on record: one line of JSON for each act, durable before it is answered.
//!
//! The seam for a log that nobody can change unseen: it takes the place of [`Acts::record`].

use regatta_domain::Time;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The name of the file in the data directory.
const FILE: &str = "acts.jsonl";

/// Something that somebody did.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Act {
    /// When: microseconds since the Unix epoch.
    pub(crate) at: Time,
    /// Who.
    pub(crate) by: String,
    /// What: `declare`, `withdraw`, `drain`, `undrain`, `release`, `reserve`, `give-back`.
    pub(crate) act: &'static str,
    /// With which resource.
    pub(crate) resource: String,
    /// With which item of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item: Option<String>,
    /// What else there is to say, without values or addresses.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) details: String,
}

/// The record of acts; of a coordinator in memory, only what it logs.
#[derive(Debug)]
pub(crate) struct Acts(Option<File>);

impl Acts {
    /// In this data directory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn open(data: Option<&Path>) -> io::Result<Self> {
        let open = |data: &Path| OpenOptions::new().append(true).create(true).mode(0o600).open(data.join(FILE));
        data.map(open).transpose().map(Self)
    }

    /// Puts an act on record: once this returns, it is durable. Waits for a disk.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn record(&mut self, act: &Act) -> io::Result<()> {
        let Act { by, act: what, resource, item, details, .. } = act;
        tracing::info!(%by, act = what, %resource, item = item.as_deref(), %details, "a resource was changed by somebody");
        let Some(file) = &mut self.0 else { return Ok(()) };
        let mut line = serde_json::to_vec(act)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()
    }
}
