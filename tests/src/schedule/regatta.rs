//! What Regatta's own core makes of a case.

use super::Case;

/// The name of its row.
pub const NAME: &str = "regatta";

/// How long the case takes with Regatta, in seconds; nothing until the core can be rehearsed on a virtual clock.
#[must_use]
pub fn makespan(_case: &Case, _seed: u64) -> Option<f64> {
    None
}
