//! What was committed under one lease, and what kind of change a statement is.

use super::mention::mentions;
use std::collections::BTreeSet;

/// Texts that are kept of one lease, and bytes of each.
const TEXTS: (usize, usize) = (5, 300);

/// Whose changes are looked for.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    /// Its database; readers share one.
    pub(super) database: String,
    /// The server is its own: all that happens there is its doing.
    pub(super) alone: bool,
}

/// What was committed under a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) what: BTreeSet<What>,
    pub(super) relations: BTreeSet<String>,
    pub(super) texts: Vec<String>,
    /// Transactions that are prepared, as they are named in statements.
    pub(super) prepared: BTreeSet<String>,
}

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Rows,
    Schema,
    /// `ANALYZE`, `OPTIMIZE`, `REPAIR`.
    Maintenance,
    /// Its own user, or its database as a whole.
    Own,
    Prepared,
    /// Another database of a server of its own.
    Elsewhere,
    /// Users and databases.
    Shared,
    /// `FLUSH` and its kind.
    Server,
    /// Something that we do not know.
    Unknown,
}

impl What {
    /// What kind of change a statement is.
    pub(super) fn of(first: &str, second: &str, text: &str, (user, watched): (&str, &Watched)) -> Self {
        match (first, second) {
            ("GRANT" | "REVOKE", _)
            | ("CREATE" | "ALTER" | "DROP" | "RENAME", "USER" | "ROLE")
            | ("SET", "PASSWORD" | "DEFAULT") => {
                if mentions(text, user) && !watched.alone {
                    Self::Own
                } else {
                    Self::Shared
                }
            }
            ("CREATE" | "ALTER" | "DROP", "DATABASE" | "SCHEMA") => {
                if mentions(text, &watched.database) {
                    Self::Own
                } else {
                    Self::Shared
                }
            }
            ("ANALYZE" | "OPTIMIZE" | "REPAIR" | "CHECK", _) => Self::Maintenance,
            (
                "CREATE" | "ALTER" | "DROP" | "TRUNCATE" | "RENAME" | "INSERT" | "UPDATE" | "DELETE" | "REPLACE"
                | "LOAD",
                _,
            ) => Self::Schema,
            _ => Self::Server,
        }
    }
}

impl Changes {
    pub(super) fn add(&mut self, what: What, text: &str) {
        self.what.insert(what);
        self.tell(text);
    }

    pub(super) fn tell(&mut self, text: &str) {
        if self.texts.len() < TEXTS.0 && !self.texts.iter().any(|told| told == text) {
            self.texts.push(text.to_owned());
        }
    }
}

/// As much of a text as is kept.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(TEXTS.1).collect()
}
