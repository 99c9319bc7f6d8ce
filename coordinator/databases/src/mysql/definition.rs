//! What a template consists of, as statements that make it again under another name.
//!
//! The server has no copy of a database, so each object is made by the text that the server itself gives for it: tables with
//! their foreign keys and partitions, then their rows, then what refers to them. Whoever an object acts for becomes an account
//! of the copy that nobody can log in to. The invariant: a template that cannot be copied whole is refused when it is built,
//! not when a test needs it.

use super::mention::renamed;
use super::wire::{COMMAND, Connection, Error};
use std::collections::{BTreeMap, VecDeque};

/// Statements of one round trip.
const TOGETHER: usize = 64;

/// A template that can be made again.
#[derive(Debug)]
pub(super) struct Definition {
    /// The name of its database, which the statements bear.
    pub(super) database: String,
    /// The account of its builder, for which its objects act.
    builder: String,
    /// What comes first: the database, routines, sequences, tables.
    before: Vec<String>,
    /// Tables that have rows, with the columns that are not computed.
    rows: Vec<(String, String)>,
    /// In an order in which each finds what it refers to.
    views: Vec<String>,
    /// What comes after views: triggers, which would change rows, and events.
    after: Vec<String>,
    /// Whether something acts for its builder.
    acts: bool,
    /// The next number of each table that numbers its rows: no rollback sets it back.
    increments: BTreeMap<String, u64>,
}

impl Definition {
    /// Reads what is in `database`, built by `builder`.
    pub(super) async fn read(connection: &mut Connection, database: &str, builder: &str) -> Result<Self, Error> {
        let mut reader = Reader { connection, database };
        reader.connection.run(&format!("USE `{database}`")).await?;
        let mut before = vec![reader.create_database().await?, format!("USE `{database}`")];
        before.extend(reader.routines().await?);
        let (mut sequences, mut tables, mut rows, mut views) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for line in reader.list("TABLE_TYPE, TABLE_NAME", "TABLES", "TABLE_SCHEMA", "TABLE_NAME").await? {
            let [kind, name] = &line[..] else { continue };
            match &**kind {
                "VIEW" => views.push(reader.text("VIEW", name, 1).await?),
                "SEQUENCE" => sequences.extend(reader.sequence(name).await?),
                _ => {
                    tables.push(reader.text("TABLE", name, 1).await?);
                    rows.extend(reader.filled(name).await?);
                }
            }
        }
        before.extend(sequences.into_iter().chain(tables));
        let after = reader.triggers_and_events().await?;
        let increments = increments(connection, database).await?;
        let builder = format!("`{builder}`@`127.0.0.1`");
        let acts = [&before, &views, &after].into_iter().flatten().any(|text| text.contains(&builder));
        let database = database.to_owned();
        Ok(Self { database, builder, before, rows, views, after, acts, increments })
    }

    /// Makes the first copy, and finds out in which order views can be made.
    pub(super) async fn try_out(&mut self, connection: &mut Connection, name: &str) -> Result<(), Error> {
        let begin = self.begin(name);
        run(connection, &begin).await?;
        let mut waiting = VecDeque::from(std::mem::take(&mut self.views));
        // Each round makes one at least; else the last refusal is the answer.
        let mut failed_in_a_row = 0;
        while let Some(view) = waiting.pop_front() {
            match connection.run(&self.renamed(&view, name)).await {
                Ok(_) => {
                    failed_in_a_row = 0;
                    self.views.push(view);
                }
                Err(error @ Error::Refused { .. }) => {
                    failed_in_a_row += 1;
                    if failed_in_a_row > waiting.len() {
                        return Err(error);
                    }
                    waiting.push_back(view);
                }
                Err(error) => return Err(error),
            }
        }
        let end: Vec<String> = self.after.iter().map(|text| self.renamed(text, name)).collect();
        run(connection, &end).await
    }

