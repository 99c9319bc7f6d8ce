//! What the text of a statement says of a test where the WAL is silent: locks, channels, maintenance, and whatever
//! concerns the server as a whole.
//!
//! It judges by what a statement *is* (its first words) and by the names it uses, never by words that merely occur.
//! Whether a change was committed is left to the WAL; the texts that are not recorded (failed statements) to the log.

use super::{
    names::{ROLES, SERVER_CALLS, SERVER_RELATIONS, SERVER_VIEWS},
    tokens::{Token, tokens},
};
use regatta_domain::{Fact, Facts};

/// What a statement says, run in the database of this name.
pub(super) fn judge(text: &str, own: &str) -> Facts {
    let mut facts = Facts::default();
    let tokens = tokens(text);
    for statement in tokens.split(|token| token.is_sign(';')) {
        facts.extend(head(statement, own));
        facts.extend(anywhere(statement));
        if statement.first().is_some_and(|first| first.is("do")) {
            for body in statement {
                if let Token::Body(body) | Token::Text(body) = body {
                    facts.extend(block(body, own));
                }
            }
        }
    }
    facts
}

/// What a statement does to the transaction that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// It begins one.
    Begin,
    /// It ends one for good, or means to.
    Commit,
    /// It asks for a rollback, so that one is no sign of failure.
    Rollback,
}

/// Whether a statement bounds a transaction.
pub(super) fn bound(text: &str) -> Option<Bound> {
    let tokens = tokens(text);
    let (first, second) = (tokens.first()?, tokens.get(1));
    let continues = |word: &str| second.is_some_and(|second| second.is(word));
    let to_savepoint = tokens.iter().any(|token| token.is("to"));
    match first {
        _ if first.is("begin") || first.is("start") && continues("transaction") => Some(Bound::Begin),
        _ if continues("prepared") || to_savepoint => None,
        _ if first.is("commit") || first.is("end") || first.is("prepare") && continues("transaction") => {
            Some(Bound::Commit)
        }
        _ if first.is("rollback") || first.is("abort") => Some(Bound::Rollback),
        _ => None,
    }
}

/// The body of an anonymous block: its statements begin after a semicolon, and after the words that open a block.
fn block(body: &str, own: &str) -> Facts {
    let mut facts = Facts::default();
    let tokens = tokens(body);
    let opens = |token: &Token| ["begin", "then", "else", "loop", "declare"].iter().any(|word| token.is(word));
    for statement in tokens.split(|token| token.is_sign(';') || opens(token)) {
        facts.extend(head(statement, own));
        facts.extend(anywhere(statement));
    }
    facts
}

