//! Databases, and what was seen of them, on the wire.

use crate::invalid::Within as _;
use crate::invalid::{count, label, text};
use crate::limits::{
    ARGUMENTS, CODE_BYTES, ERRORS_PER_TRAFFIC, LABEL_BYTES, LABELS, NOTE_BYTES, NOTES_PER_OBSERVATION, STATEMENT_BYTES,
    STATEMENTS_PER_TEST, STATEMENTS_PER_TRAFFIC, VARIABLE_BYTES,
};
use crate::verdict::{Closed as _, closed};
use crate::{Invalid, digest, v1};
use regatta_domain::database::{Asked, DatabaseServer, Engine, Observation, Per, PlannedDatabase, Statement, Traffic};
use regatta_domain::{Level, Micros};
use std::sync::Arc;

impl TryFrom<v1::Database> for PlannedDatabase {
    type Error = Invalid;

    fn try_from(database: v1::Database) -> Result<Self, Invalid> {
        Ok(Self {
            resource: label("resource", database.resource, LABEL_BYTES)?,
            template: digest("template", &database.template)?,
            build: words("build", database.build, ARGUMENTS)?,
            build_limit: Micros(database.build_limit),
            extensions: words("extensions", database.extensions, LABELS)?,
            per: if database.per_shard { Per::Shard } else { Per::Test },
            lazy: database.lazy,
        })
    }
}

/// Arguments, or names: at most so many.
pub(crate) fn words(field: &str, given: Vec<String>, most: usize) -> Result<Vec<Arc<str>>, Invalid> {
    count(field, given, most)?.into_iter().map(|word| text(field, word, VARIABLE_BYTES)).collect()
}

impl From<&PlannedDatabase> for v1::Database {
    fn from(database: &PlannedDatabase) -> Self {
        Self {
            resource: database.resource.to_string(),
            template: database.template.to_string(),
            build: database.build.iter().map(ToString::to_string).collect(),
            build_limit: database.build_limit.0,
            extensions: database.extensions.iter().map(ToString::to_string).collect(),
            per_shard: database.per == Per::Shard,
            lazy: database.lazy,
        }
    }
}

impl TryFrom<v1::Observation> for Observation {
    type Error = Invalid;

    fn try_from(seen: v1::Observation) -> Result<Self, Invalid> {
        let notes = count("notes", seen.notes, NOTES_PER_OBSERVATION)?;
        Ok(Self {
            leased: Level::field("leased", seen.leased)?,
            seen: Level::field("seen", seen.seen)?,
            denied: seen.denied,
            lost: seen.lost,
            evidence: seen.evidence,
            notes: notes.into_iter().map(|note| text("notes", note, NOTE_BYTES)).collect::<Result<_, _>>()?,
            asked: seen.asked.map(|asked| Asked::try_from(asked).within("asked")).transpose()?,
        })
    }
}

impl From<&Observation> for v1::Observation {
    fn from(seen: &Observation) -> Self {
        Self {
            leased: v1::Level::from(seen.leased).into(),
            seen: v1::Level::from(seen.seen).into(),
            denied: seen.denied,
            lost: seen.lost,
            evidence: seen.evidence,
            notes: seen.notes.iter().map(ToString::to_string).collect(),
            asked: seen.asked.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::Asked> for Asked {
    type Error = Invalid;

    fn try_from(asked: v1::Asked) -> Result<Self, Invalid> {
        let top = count("top", asked.top, STATEMENTS_PER_TEST)?;
        let top = top.into_iter().map(|statement| Statement::try_from(statement).within("top"));
        Ok(Self { calls: asked.calls, time: Micros(asked.time), top: top.collect::<Result<_, _>>()? })
    }
}

impl From<&Asked> for v1::Asked {
    fn from(asked: &Asked) -> Self {
        let statement = |statement: &Statement| v1::Statement {
            text: statement.text.to_string(),
            calls: statement.calls,
            rows: statement.rows,
            time: statement.time.0,
        };
        Self { calls: asked.calls, time: asked.time.0, top: asked.top.iter().map(statement).collect() }
    }
}

impl TryFrom<v1::Statement> for Statement {
    type Error = Invalid;

    fn try_from(statement: v1::Statement) -> Result<Self, Invalid> {
        let v1::Statement { text: words, calls, rows, time } = statement;
        Ok(Self { text: text("text", words, STATEMENT_BYTES)?, calls, rows, time: Micros(time) })
    }
}

impl TryFrom<v1::Traffic> for Traffic {
    type Error = Invalid;

    fn try_from(seen: v1::Traffic) -> Result<Self, Invalid> {
        let errors = count("errors", seen.errors, ERRORS_PER_TRAFFIC)?;
        let statements = count("statements", seen.statements, STATEMENTS_PER_TRAFFIC)?;
        let texts = |field, all: Vec<String>, most| all.into_iter().map(move |one| text(field, one, most)).collect();
        let errors: Result<_, Invalid> = texts("errors", errors, CODE_BYTES);
        let statements: Result<_, Invalid> = texts("statements", statements, STATEMENT_BYTES);
        Ok(Self {
            resource: label("resource", seen.resource, LABEL_BYTES)?,
            sessions: seen.sessions,
            peak: seen.peak,
            committed: seen.committed,
            rolled_back: seen.rolled_back,
            errors: errors?,
            statements: statements?,
            is_whole: seen.is_whole,
        })
    }
}

impl From<&Traffic> for v1::Traffic {
    fn from(seen: &Traffic) -> Self {
        let texts = |all: &[Arc<str>]| all.iter().map(ToString::to_string).collect();
        Self {
            resource: seen.resource.to_string(),
            sessions: seen.sessions,
            peak: seen.peak,
            committed: seen.committed,
            rolled_back: seen.rolled_back,
            errors: texts(&seen.errors),
            statements: texts(&seen.statements),
            is_whole: seen.is_whole,
        }
    }
}

impl TryFrom<v1::DatabaseServer> for DatabaseServer {
    type Error = Invalid;

    fn try_from(server: v1::DatabaseServer) -> Result<Self, Invalid> {
        Ok(Self {
            engine: Engine::field("engine", server.engine)?,
            url: server.url.map(|url| text("url", url, VARIABLE_BYTES)).transpose()?,
            programs: server.programs.map(|path| text("programs", path, VARIABLE_BYTES)).transpose()?,
        })
    }
}

impl From<&DatabaseServer> for v1::DatabaseServer {
    fn from(server: &DatabaseServer) -> Self {
        Self {
            engine: v1::Engine::from(server.engine).into(),
            url: server.url.as_deref().map(ToOwned::to_owned),
            programs: server.programs.as_deref().map(ToOwned::to_owned),
        }
    }
}

closed! {
    Engine as v1::Engine:
    Postgres = Postgres,
    Mysql = Mysql,
    Redis = Redis,
    Sqlite = Sqlite,
}
