//! What a test did, from how its files stood before and after.

use super::files::{Mode, Stand};
use regatta_domain::evidence::{Evidence, Fact, Sources};

/// Compares then and now. Whoever only reads leaves no trace, nor does who is not there at all: then the level is a guess that
/// may raise a plan and never lower it.
pub(super) fn judge(before: &Stand, after: &Stand) -> Evidence {
    let mut evidence = Evidence::default();
    let wrote = !before.is_same_data(after);
    if wrote {
        evidence.facts.insert(Fact::Connected);
        evidence.facts.insert(Fact::Wrote);
        evidence.facts.insert(Fact::Committed);
    } else if !before.is_same_directory(after) {
        evidence.facts.insert(Fact::Connected);
        match before.mode() {
            // A journal came and went: what was written was rolled back.
            Some(Mode::Rollback) => {
                evidence.facts.insert(Fact::Wrote);
                evidence.facts.insert(Fact::Aborted);
            }
            // The log came and went: that it was opened is all that is known, and readers need a directory of their own, too.
            Some(Mode::Wal) | None => evidence.facts.insert(Fact::Asked),
        }
    }
    let seen = !evidence.facts.is_empty();
    evidence.sources = Sources { wal: seen, statements: seen, counters: seen, log: false };
    evidence.sessions = u32::from(seen);
    evidence
}
