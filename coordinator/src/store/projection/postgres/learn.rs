//! What the rows of a batch teach: histories are read for all of them, taught one after the other, and written again.

use super::names::{self, File, Files, Runs, Suites};
use super::refused::Refused;
use super::{column, numbers, recall, text};
use crate::store::projection::Row;
use crate::store::projection::costs::Learnt;
use crate::store::projection::history::Scope;
use crate::store::projection::learn::Lesson;
use regatta_domain::TestKey;
use regatta_domain::history::{Queries, TestHistory};
use regatta_wire::v1;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

/// Whose a history is: that of a test of a file, in the scope of this place among [`Scopes`].
type Owner = (i64, TestKey, usize);

/// The scopes of a batch: a few, so that they are told apart by their places.
#[derive(Default)]
struct Scopes(Vec<(String, String)>);

impl Scopes {
    fn place(&mut self, branch: &str, class: &str) -> usize {
        let (branch, class) = (text(branch), text(class));
        let known = self.0.iter().position(|known| known.0 == branch && known.1 == class);
        known.unwrap_or_else(|| {
            self.0.push((branch.into_owned(), class.into_owned()));
            self.0.len() - 1
        })
    }

    fn columns(&self, owners: &[Owner]) -> (Vec<&str>, Vec<&str>) {
        (column(owners, |owner| &*self.0[owner.2].0), column(owners, |owner| &*self.0[owner.2].1))
    }
}

/// A lesson, and whose history it is: its own, and that of the main line, from where a branch goes on.
struct Taught<'a> {
    lesson: Lesson<'a>,
    own: Owner,
    main: Owner,
}

/// Takes all lessons of a batch in.
pub(super) async fn learn(
    transaction: &Transaction<'_>,
    rows: &[Row],
    runs: &Runs,
    suites: &Suites<'_>,
    day: u64,
) -> Result<(), Refused> {
    let mut scopes = Scopes::default();
    let taught = taught(transaction, rows, runs, suites, &mut scopes).await?;
    if taught.is_empty() {
        return Ok(());
    }
    let owners: BTreeSet<Owner> = taught.iter().flat_map(|taught| [taught.own, taught.main]).collect();
    let mut known = find(transaction, &scopes, owners.into_iter().collect()).await?;
    let found: BTreeSet<Owner> = known.keys().copied().collect();
    let mut changed: BTreeMap<Owner, Cow<'_, str>> = BTreeMap::new();
    // One after the other: what a test is taught twice in a batch, it is taught twice.
    for Taught { lesson, own, main } in &taught {
        let mut history = known.get(own).or_else(|| known.get(main)).copied().unwrap_or_default();
        if lesson.teach(&mut history) {
            known.insert(*own, history);
            changed.insert(*own, text(lesson.name));
        }
    }
    // What was not found is not there: only the others have to be looked for again.
    let (old, new): (Vec<_>, Vec<_>) = changed.into_iter().partition(|(owner, _)| found.contains(owner));
    let replace = format!(
        "ON CONFLICT (file, key, branch, class) DO UPDATE SET (name, {COLUMNS}, day) = (
            excluded.name, excluded.runs, excluded.mean, excluded.variance, excluded.odd, excluded.passes,
            excluded.flakes, excluded.failures, excluded.skips, excluded.failing, excluded.recent, excluded.last,
            excluded.seen, excluded.imported, excluded.levels, excluded.queries, excluded.day)",
        COLUMNS = recall::COLUMNS
    );
    tokio::try_join!(
        put(transaction, &scopes, &known, &new, day, ""),
        put(transaction, &scopes, &known, &old, day, &replace),
    )?;
    Ok(())
}

