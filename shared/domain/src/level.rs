//! The database dependency of a test.

use serde::{Deserialize, Serialize};

/// What a test does to the database, from nothing to everything. Declared, learned, and verified at release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Never touches the database.
    #[default]
    None,
    /// Reads seeded data.
    Read,
    /// Writes, and rolls everything back.
    Transaction,
    /// Commits writes.
    Isolated,
    /// Changes the server itself.
    Exclusive,
}

impl Level {
    /// Every level, from the weakest to the strongest.
    pub const ALL: [Self; 5] = [Self::None, Self::Read, Self::Transaction, Self::Isolated, Self::Exclusive];

    /// Its name in configuration, markers and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Transaction => "transaction",
            Self::Isolated => "isolated",
            Self::Exclusive => "exclusive",
        }
    }
}
