//! What was seen of a test at its database, the level that follows, and the level to plan with next time.
//!
//! Kept are the *facts*, not only the level, so that a better rule can be applied to history. Seeing is left to whoever
//! watches the database; here nothing is looked at, only judged. The invariant: one more fact never lowers a level.

mod fact;

pub use fact::{Fact, Facts};

use crate::Level;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Names of relations that evidence carries; the rest are counted in `relations_more`. Enough for a sentence.
pub const RELATIONS: usize = 8;

/// Sure observations that have to agree before a plan is lowered.
pub const AGREEING: usize = 3;

/// Where an observation came from, so that it is known what it was blind to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sources {
    /// The write-ahead log was read from the mark to the release.
    pub wal: bool,
    /// The texts of all statements were at hand.
    pub statements: bool,
    /// The counters of the database were at hand, and nobody was connected when they were read.
    pub counters: bool,
    /// The errors in the server's log were at hand.
    pub log: bool,
}

/// How far a level may be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Something was out of sight: the level may raise a plan, never lower it.
    #[default]
    Low,
    /// Counters and statements agree, without the WAL: right for nearly all tests.
    Fair,
    /// WAL, counters and statements.
    Full,
}

/// What was seen of one test at its database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was seen.
    pub facts: Facts,
    /// Where it was seen.
    pub sources: Sources,
    /// Sessions opened.
    pub sessions: u32,
    /// The most sessions seen open at once; a sample, so at least this many.
    pub peak: u16,
    /// Transactions that committed a change.
    pub committed: u32,
    /// Transactions, or parts of them, that were rolled back after they had written.
    pub aborted: u32,
    /// Rows written, rolled back or not.
    pub rows: u64,
    /// The relations changed by committed transactions, by name, at most [`RELATIONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<String>,
    /// How many more were changed, whose names are not told.
    #[serde(default)]
    pub relations_more: u32,
}

impl Evidence {
    /// The level of a test that did this: the strongest that any fact asks for.
    #[must_use]
    pub fn level(&self) -> Level {
        let connected = if self.sessions > 0 { Level::Read } else { Level::None };
        // Where nothing counts sessions, that none were seen proves nothing.
        let unseen = if self.sources.counters { Level::None } else { Level::Read };
        self.facts.level().max(connected).max(unseen)
    }

    /// The level as far as something is known: what nobody could see is held against nobody.
    #[must_use]
    pub fn known(&self) -> Level {
        self.without(&[Fact::Unknown])
    }

    /// The level of what was done, as far as that is known: what was refused was not done, and what was left behind was
    /// cleared away before anybody else came. A session that is on its way out counts as left behind, too, where the server is
    /// slow to see it off.
    #[must_use]
    pub fn done(&self) -> Level {
        self.without(&[Fact::Unknown, Fact::ReadOnlyViolation, Fact::Denied, Fact::Failed, Fact::Leaked])
    }

    fn without(&self, some: &[Fact]) -> Level {
        Self { facts: self.facts.iter().filter(|fact| !some.contains(fact)).collect(), ..self.clone() }.level()
    }

    /// How far the level may be trusted.
    #[must_use]
    pub const fn confidence(&self) -> Confidence {
        let Sources { wal, statements, counters, .. } = self.sources;
        match (counters && statements && !self.facts.has(Fact::Unknown), wal) {
            (false, _) => Confidence::Low,
            (true, false) => Confidence::Fair,
            (true, true) => Confidence::Full,
        }
    }

    /// Why the level is what it is: what the test did, without a subject and a full stop.
    #[must_use]
    pub fn because(&self) -> String {
        let level = self.level();
        if level == Level::None {
            return "opened no session".to_owned();
        }
        // That an id was given says nothing beside what was done with it.
        let telling = |fact: &Fact| match fact {
            Fact::Wrote | Fact::Asked => !self.facts.has(Fact::Aborted) && !self.facts.has(Fact::RowLock),
            _ => true,
        };
        let phrases: Vec<String> = self
            .facts
            .iter()
            .filter(|fact| fact.level() == level)
            .filter(telling)
            .map(|fact| match fact {
                Fact::Committed if self.committed > 0 => self.commits(),
                Fact::Aborted if self.aborted > 0 => format!("rolled back {}", transactions(self.aborted)),
                Fact::Connected if self.sessions > 0 => {
                    format!("opened {} and wrote nothing", count(self.sessions, "session"))
                }
                fact => fact.words().to_owned(),
            })
            .collect();
        match phrases.as_slice() {
            [] => "connected, as far as is known".to_owned(),
            [only] => only.clone(),
            [first @ .., last] => format!("{} and {last}", first.join(", ")),
        }
    }

