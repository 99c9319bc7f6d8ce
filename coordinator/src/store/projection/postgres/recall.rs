//! Reading what is known over all runs.

use super::refused::Refused;
use super::{names, text};
use crate::store::projection::costs::Learnt;
use crate::store::projection::history::{Found, Remembered, Scope};
use regatta_domain::history::{Levels, Queries, Recent, TestHistory};
use regatta_domain::{TestKey, Time, Verdict};
use regatta_wire::verdict::Closed as _;
use std::collections::HashSet;
use std::pin::pin;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use tokio_stream::StreamExt as _;

/// The columns of a history, in the order in which [`history`] reads them.
pub(super) const COLUMNS: &str = "runs, mean, variance, odd, passes, flakes, failures, skips, failing, recent, last, seen, imported, levels, queries";

/// The suite of the first two parameters, by its number; nothing where nothing is known of it.
const SUITE: &str = "(SELECT id FROM regatta.suites WHERE project = $1 AND name = $2)";

/// The history in a row, from its column `at` on.
pub(super) fn history(row: &Row, at: usize) -> Result<TestHistory, Refused> {
    let count = |at: usize| row.try_get::<_, i32>(at).map(i32::cast_unsigned);
    let seen: i64 = row.try_get(at + 11)?;
    Ok(TestHistory {
        runs: count(at)?,
        mean: row.try_get(at + 1)?,
        variance: row.try_get(at + 2)?,
        odd: row.try_get(at + 3)?,
        passes: count(at + 4)?,
        flakes: count(at + 5)?,
        failures: count(at + 6)?,
        skips: count(at + 7)?,
        failing: row.try_get(at + 8)?,
        recent: Recent(count(at + 9)?),
        last: Verdict::read(row.try_get::<_, i16>(at + 10)?.into()),
        seen: Time(seen.cast_unsigned()),
        imported: row.try_get(at + 12)?,
        levels: Levels(count(at + 13)?),
        queries: row.try_get::<_, Option<&[u8]>>(at + 14)?.map(Queries::from_bytes).unwrap_or_default(),
    })
}

/// A test's key, from its column.
pub(super) fn key(row: &Row, at: usize) -> Result<TestKey, Refused> {
    let bytes: &[u8] = row.try_get(at)?;
    let short = |_| Refused::Unfit(format!("a key of {} bytes is none; restore a backup", bytes.len()));
    Ok(TestKey(bytes.try_into().map_err(short)?))
}

/// What is asked of a suite.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) project: String,
    pub(super) suite: String,
    pub(super) branch: String,
    pub(super) class: String,
    /// The digests of the paths.
    pub(super) files: Vec<[u8; 16]>,
}

impl Asked {
    pub(super) fn new(project: &str, suite: &str, scope: &Scope, paths: &[&str]) -> Self {
        let [project, suite, branch, class] =
            [project, suite, &scope.branch, &scope.class].map(|name| text(name).into_owned());
        let files = paths.iter().map(|path| names::digest(&text(path))).collect();
        Self { project, suite, branch, class, files }
    }
}

/// The rows of the branch and the main line; of files that have none, those of all branches.
pub(super) async fn histories(client: &Client, asked: &Asked) -> Result<Vec<Found>, Refused> {
    let all: Vec<usize> = (0..asked.files.len()).collect();
    let mut found = rows_of(client, asked, &all, "h.branch IN ('', $3)").await?;
    let mut has_any = vec![false; all.len()];
    found.iter().for_each(|row| has_any[row.file] = true);
    let others: Vec<usize> = all.into_iter().filter(|&at| !has_any[at]).collect();
    if !others.is_empty() {
        found.append(&mut rows_of(client, asked, &others, "TRUE").await?);
    }
    Ok(found)
}

async fn rows_of(client: &Client, asked: &Asked, files: &[usize], branches: &str) -> Result<Vec<Found>, Refused> {
    let find = format!(
        "SELECT a.at, h.key, h.name, h.branch = $3 AND h.branch <> '', h.class, {COLUMNS}
            FROM unnest($4::bytea[]) WITH ORDINALITY a (digest, at)
            JOIN regatta.files f ON f.suite = {SUITE} AND f.digest = a.digest
            JOIN regatta.history h ON h.file = f.id AND {branches}"
    );
    let digests: Vec<&[u8]> = super::column(files, |&file| &asked.files[file][..]);
    let columns: [(&(dyn ToSql + Sync), Type); 4] = [
        (&asked.project, Type::TEXT),
        (&asked.suite, Type::TEXT),
        (&asked.branch, Type::TEXT),
        (&digests, Type::BYTEA_ARRAY),
    ];
    // As they come: a great suite has a million rows, each larger on its way than as what it says.
    let mut coming = pin!(client.query_typed_raw(&find, columns).await?);
    let mut rows = Vec::new();
    while let Some(row) = coming.next().await.transpose()? {
        let file = files[names::place(row.try_get(0)?)];
        let name: &str = row.try_get(2)?;
        let remembered = Remembered { key: key(&row, 1)?, name: name.into(), history: history(&row, 5)? };
        rows.push(Found::new(file, remembered, row.try_get(3)?, row.try_get(4)?, &asked.class));
    }
    Ok(rows)
}

pub(super) async fn measured(client: &Client, asked: &Asked) -> Result<HashSet<TestKey>, Refused> {
    let find = format!(
        "SELECT h.key FROM regatta.files f JOIN regatta.history h ON h.file = f.id
            WHERE f.suite = {SUITE} AND f.digest = ANY ($5::bytea[]) AND h.branch = $3 AND h.class = $4
            AND NOT h.imported AND (h.runs > 0 OR h.mean > 0)"
    );
    let columns = [
        (&asked.project as _, Type::TEXT),
        (&asked.suite as _, Type::TEXT),
        (&asked.branch as _, Type::TEXT),
        (&asked.class as _, Type::TEXT),
        (&super::column(&asked.files, |digest| &digest[..]) as _, Type::BYTEA_ARRAY),
    ];
    client.query_typed(&find, &columns).await?.iter().map(|row| key(row, 0)).collect()
}

pub(super) async fn suites(client: &Client, project: &str) -> Result<Vec<String>, Refused> {
    let find = "SELECT name FROM regatta.suites WHERE project = $1 ORDER BY name";
    let found = client.query_typed(find, &[(&project, Type::TEXT)]).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

pub(super) async fn paths(client: &Client, project: &str, suite: &str) -> Result<Vec<String>, Refused> {
    let find = format!("SELECT path FROM regatta.files WHERE suite = {SUITE} ORDER BY path");
    let found = client.query_typed(&find, &[(&project, Type::TEXT), (&suite, Type::TEXT)]).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// What is known of the costs of a suite: on this class, else on the one that comes first.
pub(super) async fn costs(client: &Client, [project, suite, class]: [&str; 3]) -> Result<Learnt, Refused> {
    let find = format!(
        "SELECT start, batch, file, test FROM regatta.costs WHERE suite = {SUITE}
            ORDER BY class = $3 DESC, class LIMIT 1"
    );
    let columns = [(&project as _, Type::TEXT), (&suite as _, Type::TEXT), (&class as _, Type::TEXT)];
    let Some(row) = client.query_typed_opt(&find, &columns).await? else { return Ok(Learnt::default()) };
    Ok(Learnt::of([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?]))
}
