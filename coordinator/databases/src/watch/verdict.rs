//! From how things stood at a mark and how they stand now, to evidence.
//!
//! A pure comparison. Where something cannot be told, the stronger is assumed; what was out of sight lowers the confidence.

use super::{
    Abilities,
    account::Count,
    ledger::{Server, Tally},
    reader::{Counters, Key, Ran, Whole},
    rules::{self, Bound},
};
use regatta_domain::{
    Level,
    evidence::{Evidence, Fact, Facts, Sources},
};
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// Telling statements that are kept, and how much of each.
const STATEMENTS: usize = 16;
const STATEMENT_CHARS: usize = 300;

/// How things stood with a database, before a lease of it.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    pub(super) tally: Tally,
    pub(super) server: Server,
    /// None where the database is gone.
    pub(super) counters: Option<Counters>,
    pub(super) whole: Whole,
    /// How much statements had run, where they could not be forgotten.
    pub(super) counts: Arc<HashMap<Key, Count>>,
}

/// What there is to know at a release, besides how things stand.
#[derive(Clone, Debug)]
pub(super) struct Around {
    /// Whether the server is leased whole: what happened to it, the lease did.
    pub(super) whole_server: bool,
    /// Whether others lease the same database at the same time.
    pub(super) is_shared: bool,
    /// Whether others leased it at any time since the mark, so that counters and statements may be theirs.
    pub(super) had_others: bool,
    /// Whether a transaction of the database has not ended.
    pub(super) is_open: bool,
    /// Where the log is out of sight: whether any transaction committed since the mark, on the whole server.
    pub(super) any_committed: bool,
    /// The most sessions seen at once.
    pub(super) peak: u16,
    /// How many relations commits changed.
    pub(super) changed: u32,
}

/// What was done, and the statements that tell.
pub(super) fn judge(
    can: &Abilities,
    before: &Stand,
    now: &Stand,
    ran: &[Ran],
    around: &Around,
) -> (Evidence, Vec<String>) {
    let own = now.counters.as_ref().or(before.counters.as_ref()).map_or("", |counters| counters.name.as_str());
    let texts = Texts::of(ran, &before.counts, own);
    let mut facts = texts.facts;
    let mut evidence = Evidence { peak: around.peak, ..Evidence::default() };

    let connected = now.counters.as_ref().is_some_and(|counters| counters.connected > 0);
    let restarted = before.whole.started != now.whole.started;
    let gap = before.server.gaps != now.server.gaps;
    evidence.sources = Sources {
        wal: can.wal && !gap,
        statements: can.statements && !texts.any_cut && before.whole.evicted == now.whole.evicted,
        counters: can.counters && now.counters.is_some() && !restarted && (around.is_shared || !connected),
        log: false,
    };
    if gap || restarted || now.counters.is_none() || !can.wal && !evidence.sources.counters {
        facts.insert(Fact::Unknown);
    }
    if connected && !around.is_shared {
        facts.insert(Fact::Leaked);
    }
    if around.is_open {
        // Without a session nobody can commit it any more; a prepared one is counted as such.
        facts.insert(if connected { Fact::Open } else { Fact::Aborted });
    }

    if facts.has(Fact::Notify) && evidence.sources.wal && !any_commit(before, now) {
        // A notification is sent by a commit, which has an id of its own. Where there was none, it was rolled back.
        facts = facts.iter().map(|fact| if fact == Fact::Notify { Fact::Aborted } else { fact }).collect();
    }

    let rows = counted(before, now, &mut evidence, &mut facts);
    // A statement that failed left no text. An insert that a constraint refused, say, would have failed otherwise for a reader.
    if !around.had_others && rolled_back(before, now) > texts.rollbacks() {
        facts.insert(Fact::Failed);
    }
    if can.wal {
        logged(before, now, rows, &mut evidence, &mut facts);
    } else if rows > 0 || facts.has(Fact::Sequence) {
        facts.insert(Fact::Wrote);
        facts.insert(if around.any_committed { Fact::Committed } else { Fact::Aborted });
        evidence.rows = rows;
    }
    let is_idle = evidence.sources.counters && evidence.sessions == 0;
    if !evidence.sources.statements && now.server.bare > before.server.bare && !is_idle {
        // A notification, perhaps: without texts, nobody can tell whose commit it was.
        facts.insert(Fact::Bare);
    }
    if around.whole_server {
        facts.extend(of_server(can, before, now, facts));
    }
    if facts.has(Fact::Committed) {
        evidence.relations_more = around.changed;
    }
    if !facts.is_empty() {
        facts.insert(Fact::Connected);
    }
    evidence.facts = facts;
    (evidence, texts.told)
}

