//! What tests without history took so far in a run: the best guess for those that are like them.

use regatta_domain::Micros;
use serde::{Deserialize, Serialize};

/// How many were seen, and how long they took together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Observed {
    /// How many.
    pub tests: u32,
    /// How long they took together.
    pub total: Micros,
}

impl Observed {
    pub(super) fn add(&mut self, duration: Micros) {
        self.tests = self.tests.saturating_add(1);
        self.total = Micros(self.total.0.saturating_add(duration.0));
    }

    /// Their mean, with an earlier belief that counts as much as `weight` of them.
    #[must_use]
    pub fn mean(self, belief: Micros, weight: u32) -> Micros {
        let tests = u64::from(self.tests) + u64::from(weight);
        let total = u128::from(self.total.0) + u128::from(belief.0) * u128::from(weight);
        u64::try_from(total / u128::from(tests.max(1))).map_or(Micros(u64::MAX), Micros)
    }
}