    fn commits(&self) -> String {
        let mut words = format!("committed {}", transactions(self.committed));
        let named = self.relations.join(", ");
        match (self.relations.is_empty(), self.relations_more) {
            (true, 0) => {}
            (true, more) => words.push_str(&format!(" that changed {}", count(more, "relation"))),
            (false, 0) => words.push_str(&format!(" that changed {named}")),
            (false, more) => words.push_str(&format!(" that changed {named} and {more} more")),
        }
        words
    }
}

fn transactions(number: u32) -> String {
    count(number, "transaction")
}

fn count(number: u32, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

impl Evidence {
    /// The facts, and where they came from, in 36 bits: what is kept of an attempt for good.
    #[must_use]
    pub fn code(&self) -> u64 {
        let Sources { wal, statements, counters, log } = self.sources;
        let sources = [wal, statements, counters, log].into_iter().enumerate();
        let sources: u64 = sources.map(|(at, there)| u64::from(there) << (u32::BITS as usize + at)).sum();
        u64::from(self.facts.bits()) | sources
    }

    /// What [`Evidence::code`] kept; bits that nobody knows any more are left out.
    #[must_use]
    pub fn decode(code: u64) -> Self {
        let facts = Fact::ALL.into_iter().filter(|fact| code & u64::from(fact.bit()) != 0).collect();
        let there = |at: u32| code >> (u32::BITS + at) & 1 == 1;
        let sources = Sources { wal: there(0), statements: there(1), counters: there(2), log: there(3) };
        Self { facts, sources, ..Self::default() }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.because())
    }
}

/// An observation as it counts towards a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Observed {
    /// The level that was seen.
    pub level: Level,
    /// Whether it may lower a plan.
    pub sure: bool,
}

impl From<&Evidence> for Observed {
    fn from(evidence: &Evidence) -> Self {
        Self { level: evidence.known(), sure: evidence.confidence() > Confidence::Low }
    }
}

