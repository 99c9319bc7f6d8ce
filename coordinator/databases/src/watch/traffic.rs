//! What was seen on the way to a database, beside what its server told.
//!
//! The server is the better witness: it knows what functions and triggers do, and what became of a transaction. Where it told,
//! the way adds nothing but how many sessions there were at once. Where it cannot (a managed server has no log to read, and
//! often neither its WAL nor its statements), what was seen is added as facts. It takes no place of a source: what happens inside
//! the server stays out of sight, so it may raise a level, and lowers none.

use super::rules;
use crate::Released;
use regatta_domain::database::Traffic;
use regatta_domain::{Fact, Level};
use std::cmp::Reverse;

/// Adds what was seen on the way to the database `own`.
pub fn add_traffic(released: &mut Released, traffic: &Traffic, own: &str) {
    let evidence = &mut released.evidence;
    let sources = evidence.sources;
    evidence.sessions = evidence.sessions.max(traffic.sessions);
    evidence.peak = evidence.peak.max(u16::try_from(traffic.peak).unwrap_or(u16::MAX));
    if traffic.sessions > 0 {
        evidence.facts.insert(Fact::Connected);
    }
    if !sources.wal {
        evidence.committed = evidence.committed.max(traffic.committed);
        evidence.aborted = evidence.aborted.max(traffic.rolled_back);
        for (times, fact) in [(traffic.committed, Fact::Committed), (traffic.rolled_back, Fact::Aborted)] {
            if times > 0 {
                evidence.facts.insert(Fact::Wrote);
                evidence.facts.insert(fact);
            }
        }
    }
    if !sources.log {
        let facts = traffic.errors.iter().filter_map(|code| refusal(code, released.declared));
        evidence.facts.extend(facts.collect());
    }
    if !sources.statements {
        let mut told: Vec<(Level, &str)> = Vec::new();
        for text in &traffic.statements {
            let says = rules::judge(text, own);
            evidence.facts.extend(says);
            if !says.is_empty() {
                told.push((says.level(), text));
            }
        }
        told.sort_by_key(|(level, _)| Reverse(*level));
        if released.statements.is_empty() {
            released.statements = told.into_iter().map(|(_, text)| text.to_owned()).collect();
        }
    }
    let refused = [Fact::Denied, Fact::ReadOnlyViolation].into_iter().any(|fact| evidence.facts.has(fact));
    released.denied |= refused;
    released.level = released.level.max(evidence.level());
}

/// What an error says of whoever met it.
fn refusal(code: &str, declared: Level) -> Option<Fact> {
    match code {
        "25006" => Some(Fact::ReadOnlyViolation),
        // A reader has fewer rights than an owner: it only says that it wanted to write.
        "42501" if declared == Level::Read => Some(Fact::ReadOnlyViolation),
        "42501" => Some(Fact::Denied),
        // A row that broke a rule was to be written.
        _ if code.starts_with("23") => Some(Fact::Asked),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, Fate};
    use regatta_domain::evidence::{Confidence, Evidence, Sources};

    fn released(declared: Level, all: bool) -> Released {
        let sources = Sources { wal: all, statements: all, counters: true, log: all };
        Released {
            evidence: Evidence { sources, ..Evidence::default() },
            level: Level::None,
            declared,
            leaks: Vec::new(),
            statements: Vec::new(),
            denied: false,
            fate: Fate::HandedOn,
            account: Account::Unwanted,
        }
    }

    fn traffic(statements: &[&str], errors: &[&str]) -> Traffic {
        let texts = |all: &[&str]| all.iter().map(|&text| text.into()).collect();
        let (statements, errors) = (texts(statements), texts(errors));
        Traffic { sessions: 3, peak: 2, errors, statements, is_whole: true, ..Traffic::default() }
    }

    /// The level it was declared for, its statements, its errors; the level that was seen, and whether it was denied something.
    type Case<'a> = (Level, &'a [&'a str], &'a [&'a str], Level, bool);

    #[test]
    fn what_the_server_cannot_tell_is_seen_on_the_way_and_is_never_sure() {
        let cases: [Case<'_>; 8] = [
            (Level::Isolated, &["SELECT 1"], &[], Level::Read, false),
            (Level::Read, &["INSERT INTO t VALUES (1)"], &[], Level::Transaction, false),
            (Level::Read, &[], &["23505"], Level::Transaction, false),
            (Level::Read, &[], &["42501"], Level::Transaction, true),
            (Level::Read, &[], &["25006"], Level::Transaction, true),
            (Level::Isolated, &[], &["42501"], Level::Exclusive, true),
            (Level::Isolated, &["ALTER DATABASE own SET work_mem = '1MB'"], &[], Level::Isolated, false),
            (Level::Isolated, &["SELECT 1", "ALTER SYSTEM SET work_mem = '1MB'"], &[], Level::Exclusive, false),
        ];
        for (declared, statements, errors, level, denied) in cases {
            let mut released = released(declared, false);
            add_traffic(&mut released, &traffic(statements, errors), "own");
            assert_eq!((released.level, released.denied), (level, denied), "{statements:?} {errors:?}");
            assert_eq!((released.evidence.sessions, released.evidence.peak), (3, 2));
            assert_eq!(released.evidence.confidence(), Confidence::Low);
        }
        let mut ends = released(Level::Transaction, false);
        add_traffic(&mut ends, &Traffic { rolled_back: 1, ..traffic(&[], &[]) }, "own");
        assert_eq!(ends.level, Level::Transaction);
        add_traffic(&mut ends, &Traffic { committed: 1, ..traffic(&["SELECT pg_notify('a', 'b')"], &[]) }, "own");
        assert_eq!((ends.level, &*ends.statements[0]), (Level::Isolated, "SELECT pg_notify('a', 'b')"));
    }

    #[test]
    fn where_the_server_tells_the_way_adds_only_how_many_there_were() {
        let mut released = released(Level::Isolated, true);
        let passed = Traffic { committed: 1, rolled_back: 1, ..traffic(&["ALTER SYSTEM RESET ALL"], &["42501"]) };
        add_traffic(&mut released, &passed, "own");
        assert_eq!((released.level, released.denied, released.evidence.peak), (Level::Read, false, 2));
        assert_eq!(released.evidence.confidence(), Confidence::Full);
    }
}
