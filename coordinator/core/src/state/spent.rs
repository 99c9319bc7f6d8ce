//! How often a test was tried in vain, by cause: what budgets are counted against.
//!
//! Kept beside the tests, for those few that were: a million that pass at once pay nothing for it.

use regatta_domain::Cause;
use serde::{Deserialize, Serialize};

/// Attempts of one test that came to nothing, each counted for one cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spent([u16; Cause::COUNT]);

impl Spent {
    /// Those with this cause.
    #[must_use]
    pub const fn of(self, cause: Cause) -> u16 {
        self.0[cause.at()]
    }

    /// All of them.
    #[must_use]
    pub fn total(self) -> u32 {
        self.0.iter().copied().map(u32::from).sum()
    }

    pub(super) fn count(&mut self, cause: Cause) {
        let counted = &mut self.0[cause.at()];
        *counted = counted.saturating_add(1);
    }
}
