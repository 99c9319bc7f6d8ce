//! What a test did, from what its server counted of its user and logged of its database.
//!
//! The counts belong to one lease alone, since each has a user of its own; the log says what was committed. The invariant: a
//! database is clean only if neither its user nor its name stands behind anything that was written down.

use super::changes::{Changes, What};
use super::wire::Row;
use crate::watch::Leak;
use regatta_domain::Level;
use regatta_domain::evidence::{Evidence, Fact, RELATIONS, Sources};

/// What a server counts of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) sessions: u32,
    /// Bytes of the log of changes that are its own.
    pub(super) logged: u64,
    /// Rows inserted, updated and deleted, rolled back or not.
    pub(super) rows: u64,
    /// Statements that may write.
    pub(super) writes: u64,
    /// Statements that were refused for want of a right.
    pub(super) refused: u64,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) evidence: Evidence,
    /// Whether the next test may have the database, but for numbers that have moved on.
    pub(super) clean: bool,
}

impl Counts {
    /// What asks for those of all users.
    pub(super) const ALL: &str = "SELECT USER, TOTAL_CONNECTIONS, BINLOG_BYTES_WRITTEN, \
        ROWS_INSERTED + ROWS_UPDATED + ROWS_DELETED, UPDATE_COMMANDS, ACCESS_DENIED \
        FROM information_schema.USER_STATISTICS";

    /// What asks for those of one.
    pub(super) fn query(user: &str) -> String {
        format!("{} WHERE USER = '{user}'", Self::ALL)
    }

    /// A user who was never there has no line.
    pub(super) fn read(rows: &[Row]) -> Self {
        rows.first().and_then(Self::of_user).map(|(_, counts)| counts).unwrap_or_default()
    }

    /// A user, and what is counted of it.
    pub(super) fn of_user(row: &Row) -> Option<(String, Self)> {
        let number = |at: usize| -> u64 {
            row.get(at).and_then(Option::as_deref).and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        let sessions = u32::try_from(number(1)).unwrap_or(u32::MAX);
        let counts = Self { sessions, logged: number(2), rows: number(3), writes: number(4), refused: number(5) };
        Some((row.first()?.clone()?, counts))
    }

    pub(super) fn add(&mut self, more: Self) {
        self.sessions = self.sessions.saturating_add(more.sessions);
        self.logged += more.logged;
        self.rows += more.rows;
        self.writes += more.writes;
        self.refused += more.refused;
    }
}

/// Judges a lease of the level `declared`.
pub(super) fn judge(counts: &Counts, changes: &Changes, leaks: &[Leak], declared: Level) -> Seen {
    let sources = Sources { wal: true, statements: true, counters: true, log: true };
    let mut evidence = Evidence { sources, sessions: counts.sessions, rows: counts.rows, ..Evidence::default() };
    evidence.peak = u16::from(counts.sessions > 0);
    let facts = &mut evidence.facts;
    let mut add = |holds: bool, more: &[Fact]| more.iter().filter(|_| holds).for_each(|&fact| facts.insert(fact));
    add(counts.sessions > 0, &[Fact::Connected]);
    let committed = counts.logged > 0 || !changes.what.is_empty();
    add(counts.writes > 0, &[Fact::Asked]);
    add(counts.rows > 0, &[Fact::Wrote]);
    add(counts.rows > 0 && !committed, &[Fact::Aborted]);
    add(committed, &[Fact::Wrote, Fact::Committed]);
    // Whoever may only read is refused every write; that it wanted more than writing, the next lease shows.
    let refused = if declared == Level::Read { Fact::ReadOnlyViolation } else { Fact::Denied };
    add(counts.refused > 0, &[refused]);
    for what in &changes.what {
        add(
            true,
            match what {
                What::Rows => &[],
                What::Schema => &[Fact::Ddl],
                What::Maintenance => &[Fact::Maintenance],
                What::Own => &[Fact::OwnDatabase],
                What::Prepared => &[Fact::Prepared],
                What::Elsewhere => &[Fact::OtherDatabase],
                What::Shared => &[Fact::SharedCatalog],
                What::Server => &[Fact::ServerStatement],
                What::Unknown => &[Fact::Unknown],
            },
        );
    }
    add(!leaks.is_empty(), &[Fact::Leaked]);
    evidence.committed = u32::from(committed);
    evidence.aborted = u32::from(counts.rows > 0 && !committed);
    evidence.relations = changes.relations.iter().take(RELATIONS).cloned().collect();
    let more = changes.relations.len().saturating_sub(RELATIONS);
    evidence.relations_more = u32::try_from(more).unwrap_or(u32::MAX);
    Seen { clean: !committed && leaks.is_empty(), evidence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_doing_has_its_level_and_only_what_left_no_trace_is_clean() {
        let counts = |sessions, logged, rows, writes, refused| Counts { sessions, logged, rows, writes, refused };
        let table: [(Counts, &[What], Level, bool); 11] = [
            (counts(0, 0, 0, 0, 0), &[], Level::None, true),
            (counts(1, 0, 0, 0, 0), &[], Level::Read, true),
            (counts(1, 0, 0, 1, 0), &[], Level::Transaction, true),
            (counts(1, 0, 3, 1, 0), &[], Level::Transaction, true),
            (counts(1, 9, 3, 1, 0), &[What::Rows], Level::Isolated, false),
            (counts(1, 9, 0, 0, 0), &[], Level::Isolated, false),
            (counts(1, 0, 0, 0, 0), &[What::Schema], Level::Isolated, false),
            (counts(1, 0, 0, 0, 0), &[What::Unknown], Level::Isolated, false),
            (counts(1, 9, 0, 0, 0), &[What::Shared], Level::Exclusive, false),
            (counts(1, 9, 0, 0, 0), &[What::Server], Level::Exclusive, false),
            (counts(1, 0, 0, 0, 1), &[], Level::Exclusive, true),
        ];
        for (counts, what, level, clean) in table {
            let changes = Changes { what: what.iter().copied().collect(), ..Changes::default() };
            let seen = judge(&counts, &changes, &[], Level::Isolated);
            assert_eq!((seen.evidence.level(), seen.clean), (level, clean), "{counts:?} {what:?}");
        }
        let seen = judge(&counts(1, 0, 0, 1, 1), &Changes::default(), &[], Level::Read);
        assert!(seen.evidence.facts.has(Fact::ReadOnlyViolation) && !seen.evidence.facts.has(Fact::Denied));
    }

    #[test]
    fn who_was_never_there_counts_nothing() {
        assert_eq!(Counts::read(&[]), Counts::default());
        let row: Row = ["rg_u", "2", "300", "5", "4", "1"].map(|text| Some(text.to_owned())).to_vec();
        let want = Counts { sessions: 2, logged: 300, rows: 5, writes: 4, refused: 1 };
        let mut read = Counts::read(&[row]);
        assert_eq!(read, want);
        read.add(want);
        assert_eq!((read.sessions, read.logged, read.rows, read.writes, read.refused), (4, 600, 10, 8, 2));
    }
}
