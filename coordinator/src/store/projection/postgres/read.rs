//! Reading the tables: what queries ask.

use super::link::Link;
use super::recall::{self, Asked};
use super::refused::Refused;
use super::text;
use crate::store::Error;
use crate::store::postgres::Server;
use crate::store::projection::costs::Learnt;
use crate::store::projection::history::{Found, Scope};
use crate::store::projection::read::{Given, Source, Told};
use regatta_domain::report::Counts;
use regatta_domain::{FileKey, RunId, TestKey, Time};
use std::collections::HashSet;
use std::sync::Arc;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

/// The tables, to be read.
pub(in crate::store::projection) struct Tables(Link);

impl Tables {
    pub(super) const fn new(link: Link) -> Self {
        Self(link)
    }
}

impl Source for Tables {
    fn file_list(&self, project: &str, suite: &str, tree_key: &str) -> Result<Option<(bool, Vec<u8>)>, Error> {
        let asked = [project, suite, tree_key].map(|name| text(name).into_owned());
        self.0.read(move |client| {
            let asked = asked.clone();
            Box::pin(async move { file_list(client, &asked).await })
        })
    }

    fn listings(&self, keys: &[FileKey]) -> Result<Vec<(FileKey, Time, Vec<u8>)>, Error> {
        let keys = keys.to_vec();
        self.0.read(move |client| {
            let keys = keys.clone();
            Box::pin(async move { listings(client, &keys).await })
        })
    }

    fn verdicts(&self, run: RunId) -> Result<Option<Vec<Given>>, Error> {
        self.0.read(move |client| Box::pin(verdicts(client, run)))
    }

    fn has_ended(&self, run: RunId) -> Result<Option<bool>, Error> {
        self.0.read(move |client| Box::pin(async move { Ok(find(client, run).await?.map(|stand| stand.has_ended)) }))
    }

    fn events(&self, run: RunId, after: u64, most: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.0.read(move |client| Box::pin(events(client, run, after, most)))
    }

    fn runs(&self, most: u32) -> Result<Vec<Told>, Error> {
        self.0.read(move |client| Box::pin(runs(client, most)))
    }

    fn histories(&self, project: &str, suite: &str, scope: &Scope, paths: &[&str]) -> Result<Vec<Found>, Error> {
        let asked = Asked::new(project, suite, scope, paths);
        self.0.read(move |client| {
            let asked = asked.clone();
            Box::pin(async move { recall::histories(client, &asked).await })
        })
    }

    fn measured(&self, project: &str, suite: &str, scope: &Scope, paths: &[&str]) -> Result<HashSet<TestKey>, Error> {
        let asked = Asked::new(project, suite, scope, paths);
        self.0.read(move |client| {
            let asked = asked.clone();
            Box::pin(async move { recall::measured(client, &asked).await })
        })
    }

    fn suites(&self, project: &str) -> Result<Vec<String>, Error> {
        let project = text(project).into_owned();
        self.0.read(move |client| {
            let project = project.clone();
            Box::pin(async move { recall::suites(client, &project).await })
        })
    }

    fn paths(&self, project: &str, suite: &str) -> Result<Vec<String>, Error> {
        let asked = [project, suite].map(|name| text(name).into_owned());
        self.0.read(move |client| {
            let [project, suite] = asked.clone();
            Box::pin(async move { recall::paths(client, &project, &suite).await })
        })
    }

    fn costs(&self, project: &str, suite: &str, class: &str) -> Result<Learnt, Error> {
        let asked = [project, suite, class].map(|name| text(name).into_owned());
        self.0.read(move |client| {
            let asked = asked.clone();
            Box::pin(async move { recall::costs(client, asked.each_ref().map(|name| &**name)).await })
        })
    }

    fn server(&self) -> Option<&Server> {
        Some(self.0.server())
    }

    fn at_once(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(Self(self.0.at_once())))
    }

    fn hurry(&self) {
        self.0.hurry();
    }
}

/// Where what was written of a run lies, and how far it is.
struct Stand {
    id: i64,
    part: i32,
    has_ended: bool,
}

