//! What tests committed, as the server's log of changes (its binary log) tells: read forward once, kept by lease until asked for.
//!
//! Rows are logged with the name of their table and the text of their statement, all else as text with the current database; what
//! is rolled back is not logged. We read it through the server, which knows its own format. The invariant: what cannot be
//! attributed counts against everybody who is watched.

use super::changes::{Changes, Watched, What, cut};
use super::mention::mentions;
use super::wire::{Connection, Error, Row};
use std::collections::{BTreeMap, BTreeSet};

/// Events that are asked for at once.
const EVENTS: usize = 20_000;

/// How far the log is read, and what was found.
#[derive(Debug)]
pub(super) struct Journal {
    file: String,
    position: u64,
    group: Group,
    /// By the user of the lease.
    watched: BTreeMap<String, (Watched, Changes)>,
}

/// The transaction that is being read.
#[derive(Debug, Default)]
struct Group {
    tables: BTreeSet<(String, String)>,
    texts: Vec<String>,
    /// The transaction's name, where it is prepared.
    prepared: Option<String>,
}

impl Journal {
    /// Begins where the log ends now.
    pub(super) async fn begin(connection: &mut Connection) -> Result<Self, Error> {
        let rows = connection.rows("SHOW MASTER STATUS").await?;
        let (file, position) = rows.first().and_then(place).ok_or(Error::Garbled("no place in its log"))?;
        Ok(Self { file, position, group: Group::default(), watched: BTreeMap::new() })
    }

    /// Looks for what `user` does from now on.
    pub(super) fn watch(&mut self, user: &str, watched: Watched) {
        self.watched.insert(user.to_owned(), (watched, Changes::default()));
    }

    /// Whether somebody waits for what `user` does.
    pub(super) fn is_watched(&self, user: &str) -> bool {
        self.watched.contains_key(user)
    }

    /// What `user` did so far; it is not watched any more.
    pub(super) fn take(&mut self, user: &str) -> Changes {
        self.watched.remove(user).map(|(_, changes)| changes).unwrap_or_default()
    }

    /// Reads on to the end.
    pub(super) async fn advance(&mut self, connection: &mut Connection) -> Result<(), Error> {
        loop {
            let query = format!("SHOW BINLOG EVENTS IN '{}' FROM {} LIMIT {EVENTS}", self.file, self.position);
            let events = connection.rows(&query).await?;
            let (read, before) = (events.len(), self.file.clone());
            for event in &events {
                self.event(event)?;
            }
            if self.file != before {
                // What is read is not needed again.
                connection.run(&format!("PURGE BINARY LOGS TO '{}'", self.file)).await?;
            } else if read < EVENTS {
                return Ok(());
            }
        }
    }

    fn event(&mut self, row: &Row) -> Result<(), Error> {
        let field = |at: usize| row.get(at).and_then(Option::as_deref);
        let (Some(kind), Some(end), Some(info)) = (field(2), field(4).and_then(|end| end.parse().ok()), field(5))
        else {
            return Err(Error::Garbled("an event of its log without its place"));
        };
        self.position = end;
        match kind {
            "Gtid" => {
                let prepared = info.strip_prefix("XA START ").and_then(|rest| rest.split(" GTID").next());
                self.group = Group { prepared: prepared.map(str::to_owned), ..Group::default() };
            }
            "Annotate_rows" => self.group.texts.push(cut(info)),
            "Table_map" => {
                let name = info.split_once('(').and_then(|(_, name)| name.strip_suffix(')'));
                let (database, table) = name.and_then(|name| name.split_once('.')).unwrap_or((info, ""));
                self.group.tables.insert((database.to_owned(), table.to_owned()));
            }
            "Xid" | "XA_prepare" => self.end(),
            "Query" => self.query(info),
            "Rotate" => {
                let (file, position) = info.split_once(";pos=").ok_or(Error::Garbled("a log without a successor"))?;
                (self.file, self.position) = (file.to_owned(), position.parse().unwrap_or(4));
            }
            "Format_desc" | "Gtid_list" | "Binlog_checkpoint" | "Start_encryption" | "Stop" | "Intvar" | "RAND"
            | "User var" => {}
            rows if rows.contains("_rows") => {}
            other => {
                let text = cut(&format!("{other}: {info}"));
                self.everybody().for_each(|changes| changes.add(What::Unknown, &text));
            }
        }
        Ok(())
    }

    fn everybody(&mut self) -> impl Iterator<Item = &mut Changes> {
        self.watched.values_mut().map(|(_, changes)| changes)
    }

    /// A transaction has come to its end, and was committed or prepared.
    fn end(&mut self) {
        let Group { tables, texts, prepared } = std::mem::take(&mut self.group);
        let named: BTreeSet<&str> = tables.iter().map(|(database, _)| &**database).collect();
        for (watched, changes) in self.watched.values_mut() {
            let own = &watched.database;
            if !watched.alone && !named.contains(&**own) {
                continue;
            }
            for what in named.iter().map(|name| if name == own { What::Rows } else { What::Elsewhere }) {
                changes.what.insert(what);
            }
            changes
                .relations
                .extend(tables.iter().filter(|(database, _)| database == own).map(|(_, table)| table.clone()));
            texts.iter().for_each(|text| changes.tell(text));
            if let Some(name) = &prepared {
                changes.what.insert(What::Prepared);
                changes.prepared.insert(name.clone());
            }
        }
    }

