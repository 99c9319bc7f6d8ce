//! What a test did, from what its server counted before and after.
//!
//! The count of changes is exact and at once; which commands ran says whether anything was done that all databases of a server
//! share. The invariant: a server is clean only if its data, scripts and settings are those that it began with.

use super::admin::Counts;
use regatta_domain::Level;
use regatta_domain::evidence::{Evidence, Fact, Sources};
use std::collections::BTreeSet;

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) evidence: Evidence,
    /// The commands that tell why, the strongest first.
    pub(super) statements: Vec<String>,
    /// Whether the next test may have the server as it is.
    pub(super) clean: bool,
}

/// What running a command says, beside whether it changed data. `writes` are the commands that may.
fn fact(command: &str, writes: &BTreeSet<String>) -> Option<Fact> {
    Some(match command {
        "config|set" | "config|rewrite" | "config|resetstat" => Fact::Settings,
        "acl|setuser" | "acl|deluser" | "acl|load" | "acl|save" => Fact::SharedCatalog,
        // They reach every database of the server, its clients, or the server itself.
        "flushall" | "swapdb" | "shutdown" | "save" | "bgsave" | "bgrewriteaof" | "debug" | "monitor" | "sync"
        | "psync" | "replicaof" | "slaveof" | "failover" | "migrate" | "script|flush" | "script|kill"
        | "script|debug" | "client|kill" | "client|pause" | "client|unpause" | "client|unblock" | "client|list"
        | "latency|reset" | "slowlog|reset" | "memory|purge" | "acl|log" => Fact::ServerStatement,
        _ => match command.split_once('|') {
            // Libraries of functions belong to all databases.
            Some(("function", "load" | "delete" | "flush" | "restore" | "kill")) => Fact::ServerStatement,
            Some(("module" | "cluster", sub)) if !matches!(sub, "list" | "info" | "slots" | "shards" | "help") => {
                Fact::ServerStatement
            }
            _ => match command {
                "subscribe" | "psubscribe" | "ssubscribe" => Fact::Listen,
                "publish" | "spublish" => Fact::Notify,
                // What was queued is not counted, but who discards something wanted to write.
                "discard" | "script|load" => Fact::Asked,
                _ if writes.contains(command) => Fact::Asked,
                _ => return None,
            },
        },
    })
}