async fn find(client: &Client, run: RunId) -> Result<Option<Stand>, Refused> {
    let find = "SELECT id, part, ended IS NOT NULL FROM regatta.runs WHERE run = $1";
    let Some(row) = client.query_typed_opt(find, &[(&run.0, Type::UUID)]).await? else { return Ok(None) };
    Ok(Some(Stand { id: row.try_get(0)?, part: row.try_get(1)?, has_ended: row.try_get(2)? }))
}

async fn file_list(client: &Client, asked: &[String; 3]) -> Result<Option<(bool, Vec<u8>)>, Refused> {
    let find = "SELECT tree = $3, files FROM regatta.file_lists
        WHERE suite = (SELECT id FROM regatta.suites WHERE project = $1 AND name = $2)
        ORDER BY tree = $3 DESC, seen DESC LIMIT 1";
    let columns = asked.each_ref().map(|name| (name as _, Type::TEXT));
    let Some(row) = client.query_typed_opt(find, &columns).await? else { return Ok(None) };
    Ok(Some((row.try_get(0)?, row.try_get(1)?)))
}

async fn listings(client: &Client, keys: &[FileKey]) -> Result<Vec<(FileKey, Time, Vec<u8>)>, Refused> {
    let find = "SELECT a.at, l.seen, l.tests FROM unnest($1::bytea[]) WITH ORDINALITY a (key, at)
        JOIN regatta.listings l USING (key)";
    let columns = super::column(keys, |key| &key.0[..]);
    let found = client.query_typed(find, &[(&columns, Type::BYTEA_ARRAY)]).await?;
    let listing = |row: &Row| {
        let seen: i64 = row.try_get(1)?;
        Ok((keys[super::names::place(row.try_get(0)?)], Time(seen.cast_unsigned()), row.try_get(2)?))
    };
    found.iter().map(listing).collect()
}

async fn verdicts(client: &Client, run: RunId) -> Result<Option<Vec<Given>>, Refused> {
    let Some(Stand { id, part, .. }) = find(client, run).await? else { return Ok(None) };
    let find = "SELECT key, verdict, cause FROM regatta.verdicts WHERE run = $1 AND part = $2";
    let found = client.query_typed(find, &[(&id, Type::INT8), (&part, Type::INT4)]).await?;
    let number = |row: &Row, at| row.try_get::<_, i16>(at).map(i32::from);
    let verdict = |row: &Row| Ok((recall::key(row, 0)?, number(row, 1)?, number(row, 2)?));
    found.iter().map(verdict).collect::<Result<_, Refused>>().map(Some)
}

async fn events(client: &Client, run: RunId, after: u64, most: usize) -> Result<Vec<Vec<u8>>, Refused> {
    let Some(Stand { id, part, .. }) = find(client, run).await? else { return Ok(Vec::new()) };
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let find = "SELECT body FROM regatta.events WHERE run = $1 AND part = $2 AND seq > $3 ORDER BY seq LIMIT $4";
    let columns = [
        (&id as _, Type::INT8),
        (&part as _, Type::INT4),
        (&after.cast_signed() as _, Type::INT8),
        (&most as _, Type::INT8),
    ];
    client.query_typed(find, &columns).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn runs(client: &Client, most: u32) -> Result<Vec<Told>, Refused> {
    let find = "SELECT run, project, submitted, ended, outcome, passed, flaky, failed, timed_out, crashed,
        not_run, skipped, errors FROM regatta.runs WHERE NOT listing ORDER BY submitted DESC, id DESC LIMIT $1";
    let found = client.query_typed(find, &[(&i64::from(most), Type::INT8)]).await?;
    found.iter().map(told).collect()
}

fn told(row: &Row) -> Result<Told, Refused> {
    let count = |at| row.try_get::<_, i32>(at).map(i32::cast_unsigned);
    let (submitted, ended): (i64, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
    Ok(Told {
        run: RunId(row.try_get(0)?),
        project: row.try_get(1)?,
        submitted: Time(submitted.cast_unsigned()),
        ended: ended.map(|ended| Time(ended.cast_unsigned())),
        outcome: row.try_get::<_, i16>(4)?.into(),
        counts: Counts {
            passed: count(5)?,
            flaky: count(6)?,
            failed: count(7)?,
            timed_out: count(8)?,
            crashed: count(9)?,
            not_run: count(10)?,
            skipped: count(11)?,
        },
        errors: count(12)?,
    })
}