/// What a statement is, by its first words.
fn head(statement: &[Token], own: &str) -> Facts {
    let statement = unwrapped(statement);
    let word = |at: usize| match statement.get(at) {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    let fact = match (word(0), word(1)) {
        ("lock", _) => Fact::TableLock,
        ("listen", _) => Fact::Listen,
        ("notify", _) => Fact::Notify,
        ("vacuum" | "analyze" | "analyse" | "reindex" | "cluster", _) => Fact::Maintenance,
        ("prepare", "transaction") | ("commit" | "rollback", "prepared") => Fact::Prepared,
        ("checkpoint", _) => Fact::ServerStatement,
        ("set" | "reset", _) if hides(statement) => Fact::ServerStatement,
        ("alter", "system") => Fact::Settings,
        ("create" | "alter" | "drop", "user") if word(2) == "mapping" => Fact::Asked,
        ("alter", "database") => return altered(statement, own),
        ("alter", "role" | "user" | "group") if in_database(statement, own) => Fact::OwnDatabase,
        ("create" | "alter" | "drop", "role" | "user" | "group" | "database" | "tablespace" | "subscription")
        | ("reassign" | "drop", "owned") => Fact::SharedCatalog,
        ("grant" | "revoke", _) => granted(statement, own),
        ("comment", _) | ("security", "label") => described(statement, own),
        ("copy", _) => return copied(statement),
        (
            "insert" | "update" | "delete" | "merge" | "truncate" | "create" | "alter" | "drop" | "refresh" | "import",
            _,
        ) => Fact::Asked,
        ("with", _) if statement.windows(2).any(writes) => Fact::Asked,
        _ => return Facts::default(),
    };
    Facts::from_iter([fact])
}

/// The statement that runs when this one does: `EXPLAIN ANALYZE` and `PREPARE name AS` wrap another.
fn unwrapped(statement: &[Token]) -> &[Token] {
    let Some(first) = statement.first() else { return statement };
    if first.is("explain") {
        let inner = statement.iter().position(|token| {
            ["insert", "update", "delete", "merge", "with", "create", "refresh", "select"]
                .iter()
                .any(|word| token.is(word))
        });
        let runs = statement.iter().any(|token| token.is("analyze") || token.is("analyse"));
        return inner.filter(|_| runs).map_or(&[], |at| &statement[at..]);
    }
    if first.is("prepare") && !statement.get(1).is_some_and(|second| second.is("transaction")) {
        return statement.iter().position(|token| token.is("as")).map_or(&[], |at| &statement[at + 1..]);
    }
    statement
}

/// A writing statement inside another: `INSERT INTO`, `DELETE FROM`, `MERGE INTO`, `(UPDATE`.
fn writes(pair: &[Token]) -> bool {
    let [first, second] = pair else { return false };
    (first.is("insert") || first.is("merge")) && second.is("into")
        || first.is("delete") && second.is("from")
        || first.is_sign('(') && second.is("update")
}

/// Settings by which a session would hide from whoever watches.
fn hides(statement: &[Token]) -> bool {
    let mut names =
        statement.iter().skip(1).filter_map(Token::name).filter(|name| !["session", "local"].contains(name));
    names.next().is_some_and(|name| {
        name.starts_with("pg_stat_statements") || name.starts_with("track_") || name == "compute_query_id"
    })
}

/// `ALTER DATABASE name SET ...` of the own database ends with it; everything else is the server's.
fn altered(statement: &[Token], own: &str) -> Facts {
    let is_own = statement.get(2).and_then(Token::name) == Some(own);
    let sets = statement.get(3).is_some_and(|token| token.is("set") || token.is("reset"))
        && !statement.get(4).is_some_and(|token| token.is("tablespace"));
    Facts::from_iter([if is_own && sets { Fact::OwnDatabase } else { Fact::SharedCatalog }])
}

fn in_database(statement: &[Token], own: &str) -> bool {
    statement.windows(3).any(|three| three[0].is("in") && three[1].is("database") && three[2].name() == Some(own))
}

/// Membership of roles, and rights on what is the server's, are the server's.
fn granted(statement: &[Token], own: &str) -> Fact {
    let Some(on) = statement.iter().position(|token| token.is("on")) else { return Fact::SharedCatalog };
    shared_object(&statement[on + 1..], own)
}

fn described(statement: &[Token], own: &str) -> Fact {
    statement.iter().position(|token| token.is("on")).map_or(Fact::Asked, |on| shared_object(&statement[on + 1..], own))
}

/// What changing a property of this object changes.
fn shared_object(object: &[Token], own: &str) -> Fact {
    match object {
        [kind, name, ..] if kind.is("database") && name.name() == Some(own) => Fact::OwnDatabase,
        [kind, ..]
            if ["database", "role", "tablespace", "parameter", "subscription"].iter().any(|word| kind.is(word)) =>
        {
            Fact::SharedCatalog
        }
        _ => Fact::Asked,
    }
}

/// `COPY` to or from the client is a read or a write; a file or a program is the server's.
fn copied(statement: &[Token]) -> Facts {
    let mut depth = 0_i32;
    for (at, token) in statement.iter().enumerate() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            Token::Word(word) if depth == 0 && at > 1 && (word == "to" || word == "from") => {
                let client = statement.get(at + 1).is_some_and(|next| next.is("stdin") || next.is("stdout"));
                let mut facts = Facts::default();
                if !client {
                    facts.insert(Fact::ServerStatement);
                }
                if word == "from" || statement[..at].windows(2).any(writes) {
                    facts.insert(Fact::Asked);
                }
                return facts;
            }
            _ => {}
        }
    }
    Facts::default()
}

/// What a statement uses: names of functions and relations, and the clauses that lock rows.
fn anywhere(statement: &[Token]) -> Facts {
    let mut facts = Facts::default();
    let is_own_row = (0..statement.len()).any(|at| own_row(&statement[at..]));
    for (at, token) in statement.iter().enumerate() {
        if token.is("for") && locks_rows(&statement[at + 1..]) {
            facts.insert(Fact::Asked);
        }
        let Some(name) = token.name() else { continue };
        // A relation of the same name in another schema is somebody's own.
        let foreign = at >= 2
            && statement[at - 1].is_sign('.')
            && statement[at - 2].name().is_some_and(|schema| schema != "pg_catalog" && schema != "public");
        if !foreign {
            let called = statement.get(at + 1).is_some_and(|next| next.is_sign('('));
            let says =
                if called { calls(name) } else { shows(name, || is_subject(statement, at)).filter(|_| !is_own_row) };
            facts.extend(says.into_iter().collect());
        }
    }
    facts
}

