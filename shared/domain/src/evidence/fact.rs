//! What can be seen of a test at its database, one thing at a time, and the level that each asks for.

use crate::Level;
use serde::{Deserialize, Serialize};

/// One thing that was seen, each a bit. The numbers are stored: they are added to, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fact {
    /// A session was opened, or a statement ran.
    Connected = 0,
    /// A transaction got an id: something was written, or at least locked.
    Wrote = 1,
    /// A statement ran that only a writer may run, whether or not it met a row.
    Asked = 2,
    /// A transaction was rolled back after it had written.
    Aborted = 3,
    /// Rows were locked.
    RowLock = 4,
    /// A sequence moved, which no rollback undoes: it has to be set back before the database is handed on.
    Sequence = 5,
    /// The catalogs were written to; what became of it, `Committed` says.
    Ddl = 6,
    /// Refused because the session may only read: SQLSTATE 25006, or 42501 under the reading role.
    ReadOnlyViolation = 7,
    /// A change was committed.
    Committed = 8,
    /// Changes that leave no trace in the WAL: rows of unlogged or temporary tables, or commits that name no relation.
    Bare = 9,
    /// `LOCK TABLE`.
    TableLock = 10,
    /// Advisory locks.
    Advisory = 11,
    /// `LISTEN`.
    Listen = 12,
    /// `NOTIFY`.
    Notify = 13,
    /// `VACUUM`, `ANALYZE`, `REINDEX`, `CLUSTER`.
    Maintenance = 14,
    /// A transaction was prepared, whatever became of it.
    Prepared = 15,
    /// A transaction was still open when it was looked.
    Open = 16,
    /// The settings, owner or comment of its own database.
    OwnDatabase = 17,
    /// Something was left behind: sessions, locks, prepared transactions.
    Leaked = 18,
    /// The WAL could not be read without a gap: anything may have happened.
    Unknown = 19,
    /// Roles, databases, tablespaces, their settings: what all databases of a server share.
    SharedCatalog = 20,
    /// The settings of the server: `ALTER SYSTEM`, a reload.
    Settings = 21,
    /// Another database was written to or connected to.
    OtherDatabase = 22,
    /// A statement that acts on, or looks at, the server as a whole.
    ServerStatement = 23,
    /// Refused a right that the owner of a database does not have: SQLSTATE 42501.
    Denied = 24,
    /// A statement failed of which nothing else is known: it may have wanted to write.
    Failed = 25,
}

impl Fact {
    /// Every fact, in the order of their bits.
    pub const ALL: [Self; 26] = [
        Self::Connected,
        Self::Wrote,
        Self::Asked,
        Self::Aborted,
        Self::RowLock,
        Self::Sequence,
        Self::Ddl,
        Self::ReadOnlyViolation,
        Self::Committed,
        Self::Bare,
        Self::TableLock,
        Self::Advisory,
        Self::Listen,
        Self::Notify,
        Self::Maintenance,
        Self::Prepared,
        Self::Open,
        Self::OwnDatabase,
        Self::Leaked,
        Self::Unknown,
        Self::SharedCatalog,
        Self::Settings,
        Self::OtherDatabase,
        Self::ServerStatement,
        Self::Denied,
        Self::Failed,
    ];

    /// The level that this fact alone asks for.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Connected => Level::Read,
            Self::Wrote
            | Self::Asked
            | Self::Aborted
            | Self::RowLock
            | Self::Sequence
            | Self::Ddl
            | Self::ReadOnlyViolation
            | Self::Failed => Level::Transaction,
            Self::Committed
            | Self::Bare
            | Self::TableLock
            | Self::Advisory
            | Self::Listen
            | Self::Notify
            | Self::Maintenance
            | Self::Prepared
            | Self::Open
            | Self::OwnDatabase
            | Self::Leaked
            | Self::Unknown => Level::Isolated,
            Self::SharedCatalog | Self::Settings | Self::OtherDatabase | Self::ServerStatement | Self::Denied => {
                Level::Exclusive
            }
        }
    }

    /// What the test did, in words that follow "it".
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Connected => "only read",
            Self::Wrote => "got a transaction id",
            Self::Asked => "ran statements that only a writer may run",
            Self::Aborted => "rolled back what it wrote",
            Self::RowLock => "locked rows",
            Self::Sequence => "moved a sequence",
            Self::Ddl => "changed the schema for a while",
            Self::ReadOnlyViolation => "tried to write where only reading is allowed",
            Self::Committed => "committed",
            Self::Bare => "wrote to unlogged or temporary tables",
            Self::TableLock => "locked a table",
            Self::Advisory => "took advisory locks",
            Self::Listen => "listened to a channel",
            Self::Notify => "notified a channel",
            Self::Maintenance => "ran maintenance (VACUUM, ANALYZE, REINDEX or CLUSTER)",
            Self::Prepared => "prepared a transaction",
            Self::Open => "left a transaction open",
            Self::OwnDatabase => "changed the settings of its database",
            Self::Leaked => "left something behind",
            Self::Unknown => "did what cannot be known, because the WAL has a gap",
            Self::SharedCatalog => "changed roles, databases, tablespaces or their settings",
            Self::Settings => "changed the settings of the server",
            Self::OtherDatabase => "used another database",
            Self::ServerStatement => "ran statements about the whole server",
            Self::Denied => "was refused a right that the owner of a database does not have",
            Self::Failed => "ran a statement that failed and may have wanted to write",
        }
    }

    pub(super) const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// A set of facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(u32);

impl Facts {
    /// Adds a fact.
    pub const fn insert(&mut self, fact: Fact) {
        self.0 |= fact.bit();
    }

    /// Adds all of the others.
    pub const fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Whether a fact is among them.
    #[must_use]
    pub const fn has(self, fact: Fact) -> bool {
        self.0 & fact.bit() != 0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of them, weakest first.
    pub fn iter(self) -> impl Iterator<Item = Fact> {
        Fact::ALL.into_iter().filter(move |&fact| self.has(fact))
    }

    /// The strongest level that one of them asks for.
    #[must_use]
    pub fn level(self) -> Level {
        self.iter().map(Fact::level).max().unwrap_or_default()
    }

    /// The set as bits, one a fact.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl FromIterator<Fact> for Facts {
    fn from_iter<I: IntoIterator<Item = Fact>>(facts: I) -> Self {
        let mut set = Self::default();
        for fact in facts {
            set.insert(fact);
        }
        set
    }
}