/// Compares then and now.
pub(super) fn judge(before: &Counts, after: &Counts, writes: &BTreeSet<String>) -> Seen {
    let sources = Sources { wal: true, statements: true, counters: true, log: true };
    let mut evidence = Evidence { sources, ..Evidence::default() };
    let since = |get: fn(&Counts) -> i64| get(after) - get(before);
    let (changes, connections) = (since(|counts| counts.changes), since(|counts| counts.connections));
    let mut told: Vec<(Level, String)> = Vec::new();
    let mut reset = changes < 0 || connections < 0;
    for (command, now) in &after.calls {
        let calls = now - before.calls.get(command).copied().unwrap_or_default();
        reset |= calls < 0;
        if calls > 0
            && let Some(fact) = fact(command, writes)
        {
            evidence.facts.insert(fact);
            told.push((fact.level(), format!("{} ({calls}x)", command.replace('|', " ").to_uppercase())));
        }
    }
    if reset {
        // The counts were set back, or saved away: what else was done is not known.
        evidence.facts.insert(Fact::ServerStatement);
        evidence.facts.insert(Fact::Unknown);
        told.push((Level::Exclusive, "the server's counts were set back".to_owned()));
    }
    if changes > 0 {
        evidence.facts.insert(Fact::Wrote);
        evidence.facts.insert(Fact::Committed);
        evidence.rows = changes.unsigned_abs();
    }
    evidence.sessions = u32::try_from(connections).unwrap_or_default();
    evidence.peak = u16::from(evidence.sessions > 0);
    if evidence.sessions > 0 {
        evidence.facts.insert(Fact::Connected);
    }
    // The strongest first; the sort keeps the order of names among equals.
    told.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    let left = [since(|counts| counts.expired), since(|counts| counts.evicted)];
    let loaded = [since(|counts| counts.scripts), since(|counts| counts.libraries)];
    let same = before.keys == after.keys && left == [0, 0] && loaded == [0, 0];
    let clean = same && changes == 0 && evidence.facts.level() < Level::Isolated;
    Seen { evidence, statements: told.into_iter().map(|(_, text)| text).collect(), clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(changes: i64, connections: i64, calls: &[(&str, i64)]) -> Counts {
        let calls = calls.iter().map(|(name, calls)| ((*name).to_owned(), *calls)).collect();
        Counts { changes, connections, calls, ..Counts::default() }
    }

    fn seen(changes: i64, calls: &[(&str, i64)]) -> Seen {
        let writes = ["set", "del", "flushall", "function|load"].map(str::to_owned).into_iter().collect();
        judge(&counts(0, 0, &[("get", 7)]), &counts(changes, 1, calls), &writes)
    }

    #[test]
    fn every_command_gives_its_level_and_only_readers_leave_a_clean_server() {
        type Row = (i64, &'static [(&'static str, i64)], Level, bool);
        let table: [Row; 12] = [
            (0, &[("get", 9), ("info", 1), ("config|get", 1), ("hello", 1)], Level::Read, true),
            (0, &[("multi", 1), ("discard", 1)], Level::Transaction, true),
            (0, &[("del", 1)], Level::Transaction, true),
            (1, &[("set", 1)], Level::Isolated, false),
            (1, &[("eval", 1)], Level::Isolated, false),
            (0, &[("publish", 1)], Level::Isolated, false),
            (0, &[("subscribe", 1)], Level::Isolated, false),
            (0, &[("flushall", 1)], Level::Exclusive, false),
            (0, &[("config|set", 1)], Level::Exclusive, false),
            (0, &[("acl|setuser", 1)], Level::Exclusive, false),
            (0, &[("function|load", 1)], Level::Exclusive, false),
            (-3, &[("get", 7)], Level::Exclusive, false),
        ];
        for (changes, calls, level, clean) in table {
            let seen = seen(changes, calls);
            assert_eq!((seen.evidence.level(), seen.clean), (level, clean), "{changes} {calls:?}: {seen:?}");
        }
    }

    #[test]
    fn nobody_who_connected_is_nobody() {
        let nobody = judge(&counts(0, 0, &[]), &counts(0, 0, &[]), &BTreeSet::new());
        assert_eq!((nobody.evidence.level(), nobody.clean), (Level::None, true));
        let somebody = judge(&counts(0, 0, &[]), &counts(0, 2, &[]), &BTreeSet::new());
        assert_eq!((somebody.evidence.level(), somebody.evidence.sessions), (Level::Read, 2));
    }

    #[test]
    fn keys_that_expired_or_scripts_that_were_cached_keep_a_server_from_the_next_test() {
        let before = Counts::read("number_of_cached_scripts:0\r\ndb0:keys=3,expires=1,avg_ttl=5\r\n");
        for (after, clean) in [
            ("number_of_cached_scripts:0\r\ndb0:keys=3,expires=1,avg_ttl=2\r\n", true),
            ("number_of_cached_scripts:1\r\ndb0:keys=3,expires=1,avg_ttl=5\r\n", false),
            ("number_of_cached_scripts:0\r\ndb0:keys=2,expires=0,avg_ttl=0\r\nexpired_keys:1\r\n", false),
            (
                "number_of_cached_scripts:0\r\ndb0:keys=3,expires=1,avg_ttl=5\r\ndb1:keys=1,expires=0,avg_ttl=0\r\n",
                false,
            ),
        ] {
            assert_eq!(judge(&before, &Counts::read(after), &BTreeSet::new()).clean, clean, "{after}");
        }
    }

    #[test]
    fn the_strongest_command_is_told_first() {
        let told = seen(1, &[("config|set", 2), ("del", 1), ("set", 3)]).statements;
        assert_eq!(told, ["CONFIG SET (2x)", "DEL (1x)", "SET (3x)"]);
    }
}
