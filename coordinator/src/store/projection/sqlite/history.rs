//! Histories as columns, and the rows that verdicts and timings write.

use super::read::{time, verdict};
use super::write::Ids;
use crate::store::projection::history::Scope;
use crate::store::projection::learn::Lesson;
use regatta_domain::TestKey;
use regatta_domain::history::{Levels, Queries, Recent, TestHistory};
use regatta_wire::v1;
use rusqlite::{OptionalExtension as _, Row, params};

/// The columns of a history, in the order in which [`history`] reads them.
pub(super) const COLUMNS: &str = "runs, mean, variance, odd, passes, flakes, failures, skips, failing, recent, last, seen, imported, levels, queries";

/// The history in a row, from its column `at` on.
pub(super) fn history(row: &Row<'_>, at: usize) -> rusqlite::Result<TestHistory> {
    Ok(TestHistory {
        runs: row.get(at)?,
        mean: row.get(at + 1)?,
        variance: row.get(at + 2)?,
        odd: row.get(at + 3)?,
        passes: row.get(at + 4)?,
        flakes: row.get(at + 5)?,
        failures: row.get(at + 6)?,
        skips: row.get(at + 7)?,
        failing: row.get(at + 8)?,
        recent: Recent(row.get(at + 9)?),
        last: verdict(row, at + 10)?,
        seen: time(row, at + 11)?,
        imported: row.get(at + 12)?,
        levels: Levels(row.get(at + 13)?),
        queries: row.get_ref(at + 14)?.as_blob_or_null()?.map(Queries::from_bytes).unwrap_or_default(),
    })
}

impl Ids<'_> {
    /// Takes a lesson in.
    pub(super) fn learn(&mut self, lesson: &Lesson<'_>, scope: &Scope) -> rusqlite::Result<()> {
        let file = self.file(lesson.project, lesson.suite, lesson.path)?;
        let mut history = self.known(file, lesson.key, scope)?.unwrap_or_default();
        if lesson.teach(&mut history) { self.put(file, lesson, scope, &history) } else { Ok(()) }
    }

    /// What is known of a test: on its branch, else on the main line, from where the branch goes on.
    fn known(&self, file: i64, key: TestKey, scope: &Scope) -> rusqlite::Result<Option<TestHistory>> {
        let find = format!("SELECT {COLUMNS} FROM history WHERE file = ? AND key = ? AND branch = ? AND class = ?");
        let mut find = self.transaction.prepare_cached(&find)?;
        for branch in [&*scope.branch, ""] {
            let row = params![file, key.0, branch, &*scope.class];
            let found = find.query_row(row, |row| history(row, 0)).optional()?;
            if found.is_some() || branch.is_empty() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn put(&self, file: i64, lesson: &Lesson<'_>, scope: &Scope, history: &TestHistory) -> rusqlite::Result<()> {
        let put = format!(
            "INSERT OR REPLACE INTO history (file, key, branch, class, name, {COLUMNS}, day)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let TestHistory { runs, mean, variance, odd, passes, flakes, failures, skips, failing, imported, .. } =
            *history;
        let queries = (history.queries != Queries::default()).then(|| history.queries.to_bytes());
        self.execute(
            &put,
            params![
                file,
                lesson.key.0,
                &*scope.branch,
                &*scope.class,
                &**lesson.name,
                runs,
                mean,
                variance,
                odd,
                passes,
                flakes,
                failures,
                skips,
                failing,
                history.recent.0,
                history.last.map_or(0, |last| i32::from(v1::Verdict::from(last))),
                history.seen.0.cast_signed(),
                imported,
                history.levels.0,
                queries,
                self.day.cast_signed(),
            ],
        )
    }
}