    /// Makes a copy.
    pub(super) async fn copy(&self, connection: &mut Connection, name: &str) -> Result<(), Error> {
        let mut statements = self.begin(name);
        statements.extend(self.views.iter().chain(&self.after).map(|text| self.renamed(text, name)));
        run(connection, &statements).await
    }

    /// What makes a copy up to its views.
    fn begin(&self, name: &str) -> Vec<String> {
        let mut statements = Vec::new();
        if self.acts {
            statements.push(format!("CREATE USER `{name}`@`localhost` ACCOUNT LOCK"));
            statements.push(format!("GRANT ALL PRIVILEGES ON {}.* TO `{name}`@`localhost`", pattern(name)));
        }
        statements.extend(self.before.iter().map(|text| self.renamed(text, name)));
        let from = &self.database;
        let fill = |(table, columns): &(String, String)| {
            format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM `{from}`.{table}")
        };
        statements.extend(self.rows.iter().map(fill));
        statements
    }

    /// Removes a copy.
    pub(super) async fn remove(&self, connection: &mut Connection, name: &str) -> Result<(), Error> {
        connection.run(&format!("DROP DATABASE IF EXISTS `{name}`; DROP USER IF EXISTS `{name}`@`localhost`")).await?;
        Ok(())
    }

    /// Sets the numbers of a copy back that have moved on.
    pub(super) async fn set_back(&self, connection: &mut Connection, name: &str) -> Result<(), Error> {
        let mut statements = Vec::new();
        for (table, now) in increments(connection, name).await? {
            if let Some(&then) = self.increments.get(&table).filter(|&&then| then != now) {
                statements.push(format!("ALTER TABLE `{name}`.{} AUTO_INCREMENT = {then}", quoted(&table)));
            }
        }
        run(connection, &statements).await
    }

    /// Names of ours are like no other text, so they can be replaced wherever they stand.
    fn renamed(&self, text: &str, name: &str) -> String {
        let text = renamed(text, &self.database, name);
        text.replace(&self.builder, &format!("`{name}`@`localhost`"))
    }
}

/// Reads the parts of a database, which is the current one.
struct Reader<'a> {
    connection: &'a mut Connection,
    database: &'a str,
}