/// `FOR UPDATE`, `FOR NO KEY UPDATE`, `FOR SHARE`, `FOR KEY SHARE`. (`FOR KEY` alone is a foreign key's.)
fn locks_rows(after: &[Token]) -> bool {
    match after {
        [first, ..] if first.is("update") || first.is("share") => true,
        [first, second, ..] => first.is("no") && second.is("key") || first.is("key") && second.is("share"),
        _ => false,
    }
}

/// `datname = current_database()`, `pid = pg_backend_pid()`, `rolname = current_user`: of all databases, sessions or
/// roles only one's own is looked at.
fn own_row(at: &[Token]) -> bool {
    let [column, equals, own, rest @ ..] = at else { return false };
    let is_called = matches!(rest, [open, close, ..] if open.is_sign('(') && close.is_sign(')'));
    let is_own = match column.name() {
        Some("datname") => is_called && own.is("current_database"),
        Some("pid") => is_called && own.is("pg_backend_pid"),
        Some("rolname" | "usename") => ["current_user", "session_user", "user"].iter().any(|word| own.is(word)),
        _ => false,
    };
    is_own && equals.is_sign('=')
}

/// Whether a relation is what a statement is about: it follows the outermost `FROM`. Joined, or in a subquery, it is a
/// place to look names up.
fn is_subject(statement: &[Token], at: usize) -> bool {
    let mut depth = 0_i32;
    for token in &statement[..at] {
        depth += i32::from(token.is_sign('(')) - i32::from(token.is_sign(')'));
    }
    let before = statement[..at].iter().rev().find(|token| !token.is_sign('.') && !token.is("pg_catalog"));
    depth == 0 && before.is_some_and(|token| token.is("from"))
}

/// What the call of a function says.
fn calls(name: &str) -> Option<Fact> {
    // Connection pools unlock everything, and UNLISTEN, when they take a session back: that alone says nothing.
    let advisory = name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_");
    match name {
        _ if advisory && !name.contains("unlock") => Some(Fact::Advisory),
        "pg_notify" => Some(Fact::Notify),
        "nextval" | "setval" => Some(Fact::Sequence),
        "lo_creat" | "lo_create" | "lo_from_bytea" | "lo_put" | "lo_unlink" | "lowrite" | "lo_truncate" => {
            Some(Fact::Asked)
        }
        _ if name.starts_with("dblink") => Some(Fact::OtherDatabase),
        _ if SERVER_CALLS.iter().any(|call| name.starts_with(call)) => Some(Fact::ServerStatement),
        _ => None,
    }
}