/// Whether a transaction of this database committed, or one that does not tell of which it is.
const fn any_commit(before: &Stand, now: &Stand) -> bool {
    now.tally.ended > before.tally.ended || now.server.bare > before.server.bare
}

/// Sessions, and rows by the counters of the server.
fn counted(before: &Stand, now: &Stand, evidence: &mut Evidence, facts: &mut Facts) -> u64 {
    let (Some(before), Some(now)) = (&before.counters, &now.counters) else { return 0 };
    evidence.sessions = u32::try_from(now.sessions - before.sessions).unwrap_or(0);
    evidence.peak = evidence.peak.max(u16::from(evidence.sessions > 0));
    if evidence.sessions > 0 || now.connected > 0 {
        facts.insert(Fact::Connected);
    }
    u64::try_from(now.rows - before.rows).unwrap_or(0)
}

/// Transactions rolled back, by the counters of the server, those left out whose session was ended from outside.
fn rolled_back(before: &Stand, now: &Stand) -> i64 {
    let count = |stand: &Stand| stand.counters.as_ref().map(|counters| counters.rollbacks - counters.killed);
    count(now).zip(count(before)).map_or(0, |(now, before)| now - before)
}

/// What the log says of the database.
fn logged(before: &Stand, now: &Stand, rows: u64, evidence: &mut Evidence, facts: &mut Facts) {
    let (was, is) = (&before.tally, &now.tally);
    let moved = [
        (is.wrote - was.wrote, Fact::Wrote),
        (is.committed - was.committed, Fact::Committed),
        (is.aborted - was.aborted, Fact::Aborted),
        (is.prepared - was.prepared, Fact::Prepared),
        (is.row_locks - was.row_locks, Fact::RowLock),
        (is.sequences - was.sequences, Fact::Sequence),
        (is.ddl - was.ddl, Fact::Ddl),
    ];
    facts.extend(moved.into_iter().filter(|(times, _)| *times > 0).map(|(_, fact)| fact).collect());
    evidence.committed = clamped(is.committed - was.committed);
    evidence.aborted = clamped(is.aborted - was.aborted);
    evidence.rows = is.rows - was.rows;
    // A sequence that a subtransaction moved does not tell its transaction, whose commit would then have no record either.
    if is.loose_sequences > was.loose_sequences {
        facts.insert(if any_commit(before, now) { Fact::Committed } else { Fact::Wrote });
    }
    // Rows that the server counted and the log does not have are of unlogged or temporary tables. They stay if anything
    // committed: with a record of its own, be it a lock, or without one. No database is named in the latter, so somebody
    // else's commit may raise a rollback.
    if rows > is.rows_of_old - was.rows_of_old && any_commit(before, now) {
        facts.insert(Fact::Bare);
    }
}