impl Reader<'_> {
    async fn create_database(&mut self) -> Result<String, Error> {
        let columns = "DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME";
        let lines = self.list(columns, "SCHEMATA", "SCHEMA_NAME", "1").await?;
        let [charset, collation] = lines.first().map(Vec::as_slice).unwrap_or_default() else {
            return Err(Error::Garbled("no database where the template was built"));
        };
        Ok(format!("CREATE DATABASE `{}` CHARACTER SET {charset} COLLATE {collation}", self.database))
    }

    async fn routines(&mut self) -> Result<Vec<String>, Error> {
        let mut texts = Vec::new();
        let order = "ROUTINE_TYPE, ROUTINE_NAME";
        for line in self.list(order, "ROUTINES", "ROUTINE_SCHEMA", order).await? {
            let [kind, name] = &line[..] else { continue };
            texts.push(self.with_mode(kind, name, 2).await?);
        }
        Ok(end_of_modes(texts))
    }

    async fn sequence(&mut self, name: &str) -> Result<[String; 2], Error> {
        let made = self.text("SEQUENCE", name, 1).await?;
        let name = quoted(name);
        let next = self.connection.rows(&format!("SELECT next_not_cached_value FROM {name}")).await?;
        let next = next.into_iter().flatten().flatten().next().ok_or(Error::Garbled("a sequence without a value"))?;
        Ok([made, format!("DO SETVAL({name}, {next}, 0)")])
    }

    /// A table and its columns, if it has rows.
    async fn filled(&mut self, table: &str) -> Result<Option<(String, String)>, Error> {
        let of = quoted(table);
        let some = self.connection.rows(&format!("SELECT EXISTS (SELECT 1 FROM {of})")).await?;
        if some.first().and_then(|row| row.first()?.as_deref()) == Some("0") {
            return Ok(None);
        }
        let literal = table.replace('\\', "\\\\").replace('\'', "''");
        let columns = format!(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{}' AND TABLE_NAME = '{literal}' \
             AND IS_GENERATED = 'NEVER' ORDER BY ORDINAL_POSITION",
            self.database
        );
        let columns = self.connection.rows(&columns).await?;
        let columns: Vec<String> = columns.into_iter().flatten().flatten().map(|name| quoted(&name)).collect();
        Ok(Some((of, columns.join(", "))))
    }

    async fn triggers_and_events(&mut self) -> Result<Vec<String>, Error> {
        let mut texts = Vec::new();
        let order = "EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER";
        for name in self.list("TRIGGER_NAME", "TRIGGERS", "TRIGGER_SCHEMA", order).await?.concat() {
            texts.push(self.with_mode("TRIGGER", &name, 2).await?);
        }
        for name in self.list("EVENT_NAME", "EVENTS", "EVENT_SCHEMA", "EVENT_NAME").await?.concat() {
            texts.push(self.with_mode("EVENT", &name, 3).await?);
        }
        Ok(end_of_modes(texts))
    }

    /// The text of an object that keeps the mode in which it was made.
    async fn with_mode(&mut self, kind: &str, name: &str, at: usize) -> Result<String, Error> {
        let (mode, text) = (self.text(kind, name, 1).await?, self.text(kind, name, at).await?);
        Ok(format!("SET SESSION sql_mode = '{mode}'\n;\n{text}"))
    }

    async fn text(&mut self, kind: &str, name: &str, at: usize) -> Result<String, Error> {
        let rows = self.connection.rows(&format!("SHOW CREATE {kind} {}", quoted(name))).await?;
        rows.into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(at)?)
            .ok_or(Error::Garbled("an object without its text"))
    }

    async fn list(&mut self, columns: &str, table: &str, of: &str, order: &str) -> Result<Vec<Vec<String>>, Error> {
        let query = format!(
            "SELECT {columns} FROM information_schema.{table} WHERE {of} = '{}' ORDER BY {order}",
            self.database
        );
        let rows = self.connection.rows(&query).await?;
        Ok(rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect())
    }
}

/// Runs statements, many at once.
async fn run(connection: &mut Connection, statements: &[String]) -> Result<(), Error> {
    let (mut batch, mut count) = (String::new(), 0);
    for statement in statements {
        if count == TOGETHER || batch.len() + statement.len() > COMMAND / 2 {
            connection.run(&std::mem::take(&mut batch)).await?;
            count = 0;
        }
        if !batch.is_empty() {
            // On a line of its own: the last one may end in a comment.
            batch.push_str("\n;\n");
        }
        batch.push_str(statement);
        count += 1;
    }
    if batch.is_empty() { Ok(()) } else { connection.run(&batch).await.map(drop) }
}

/// Sets the mode back to that of our sessions.
fn end_of_modes(mut texts: Vec<String>) -> Vec<String> {
    if !texts.is_empty() {
        texts.push(format!("SET SESSION sql_mode = '{}'", super::process::MODE));
    }
    texts
}

async fn increments(connection: &mut Connection, database: &str) -> Result<BTreeMap<String, u64>, Error> {
    let query = format!(
        "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{database}' \
         AND AUTO_INCREMENT IS NOT NULL"
    );
    let rows = connection.rows(&query).await?;
    let number = |row: super::wire::Row| {
        let mut fields = row.into_iter();
        Some((fields.next()??, fields.next()??.parse().ok()?))
    };
    Ok(rows.into_iter().filter_map(number).collect())
}

/// A name as it stands in statements.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A database as rights name it, where `_` would stand for any letter.
pub(super) fn pattern(name: &str) -> String {
    format!("`{}`", name.replace('_', "\\_"))
}