/// What the use of a relation says, which is the subject of its statement or not.
fn shows(name: &str, is_subject: impl FnOnce() -> bool) -> Option<Fact> {
    let about_server = SERVER_RELATIONS.contains(&name)
        || SERVER_VIEWS.iter().any(|view| name.starts_with(view))
        || ROLES.contains(&name) && is_subject();
    about_server.then_some(Fact::ServerStatement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[Fact]) {
        assert_eq!(judge(text, "mine"), expected.iter().copied().collect(), "{text}");
    }

    #[test]
    fn words_that_merely_occur_say_nothing() {
        for text in [
            "select * from lock_events where kind = 'vacuum'",
            "select lock, listen, notify, \"vacuum\", analyze_count from cluster_nodes",
            "select 'pg_stat_activity', $$pg_terminate_backend(1)$$ -- pg_advisory_lock(1)",
            "select * from app.pg_settings",
            "select encoding from pg_database where datname = current_database()",
            "select state from pg_stat_activity a where a.pid = pg_backend_pid()",
            "select rolsuper from pg_roles where rolname = current_user",
            "select relname, rolname from pg_class left join pg_catalog.pg_roles r on r.oid = relowner",
            "select array(select rolname from pg_catalog.pg_roles where oid = any (polroles)) from pg_policy",
            "explain analyze select 1",
            "explain insert into t values (1)",
            "unlisten *",
            "select pg_advisory_unlock_all()",
            "select max_connections from nodes /* alter system */",
            "set session characteristics as transaction isolation level serializable",
            "set work_mem = '1MB'",
            "begin",
            "commit",
            "select substring(a from 1 for 2) from t",
            "copy t to stdout",
            "copy (select a from b) to stdout",
            "declare c cursor with hold for select 1",
            "show max_connections",
            "load 'plpgsql'",
            "prepare p as select 1",
            "",
            ";;",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn statements_are_known_by_their_first_words() {
        check("LOCK TABLE t", &[Fact::TableLock]);
        check("/* hi */ Listen ch", &[Fact::Listen]);
        check("notify ch, 'x'", &[Fact::Notify]);
        check("begin; vacuum t; commit", &[Fact::Maintenance]);
        check("analyze", &[Fact::Maintenance]);
        check("prepare transaction 'a'", &[Fact::Prepared]);
        check("alter system set work_mem = '1MB'", &[Fact::Settings]);
        check("create role a", &[Fact::SharedCatalog]);
        check("create user mapping for a server b", &[Fact::Asked]);
        check("create database a", &[Fact::SharedCatalog]);
        check("grant a to b", &[Fact::SharedCatalog]);
        check("grant select on t to b", &[Fact::Asked]);
        check("alter role a set work_mem = '1MB'", &[Fact::SharedCatalog]);
        check("alter role a in database mine set work_mem = '1MB'", &[Fact::OwnDatabase]);
        check("set local track_activities = off", &[Fact::ServerStatement]);
        check("checkpoint", &[Fact::ServerStatement]);
    }

    #[test]
    fn its_own_database_is_not_the_server() {
        check("alter database mine set work_mem = '1MB'", &[Fact::OwnDatabase]);
        check("alter database \"mine\" reset all", &[Fact::OwnDatabase]);
        check("alter database other set work_mem = '1MB'", &[Fact::SharedCatalog]);
        check("alter database mine rename to other", &[Fact::SharedCatalog]);
        check("alter database mine set tablespace fast", &[Fact::SharedCatalog]);
        check("comment on database mine is 'x'", &[Fact::OwnDatabase]);
        check("comment on role a is 'x'", &[Fact::SharedCatalog]);
        check("grant connect on database mine to a", &[Fact::OwnDatabase]);
    }

    #[test]
    fn copying_is_judged_by_its_other_end() {
        check("copy t from stdin with (format csv)", &[Fact::Asked]);
        check("copy t to '/tmp/x'", &[Fact::ServerStatement]);
        check("copy (select a from b where c = 'to') to program 'cat'", &[Fact::ServerStatement]);
        check("copy t(a, b) from '/tmp/x'", &[Fact::ServerStatement, Fact::Asked]);
    }

    #[test]
    fn names_are_known_quoted_and_qualified() {
        check("select pg_try_advisory_xact_lock($1)", &[Fact::Advisory]);
        check("select pg_catalog.pg_advisory_lock($1, $2)", &[Fact::Advisory]);
        check("select \"pg_terminate_backend\"(1)", &[Fact::ServerStatement]);
        check("select * from \"pg_stat_activity\"", &[Fact::ServerStatement]);
        check("select d.datname from pg_catalog.pg_database d", &[Fact::ServerStatement]);
        check("select rolname from pg_catalog.pg_roles order by 1", &[Fact::ServerStatement]);
        check("select usename from \"pg_user\" where usename = $1", &[Fact::ServerStatement]);
        check("select pg_notify($1, $2)", &[Fact::Notify]);
        check("select nextval($1)", &[Fact::Sequence]);
    }

    #[test]
    fn writers_are_known_though_they_meet_no_row() {
        for text in [
            "update t set a = 1 where false",
            "select * from t for no key update",
            "with d as (delete from t returning *) select * from d",
            "with u as (update t set a = 1 returning *) select * from u",
            "explain (analyze, costs off) insert into t values (1)",
            "prepare p (int) as insert into t values ($1)",
            "copy (delete from t returning a) to stdout",
        ] {
            check(text, &[Fact::Asked]);
        }
    }

    #[test]
    fn bounds_of_transactions_are_told_from_savepoints() {
        for (text, expected) in [
            ("ROLLBACK", Some(Bound::Rollback)),
            ("abort work", Some(Bound::Rollback)),
            ("/* x */ rollback and chain", Some(Bound::Rollback)),
            ("BEGIN ISOLATION LEVEL SERIALIZABLE", Some(Bound::Begin)),
            ("start transaction", Some(Bound::Begin)),
            ("end", Some(Bound::Commit)),
            ("prepare transaction 'x'", Some(Bound::Commit)),
            ("ROLLBACK TO SAVEPOINT s", None),
            ("ROLLBACK PREPARED 'x'", None),
            ("select 1", None),
            ("", None),
        ] {
            assert_eq!(bound(text), expected, "{text}");
        }
    }

    #[test]
    fn a_block_is_read_as_code() {
        check("do $$ begin if pg_try_advisory_lock(1) then null; end if; end $$", &[Fact::Advisory]);
        check("do $$ begin lock table t; end $$", &[Fact::TableLock]);
        check("do $$ declare a text := 'lock'; begin raise notice 'vacuum'; end $$ language plpgsql", &[]);
        check("create function f() returns int language sql as $$ select pg_advisory_lock(1) $$", &[Fact::Asked]);
    }
}
