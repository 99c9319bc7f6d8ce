//! The numbers by which rows name runs, suites and files: looked up for a whole batch, and given where there are none.
//!
//! One writes at a time, so what was not found a moment ago is not there.

use super::refused::Refused;
use super::{column, parts, text};
use crate::store::projection::history::Scope;
use crate::store::projection::{Keep, Row};
use regatta_domain::RunId;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::Uuid;

/// What the rows of a run have to know of it.
pub(super) struct Known {
    pub(super) id: i64,
    /// The part in which they lie.
    pub(super) part: i32,
    /// Whose history its verdicts are.
    pub(super) scope: Scope,
}

/// The runs of a batch.
pub(super) struct Runs(HashMap<RunId, Known>);

impl Runs {
    /// Looks up the runs that are named, and writes those that begin.
    pub(super) async fn of(transaction: &Transaction<'_>, rows: &[Row], keep: Keep) -> Result<Self, Refused> {
        let wanted: BTreeSet<RunId> = rows.iter().filter_map(run_of).collect();
        let mut known = Self(HashMap::with_capacity(wanted.len()));
        if wanted.is_empty() {
            return Ok(known);
        }
        let wanted: Vec<Uuid> = wanted.into_iter().map(|run| run.0).collect();
        let find = "SELECT run, id, part, branch, class FROM regatta.runs WHERE run = ANY($1)";
        for row in transaction.query_typed(find, &[(&wanted, Type::UUID_ARRAY)]).await? {
            let text = |at| row.try_get::<_, &str>(at).map(Into::into);
            let scope = Scope { branch: text(3)?, class: text(4)? };
            known.0.insert(RunId(row.try_get(0)?), Known { id: row.try_get(1)?, part: row.try_get(2)?, scope });
        }
        known.begin(transaction, rows, keep).await?;
        Ok(known)
    }

    pub(super) fn get(&self, run: RunId) -> Result<&Known, Refused> {
        self.0.get(&run).ok_or_else(|| Refused::Unfit(format!("run {run} is not in its table; restore a backup")))
    }

    /// Writes the runs that begin, unless they are known: one that was handed in twice is one.
    async fn begin(&mut self, transaction: &Transaction<'_>, rows: &[Row], keep: Keep) -> Result<(), Refused> {
        let mut new = BTreeSet::new();
        let mut order = Vec::new();
        for row in rows {
            if let Row::Run { run, project, submitted, listing, scope } = row
                && !self.0.contains_key(run)
                && new.insert(*run)
            {
                order.push((*run, text(project), *submitted, *listing, scope));
            }
        }
        if order.is_empty() {
            return Ok(());
        }
        let parts = parts::assign(transaction, keep, order.len()).await?;
        let add = "INSERT INTO regatta.runs (run, part, submitted, listing, project, branch, class)
            SELECT * FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::bool[], $5::text[], $6::text[], $7::text[])
            RETURNING run, id";
        let added = transaction
            .query_typed(
                add,
                &[
                    (&column(&order, |new| new.0.0), Type::UUID_ARRAY),
                    (&parts, Type::INT4_ARRAY),
                    (&column(&order, |new| new.2.0.cast_signed()), Type::INT8_ARRAY),
                    (&column(&order, |new| new.3), Type::BOOL_ARRAY),
                    (&column(&order, |new| &*new.1), Type::TEXT_ARRAY),
                    (&column(&order, |new| text(&new.4.branch)), Type::TEXT_ARRAY),
                    (&column(&order, |new| text(&new.4.class)), Type::TEXT_ARRAY),
                ],
            )
            .await?;
        let mut ids = HashMap::with_capacity(added.len());
        for row in added {
            ids.insert(RunId(row.try_get(0)?), row.try_get(1)?);
        }
        for ((run, _, _, _, scope), part) in order.into_iter().zip(parts) {
            let id = *ids.get(&run).expect("what was inserted came back");
            self.0.insert(run, Known { id, part, scope: scope.clone() });
        }
        Ok(())
    }
}

/// The run that a row belongs to.
const fn run_of(row: &Row) -> Option<RunId> {
    match row {
        Row::Run { run, .. }
        | Row::Progress { run, .. }
        | Row::Event { run, .. }
        | Row::Attempt { run, .. }
        | Row::Refused { run, .. }
        | Row::Verdict { run, .. }
        | Row::Costs { run, .. }
        | Row::Error { run, .. } => Some(*run),
        Row::Imported { .. } | Row::Listing { .. } | Row::FileList { .. } => None,
    }
}

/// A suite by its names: the project's, and its own.
type Named<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The suites of a batch.
pub(super) struct Suites<'a>(HashMap<Named<'a>, i64>);