/// The lessons of a batch, with whose they are.
async fn taught<'a>(
    transaction: &Transaction<'_>,
    rows: &'a [Row],
    runs: &Runs,
    suites: &Suites<'_>,
    scopes: &mut Scopes,
) -> Result<Vec<Taught<'a>>, Refused> {
    let mut lessons: Vec<(Lesson<'a>, File, &Scope)> = Vec::new();
    let mut files: BTreeMap<File, Cow<'a, str>> = BTreeMap::new();
    let mut last: Option<([&str; 3], File)> = None;
    for row in rows {
        let Some(lesson) = Lesson::of(row) else { continue };
        let scope = match (lesson.run(), row) {
            (Some(run), _) => &runs.get(run)?.scope,
            (None, Row::Imported { scope, .. }) => scope,
            (None, _) => continue,
        };
        let names: [&str; 3] = [lesson.project, lesson.suite, lesson.path];
        // Rows of a file follow one another.
        let file = match last {
            Some((known, file)) if known == names => file,
            _ => {
                let path = text(lesson.path);
                let file = (suites.get(lesson.project, lesson.suite), names::digest(&path));
                files.entry(file).or_insert(path);
                file
            }
        };
        last = Some((names, file));
        lessons.push((lesson, file, scope));
    }
    let files = Files::of(transaction, &files).await?;
    let taught = lessons.into_iter().map(|(lesson, file, scope)| {
        let (file, key) = (files.get(&file), lesson.key);
        let (own, main) = (scopes.place(&scope.branch, &scope.class), scopes.place("", &scope.class));
        Taught { lesson, own: (file, key, own), main: (file, key, main) }
    });
    Ok(taught.collect())
}

/// The histories of these owners, of those that have one.
async fn find(
    transaction: &Transaction<'_>,
    scopes: &Scopes,
    owners: Vec<Owner>,
) -> Result<BTreeMap<Owner, TestHistory>, Refused> {
    let find = format!(
        "SELECT a.at, {} FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[])
            WITH ORDINALITY a (file, key, branch, class, at) JOIN regatta.history h USING (file, key, branch, class)",
        recall::COLUMNS
    );
    let (branches, classes) = scopes.columns(&owners);
    let columns = [
        (&column(&owners, |owner| owner.0) as _, Type::INT8_ARRAY),
        (&column(&owners, |owner| &owner.1.0[..]) as _, Type::BYTEA_ARRAY),
        (&branches as _, Type::TEXT_ARRAY),
        (&classes as _, Type::TEXT_ARRAY),
    ];
    let mut known = BTreeMap::new();
    for row in transaction.query_typed(&find, &columns).await? {
        known.insert(owners[names::place(row.try_get(0)?)], recall::history(&row, 1)?);
    }
    Ok(known)
}

