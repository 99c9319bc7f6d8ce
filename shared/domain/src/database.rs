//! The databases of a suite: what a test is handed, and what it was seen to do with it.

use crate::evidence::Evidence;
use crate::{Digest, Level, Micros};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A database that the tests of a suite use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlannedDatabase {
    /// The resource that provides it.
    pub resource: Arc<str>,
    /// What its template is built from: two suites with the same digest share it.
    pub template: Digest,
    /// The command that builds the template, in the suite's directory; empty for an empty database.
    pub build: Vec<Arc<str>>,
    /// After this the command is stopped, and has failed.
    pub build_limit: Micros,
    /// Extensions that are there before the command runs: those that only an administrator may create.
    pub extensions: Vec<Arc<str>>,
    /// What a database is handed to.
    pub per: Per,
    /// A test is handed a port of its worker; what is behind it is leased when the test first connects.
    pub lazy: bool,
}

/// What a database is handed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each attempt of a test has one of its own.
    #[default]
    Test,
    /// All tests of a shard share one, for frameworks that keep their own in order (Django, Rails): its level is the
    /// strongest of theirs.
    Shard,
}

impl Per {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Test, Self::Shard];

    /// Its name in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Shard => "shard",
        }
    }
}

/// The server behind a database resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DatabaseServer {
    /// What kind of server.
    pub engine: Engine,
    /// Where it is, with the rights to make databases and roles; `None` for one that Regatta starts, and throws away.
    pub url: Option<Arc<str>>,
    /// Where the server's programs are; `None` for wherever they are found.
    pub programs: Option<Arc<str>>,
}

/// Kinds of database servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL, or MariaDB.
    Mysql,
    /// Redis, or Valkey.
    Redis,
    /// A file.
    Sqlite,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Self; 4] = [Self::Postgres, Self::Mysql, Self::Redis, Self::Sqlite];

    /// Its name in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Sqlite => "sqlite",
        }
    }
}

/// What a test was seen to do with its databases.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Observation {
    /// The level under which it was handed them.
    pub leased: Level,
    /// The level that what it did belongs to.
    pub seen: Level,
    /// It was refused something for lack of rights: it may be well where it has them.
    pub denied: bool,
    /// Its server was lost while it had them: whatever it met then is not its fault.
    pub lost: bool,
    /// The evidence, as the engine encodes it; kept so that it can be judged again by better rules.
    pub evidence: u64,
    /// What is to be told to people: statements, what it left behind.
    pub notes: Vec<Arc<str>>,
    /// What it asked of them; `None` where that was not measured.
    pub asked: Option<Asked>,
}

/// What a test asked of its databases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asked {
    /// How many statements were executed.
    pub calls: u64,
    /// How long the server worked at all of them.
    pub time: Micros,
    /// Those that took longest, the longest first.
    pub top: Vec<Statement>,
}

/// A statement, as the server counts it: constants are left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Statement {
    /// How it reads; the end of a long one is cut off.
    pub text: Arc<str>,
    /// How often it was executed.
    pub calls: u64,
    /// How many rows it returned or changed, all executions together.
    pub rows: u64,
    /// How long the server worked at it, all executions together.
    pub time: Micros,
}

/// What went between an attempt and one of its databases, as seen on the way. Nothing is known of what happens inside the
/// server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The name of the resource.
    pub resource: Arc<str>,
    /// Sessions that were opened.
    pub sessions: u32,
    /// The most that were open at once.
    pub peak: u32,
    /// Transactions that committed a change.
    pub committed: u32,
    /// Transactions that were rolled back after they had changed something.
    pub rolled_back: u32,
    /// The codes of errors (SQLSTATE), each once.
    pub errors: Vec<Arc<str>>,
    /// The heads of statements, each once.
    pub statements: Vec<Arc<str>>,
    /// Errors and statements are all there were, from their first letter to their last.
    pub is_whole: bool,
}

impl Observation {
    /// It had databases under one level, and did what belongs to another.
    #[must_use]
    pub const fn new(leased: Level, seen: Level) -> Self {
        Self { leased, seen, denied: false, lost: false, evidence: 0, notes: Vec::new(), asked: None }
    }

    /// The level at which an attempt that did not pass is tried again at no cost: it was refused what it needs.
    #[must_use]
    pub fn promotes(&self) -> Option<Level> {
        match self.leased {
            Level::None | Level::Exclusive => None,
            _ if !self.denied => None,
            Level::Read => Some(Level::Isolated.max(self.seen)),
            Level::Transaction | Level::Isolated => Some(Level::Exclusive),
        }
    }

    /// Whether it left something behind that had to be cleared away, or could not be.
    #[must_use]
    pub fn left_something(&self) -> bool {
        self.notes.iter().any(|note| note.contains(Self::LEFT) || note.contains(Self::CLEAN_UP))
    }

    /// How a note begins that tells of something left behind; after the name of the database, where there are several.
    pub const LEFT: &str = "left behind: ";

    /// How a note begins that tells of a clean-up which failed.
    pub const CLEAN_UP: &str = "clean-up failed";

    /// How a note begins which tells that some of what was asked is not counted.
    pub const DROPPED: &str = "statements were dropped: ";

    /// How a note begins which tells that the server counts no statements; after the name of the database, where there are
    /// several. Said once in a run.
    pub const UNCOUNTED: &str = "statements are not counted: ";

    /// What it asked of its databases, where all of it was counted.
    #[must_use]
    pub fn asked_in_all(&self) -> Option<&Asked> {
        let is_whole = !self.notes.iter().any(|note| note.contains(Self::DROPPED) || note.contains(Self::UNCOUNTED));
        self.asked.as_ref().filter(|_| is_whole)
    }

    /// Whether it did more than it was leased for: the dangerous kind. Of what nobody could see, nobody knows.
    #[must_use]
    pub fn exceeds(&self) -> bool {
        Evidence::decode(self.evidence).done() > self.leased
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Fact, Sources};

    #[test]
    fn what_was_refused_is_tried_again_with_more_rights_until_there_are_no_more() {
        let seen = |leased, seen, denied| Observation { leased, seen, denied, ..Observation::new(leased, seen) };
        assert_eq!(seen(Level::Read, Level::Read, true).promotes(), Some(Level::Isolated));
        assert_eq!(seen(Level::Isolated, Level::Isolated, true).promotes(), Some(Level::Exclusive));
        assert_eq!(seen(Level::Transaction, Level::Isolated, false).promotes(), None, "it was refused nothing");
        assert_eq!(seen(Level::Exclusive, Level::Exclusive, true).promotes(), None);
    }

    #[test]
    fn more_than_it_was_leased_for_is_what_was_done_and_not_what_was_asked_or_cannot_be_known() {
        let seen = |facts: &[Fact]| {
            let sources = Sources { wal: true, statements: true, counters: true, log: true };
            let evidence = Evidence { facts: facts.iter().copied().collect(), sources, ..Evidence::default() };
            Observation { evidence: evidence.code(), ..Observation::new(Level::Transaction, evidence.level()) }
        };
        assert!(seen(&[Fact::Committed]).exceeds());
        assert!(seen(&[Fact::Committed, Fact::Unknown]).exceeds());
        for fact in [Fact::Wrote, Fact::Unknown, Fact::Denied, Fact::Leaked, Fact::Failed, Fact::ReadOnlyViolation] {
            assert!(!seen(&[fact]).exceeds(), "{fact:?}");
        }
    }
}