impl<'a> Suites<'a> {
    /// Looks up the suites that are named, and numbers those that are new.
    pub(super) async fn of(transaction: &Transaction<'_>, rows: &'a [Row]) -> Result<Self, Refused> {
        let mut wanted: BTreeSet<Named<'a>> = BTreeSet::new();
        let mut last = None;
        for row in rows {
            let (Row::Verdict { project, suite, .. }
            | Row::Imported { project, suite, .. }
            | Row::Costs { project, suite, .. }
            | Row::FileList { project, suite, .. }) = row
            else {
                continue;
            };
            // Rows of a suite follow one another.
            if last != Some([&**project, &**suite]) {
                last = Some([project, suite]);
                wanted.insert((text(project), text(suite)));
            }
        }
        let wanted: Vec<Named<'a>> = wanted.into_iter().collect();
        let mut known = Self(HashMap::with_capacity(wanted.len()));
        known.find(transaction, &wanted).await?;
        let missing: Vec<Named<'a>> = wanted.into_iter().filter(|named| !known.0.contains_key(named)).collect();
        if !missing.is_empty() {
            let add = "INSERT INTO regatta.suites (project, name) SELECT * FROM unnest($1::text[], $2::text[])";
            let [projects, names] = Self::columns(&missing);
            let columns = [(&projects as _, Type::TEXT_ARRAY), (&names as _, Type::TEXT_ARRAY)];
            transaction.execute_typed(add, &columns).await?;
            known.find(transaction, &missing).await?;
        }
        Ok(known)
    }

    async fn find(&mut self, transaction: &Transaction<'_>, wanted: &[Named<'a>]) -> Result<(), Refused> {
        let find = "SELECT a.at, s.id FROM unnest($1::text[], $2::text[]) WITH ORDINALITY a (project, name, at)
            JOIN regatta.suites s USING (project, name)";
        let [projects, names] = Self::columns(wanted);
        let columns = [(&projects as _, Type::TEXT_ARRAY), (&names as _, Type::TEXT_ARRAY)];
        for row in transaction.query_typed(find, &columns).await? {
            self.0.insert(wanted[place(row.try_get(0)?)].clone(), row.try_get(1)?);
        }
        Ok(())
    }

    fn columns<'b>(wanted: &'b [Named<'a>]) -> [Vec<&'b str>; 2] {
        [column(wanted, |named| &*named.0), column(wanted, |named| &*named.1)]
    }

    pub(super) fn get(&self, project: &'a str, suite: &'a str) -> i64 {
        *self.0.get(&(text(project), text(suite))).expect("every suite that a row names was looked up")
    }
}

/// A file: its suite, and the digest of its path.
pub(super) type File = (i64, [u8; 16]);

/// The files of a batch.
pub(super) struct Files(HashMap<File, i64>);

impl Files {
    /// Looks up files, each with its path, and numbers those that are new.
    pub(super) async fn of(
        transaction: &Transaction<'_>,
        wanted: &BTreeMap<File, Cow<'_, str>>,
    ) -> Result<Self, Refused> {
        let mut known = Self(HashMap::with_capacity(wanted.len()));
        let all: Vec<File> = wanted.keys().copied().collect();
        known.find(transaction, &all).await?;
        let missing: Vec<File> = all.into_iter().filter(|file| !known.0.contains_key(file)).collect();
        if !missing.is_empty() {
            let add = "INSERT INTO regatta.files (suite, digest, path)
                SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[])";
            let columns = [
                (&column(&missing, |file| file.0) as _, Type::INT8_ARRAY),
                (&column(&missing, |file| &file.1[..]) as _, Type::BYTEA_ARRAY),
                (&column(&missing, |file| &*wanted[file]) as _, Type::TEXT_ARRAY),
            ];
            transaction.execute_typed(add, &columns).await?;
            known.find(transaction, &missing).await?;
        }
        Ok(known)
    }

    async fn find(&mut self, transaction: &Transaction<'_>, wanted: &[File]) -> Result<(), Refused> {
        let find = "SELECT a.at, f.id FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY a (suite, digest, at)
            JOIN regatta.files f USING (suite, digest)";
        let columns = [
            (&column(wanted, |file| file.0) as _, Type::INT8_ARRAY),
            (&column(wanted, |file| &file.1[..]) as _, Type::BYTEA_ARRAY),
        ];
        for row in transaction.query_typed(find, &columns).await? {
            self.0.insert(wanted[place(row.try_get(0)?)], row.try_get(1)?);
        }
        Ok(())
    }

    pub(super) fn get(&self, file: &File) -> i64 {
        *self.0.get(file).expect("every file of a lesson was looked up")
    }
}

/// The digest by which a path is found.
pub(super) fn digest(path: &str) -> [u8; 16] {
    *blake3::hash(path.as_bytes()).as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// The place in an array of what PostgreSQL counts from one.
pub(super) fn place(ordinality: i64) -> usize {
    usize::try_from(ordinality - 1).expect("an ordinality is the place in an array, from 1")
}