/// Writes histories, each with the name of its test; `otherwise` says what to do with those that are there.
async fn put(
    transaction: &Transaction<'_>,
    scopes: &Scopes,
    known: &BTreeMap<Owner, TestHistory>,
    changed: &[(Owner, Cow<'_, str>)],
    day: u64,
    otherwise: &str,
) -> Result<(), Refused> {
    if changed.is_empty() {
        return Ok(());
    }
    // What is not odd is no number.
    let put = format!(
        "INSERT INTO regatta.history (file, key, branch, class, name, {}, day)
            SELECT $1[i * 10 + 1], key, branch, class, name, $1[i * 10 + 2], $2[i * 4 + 1], $2[i * 4 + 2],
                nullif($2[i * 4 + 3], 'NaN'), $1[i * 10 + 3], $1[i * 10 + 4], $1[i * 10 + 5], $1[i * 10 + 6],
                $2[i * 4 + 4], $1[i * 10 + 7], $1[i * 10 + 8], $1[i * 10 + 9], imported, $1[i * 10 + 10], queries, $8
            FROM (
                SELECT key, branch, class, name, queries, imported, at::int - 1 AS i
                FROM unnest($3::bytea[], $4::text[], $5::text[], $6::text[], $7::bytea[], $9::bool[])
                    WITH ORDINALITY a (key, branch, class, name, queries, imported, at) OFFSET 0
            ) a {otherwise}",
        recall::COLUMNS
    );
    let owners: Vec<Owner> = column(changed, |changed| changed.0);
    let (branches, classes) = scopes.columns(&owners);
    let whole = numbers(&owners, |owner| {
        let TestHistory { runs, passes, flakes, failures, skips, .. } = known[owner];
        let counts = [runs, passes, flakes, failures, skips].map(|count| i64::from(count.cast_signed()));
        let TestHistory { recent, last, seen, levels, .. } = known[owner];
        let [runs, passes, flakes, failures, skips] = counts;
        let [recent, levels] = [recent.0, levels.0].map(|bits| i64::from(bits.cast_signed()));
        let last: i32 = last.map_or(0, |last| v1::Verdict::from(last).into());
        [owner.0, runs, passes, flakes, failures, skips, recent, last.into(), seen.0.cast_signed(), levels]
    });
    let real: Vec<f64> = owners
        .iter()
        .map(|owner| &known[owner])
        .flat_map(|history| [history.mean, history.variance, history.odd.unwrap_or(f64::NAN), history.failing])
        .collect();
    let queries = |owner: &Owner| {
        let queries = known[owner].queries;
        (queries != Queries::default()).then(|| queries.to_bytes())
    };
    let columns = [
        (&whole as _, Type::INT8_ARRAY),
        (&real as _, Type::FLOAT8_ARRAY),
        (&column(&owners, |owner| &owner.1.0[..]) as _, Type::BYTEA_ARRAY),
        (&branches as _, Type::TEXT_ARRAY),
        (&classes as _, Type::TEXT_ARRAY),
        (&column(changed, |changed| &*changed.1) as _, Type::TEXT_ARRAY),
        (&column(&owners, queries) as _, Type::BYTEA_ARRAY),
        (&day.cast_signed() as _, Type::INT8),
        (&column(&owners, |owner| known[owner].imported) as _, Type::BOOL_ARRAY),
    ];
    transaction.execute_typed(&put, &columns).await?;
    Ok(())
}

/// Takes in what the runs of a batch measured of suites.
pub(super) async fn learn_costs(
    transaction: &Transaction<'_>,
    rows: &[Row],
    runs: &Runs,
    suites: &Suites<'_>,
) -> Result<(), Refused> {
    let mut measured: Vec<((i64, Cow<'_, str>), Learnt)> = Vec::new();
    for row in rows {
        if let Row::Costs { run, project, suite, measured: learnt } = row {
            let class = text(&runs.get(*run)?.scope.class);
            measured.push(((suites.get(project, suite), class), *learnt));
        }
    }
    if measured.is_empty() {
        return Ok(());
    }
    let wanted: BTreeSet<&(i64, Cow<'_, str>)> = measured.iter().map(|(of, _)| of).collect();
    let wanted: Vec<_> = wanted.into_iter().collect();
    let find = "SELECT a.at, c.start, c.batch, c.file, c.test
        FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY a (suite, class, at)
        JOIN regatta.costs c USING (suite, class)";
    let of =
        [(&column(&wanted, |of| of.0) as _, Type::INT8_ARRAY), (&column(&wanted, |of| &*of.1) as _, Type::TEXT_ARRAY)];
    let mut known = vec![Learnt::default(); wanted.len()];
    for row in transaction.query_typed(find, &of).await? {
        let columns = [row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?];
        known[names::place(row.try_get(0)?)] = Learnt::of(columns);
    }
    for (of, learnt) in &measured {
        let at = wanted.binary_search(&of).expect("what was measured is wanted");
        known[at].blend(*learnt);
    }
    let known: Vec<[Option<f64>; 4]> = column(&known, |learnt| learnt.columns());
    let put = "INSERT INTO regatta.costs (suite, class, start, batch, file, test)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::float8[], $4::float8[], $5::float8[], $6::float8[])
        ON CONFLICT (suite, class) DO UPDATE SET
            start = excluded.start, batch = excluded.batch, file = excluded.file, test = excluded.test";
    let [suites, classes] = of;
    let part = |at: usize| column(&known, move |columns| columns[at]);
    let columns = [
        suites,
        classes,
        (&part(0) as _, Type::FLOAT8_ARRAY),
        (&part(1) as _, Type::FLOAT8_ARRAY),
        (&part(2) as _, Type::FLOAT8_ARRAY),
        (&part(3) as _, Type::FLOAT8_ARRAY),
    ];
    transaction.execute_typed(put, &columns).await?;
    Ok(())
}
