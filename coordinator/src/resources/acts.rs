//! What people do with resources, on record: one line of JSON for each act, durable before it is answered.
//!
//! The seam for a log that nobody can change unseen: it takes the place of [`Acts::record`].

use crate::store::papers::Papers;
use regatta_domain::Time;
use serde::Serialize;
use std::io;

/// Its name.
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
#[derive(Clone, Debug)]
pub(crate) struct Acts(Papers);

impl Acts {
    /// Among these papers.
    pub(crate) const fn new(papers: Papers) -> Self {
        Self(papers)
    }

    /// Puts an act on record: once this returns, it is durable. Waits for a disk.
    ///
    /// # Errors
    /// When the store refuses.
    pub(crate) fn record(&self, act: &Act) -> io::Result<()> {
        let Act { by, act: what, resource, item, details, .. } = act;
        tracing::info!(%by, act = what, %resource, item = item.as_deref(), %details, "a resource was changed by somebody");
        self.0.add(FILE, &serde_json::to_vec(act)?)
    }
}
