//! What a lease left behind on the server.

use std::fmt;

/// What a kind of leak is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A session, of the lease's role or in its database, whatever it is doing.
    Session,
    /// A session that sits in a transaction.
    InTransaction,
    /// Locks on relations and transactions.
    Lock,
    /// Advisory locks.
    Advisory,
    /// A prepared transaction: it keeps its database from being dropped.
    Prepared,
    /// A replication slot: it keeps the log from being recycled.
    Slot,
    /// A role.
    Role,
    /// A database.
    Database,
    /// A subscription: it keeps its database from being dropped.
    Subscription,
    /// A temporary file of a session.
    TemporaryFile,
}

/// Something that a lease left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// What it is.
    pub kind: Kind,
    /// Which: a name, or words that tell it from others of its kind.
    pub what: String,
    /// How many of these.
    pub count: i64,
}

impl Leak {
    /// Understands a row of the report.
    pub(super) fn told(kind: &str, what: &str, count: i64) -> Option<Self> {
        let kind = match kind {
            "session" if what.starts_with("idle in transaction") => Kind::InTransaction,
            "session" => Kind::Session,
            "lock" => Kind::Lock,
            "advisory lock" => Kind::Advisory,
            "prepared transaction" => Kind::Prepared,
            "slot" => Kind::Slot,
            "role" => Kind::Role,
            "database" => Kind::Database,
            "subscription" => Kind::Subscription,
            "temporary file" => Kind::TemporaryFile,
            _ => return None,
        };
        Some(Self { kind, what: what.to_owned(), count })
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, what, count } = self;
        match kind {
            Kind::Session | Kind::InTransaction => write!(f, "a session ({what})"),
            Kind::Lock => write!(f, "{count} locks ({what})"),
            Kind::Advisory => write!(f, "{count} advisory locks ({what})"),
            Kind::Prepared => write!(f, "the prepared transaction {what}"),
            Kind::Slot => write!(f, "the replication slot {what}"),
            Kind::Role => write!(f, "the role {what}"),
            Kind::Database => write!(f, "the database {what}"),
            Kind::Subscription => write!(f, "the subscription {what}"),
            Kind::TemporaryFile => write!(f, "the temporary file {what}"),
        }
    }
}