/// What happened to a server that was leased whole.
fn of_server(can: &Abilities, before: &Stand, now: &Stand, texts: Facts) -> Facts {
    let mut facts = Facts::default();
    let (was, is) = (&before.server, &now.server);
    let only_own =
        texts.has(Fact::OwnDatabase) && !texts.has(Fact::SharedCatalog) && before.whole.others == now.whole.others;
    if is.shared > was.shared || is.shared_rows > was.shared_rows && !only_own {
        facts.insert(Fact::SharedCatalog);
    }
    if !can.wal && now.whole.shared > before.whole.shared && !only_own || before.whole.others != now.whole.others {
        facts.insert(Fact::SharedCatalog);
    }
    if before.whole.settings != now.whole.settings {
        facts.insert(Fact::Settings);
    }
    if is.elsewhere > was.elsewhere || now.whole.elsewhere > before.whole.elsewhere {
        facts.insert(Fact::OtherDatabase);
    }
    facts
}

fn clamped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What the statements say that ran since a mark.
struct Texts {
    facts: Facts,
    told: Vec<String>,
    any_cut: bool,
    /// How often transactions were begun, committed, and asked to be rolled back.
    begun: i64,
    committed: i64,
    rolled_back: i64,
}

impl Texts {
    fn of(ran: &[Ran], before: &HashMap<Key, Count>, own: &str) -> Self {
        let mut texts =
            Self { facts: Facts::default(), told: Vec::new(), any_cut: false, begun: 0, committed: 0, rolled_back: 0 };
        let mut told: Vec<(Level, &str)> = Vec::new();
        for ran in ran {
            let calls = ran.count.calls - before.get(&ran.key).map_or(0, |before| before.calls);
            if calls <= 0 {
                continue;
            }
            let says = rules::judge(&ran.text, own);
            texts.facts.insert(Fact::Connected);
            texts.facts.extend(says);
            texts.any_cut |= ran.is_cut;
            if !says.is_empty() {
                told.push((says.level(), &ran.text));
            }
            match rules::bound(&ran.text) {
                Some(Bound::Begin) => texts.begun += calls,
                Some(Bound::Commit) => texts.committed += calls,
                Some(Bound::Rollback) => texts.rolled_back += calls,
                None => {}
            }
        }
        told.sort_by_key(|(level, _)| Reverse(*level));
        let cut = |(_, text): (_, &str)| text.chars().take(STATEMENT_CHARS).collect();
        texts.told = told.into_iter().take(STATEMENTS).map(cut).collect();
        texts
    }