/// The level to plan with: the strongest of the last observations, which come oldest first.
///
/// A stronger observation counts at once. A weaker one does when [`AGREEING`] sure ones in a row did not ask for more;
/// until so many are known, what was declared counts beside them. Unsure ones in between may only raise.
#[must_use]
pub fn learn(history: &[Observed], declared: Level) -> Level {
    let mut plan = Level::None;
    let mut sure = 0;
    for observed in history.iter().rev() {
        plan = plan.max(observed.level);
        sure += usize::from(observed.sure);
        if sure == AGREEING {
            return plan;
        }
    }
    plan.max(declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Sources = Sources { wal: true, statements: true, counters: true, log: true };

    fn seen(facts: &[Fact]) -> Evidence {
        Evidence { facts: facts.iter().copied().collect(), sources: ALL, ..Evidence::default() }
    }

    #[test]
    fn every_row_of_the_table_gives_its_level() {
        let table: [(&[Fact], Level); 14] = [
            (&[], Level::None),
            (&[Fact::Connected], Level::Read),
            (&[Fact::Connected, Fact::Wrote, Fact::RowLock], Level::Transaction),
            (&[Fact::Connected, Fact::Wrote, Fact::Aborted, Fact::Ddl], Level::Transaction),
            (&[Fact::Wrote, Fact::Aborted, Fact::Sequence], Level::Transaction),
            (&[Fact::ReadOnlyViolation], Level::Transaction),
            (&[Fact::Wrote, Fact::Committed], Level::Isolated),
            (&[Fact::Bare], Level::Isolated),
            (&[Fact::Advisory], Level::Isolated),
            (&[Fact::Wrote, Fact::Prepared, Fact::Aborted], Level::Isolated),
            (&[Fact::Unknown], Level::Isolated),
            (&[Fact::Connected, Fact::ServerStatement], Level::Exclusive),
            (&[Fact::Committed, Fact::SharedCatalog], Level::Exclusive),
            (&[Fact::Denied], Level::Exclusive),
        ];
        for (facts, level) in table {
            assert_eq!(seen(facts).level(), level, "{facts:?}");
        }
    }

    #[test]
    fn what_is_kept_of_an_attempt_is_judged_like_the_attempt() {
        let evidence = seen(&[Fact::Connected, Fact::Wrote, Fact::Committed, Fact::Denied]);
        let kept = Evidence::decode(evidence.code());
        assert_eq!((kept.facts, kept.sources), (evidence.facts, evidence.sources));
        assert_eq!(Evidence::decode(u64::MAX).facts.iter().count(), Fact::ALL.len());
    }

    #[test]
    fn one_more_fact_never_lowers_a_level() {
        // All pairs, and every prefix of the list grown by every fact.
        for (ix, &first) in Fact::ALL.iter().enumerate() {
            for &more in &Fact::ALL {
                assert!(seen(&[first, more]).level() >= seen(&[first]).level(), "{first:?} and {more:?}");
                let mut prefix = Fact::ALL[..=ix].to_vec();
                let before = seen(&prefix).level();
                prefix.push(more);
                assert!(seen(&prefix).level() >= before, "{more:?} after {ix} others");
            }
        }
    }

    #[test]
    fn facts_keep_their_bits() {
        for (ix, fact) in Fact::ALL.iter().enumerate() {
            assert_eq!(*fact as usize, ix, "{fact:?} moved: stored evidence would be misread");
        }
    }

    #[test]
    fn nobody_seen_is_nobody_only_where_sessions_are_counted() {
        let blind = Evidence { sources: Sources { counters: false, ..ALL }, ..Evidence::default() };
        assert_eq!((blind.level(), blind.confidence()), (Level::Read, Confidence::Low));
        assert_eq!((seen(&[]).level(), seen(&[]).confidence()), (Level::None, Confidence::Full));
        let counted = Evidence { sessions: 1, ..seen(&[]) };
        assert_eq!(counted.level(), Level::Read);
    }

    #[test]
    fn a_gap_is_never_trusted() {
        assert_eq!(seen(&[Fact::Unknown]).confidence(), Confidence::Low);
        let without_wal = Evidence { sources: Sources { wal: false, ..ALL }, ..seen(&[Fact::Connected]) };
        assert_eq!(without_wal.confidence(), Confidence::Fair);
    }

    #[test]
    fn it_is_said_in_a_sentence() {
        let mut evidence = seen(&[Fact::Connected, Fact::Wrote, Fact::Aborted, Fact::Committed]);
        evidence.committed = 2;
        evidence.aborted = 1;
        evidence.relations = vec!["accounts".into(), "ledger".into()];
        assert_eq!(evidence.because(), "committed 2 transactions that changed accounts, ledger");
        evidence.relations_more = 3;
        evidence.facts.insert(Fact::Notify);
        assert_eq!(
            evidence.because(),
            "committed 2 transactions that changed accounts, ledger and 3 more and notified a channel"
        );
        let undone = Evidence { aborted: 1, ..seen(&[Fact::Wrote, Fact::Aborted, Fact::Sequence]) };
        assert_eq!(undone.because(), "rolled back 1 transaction and moved a sequence");
        assert_eq!(seen(&[]).because(), "opened no session");
        for fact in Fact::ALL {
            assert!(!seen(&[fact]).because().is_empty(), "{fact:?}");
        }
    }

    #[test]
    fn a_plan_rises_at_once_and_falls_after_three_that_agree() {
        use Level::{Exclusive, Isolated, None, Read, Transaction};
        let sure = |levels: &[Level]| levels.iter().map(|&level| Observed { level, sure: true }).collect::<Vec<_>>();
        let cases: [(&[Level], Level, Level); 8] = [
            (&[], Isolated, Isolated),
            (&[Exclusive], Read, Exclusive),
            (&[Read], Isolated, Isolated),
            (&[Read, Read], Isolated, Isolated),
            (&[Read, Read, Read], Isolated, Read),
            (&[Isolated, Read, Read], None, Isolated),
            (&[Isolated, Read, Read, Transaction], None, Transaction),
            (&[Read, Read, Read, Isolated], None, Isolated),
        ];
        for (history, declared, plan) in cases {
            assert_eq!(learn(&sure(history), declared), plan, "{history:?} declared {declared:?}");
        }
        let unsure = [Observed { level: Read, sure: false }; 9];
        assert_eq!(learn(&unsure, Isolated), Isolated, "unsure observations do not lower");
        let mut mixed = sure(&[Read, Read, Read]);
        mixed.push(Observed { level: Isolated, sure: false });
        assert_eq!(learn(&mixed, None), Isolated, "but they raise");
    }
}
