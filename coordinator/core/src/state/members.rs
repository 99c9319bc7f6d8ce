//! The tests of a group: nearly always one, and a million groups of one must not cost a million lists.

use regatta_domain::TestIx;
use serde::{Deserialize, Serialize};

/// The tests of a group, in order; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Members {
    first: TestIx,
    #[expect(clippy::box_collection, reason = "absent nearly always: 8 bytes instead of 24")]
    more: Option<Box<Vec<TestIx>>>,
}

impl Members {
    /// A group of one test.
    #[must_use]
    pub const fn of(first: TestIx) -> Self {
        Self { first, more: None }
    }

    pub(super) fn push(&mut self, test: TestIx) {
        self.more.get_or_insert_default().push(test);
    }

    /// The first of them.
    #[must_use]
    pub const fn first(&self) -> TestIx {
        self.first
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = TestIx> + '_ {
        std::iter::once(self.first).chain(self.more.iter().flat_map(|more| more.iter().copied()))
    }
}