    /// A statement that is logged as it is.
    fn query(&mut self, info: &str) {
        let used = info.strip_prefix("use `").and_then(|rest| rest.split_once("`; "));
        let (database, text) = used.map_or((None, info), |(database, text)| (Some(database), text));
        let upper = text.get(..64.min(text.len())).unwrap_or(text).to_ascii_uppercase();
        let mut words = upper.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match (first, second) {
            ("COMMIT", "") => return self.end(),
            ("BEGIN" | "SAVEPOINT" | "ROLLBACK", _) | ("XA", "END") => return,
            ("XA", _) => {
                let name = text.splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
                // Whose it was is known by its name; committed or not, it was prepared.
                for changes in self.everybody() {
                    changes.prepared.remove(&name);
                }
                return;
            }
            _ => {}
        }
        let mut attributed = false;
        for (user, (watched, changes)) in &mut self.watched {
            let own = &watched.database;
            let is_own = database == Some(own) || mentions(text, own);
            if watched.alone || is_own || mentions(text, user) {
                attributed = true;
                changes.add(What::of(first, second, text, (user, watched)), &cut(text));
            }
        }
        // In a database of ours that nobody holds it is the last word of somebody whose lease has ended.
        if !attributed && database.is_none_or(|database| !database.starts_with(crate::names::PREFIX)) {
            self.everybody().for_each(|changes| changes.add(What::Unknown, &cut(text)));
        }
    }
}

fn place(row: &Row) -> Option<(String, u64)> {
    Some((row.first()?.clone()?, row.get(1)?.as_ref()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(alone: bool) -> Journal {
        let mut watched = BTreeMap::new();
        for (database, user) in [("rg_a", "rg_u"), ("rg_b", "rg_v")].into_iter().take(if alone { 1 } else { 2 }) {
            watched.insert(user.to_owned(), (Watched { database: database.to_owned(), alone }, Changes::default()));
        }
        Journal { file: "binlog.000001".to_owned(), position: 4, group: Group::default(), watched }
    }

    fn read(journal: &mut Journal, events: &[(&str, &str)]) {
        for (kind, info) in events {
            let row = ["binlog.000001", "4", kind, "1", "99", info].map(|field| Some(field.to_owned()));
            journal.event(&row.to_vec()).unwrap();
        }
    }

    const ROWS: [(&str, &str); 5] = [
        ("Gtid", "BEGIN GTID 0-1-1"),
        ("Annotate_rows", "insert into a values (1)"),
        ("Table_map", "table_id: 22 (rg_a.a)"),
        ("Write_rows_v1", "table_id: 22 flags: STMT_END_F"),
        ("Xid", "COMMIT /* xid=27 */"),
    ];

    #[test]
    fn rows_are_attributed_by_the_database_of_their_table() {
        let mut journal = journal(false);
        read(&mut journal, &ROWS);
        let (one, other) = (journal.take("rg_u"), journal.take("rg_v"));
        assert_eq!(one.what, [What::Rows].into());
        assert_eq!((one.texts, one.relations), (vec!["insert into a values (1)".to_owned()], ["a".to_owned()].into()));
        assert_eq!(other, Changes::default());
    }

    #[test]
    fn statements_are_attributed_by_database_or_name_and_else_to_everybody() {
        for (text, a, b) in [
            ("use `rg_a`; CREATE TABLE x (id INT)", Some(What::Schema), None),
            ("create table rg_b.x (id int)", None, Some(What::Schema)),
            ("use `rg_a`; SET PASSWORD FOR 'rg_v'@'127.0.0.1'='*D7'", Some(What::Shared), Some(What::Own)),
            ("use `rg_a`; ANALYZE TABLE t", Some(What::Maintenance), None),
            ("DROP DATABASE rg_a", Some(What::Own), None),
            ("use `rg_gone`; DROP TABLE x", None, None),
            ("GRANT SELECT ON x.* TO somebody", Some(What::Unknown), Some(What::Unknown)),
        ] {
            let mut journal = journal(false);
            read(&mut journal, &[("Gtid", "GTID 0-1-1"), ("Query", text)]);
            let found = ["rg_u", "rg_v"].map(|name| journal.take(name).what.into_iter().next());
            assert_eq!(found, [a, b], "{text}");
        }
    }

    #[test]
    fn what_is_prepared_and_not_ended_is_known_by_its_name() {
        let mut journal = journal(false);
        let mut events = ROWS;
        (events[0].1, events[4]) = ("XA START X'78',X'',1 GTID 0-1-4", ("XA_prepare", "XA PREPARE X'78',X'',1"));
        read(&mut journal, &events);
        let changes = &journal.watched["rg_u"].1;
        assert_eq!(
            (&changes.prepared, changes.what.contains(&What::Prepared)),
            (&["X'78',X'',1".to_owned()].into(), true)
        );
        read(&mut journal, &[("Query", "XA COMMIT X'78',X'',1")]);
        assert!(journal.take("rg_u").prepared.is_empty());
    }

    #[test]
    fn on_a_server_of_its_own_everything_is_the_tests_doing() {
        for (events, what) in [
            (&[("Table_map", "table_id: 3 (mysql.user)"), ("Xid", "COMMIT")][..], What::Elsewhere),
            (&[("Query", "CREATE USER x")], What::Shared),
            (&[("Query", "use `test`; FLUSH TABLES")], What::Server),
            (&[("Incident", "lost")], What::Unknown),
        ] {
            let mut journal = journal(true);
            read(&mut journal, events);
            assert_eq!(journal.take("rg_u").what, [what].into(), "{events:?}");
        }
    }
}