    /// Rollbacks that nobody has to wonder about: those asked for, and those of transactions that a session left open.
    fn rollbacks(&self) -> i64 {
        self.rolled_back + (self.begun - self.committed - self.rolled_back).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that can move between a mark and a release.
    const MOVES: [fn(&mut Stand); 16] = [
        |stand| stand.tally.wrote += 1,
        |stand| stand.tally.ended += 1,
        |stand| stand.tally.committed += 1,
        |stand| stand.tally.aborted += 1,
        |stand| stand.tally.prepared += 1,
        |stand| stand.tally.row_locks += 1,
        |stand| stand.tally.sequences += 1,
        |stand| stand.tally.loose_sequences += 1,
        |stand| stand.tally.ddl += 1,
        |stand| stand.server.gaps += 1,
        |stand| stand.server.shared += 1,
        |stand| stand.server.bare += 1,
        |stand| stand.server.elsewhere += 1,
        |stand| stand.whole.settings.push('x'),
        |stand| counters(stand).sessions += 1,
        |stand| counters(stand).rows += 1,
    ];

    fn counters(stand: &mut Stand) -> &mut Counters {
        stand.counters.as_mut().expect("the database is there")
    }

    fn quiet() -> Stand {
        Stand {
            tally: Tally::default(),
            server: Server::default(),
            counters: Some(Counters { name: "own".to_owned(), ..Counters::default() }),
            whole: Whole::default(),
            counts: Arc::default(),
        }
    }

    fn seen(now: &Stand, texts: &[&str], whole_server: bool) -> Evidence {
        let mut can = Abilities::default();
        (can.wal, can.statements, can.counters) = (true, true, true);
        let around = Around {
            whole_server,
            is_shared: false,
            had_others: false,
            is_open: false,
            any_committed: false,
            peak: 0,
            changed: 0,
        };
        let ran = |(at, text): (usize, &&str)| Ran {
            database: 1,
            key: (10, i64::try_from(at).expect("few texts"), true),
            user: "test".to_owned(),
            is_ours: false,
            count: Count { calls: 1, ..Count::default() },
            text: (*text).to_owned(),
            is_cut: false,
        };
        let ran: Vec<Ran> = texts.iter().enumerate().map(ran).collect();
        judge(&can, &quiet(), now, &ran, &around).0
    }

    #[test]
    fn more_that_happened_is_never_less() {
        for whole_server in [false, true] {
            for (one, first) in MOVES.iter().enumerate() {
                let mut now = quiet();
                first(&mut now);
                let alone = seen(&now, &[], whole_server).level();
                for (other, second) in MOVES.iter().enumerate() {
                    let mut both = now.clone();
                    second(&mut both);
                    let together = seen(&both, &[], whole_server).level();
                    assert!(together >= alone, "move {other} beside {one}: {together:?} below {alone:?}");
                }
            }
        }
    }

    #[test]
    fn what_the_server_went_through_is_the_doing_of_who_leased_it_whole() {
        let mut now = quiet();
        now.server.shared += 1;
        counters(&mut now).sessions += 1;
        assert_eq!(seen(&now, &[], false).level(), Level::Read);
        assert_eq!(seen(&now, &[], true).level(), Level::Exclusive);
    }

    #[test]
    fn only_its_own_row_among_the_settings_is_its_own_affair() {
        let mut now = quiet();
        now.server.shared_rows += 1;
        assert_eq!(seen(&now, &["ALTER DATABASE own SET work_mem = '1MB'"], true).level(), Level::Isolated);
        assert_eq!(seen(&now, &[], true).level(), Level::Exclusive, "nobody says that it was its own");
        now.whole.others.push('x');
        assert_eq!(seen(&now, &["ALTER DATABASE own SET work_mem = '1MB'"], true).level(), Level::Exclusive);
    }

    #[test]
    fn a_notification_is_sent_by_a_commit_only() {
        let mut now = quiet();
        assert_eq!(seen(&now, &["NOTIFY news"], false).level(), Level::Transaction);
        now.server.bare += 1;
        assert_eq!(seen(&now, &["NOTIFY news"], false).level(), Level::Isolated);
    }

    #[test]
    fn a_rollback_that_nobody_asked_for_is_a_failure() {
        let mut now = quiet();
        counters(&mut now).rollbacks += 1;
        assert_eq!(seen(&now, &["SELECT 1"], false).level(), Level::Transaction);
        assert_eq!(seen(&now, &["BEGIN", "SELECT 1", "ROLLBACK"], false).level(), Level::Read);
        assert_eq!(seen(&now, &["BEGIN", "SELECT 1"], false).level(), Level::Read, "the session ended in it");
        counters(&mut now).killed += 1;
        assert_eq!(seen(&now, &["SELECT 1"], false).level(), Level::Read, "it was ended from outside");
    }

    #[test]
    fn texts_that_may_be_missing_are_not_trusted() {
        let mut now = quiet();
        now.whole.evicted.push('1');
        assert_eq!(seen(&now, &[], false).confidence(), regatta_domain::Confidence::Low);
        counters(&mut now).sessions += 1;
        now.server.bare += 1;
        assert_eq!(seen(&now, &[], false).level(), Level::Isolated, "a notification, perhaps");
    }

    #[test]
    fn a_database_that_is_gone_or_a_server_that_came_back_is_unknown() {
        let mut gone = quiet();
        gone.counters = None;
        assert!(seen(&gone, &[], false).facts.has(Fact::Unknown));
        let mut restarted = quiet();
        restarted.whole.started.push('x');
        assert!(seen(&restarted, &[], false).facts.has(Fact::Unknown));
    }
}
